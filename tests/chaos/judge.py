"""What the pipeline said, against what the oracle says about the same input.

Each figure counts statements: lost (the oracle tells it, no consumer sees it), doubled (said again although nothing had
changed, or stored twice), false alerts (a warning or breach for people that was not true), wrong (told otherwise).
Pure: imports nothing that reads or writes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

from tests.oracle.records import Record
from tests.oracle.walk import LeadStory, tell
from tests.support.fold import canonical

_STATE: Final = (
    "stage", "cycle", "owner", "owner_kind", "team", "grade", "work_status", "source", "campaign", "first_captured_at",
    "stage_entered_at",
)  # fmt: skip
_GRACE: Final = 2_000
"""Milliseconds: the settings' default."""
_AT_ITS_OWN_TIME: Final = frozenset({"_offset", "_partition", "emitted_at", "notify"})
"""What may differ between two statements of the same."""


class Received(NamedTuple):
    """A record of the input and the lane it came to."""

    record: Record
    lane: int


@dataclass
class Verdict:
    """Counts, and an example of each."""

    events: int = 0
    leads: int = 0
    lost: int = 0
    doubled: int = 0
    false_alerts: int = 0
    wrong: int = 0
    alerts: int = 0
    """Warnings and breaches for people: what could have been false."""
    examples: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.doubled or self.false_alerts or self.wrong)

    def say(self, what: str, detail: object) -> None:
        if len(self.examples) < 20:
            self.examples.append(f"{what}: {detail}")


def judge(
    received: Sequence[Received],
    outputs: Mapping[str, Sequence[Mapping[str, Any]]],
    agreements: Sequence[Mapping[str, Any]],
) -> Verdict:
    """`outputs`: by record name, everything that a read_committed consumer sees of the output topics."""
    verdict = Verdict(events=len(received))
    clocks = {item["lane"]: item["clock"] for item in _ordered(outputs["LanePosition"])}
    stories = _stories(
        received, clocks, agreements, {item["lead_id"]: item["_partition"] for item in outputs["LeadState"]}
    )
    verdict.leads = len(stories)
    said = _Said(outputs, verdict)
    for lead_id, story in stories.items():
        _compare(lead_id, story, said, verdict)
    # Of one that was named by mistake alone, all that was said may have been taken back.
    standing = {lead_id for one in (said.transitions, said.instances) for lead_id, known in one.items() if known}
    for lead_id in sorted(standing - stories.keys()):
        verdict.wrong += 1
        verdict.say("a lead that nobody knows", lead_id)
    _alerts(outputs["SlaEvent"], received, agreements, verdict)
    return verdict


def judge_store(
    outputs: Mapping[str, Sequence[Mapping[str, Any]]],
    stored: Mapping[str, Mapping[tuple[str, ...], int]],
    twice: Mapping[str, int],
    verdict: Verdict,
) -> None:
    """`stored`: table -> key -> offset of the statement that holds; `twice`: table -> rows stored more than once."""
    for table, name, key in (
        ("lead_transitions", "LeadTransition", ("lead_id", "transition_id")),
        ("sla_instances", "SlaEvent", ("lead_id", "instance_id")),
        ("leads", "LeadState", ("lead_id",)),
    ):
        latest: dict[tuple[str, ...], int] = {}
        for item in _ordered(outputs[name]):
            identity = tuple(item[part] for part in key)
            if item.get("change") == "retracted" or item.get("kind") in ("retracted", "moved"):
                latest.pop(identity, None)
            else:
                latest[identity] = item["_offset"]
        for identity in latest.keys() | stored[table].keys():
            if latest.get(identity) == stored[table].get(identity):
                continue
            if identity not in stored[table]:
                verdict.lost += 1
            else:
                verdict.wrong += 1
            verdict.say(f"store {table}", (identity, latest.get(identity), stored[table].get(identity)))
        verdict.doubled += twice[table]
        if twice[table]:
            verdict.say(f"store {table}", f"{twice[table]} rows twice")


