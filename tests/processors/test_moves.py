"""Rows of the stage table, one history each: what is entered, implied, confirmed, refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.processors.support import Told, fact

History = list[tuple[str, dict[str, Any]]]

TO_MQL: History = [("LeadCaptured", {}), ("LeadQualified", {})]
TO_SAL = [*TO_MQL, ("LeadAccepted", {})]
TO_SQL = [*TO_SAL, ("LeadSalesQualified", {})]
TO_OPPORTUNITY = [*TO_SQL, ("OpportunityOpened", {})]
TO_WON = [*TO_OPPORTUNITY, ("OpportunityWon", {})]
TO_LOST = [*TO_OPPORTUNITY, ("OpportunityLost", {})]
RECYCLED = [*TO_MQL, ("LeadRecycled", {})]
DISQUALIFIED = [*TO_MQL, ("LeadDisqualified", {})]
NURTURE: History = [("LeadCaptured", {}), ("LeadNurtured", {})]
MERGED: History = [("LeadCaptured", {}), ("LeadMerged", {})]
ERASED: History = [("LeadCaptured", {}), ("LeadErased", {})]


def story(history: History) -> Told:
    facts = [fact(kind, hour, event_id=f"e{hour}", **fields) for hour, (kind, fields) in enumerate(history)]

    return Told().take(facts)


@pytest.mark.parametrize(
    ("history", "path"),
    [
        (TO_WON, ["inquiry", "mql", "sal", "sql", "opportunity", "won"]),
        (TO_LOST, ["inquiry", "mql", "sal", "sql", "opportunity", "lost"]),
        ([("LeadQualified", {})], ["mql"]),
        ([("LeadAccepted", {})], ["sal"]),
        ([("LeadSalesQualified", {})], ["(sal)", "sql"]),
        ([("OpportunityOpened", {})], ["(sal)", "(sql)", "opportunity"]),
        ([("OpportunityWon", {})], ["(sal)", "(sql)", "(opportunity)", "won"]),
        ([("OpportunityLost", {})], ["(sal)", "(sql)", "(opportunity)", "lost"]),
        ([("LeadCaptured", {}), ("LeadAccepted", {})], ["inquiry", "(mql)", "sal"]),
        ([*TO_MQL, ("OpportunityOpened", {})], ["inquiry", "mql", "(sal)", "(sql)", "opportunity"]),
        ([*TO_MQL, ("OpportunityWon", {})], ["inquiry", "mql", "(sal)", "(sql)", "(opportunity)", "won"]),
        ([*TO_MQL, ("OpportunityStageChanged", {"stage_status": "lost"})],
         ["inquiry", "mql", "(sal)", "(sql)", "(opportunity)", "lost"]),
        ([*NURTURE, ("LeadQualified", {})], ["inquiry", "nurture", "mql"]),
        ([*NURTURE, ("LeadDisqualified", {})], ["inquiry", "nurture", "disqualified"]),
        ([*DISQUALIFIED, ("LeadCaptured", {})], ["inquiry", "mql", "disqualified", "inquiry"]),
        ([*TO_LOST, ("LeadRecycled", {})], ["inquiry", "mql", "sal", "sql", "opportunity", "lost", "recycled"]),
        ([*RECYCLED, ("LeadNurtured", {})], ["inquiry", "mql", "recycled", "nurture"]),
        ([*RECYCLED, ("LeadDisqualified", {})], ["inquiry", "mql", "recycled", "disqualified"]),
        ([*TO_MQL, ("LeadRejected", {"reason": "below_threshold"})], ["inquiry", "mql", "recycled"]),
        ([*TO_MQL, ("LeadRejected", {"reason": "duplicate"})], ["inquiry", "mql", "disqualified"]),
        ([*TO_LOST, ("OpportunityStageChanged", {"stage_status": "open"})],
         ["inquiry", "mql", "sal", "sql", "opportunity", "lost", "opportunity"]),
        ([("LeadMerged", {})], ["merged"]),
        ([("LeadErased", {})], ["erased"]),
        ([*TO_WON, ("LeadMerged", {})], ["inquiry", "mql", "sal", "sql", "opportunity", "won", "merged"]),
        ([*MERGED, ("LeadErased", {})], ["inquiry", "merged", "erased"]),
    ],
)  # fmt: skip
def test_legal_moves(history: History, path: list[str]) -> None:
    told = story(history)
    assert told.path == path
    assert told.memory.state.refusals == {}
    assert told.memory.state.cycle == 1


@pytest.mark.parametrize(
    ("history", "path"),
    [
        ([*TO_WON, ("LeadQualified", {})], ["mql"]),
        ([*TO_WON, ("OpportunityOpened", {"opportunity_id": "o-2"})], ["opportunity"]),
        ([*TO_WON, ("OpportunityWon", {"opportunity_id": "o-2"})], ["(opportunity)", "won"]),
        ([*TO_LOST, ("LeadQualified", {})], ["mql"]),
        ([*TO_LOST, ("OpportunityOpened", {"opportunity_id": "o-2"})], ["opportunity"]),
        ([*RECYCLED, ("LeadQualified", {})], ["mql"]),
        ([*RECYCLED, ("OpportunityOpened", {})], ["opportunity"]),
        ([*RECYCLED, ("OpportunityLost", {})], ["(opportunity)", "lost"]),
    ],
)
def test_new_cycles(history: History, path: list[str]) -> None:
    told = story(history)
    assert told.memory.state.cycle == 2
    assert told.path[-len(path) :] == path
    assert [item.to_stage for item in told.transitions.values() if item.cycle == 2] == [s.strip("()") for s in path]


@pytest.mark.parametrize(
    "history",
    [
        [*RECYCLED, ("LeadCaptured", {})],
        [*NURTURE, ("LeadCaptured", {})],
        [*NURTURE, ("LeadAccepted", {})],
        [*NURTURE, ("OpportunityOpened", {})],
        [*NURTURE, ("LeadNurtured", {})],
        [*DISQUALIFIED, ("LeadQualified", {})],
        [*DISQUALIFIED, ("OpportunityWon", {})],
        [*DISQUALIFIED, ("LeadDisqualified", {})],
        [*RECYCLED, ("LeadRecycled", {})],
        [*TO_SAL, ("LeadRejected", {})],
        [*TO_OPPORTUNITY, ("LeadRecycled", {})],
        [*TO_OPPORTUNITY, ("LeadDisqualified", {})],
        [*TO_WON, ("LeadRecycled", {})],
        [*TO_MQL, ("LeadNurtured", {})],
        [("LeadNurtured", {})],
        [("LeadRecycled", {})],
        [("LeadDisqualified", {})],
        [*MERGED, ("LeadMerged", {})],
    ],
)
def test_illegal_moves_are_counted_and_change_nothing(history: History) -> None:
    before, after = story(history[:-1]), story(history)
    assert after.path == before.path
    assert after.memory.state.stage == before.memory.state.stage
    assert after.memory.state.refusals == {"illegal": 1}


@pytest.mark.parametrize(
    "history",
    [
        [*TO_MQL, ("LeadCaptured", {})],
        [*TO_SQL, ("LeadQualified", {})],
        [*TO_WON, ("LeadCaptured", {})],
        [*TO_OPPORTUNITY, ("LeadAccepted", {})],
        [*TO_OPPORTUNITY, ("OpportunityOpened", {"opportunity_id": "o-2"})],
        [*TO_WON, ("OpportunityWon", {})],
        [*TO_WON, ("OpportunityLost", {})],
        [*TO_LOST, ("OpportunityWon", {})],
    ],
)
def test_redundant_events_are_counted_and_change_nothing(history: History) -> None:
    before, after = story(history[:-1]), story(history)
    assert after.path == before.path
    assert after.memory.state.refusals == {"redundant": 1}


def test_an_implied_stage_is_confirmed_by_its_own_event() -> None:
    told = story([*TO_MQL, ("OpportunityOpened", {}), ("LeadSalesQualified", {})])
    assert told.path == ["inquiry", "mql", "(sal)", "(sql)+", "opportunity"]
    assert told.memory.state.journeys[0].implied == ["sal"]


def test_the_last_of_several_opportunities_loses_the_lead() -> None:
    told = story([*TO_OPPORTUNITY, ("OpportunityOpened", {"opportunity_id": "o-2"}), ("OpportunityLost", {})])
    assert told.memory.state.stage == "opportunity"
    told.take([fact("OpportunityLost", 30, opportunity_id="o-2")])
    assert told.memory.state.stage == "lost"


def test_the_first_won_opportunity_wins_for_good() -> None:
    told = story([*TO_OPPORTUNITY, ("OpportunityOpened", {"opportunity_id": "o-2"}), ("OpportunityWon", {})])
    told.take([fact("OpportunityLost", 30, opportunity_id="o-2")])
    assert told.memory.state.stage == "won"
    assert told.memory.state.refusals == {"redundant": 1}  # the second opening; the second close is neither


def test_cool_down_refuses_until_it_ends() -> None:
    history = [*TO_MQL, ("LeadRecycled", {"reason": "no_budget"})]
    end = 2 + 90 * 24
    refused = story(history).take([fact("LeadQualified", end - 0.001)])
    assert (refused.memory.state.stage, refused.memory.state.refusals) == ("recycled", {"refused_cooldown": 1})
    taken = story(history).take([fact("LeadQualified", end)])
    assert (taken.memory.state.stage, taken.memory.state.cycle) == ("mql", 2)


def test_a_hand_raise_ends_the_cool_down() -> None:
    told = story([*TO_MQL, ("LeadRecycled", {"reason": "no_budget"})])
    told.take([fact("LeadCaptured", 10, hand_raise=True), fact("LeadQualified", 11)])
    assert told.memory.state.stage == "mql"


def test_a_new_cycle_ends_the_cool_down() -> None:
    history = [*TO_MQL, ("LeadRecycled", {"reason": "no_budget"})]
    told = story(history).take([fact("OpportunityOpened", 10), fact("OpportunityLost", 11), fact("LeadQualified", 12)])
    assert (told.memory.state.stage, told.memory.state.cycle, told.memory.state.refusals) == ("mql", 3, {})


def test_unable_to_reach_needs_six_attempts_or_contact() -> None:
    reason: dict[str, Any] = {"reason": "unable_to_reach"}
    attempts = [fact("TouchRecorded", 3 + hour) for hour in range(5)]
    told = story(TO_MQL).take([*attempts, fact("LeadRecycled", 20, **reason)])
    assert (told.memory.state.stage, told.memory.state.refusals) == ("mql", {"refused_reason": 1})
    told.take([fact("TouchRecorded", 10.5, received=30)])  # a late sixth attempt makes it true after all
    assert (told.memory.state.stage, told.memory.state.refusals) == ("recycled", {})


def test_after_erasure_nothing_is_taken() -> None:
    told = story(ERASED).take([fact("LeadCaptured", 5)])
    assert told.memory.state.stage == "erased"
    assert told.outcomes[-1].refused[0][0] == "refused_erased"
