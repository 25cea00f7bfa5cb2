"""What the change would have done, counted: per policy, team and source, with the leads. No I/O.

Memory grows with the number of policies, teams and sources, not with the leads: of each sort of change so many are named;
`told` gets every single one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from processors.agreement import Agreement, AgreementError, Agreements
from processors.vocabulary import POLICIES
from processors.whatif import KINDS, Change, Kind, Tally, clocks, compare, from_then_on, in_force
from schemas.types import SlaEvent, Verdict
from streams.errors import InputError
from streams.whatif.archive import Archive
from streams.whatif.period import Period, iso

NONE: Final = "(none)"


class Sort(NamedTuple):
    """Changes that are counted together."""

    kind: Kind
    policy: str
    team: str
    source: str
    before: Verdict | None
    after: Verdict | None


@dataclass(slots=True)
class Found:
    clocks: int = 0
    leads: dict[str, None] = field(default_factory=dict)
    """The first of them."""
    unnamed: bool = False
    """There are more leads."""


@dataclass(slots=True)
class Sides:
    before: Tally = field(default_factory=Tally)
    after: Tally = field(default_factory=Tally)


@dataclass
class Report:
    period: Period
    old: list[Agreement]
    """Versions in force in the period; likewise the next."""
    new: list[Agreement]
    as_of: int
    """Everything received up to here is in the numbers, UTC milliseconds."""
    leads: int = 0
    """Stories that were folded: those of leads that merges unite are one."""
    totals: Sides = field(default_factory=Sides)
    by: dict[str, dict[str, Sides]] = field(default_factory=lambda: {"policy": {}, "team": {}, "source": {}})
    changes: dict[Sort, Found] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def ordered(self) -> Iterator[tuple[Sort, Found]]:
        """What matters most first."""
        places = {policy: place for place, policy in enumerate(POLICIES)}

        def key(item: tuple[Sort, Found]) -> tuple[Any, ...]:
            sort = item[0]
            return (
                KINDS.index(sort.kind),
                places[sort.policy],
                sort.team,
                sort.source,
                str(sort.before),
                str(sort.after),
            )

        yield from sorted(self.changes.items(), key=key)


@dataclass(frozen=True)
class Question:
    """OLD and NEW, the month, and how many leads to name for each sort of change."""

    old: Agreements
    new: Agreements
    period: Period
    named: int = 1_000
    grace_ms: int = 2_000


def ask(
    question: Question,
    archive: Archive,
    told: Callable[[Change], None] = lambda change: None,
    progress: Callable[[int], None] = lambda stories: None,
) -> Report:
    """Folds the month under both. Raises InputError where there is nothing to compare, BatonError of the archive."""
    period, span = question.period, question.period.span
    proposed = _proposed(question)
    covered = archive.covered()
    if not covered.events:
        raise InputError("the archive holds no events yet: what the sink has stored since it keeps one is asked")
    since, until = iso(covered.since), iso(covered.until)
    if covered.since >= span.end:
        raise InputError(f"the archive begins at {since}, after {period.name}: it holds nothing of that month")
    if covered.until <= span.start:
        raise InputError(f"{period.name} has not begun: everything received up to {until} has been judged so far")
    report = Report(period, in_force(question.old, span), in_force(proposed, span), covered.until)
    if covered.since > span.start:
        report.notes.append(
            f"The archive begins at {since}: what was received before, of this month or of earlier ones, is not in it."
        )
    if covered.until < span.end:
        report.notes.append(f"The month is not over: everything received up to {until} is in the numbers.")
    for story in archive.stories(span, covered.until):
        report.leads += 1
        before = clocks(story, question.old, covered.until, question.grace_ms)
        after = clocks(story, proposed, covered.until, question.grace_ms)
        for side, found in (("before", before), ("after", after)):
            for clock in found.values():
                if span.start <= clock["started_at"] < span.end:
                    _count(report, side, clock)
        for change in compare(before, after, span):
            _note(report, change, question.named)
            told(change)
        progress(report.leads)
    if not report.leads:
        raise InputError(f"nothing happened in {period.name}: the archive has no event that took effect in it")
    return report


def _proposed(question: Question) -> Agreements:
    old, new, period = question.old, question.new, question.period
    try:
        proposed = from_then_on(old, new, period.span.start)
    except AgreementError as error:
        raise InputError(f"OLD and NEW: {error}") from None
    if _said(old, period) == _said(proposed, period):
        raise InputError(
            f"OLD and NEW say the same in {period.name} ({old.at(period.span.start).version}): for NEW name the file of the "
            "proposed version alone"
        )
    return proposed


def _said(agreements: Agreements, period: Period) -> list[tuple[int, str, Mapping[str, Any]]]:
    return [
        (max(item.effective_from, period.span.start), item.checksum, dict(item.holidays))
        for item in in_force(agreements, period.span)
    ]


def _count(report: Report, side: str, clock: SlaEvent) -> None:
    for found in (
        report.totals,
        report.by["policy"].setdefault(clock["policy"], Sides()),
        report.by["team"].setdefault(clock["team"] or NONE, Sides()),
        report.by["source"].setdefault(clock["source"] or NONE, Sides()),
    ):
        (found.before if side == "before" else found.after).add(clock, report.as_of)


def _note(report: Report, change: Change, named: int) -> None:
    clock, before, after = change.clock, change.before, change.after
    sort = Sort(
        change.kind, clock["policy"], clock["team"] or NONE, clock["source"] or NONE,
        None if before is None else before["verdict"], None if after is None else after["verdict"],
    )  # fmt: skip
    found = report.changes.setdefault(sort, Found())
    found.clocks += 1
    if clock["lead_id"] not in found.leads:
        if len(found.leads) < named:
            found.leads[clock["lead_id"]] = None
        else:
            found.unnamed = True
