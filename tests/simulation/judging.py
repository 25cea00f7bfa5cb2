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
    silent = {**outcome.outputs, "SlaEvent": [{**item, "notify": False} for item in outcome.outputs["SlaEvent"]]}
    verdict = judge(outcome.received, silent, [AGREEMENT])
    judge_store(outcome.outputs, outcome.stored, Counter(), verdict)
    if not verdict.clean:
        found += [f"lost {verdict.lost}, doubled {verdict.doubled}, wrong {verdict.wrong}", *verdict.examples]
    found += _false_alerts(outcome)
    outcome.told["events"] += verdict.events
    return found


def _false_alerts(outcome: Outcome) -> list[str]:
    """Breaches that people were told of although what had been received by then says otherwise. Of leads that merge with
    none: no lane waits for what another passes on to it.
    """
    by_lead: dict[str, list[Record]] = defaultdict(list)
    merged: set[str] = set()
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
