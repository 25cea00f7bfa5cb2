"""Runs records through lanes as a worker would, in any order, and gives what stands in the end.

Two or more lanes, so that merges cross them; what they pass on is delivered late, in its own order. Each lane's clock runs
as in a replay: never past what that lane has still to read, however far the others are. Now and then a lane is forgotten
and restored from its states.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from random import Random
from typing import Any, NamedTuple, Protocol

import yaml

from processors.agreement import Agreement, Agreements
from processors.erasure import Erased
from processors.facts import RefusedFact, to_fact
from processors.lane import LaneFold
from processors.telling import PassedOn
from processors.vocabulary import NEVER, WORK
from streams.agreements.holidays import public_holidays

KEY = b"test key"


class Recorded(Protocol):
    """One record: an event as its schema has it (times in UTC milliseconds) and when it was received."""

    @property
    def name(self) -> str: ...
    @property
    def event(self) -> Mapping[str, Any]: ...
    @property
    def received_at(self) -> int: ...


class Stood(NamedTuple):
    """What stands about a lead in the end."""

    state: dict[str, Any]
    transitions: list[dict[str, Any]]
    instances: list[dict[str, Any]]


_PARSED: dict[str, Agreement] = {}


def dated(value: Any) -> Any:
    """Times and dates that are written as text, as YAML has them."""
    if isinstance(value, Mapping):
        return {key: dated(item) for key, item in value.items()}
    if isinstance(value, list):
        return [dated(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d(T.*)?", value):
        return datetime.fromisoformat(value) if "T" in value else date.fromisoformat(value)
    return value


def agreed(mappings: Iterable[Mapping[str, Any]]) -> Agreements:
    """Agreements from parsed YAML."""
    versions = []
    for mapping in mappings:
        text = yaml.safe_dump(dated(mapping), sort_keys=True)
        if text not in _PARSED:
            _PARSED[text] = Agreement.parse(text, holidays=public_holidays)
        versions.append(_PARSED[text])
    return Agreements(versions)


def in_any_order(records: Sequence[Recorded], random: Random) -> list[Recorded]:
    """The records in some order: any at all, or one that lags by up to two days behind the order of arrival, so that
    facts become final on the way. But for an erasure, the one exception: nothing received after it is read before it.
    """
    if random.random() < 0.5:
        out = sorted(records, key=lambda record: record.received_at + random.randrange(48 * 3_600_000))
    else:
        out = list(records)
        random.shuffle(out)
    for place, record in enumerate(out):
        if record.name == "LeadErased":
            first = next(at for at, other in enumerate(out) if other.received_at > record.received_at or at == place)
            out.insert(first, out.pop(place))
    return out


class _Lane:
    def __init__(self, agreements: Agreements, grace_ms: int) -> None:
        self._agreements, self._grace = agreements, grace_ms
        self.fold = self._new()
        self.fold.final_until = self.fold.buried_until = 0
        self.states: dict[str, tuple[bytes, int]] = {}
        self.transitions: dict[str, Any] = {}
        self.instances: dict[tuple[str, str], Any] = {}
        self.kinds: list[tuple[str, str]] = []
        self.inbox: deque[PassedOn] = deque()
        self.pending: deque[Recorded] = deque()

    def _new(self) -> LaneFold:
        return LaneFold(self._agreements, lambda value: value, Erased(KEY), grace_ms=self._grace)

    def certain(self, now: int) -> int:
        """What its clock may say: lanes go at their own pace, days apart from each other."""
        return min((record.received_at for record in self.pending), default=now + 1) - 1

    def drain(self) -> list[PassedOn]:
        said = self.fold.drain()
        for transition in said.transitions:
            if transition["change"] == "retracted":
                del self.transitions[transition["transition_id"]]
            else:
                self.transitions[transition["transition_id"]] = transition
        for event in said.sla_events:
            key = (event["lead_id"], event["instance_id"])
            self.kinds.append((event["kind"], event["instance_id"]))
            if event["kind"] in ("retracted", "moved"):
                del self.instances[key]
            else:
                self.instances[key] = event
        for name, record in self.fold.changed():
            if record is None:
                self.states.pop(name, None)
            else:
                self.states[name] = (record["fold"], record["next_deadline"])
        return said.passed_on

    def crash(self) -> None:
        """Forgets everything and starts from what was written."""
        clock, until = self.fold._clock, self.fold.final_until
        self.fold = self._new()
        self.fold.final_until = self.fold.buried_until = until
        for name, (value, due) in self.states.items():
            self.fold.restore(name, value, due)
        self.fold.restored()
        self.fold.advance(clock, 0)


class Lanes:
    """Lanes side by side. `place`: which lane a lead lives on."""

    def __init__(self, agreements: Agreements, number: int, place: Callable[[str], int], grace_ms: int = 2_000) -> None:
        self._agreements = agreements
        self.lanes = [_Lane(agreements, grace_ms) for _ in range(number)]
        self._place = place

    def run(self, records: Sequence[Recorded], now: int, random: Random | None = None) -> Lanes:
        """Takes the records in the order given. `random`: delays what lanes pass on, and crashes them."""
        for record in records:
            self.lanes[self._place(record.event["lead_id"])].pending.append(record)
        for record in records:
            lane = self.lanes[self._place(record.event["lead_id"])]
            lane.pending.popleft()
            try:
                fact = to_fact(record.name, record.event, record.received_at)
            except RefusedFact:
                continue
            lane.fold.fold([fact])
            self._route(lane)
            if random is None:
                self.settle()
            else:
                self._deliver(random)
                if random.random() < 0.05:
                    lane.crash()
            self._advance(lane, lane.certain(now), random)
            self._let_become_final(now)
        self.settle()
        self._let_become_final(now)
        for lane in self.lanes:
            lane.fold.advance(now)
        self.settle()
        return self

    def _let_become_final(self, now: int) -> None:
        """What nothing can come before any more that lanes have still to read or to pass on."""
        unread = [record.received_at for lane in self.lanes for record in lane.pending]
        under_way = [item.fact.received_at for lane in self.lanes for item in lane.inbox]
        until = min(unread + under_way, default=now + 1) - 1
        for lane in self.lanes:
            lane.fold.final_until = lane.fold.buried_until = max(until, lane.fold.final_until)

    def _route(self, lane: _Lane) -> None:
        for item in lane.drain():
            self.lanes[self._place(item.into)].inbox.append(item)

    def _advance(self, lane: _Lane, clock: int, random: Random | None) -> None:
        """`random`: a few leads at a time, with writes and crashes in between."""
        lane.fold.advance(clock, NEVER if random is None else random.randrange(3))
        self._route(lane)
        while lane.fold.is_due:
            assert random is not None
            if random.random() < 0.1:
                lane.crash()
            lane.fold.advance(clock, 1 + random.randrange(2))
            self._route(lane)

    def _deliver(self, random: Random) -> None:
        for lane in self.lanes:
            while lane.inbox and random.random() < 0.5:
                lane.fold.fold_foreign([lane.inbox.popleft()])
                self._route(lane)

    def settle(self) -> None:
        """Delivers everything that is on its way."""
        left = 10_000
        while any(lane.inbox for lane in self.lanes):
            for lane in self.lanes:
                while lane.inbox:
                    left -= 1
                    assert left, "what lanes pass on to each other goes round and round"
                    lane.fold.fold_foreign([lane.inbox.popleft()])
                    self._route(lane)
        for lane in self.lanes:
            self._route(lane)

    def stood(self, lead_ids: Iterable[str]) -> dict[str, Stood]:
        """What stands about each lead."""
        out = {}
        for lead_id in lead_ids:
            lane = self.lanes[self._place(lead_id)]
            memory = lane.fold._memory(lead_id)
            state = memory.state
            refusals = {**state.refusals}
            if memory.disputed:
                refusals["disputed"] = memory.disputed
            if memory.refused_erased:
                refusals["refused_erased"] = refusals.get("refused_erased", 0) + memory.refused_erased
            out[lead_id] = Stood(
                {
                    "stage": state.stage,
                    "cycle": state.cycle,
                    "owner": state.owner,
                    "owner_kind": state.owner_kind,
                    "team": state.team,
                    "grade": state.grade,
                    "work_status": WORK[state.work],
                    "source": state.source,
                    "campaign": state.campaign,
                    "first_captured_at": state.first_captured_at,
                    "stage_entered_at": state.stage_entered_at,
                    "opportunities": state.opportunities,
                    "refusals": refusals,
                    "journeys": state.journeys,
                },
                sorted(
                    (item for item in lane.transitions.values() if item["lead_id"] == lead_id),
                    key=lambda item: item["sequence"],
                ),
                sorted(
                    (item for (holder, _), item in lane.instances.items() if holder == lead_id),
                    key=lambda item: (item["started_at"], item["policy"], item["instance_id"]),
                ),
            )
        return out


def next_deadline(lanes: Lanes) -> int:
    """The earliest thing that any lane waits for; NEVER for nothing."""
    return min((lane.fold.next_deadline for lane in lanes.lanes), default=NEVER)


_TRANSITION = (
    "cycle", "from_stage", "to_stage", "entered_at", "event_type", "event_id", "source_system", "implied", "confirmed",
    "disputed", "reason", "agreement_version",
)  # fmt: skip
_INSTANCE = (
    "policy", "cycle", "start_event_id", "start_source_system", "started_at", "deadline", "target_ms", "calendar",
    "agreement_version", "grade", "owner", "team", "verdict", "satisfied_at", "satisfied_by", "ended_at", "ended_by",
    "elapsed_ms", "late_evidence",
)  # fmt: skip


def canonical(
    state: Mapping[str, Any], transitions: Iterable[Mapping[str, Any]], instances: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """A lead's story in one form, whoever tells it: states, transitions in their order, clocks in any."""
    shown = {name: value for name, value in state.items() if name != "journeys"}
    shown["refusals"] = {name: count for name, count in sorted(state["refusals"].items()) if count}
    shown["opportunities"] = {
        name: (status, cycle == state["cycle"]) for name, (cycle, status) in sorted(state["opportunities"].items())
    }
    if shown["stage"] == "erased":  # a tombstone: it was, and counts
        shown = {name: shown[name] for name in ("stage", "refusals")}
    return {
        "state": shown,
        "transitions": [{name: item[name] for name in _TRANSITION} for item in transitions],
        "instances": sorted(
            ({name: item[name] for name in _INSTANCE} for item in instances),
            key=lambda item: tuple((value is None, value) for value in item.values()),
        ),
    }


def lead_ids(records: Iterable[Recorded]) -> list[str]:
    """The leads that records name, those that others are merged into among them."""
    named = {record.event["lead_id"] for record in records}
    return sorted(named | {record.event["into"] for record in records if record.name == "LeadMerged"})


def tell(
    records: Sequence[Recorded],
    agreements: Iterable[Mapping[str, Any]],
    *,
    now: int,
    lead_ids: Iterable[str],
    lanes: int = 2,
    random: Random | None = None,
) -> dict[str, dict[str, Any]]:
    """The canonical stories that the lanes come to. `random`: process in any order; None: in the order of arrival."""
    ordered = in_any_order(records, random) if random is not None else sorted(records, key=lambda r: r.received_at)
    run = Lanes(agreed(agreements), lanes, lambda lead_id: sum(lead_id.encode()) % lanes).run(ordered, now, random)
    return {lead_id: canonical(*stood) for lead_id, stood in run.stood(lead_ids).items()}