def _ordered(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(items, key=lambda item: (item["_partition"], item["_offset"]))


def _stories(
    received: Sequence[Received],
    clocks: Mapping[int, int],
    agreements: Sequence[Mapping[str, Any]],
    said: Mapping[str, int],
) -> dict[str, LeadStory]:
    """The oracle's, of each lead at the clock of its lane. Leads that merge are told together.

    `said`: on which lane something was said of a lead; of one that others merged into and that has no record of its own
    nothing else tells the lane.
    """
    lanes = dict(said)
    by_lead: dict[str, list[Record]] = defaultdict(list)
    group: dict[str, set[str]] = {}
    for record, lane in received:
        lead_id = record.event["lead_id"]
        lanes[lead_id] = lane
        by_lead[lead_id].append(record)
        named = {lead_id}
        if record.name == "LeadMerged":
            named.add(record.event["into"])
            lanes.setdefault(record.event["into"], lane)
        united = set().union(named, *(group.get(name, ()) for name in named))
        group |= dict.fromkeys(united, united)
    out: dict[str, LeadStory] = {}
    for lane in set(lanes.values()):
        here = {lead_id for lead_id, own in lanes.items() if own == lane}
        named = set().union(*(group.get(lead_id, {lead_id}) for lead_id in here))
        told = tell([record for lead_id in named for record in by_lead[lead_id]], agreements, now=clocks[lane])
        out |= {lead_id: told[lead_id] for lead_id in here if lead_id in told}
    return out


class _Said:
    """What stands in the end, by lead; statements made twice are counted on the way."""

    def __init__(self, outputs: Mapping[str, Sequence[Mapping[str, Any]]], verdict: Verdict) -> None:
        self.states = {item["lead_id"]: item for item in _ordered(outputs["LeadState"])}
        self.transitions: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
        self.instances: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
        for item in _ordered(outputs["LeadTransition"]):
            known, identity = self.transitions[item["lead_id"]], item["transition_id"]
            self._again("transition", item, known.get(identity), verdict)
            if item["change"] == "stated" and identity in known:
                verdict.doubled += 1
                verdict.say("transition stated twice", item)
            if item["change"] == "retracted":
                known.pop(identity, None)
            else:
                known[identity] = item
        rungs: dict[tuple[str, str], set[int]] = defaultdict(set)
        for item in _ordered(outputs["SlaEvent"]):
            known, identity = self.instances[item["lead_id"]], item["instance_id"]
            self._again("clock", item, known.get(identity), verdict)
            told = rungs[item["lead_id"], identity]
            if item["kind"] in ("rung", "breached"):
                if item["rung"] in told:
                    verdict.doubled += 1
                    verdict.say("rung told twice", item)
                told.add(item["rung"])
            elif item["kind"] == "breach_retracted":
                told -= {rung for rung in told if rung >= 100}
            if item["kind"] in ("retracted", "moved"):
                known.pop(identity, None)
                told.clear()
            else:
                known[identity] = item

    @staticmethod
    def _again(what: str, item: Mapping[str, Any], before: Mapping[str, Any] | None, verdict: Verdict) -> None:
        # A clock may be amended in what no field shows.
        if before is not None and _content(item) == _content(before) and item.get("kind") != "amended":
            verdict.doubled += 1
            verdict.say(f"{what} said twice", item)


def _content(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in _AT_ITS_OWN_TIME}


def _compare(lead_id: str, story: LeadStory, said: _Said, verdict: Verdict) -> None:
    state = {name: getattr(story, name) for name in _STATE} | {"refusals": story.refusals, "opportunities": {}}
    right = canonical(state, map(asdict, story.transitions), map(asdict, story.instances))
    transitions = sorted(said.transitions[lead_id].values(), key=lambda item: item["sequence"])
    instances = said.instances[lead_id].values()
    verdict.lost += max(0, len(right["transitions"]) - len(transitions))
    verdict.lost += max(0, len(right["instances"]) - len(instances))
    found = said.states.get(lead_id)
    if found is None:
        verdict.lost += 1
        verdict.say("lost", lead_id)
        return
    refusals = {name: count for name, count in found["refusals"].items() if name != "bot"}
    shown = {name: found[name] for name in _STATE} | {"refusals": refusals, "opportunities": {}}
    told = canonical(shown, transitions, instances)
    if told != right:
        verdict.wrong += 1
        for part, value in right.items():
            if told[part] != value:
                verdict.say(f"{lead_id} {part}", f"{_first_difference(value, told[part])}")


def _first_difference(right: Any, told: Any) -> str:
    if isinstance(right, dict):
        return str({name: (right[name], told.get(name)) for name in right if right[name] != told.get(name)})
    missing = [item for item in right if item not in told]
    more = [item for item in told if item not in right]
    return f"not told {missing[:1]}, told instead {more[:1]}"


def _alerts(
    events: Iterable[Mapping[str, Any]],
    received: Sequence[Received],
    agreements: Sequence[Mapping[str, Any]],
    verdict: Verdict,
) -> None:
    """Of what people were told: whether it was true by all that had been received when it fell due, grace included; or,
    where something it rests on was received later than that, by what had been received then, or when it was told.

    Only leads that live now notify; their clocks run around the clock, unpaused, and none of them merges.
    """
    by_lead: dict[str, list[Record]] = defaultdict(list)
    for record, _ in received:
        by_lead[record.event["lead_id"]].append(record)
    for item in events:
        if item["kind"] not in ("rung", "breached") or not item["notify"]:
            continue
        verdict.alerts += 1
        due = item["started_at"] + item["budget_ms"] * item["rung"] // 100
        records = by_lead[item["lead_id"]]
        start = (item["start_source_system"], item["start_event_id"])
        begun = [one.received_at for one in records if (one.event["source_system"], one.event["event_id"]) == start]
        times = {at for at in (due + _GRACE, *begun, item["emitted_at"]) if at >= due + _GRACE}
        early = item["emitted_at"] < due + _GRACE
        if early or not any(_true_at(at, due, item, records, agreements) for at in times):
            verdict.false_alerts += 1
            verdict.say("false alert", dict(item))


def _true_at(
    at: int, due: int, item: Mapping[str, Any], records: Iterable[Record], agreements: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether what was received up to `at` tells of that clock, and of nothing that met or ended it before `due`."""
    known = [record for record in records if record.received_at <= at]
    story = tell(known, agreements, now=at).get(item["lead_id"])
    for one in () if story is None else story.instances:
        if all(getattr(one, name) == item[name] for name in ("policy", "start_source_system", "start_event_id")):
            over = one.satisfied_at if one.satisfied_at is not None else one.ended_at
            return over is None or over > due or (over == due and item["rung"] < 100)
    return False
