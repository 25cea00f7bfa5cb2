"""The judge finds what it is there for: each kind of damage, done by hand to outputs that were right."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.catalog import CATALOG
from tests.chaos.judge import Received, Verdict, judge, judge_store
from tests.chaos.load import agreement_now
from tests.oracle.events import record
from tests.oracle.records import Record
from tests.support.fold import Lanes, agreed

SECOND = 1_000
NOW = 1_790_000_000_000
AGREEMENTS = [agreement_now()]
Outputs = dict[str, list[dict[str, Any]]]


def lead(name: str, answered: int | None) -> list[Record]:
    """Raises its hand, and is answered so many seconds later (warm: 6 s)."""
    records = [record("LeadCaptured", NOW, f"{name}-1", lead=name, hand_raise=True)]
    if answered is not None:
        at = NOW + answered * SECOND
        records.append(record("TouchRecorded", at, f"{name}-2", lead=name, outcome="connected"))
    return records


RECORDS = sorted([*lead("quick", 4), *lead("slow", 30), *lead("nobody", None)], key=lambda one: one.received_at)
RECEIVED = [Received(one, 0) for one in RECORDS]


@pytest.fixture
def outputs() -> Outputs:
    """What one lane says of RECORDS."""
    run = Lanes(agreed(AGREEMENTS), 1, lambda _: 0)
    said: Outputs = {"LeadTransition": [], "SlaEvent": [], "LeadState": [], "DeadLetter": [], "LanePosition": []}
    [lane] = run.lanes
    keep = lane.fold.drain

    def drain() -> Any:
        out = keep()
        said["LeadTransition"] += [dict(item) for item in out.transitions]
        said["SlaEvent"] += [dict(item) for item in out.sla_events]
        said["LeadState"] += [dict(state) for _, state in lane.fold.changed() if state is not None]
        return out

    lane.fold.drain = drain  # type: ignore[method-assign]
    run.run(RECORDS, NOW + 60 * SECOND)
    drain()
    said["LanePosition"].append({"lane": 0, "clock": NOW + 60 * SECOND})
    for items in said.values():
        for place, item in enumerate(items):
            item |= {"_partition": 0, "_offset": place}
    return said


def judged(outputs: Outputs) -> Verdict:
    return judge(RECEIVED, outputs, AGREEMENTS)


def say(outputs: Outputs, name: str, item: dict[str, Any]) -> None:
    outputs[name].append({**item, "_offset": outputs[name][-1]["_offset"] + 1})


def of(outputs: Outputs, name: str, **fields: Any) -> dict[str, Any]:
    return next(item for item in outputs[name] if all(item[key] == value for key, value in fields.items()))


def test_what_is_right_is_clean(outputs: Outputs) -> None:
    verdict = judged(outputs)
    assert (verdict.clean, verdict.leads, verdict.events) == (True, 3, 5), verdict.examples
    assert verdict.alerts >= 3
    assert set(outputs["LeadState"][0]) - {"_offset", "_partition"} == set(CATALOG["LeadState"].field_names)


@pytest.mark.parametrize("name", ["LeadTransition", "SlaEvent", "LeadState"])
def test_a_lead_of_which_nothing_is_told_is_lost(outputs: Outputs, name: str) -> None:
    outputs[name] = [item for item in outputs[name] if item["lead_id"] != "quick"]
    verdict = judged(outputs)
    assert verdict.lost >= 1
    assert verdict.wrong == (name != "LeadState")


def test_the_end_of_a_clock_that_is_missing_is_wrong(outputs: Outputs) -> None:
    met = of(outputs, "SlaEvent", lead_id="quick", policy="first_response", kind="met")
    outputs["SlaEvent"].remove(met)
    assert judged(outputs).wrong == 1


@pytest.mark.parametrize("name", ["LeadTransition", "SlaEvent"])
def test_a_statement_made_again_is_doubled(outputs: Outputs, name: str) -> None:
    say(outputs, name, outputs[name][-1])
    assert judged(outputs).doubled >= 1


def test_a_breach_announced_again_is_doubled(outputs: Outputs) -> None:
    breach = of(outputs, "SlaEvent", lead_id="nobody", policy="first_response", kind="breached")
    say(outputs, "SlaEvent", breach | {"emitted_at": breach["emitted_at"] + 1, "overrun_ms": 5})
    assert judged(outputs).doubled == 1


@pytest.mark.parametrize("kind", ["breached", "rung"])
def test_an_alert_about_a_lead_that_was_answered_in_time_is_false(outputs: Outputs, kind: str) -> None:
    met = of(outputs, "SlaEvent", lead_id="quick", policy="first_response", kind="met")
    rung = 100 if kind == "breached" else 90  # answered after 67 percent
    told = {"kind": kind, "rung": rung, "verdict": "open", "notify": True, "satisfied_at": None}
    before = outputs["SlaEvent"].index(met)
    outputs["SlaEvent"].insert(before, met | told)
    for place, item in enumerate(outputs["SlaEvent"]):
        item["_offset"] = place
    verdict = judged(outputs)
    assert (verdict.false_alerts, verdict.lost, verdict.doubled, verdict.wrong) == (1, 0, 0, 0)


def test_a_store_that_lacks_a_row_or_has_one_twice(outputs: Outputs) -> None:
    keys = {
        "lead_transitions": ("LeadTransition", ("lead_id", "transition_id")),
        "sla_instances": ("SlaEvent", ("lead_id", "instance_id")),
        "leads": ("LeadState", ("lead_id",)),
    }
    stored: dict[str, dict[tuple[str, ...], int]] = {
        table: {tuple(item[part] for part in key): item["_offset"] for item in outputs[name]}
        for table, (name, key) in keys.items()
    }
    once = dict.fromkeys(stored, 0)
    clean = Verdict()
    judge_store(outputs, stored, once, clean)
    assert clean.clean, clean.examples
    stored["leads"].pop(("quick",))
    stored["leads"]["slow",] -= 1
    damaged = Verdict()
    judge_store(outputs, stored, once | {"sla_instances": 2}, damaged)
    assert (damaged.lost, damaged.wrong, damaged.doubled) == (1, 1, 2)
