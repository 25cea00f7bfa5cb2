"""What another agreement would have made of the same facts: they are folded under each, and the clocks compared.

A story is the facts of one lead, or of all the leads that merges unite. Pure; may not import I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from processors.agreement import Agreement, Agreements
from processors.erasure import Erased
from processors.facts import Fact
from processors.lane import LaneFold
from processors.state import State
from schemas.types import SlaEvent, Verdict

Clocks = dict[str, SlaEvent]
"""Instance id -> how the clock stands in the end."""
Kind = Literal[
    "newly_breached", "no_longer_breached", "starts", "no_longer_starts", "other_verdict", "other_deadline"
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = (
    "newly_breached", "no_longer_breached", "starts", "no_longer_starts", "other_verdict", "other_deadline",
)  # fmt: skip
"""What may become of a clock, what matters most first."""
BREACHED: Final[frozenset[Verdict]] = frozenset({"late_met", "breached_open", "breached_ended"})
JUDGED: Final = BREACHED | {"met"}
"""Verdicts that count in the denominator."""
PROPOSED: Final = " (proposed)"
"""Behind the name of an adopted version: a draft may still bear that of the version it was copied from."""
_UNCOUNTED: Final = frozenset({"merged", "erased"})


class Span(NamedTuple):
    """[start, end), UTC milliseconds."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Change:
    """One clock that is another under the second agreement. `before`, `after` None: there is none."""

    kind: Kind
    before: SlaEvent | None
    after: SlaEvent | None

    @property
    def clock(self) -> SlaEvent:
        """Who, which promise and when: the same on both sides, where there are two."""
        return self.before or self.after  # type: ignore[return-value]  # one of them is there


@dataclass(slots=True)
class Tally:
    """Clocks, counted as the view kpi_sla_compliance counts them."""

    started: int = 0
    open: int = 0
    """Within their deadline."""
    met: int = 0
    breached: int = 0
    called_off: int = 0
    """Cancelled or transferred."""
    due: int = 0
    """Denominator: the deadline has been reached; neither cancelled nor transferred."""
    met_of_due: int = 0

    def add(self, clock: SlaEvent, now: int) -> None:
        verdict = clock["verdict"]
        self.started += 1
        self.open += verdict == "open"
        self.met += verdict == "met"
        self.breached += verdict in BREACHED
        self.called_off += verdict in ("cancelled", "transferred")
        if verdict in JUDGED and clock["deadline"] <= now:
            self.due += 1
            self.met_of_due += verdict == "met"

    @property
    def attainment(self) -> float | None:
        return self.met_of_due / self.due if self.due else None


def from_then_on(old: Agreements, new: Agreements, start: int) -> Agreements:
    """As if `new` had been adopted at `start`: before it `old` held, from there on `new`, also where it is meant for later.

    So both sides have the same past, and what differs is the change alone.
    """
    past = [item for item in old if item.effective_from < start]
    if not past:
        past = [replace(old.at(start - 1), effective_from=start - 1)]
    first = new.at(start)
    later = [item for item in new if item.effective_from > start and item is not first]
    adopted = [replace(item, version=item.version + PROPOSED) for item in (first, *later)]
    return Agreements([*past, replace(adopted[0], effective_from=start), *adopted[1:]])


def in_force(agreements: Agreements, span: Span) -> list[Agreement]:
    """The versions that hold in the span, the earliest first."""
    return [
        agreements.at(span.start),
        *(item for item in agreements if span.start < item.effective_from < span.end),
    ]


def clocks(story: Sequence[Fact], agreements: Agreements, now: int, grace_ms: int) -> Clocks:
    """The clocks that count in KPIs, as they stand when the lane clock is `now`: those of test traffic and of merged or
    erased leads are left out. `story`: in the order of receipt.
    """
    fold = LaneFold(agreements, _nothing_restored, Erased(b""), grace_ms=grace_ms)
    told: dict[tuple[str, str], SlaEvent] = {}
    # Where leads merge, each learns of the other before the next fact is received, as if their lanes never lagged.
    steps = [[fact] for fact in story] if any(fact.kind == "LeadMerged" for fact in story) else [story]
    for facts in steps:
        fold.fold(facts)
        _hear(fold, told)
    fold.advance(now)
    _hear(fold, told)
    states: dict[str, State] = {}
    found: Clocks = {}
    for (lead_id, number), event in told.items():
        state = states.get(lead_id)
        if state is None:
            state = states[lead_id] = fold.look(lead_id)
        if not (event["is_test"] or state.is_test or state.stage in _UNCOUNTED):
            found[number] = event
    return found


def _nothing_restored(value: bytes) -> bytes:
    return value


def _hear(fold: LaneFold, told: dict[tuple[str, str], SlaEvent]) -> None:
    """Takes what was said, the latest for each clock, and hands on what merged leads pass on."""
    while True:
        said = fold.drain()
        for event in said.sla_events:
            place = (event["lead_id"], event["instance_id"])
            if event["kind"] in ("retracted", "moved"):
                told.pop(place, None)
            else:
                told[place] = event
        if not said.passed_on:
            return
        fold.fold_foreign(said.passed_on)


def compare(before: Clocks, after: Clocks, span: Span) -> Iterator[Change]:
    """What differs of the clocks that started in the span."""
    for number in before | after:
        one, other = before.get(number), after.get(number)
        change = _kind(one, other)
        if change is not None and span.start <= (one or other)["started_at"] < span.end:  # type: ignore[index]
            yield Change(change, one, other)


def _kind(before: SlaEvent | None, after: SlaEvent | None) -> Kind | None:
    if before is None:
        return "starts"
    if after is None:
        return "no_longer_starts"
    was, now = before["verdict"], after["verdict"]
    if (was in BREACHED) != (now in BREACHED):
        return "newly_breached" if now in BREACHED else "no_longer_breached"
    if was != now:
        return "other_verdict"
    return "other_deadline" if before["deadline"] != after["deadline"] else None
