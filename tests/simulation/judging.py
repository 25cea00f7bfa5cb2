"""Whether a run came out right: against the oracle, on what the broker received."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tests.chaos.judge import judge, judge_store
from tests.oracle.records import Record
from tests.oracle.walk import tell
from tests.simulation.broker import MOST_SKEW
from tests.simulation.outcome import Outcome
from tests.simulation.stories import AGREEMENT

_GRACE = 2_000


def problems(outcome: Outcome) -> list[str]:
    """What is wrong; nothing where all is well."""
    found = list(outcome.problems)
    if found:
        return found
    erased, apart = _erased(outcome)
    found += [
        f"{lead_id} was erased, and is told as {outcome.states[lead_id]}"
        for lead_id in sorted(erased & outcome.states.keys())
        if outcome.states[lead_id] != "erased"
    ]
    # What a tombstone refuses depends on when it was read, and so does what its companions are told.
    received = [one for one in outcome.received if one.record.lead not in apart]
    outputs = {
        name: [item for item in items if item.get("lead_id") not in apart] for name, items in outcome.outputs.items()
    }
    silent = {**outputs, "SlaEvent": [{**item, "notify": False} for item in outputs["SlaEvent"]]}
    verdict = judge(received, silent, outcome.story.versions)
    stored = {
        table: {key: offset for key, offset in rows.items() if key[0] not in apart}
        for table, rows in outcome.stored.items()
    }
    judge_store(outputs, stored, Counter(), verdict)
    if not verdict.clean:
        found += [f"lost {verdict.lost}, doubled {verdict.doubled}, wrong {verdict.wrong}", *verdict.examples]
    if not outcome.story.replay:
        found += _false_alerts(outcome)
    outcome.told["events"] += verdict.events
    return found


def _erased(outcome: Outcome) -> tuple[set[str], set[str]]:
    """Leads that were erased; and those that one is merged with."""
    group: dict[str, set[str]] = {}
    erased = {record.lead for record, _ in outcome.received if record.name == "LeadErased"}
    for record, _ in outcome.received:
        named = {record.lead, *([record.event["into"]] if record.name == "LeadMerged" else ())}
        united = set().union(named, *(group.get(name, ()) for name in named))
        group |= dict.fromkeys(united, united)
    return erased, {lead_id for lead_id, united in group.items() if united & erased}


def _false_alerts(outcome: Outcome) -> list[str]:
    """Breaches that people were told of although what had been received by then says otherwise. Of leads that merge with
    none and whose events came to their own lane: no lane waits for what another passes on to it.
    """
    by_lead: dict[str, list[Record]] = defaultdict(list)
    merged = {*outcome.strays}
    for record, _ in outcome.received:
        by_lead[record.lead].append(record)
        if record.name == "LeadMerged":
            merged |= {record.lead, record.event["into"]}
    found = []
    for item in outcome.outputs["SlaEvent"]:
        if item["kind"] != "breached" or not item["notify"] or item["lead_id"] in merged:
            continue
        outcome.told["alerts"] += 1
        if item["emitted_at"] < item["deadline"] + _GRACE:
            found.append(f"alert before its time: {item}")
        elif not _is_true(item, by_lead[item["lead_id"]], outcome.written[item["_partition"], item["_offset"]]):
            found.append(f"false alert: {item}")
    return found


def _is_true(item: Mapping[str, Any], records: Sequence[Record], written: int) -> bool:
    """By what had been received when the lane's clock said so, or by some of what came since and before it was written:
    a lane folds what it has, and its clock follows.
    """
    since = {one.received_at for one in records if item["emitted_at"] < one.received_at <= written + 2 * MOST_SKEW}
    return any(_is_true_at(at, item, records) for at in (item["emitted_at"], *since))


def _is_true_at(at: int, item: Mapping[str, Any], records: Sequence[Record]) -> bool:
    story = tell([one for one in records if one.received_at <= at], [AGREEMENT], now=at).get(item["lead_id"])
    return story is not None and any(
        one.verdict in ("breached_open", "breached_ended", "late_met")
        for one in story.instances
        if all(getattr(one, name) == item[name] for name in ("policy", "start_source_system", "start_event_id"))
    )
