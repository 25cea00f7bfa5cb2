"""The journeys that KPIs are made of: first entries by cycle and stage, as the transitions that stand say, and who had it."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.oracle.histories import History, histories
from tests.processors.support import HOUR, START, Told, fact
from tests.support import fold


@settings(
    max_examples=80,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(histories(), st.integers(0, 2**32))
def test_journeys_are_the_first_entries_of_the_transitions_that_stand(history: History, seed: int) -> None:
    records = [record for record in history[0] if record.name != "LeadErased"]  # a tombstone has no journeys
    random = Random(seed)
    lanes = fold.Lanes(fold.agreed(history[1]), 3, lambda lead_id: sum(lead_id.encode()) % 3)
    lanes.run(fold.in_any_order(records, random), history[2], random)
    for stood in lanes.stood(fold.lead_ids(records)).values():
        entered: dict[int, dict[str, int]] = {}
        implied: dict[int, set[str]] = {}
        for item in stood.transitions:
            cycle, stage = item["cycle"], item["to_stage"]
            if stage not in entered.setdefault(cycle, {}):
                entered[cycle][stage] = item["entered_at"]
                if item["implied"] and not item["confirmed"]:
                    implied.setdefault(cycle, set()).add(stage)
        journeys: list[Any] = stood.state["journeys"]
        assert {journey.cycle: journey.entered for journey in journeys if journey.entered} == entered
        assert {journey.cycle: set(journey.implied) for journey in journeys if journey.implied} == implied


def test_a_journey_keeps_the_first_of_each_and_who_had_it_last() -> None:
    told = Told().take(
        [
            fact("LeadCaptured", 0, hand_raise=True),
            fact("LeadCaptured", 1, hand_raise=True),
            fact("LeadAssigned", 2, owner="queue-1", owner_kind="queue", team="south"),
            fact("LeadAssigned", 3, owner="rep-1", team="north"),
            fact("LeadAssigned", 4, owner="rep-2", team="north"),
            fact("TouchRecorded", 5, actor="automated"),
            fact("TouchRecorded", 6),
            fact("TouchRecorded", 7),
            fact("LeadDisqualified", 8),
            fact("LeadCaptured", 9, event_id="back"),
            fact("LeadScored", 10, grade="hot"),
        ]
    )
    (journey,) = told.memory.state.journeys
    first = (journey.hand_raised_at, journey.first_assigned_at, journey.first_touched_at, journey.entered["inquiry"])
    assert first == (START, START + 3 * HOUR, START + 6 * HOUR, START)
    assert (journey.owner, journey.team, journey.grade) == ("rep-2", "north", "hot")


def test_confirming_a_second_entry_says_nothing_about_the_first() -> None:
    twice = [
        fact("LeadQualified", 0),
        fact("LeadSalesQualified", 1),
        fact("LeadDisqualified", 2),
        fact("LeadCaptured", 3),
        fact("LeadSalesQualified", 4),
    ]
    (journey,) = Told().take([*twice, fact("LeadAccepted", 5)]).memory.state.journeys
    assert (journey.implied, journey.entered["sal"]) == (["sal"], START + HOUR)
    real = [fact("LeadQualified", 0), fact("LeadAccepted", 1), *twice[2:]]
    (journey,) = Told().take(real).memory.state.journeys
    assert journey.implied == []


def test_a_new_cycle_has_a_journey_of_its_own() -> None:
    told = Told().take(
        [
            fact("LeadQualified", 0),
            fact("LeadAssigned", 1),
            fact("LeadRecycled", 2),
            fact("LeadQualified", 3),
            fact("TouchRecorded", 4),
        ]
    )
    first, second = told.memory.state.journeys
    assert (first.cycle, first.entered) == (1, {"mql": START, "recycled": START + 2 * HOUR})
    assert (first.owner, first.first_touched_at) == ("rep-1", None)
    assert (second.cycle, second.entered) == (2, {"mql": START + 3 * HOUR})
    assert (second.owner, second.first_assigned_at, second.first_touched_at) == (None, None, START + 4 * HOUR)
