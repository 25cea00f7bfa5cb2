"""The events of a lead, folded again, give what the lanes told; and every clock of every hand-worked history has a reason."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest

from processors.facts import RefusedFact, to_fact
from processors.lane import LaneFold
from processors.telling import PassedOn
from streams.explain.heard import Heard, LeadLog
from streams.explain.shapes import Story, as_json
from streams.explain.stored import Stored
from streams.explain.story import _LEAD, story
from tests.histories.read import Fact, History, histories
from tests.support.fold import Lanes, Stood, agreed, lead_ids

HISTORIES = histories()


def heard(record: Fact, offset: int) -> Heard:
    event, at = record.event, record.received_at
    try:
        fact = to_fact(record.name, event, at, at=(0, offset))
    except RefusedFact as error:
        return Heard("leads", 0, offset, at, event["occurred_at"], None, (error.reason, error.detail))
    return Heard("leads", 0, offset, at, event["occurred_at"], fact)


def told(history: History, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Stood, Story]]:
    """Lead -> what the lanes say of it in the end, and its story from that and from the log."""
    passed: dict[str, list[PassedOn]] = defaultdict(list)
    fold_foreign = LaneFold.fold_foreign

    def noted(lane: LaneFold, items: list[PassedOn]) -> None:
        for item in items:
            passed[item.into].append(item)
        fold_foreign(lane, items)

    monkeypatch.setattr(LaneFold, "fold_foreign", noted)
    agreements = agreed(history.agreements)
    records = sorted(history.records, key=lambda record: record.received_at)
    leads = lead_ids(records)
    run = Lanes(agreements, 2, lambda lead: sum(lead.encode()) % 2).run(records, history.now, None)
    found = {}
    for lead, stood in run.stood(leads).items():
        mine = [heard(record, number) for number, record in enumerate(records) if record.event["lead_id"] == lead]
        clocks = [dict(row) for row in stood.instances]
        stored = Stored(None, [dict(row) for row in stood.transitions], clocks, [], [], history.now)
        found[lead] = (stood, story(lead, stored, LeadLog(0, mine, passed[lead]), agreements, []))
    return found


def erased(stood: Stood) -> bool:
    return any(row["to_stage"] == "erased" for row in stood.transitions)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.title)
def test_the_log_tells_what_the_lanes_told(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    for lead, (stood, shown) in told(history, monkeypatch).items():
        note = "The lead was erased: what the log may still have of it is not shown."
        assert shown.notes == ([note] if erased(stood) else []), lead
        assert [stage.stage for stage in shown.stages] == [row["to_stage"] for row in stood.transitions]
        assert [clock.verdict for clock in shown.clocks] == [row["verdict"] for row in stood.instances]
        assert as_json(shown)["lead_id"] == lead


def _reasons(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], str]]:
    reasons = []
    for history in HISTORIES:
        with monkeypatch.context() as patch:
            for stood, shown in told(history, patch).values():
                reasons += [(dict(row), clock.why) for row, clock in zip(stood.instances, shown.clocks, strict=True)]
    return reasons


def test_every_verdict_has_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {
        "open": "Running: ", "met": "Kept: ", "late_met": "Breached: ", "breached_open": "Breached: ",
        "breached_ended": "Breached: ", "cancelled": "Called off at ", "transferred": "Passed on at ",
    }  # fmt: skip
    reasons = _reasons(monkeypatch)
    assert {row["verdict"] for row, _ in reasons} == set(first)
    assert len({row["policy"] for row, _ in reasons}) == 12
    for row, why in reasons:
        assert why.startswith(first[row["verdict"]]), why
        assert "None" not in why
        assert ("taken back" in why) >= row["late_evidence"], why
        assert ("A pause took out" in why) == bool(row["paused_ms"]), why
        assert ("merged into this one" in why) >= bool(row["moves"]), why


def test_an_event_that_is_missing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What events did is not told from half a log."""
    missed = 0
    for history in HISTORIES:
        with monkeypatch.context() as patch:
            for lead, (stood, _) in told(history, patch).items():
                records = sorted(history.records, key=lambda record: record.received_at)
                mine = [heard(one, n) for n, one in enumerate(records) if one.event["lead_id"] == lead]
                if erased(stood) or not stood.transitions or not mine or mine[0].fact is None:
                    continue
                stored = Stored(None, stood.transitions, stood.instances, [], [], history.now)
                half = story(lead, stored, LeadLog(0, mine[1:], []), agreed(history.agreements), [])
                events = half.events or []
                if half.notes:
                    missed += 1
                    assert "differ" in half.notes[0]
                    assert not any(event.does for event in events if event.outcome == "counted")
    assert missed > 40


def test_what_has_not_reached_the_store_yet_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    [history] = [one for one in HISTORIES if one.title == "A whole journey with all its clocks"]
    records = sorted(history.records, key=lambda record: record.received_at)
    before = replace(history, records=records[:-1], now=records[-2].received_at)
    stood = told(before, monkeypatch)["A"][0]
    lead = dict.fromkeys([*_LEAD, "merged_into"]) | {
        "last_received_at": records[-2].received_at, "refusals": {}, "cycles.cycle": [], "cycles.first_assigned_at": [],
    }  # fmt: skip
    stored = Stored(lead, stood.transitions, stood.instances, [], [], before.now)
    log = LeadLog(0, [heard(record, number) for number, record in enumerate(records)])
    shown = story("A", stored, log, agreed(history.agreements), [])
    assert shown.notes == []
    *counted, last = shown.events or []
    assert (last.outcome, last.does) == ("pending", ["has not reached the store yet"])
    assert all(event.does for event in counted)
