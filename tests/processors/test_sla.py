"""First response: what starts, meets and ends the clock, and what is told of it."""

from __future__ import annotations

import pytest

from processors.sla import verdict
from tests.processors.support import HOUR, START, Told, fact


def standing(told: Told) -> list[str]:
    return [verdict(*item) for item in told.instances.values()]


def test_a_hand_raise_starts_a_clock_and_that_is_told() -> None:
    told = Told().take([fact("LeadCaptured", 0, hand_raise=True)])
    assert told.kinds == ["started"]
    [(instance, _)] = told.instances.values()
    assert (instance.started_at, instance.deadline) == (START, START + 4 * HOUR)


def test_a_second_hand_raise_starts_none_while_one_is_open() -> None:
    told = Told().take([fact("LeadCaptured", hour, hand_raise=True) for hour in (0, 1)])
    assert told.kinds == ["started"]


def test_an_mql_without_a_hand_raise_starts_one_and_an_implied_one_does_not() -> None:
    assert Told().take([fact("LeadCaptured", 0), fact("LeadQualified", 1)]).kinds == ["started"]
    assert Told().take([fact("LeadCaptured", 0), fact("LeadAccepted", 1)]).kinds == []


def test_the_grade_at_the_start_picks_the_target() -> None:
    told = Told().take([fact("LeadScored", 0, grade="hot"), fact("LeadCaptured", 1, hand_raise=True)])
    [(instance, _)] = told.instances.values()
    assert instance.deadline == START + 2 * HOUR


@pytest.mark.parametrize(
    ("hours", "expected"), [(3.9, "met"), (4, "met"), (4.0001, "late_met")], ids=["in time", "exactly", "late"]
)
def test_a_touch_exactly_at_the_deadline_meets_it(hours: float, expected: str) -> None:
    told = Told().take([fact("LeadCaptured", 0, hand_raise=True), fact("TouchRecorded", hours)])
    assert standing(told) == [expected]


@pytest.mark.parametrize(
    "fields",
    [
        {"actor": "automated"},
        {"origin": "marketing"},
        {"channel": "social"},
        {"outcome": "bounced"},
        {"direction": "inbound", "outcome": "replied"},
    ],
)
def test_what_is_no_response_leaves_the_clock_open(fields: dict[str, str]) -> None:
    told = Told().take([fact("LeadCaptured", 0, hand_raise=True), fact("TouchRecorded", 1, event_id="t", **fields)])  # type: ignore[arg-type]
    assert standing(told) == ["open"]


def test_an_answered_inbound_call_is_a_response() -> None:
    call = fact("TouchRecorded", 1, direction="inbound", outcome="connected")
    assert standing(Told().take([fact("LeadCaptured", 0, hand_raise=True), call])) == ["met"]


@pytest.mark.parametrize(("hours", "expected"), [(4, "cancelled"), (5, "breached_ended")])
def test_an_end_cancels_up_to_the_deadline(hours: float, expected: str) -> None:
    told = Told().take([fact("LeadCaptured", 0, hand_raise=True), fact("LeadDisqualified", hours)])
    assert standing(told) == [expected]


def test_a_cancel_turns_into_met_when_an_earlier_touch_arrives() -> None:
    told = Told().take([fact("LeadCaptured", 0, hand_raise=True), fact("LeadDisqualified", 2)])
    told.take([fact("TouchRecorded", 1, received=3)])
    assert told.kinds == ["started", "cancelled", "met"]
    assert standing(told) == ["met"]


def test_a_late_score_that_shortens_the_target_moves_the_deadline() -> None:
    told = Told().take([fact("LeadCaptured", 1, hand_raise=True)])
    told.take([fact("LeadScored", 0, received=2, grade="hot")])
    assert told.kinds == ["started", "amended"]
    [(instance, _)] = told.instances.values()
    assert instance.deadline == START + 2 * HOUR


def test_a_withdrawn_start_takes_the_clock_back() -> None:
    told = Told().take([fact("LeadCaptured", 0, hand_raise=True, event_id="c")])
    told.take([fact("FactWithdrawn", 1, withdrawn_event_id="c")])
    assert told.kinds == ["started", "retracted"]
    assert told.instances == {}
    assert told.path == []
