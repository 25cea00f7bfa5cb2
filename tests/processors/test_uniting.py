"""Two leads become one: whose attribute counts, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from processors import merging
from processors.state import Snapshot, State


def united(survivor: dict[str, Any], loser: dict[str, Any]) -> State:
    state = State(**{"stage": "mql", **survivor})
    merging.unite(state, Snapshot(State(**{"stage": "mql", **loser}), b""))
    return state


@pytest.mark.parametrize("name", ["team", "grade"])
def test_the_survivors_attribute_counts_else_the_losers(name: str) -> None:
    assert getattr(united({name: "ours"}, {name: "theirs"}), name) == "ours"
    assert getattr(united({name: None}, {name: "theirs"}), name) == "theirs"
    assert getattr(united({name: "ours"}, {name: None}), name) == "ours"


def test_the_owner_and_its_kind_go_together() -> None:
    theirs = {"owner": "anna", "owner_kind": "person"}
    state = united({"owner": "inbox", "owner_kind": "queue"}, theirs)
    assert (state.owner, state.owner_kind) == ("inbox", "queue")
    state = united({}, theirs)
    assert (state.owner, state.owner_kind) == ("anna", "person")


def test_source_campaign_and_first_capture_go_together() -> None:
    theirs = {"source": "event", "campaign": "fair", "first_captured_at": 1}
    state = united({"source": "website", "campaign": None, "first_captured_at": 2}, theirs)
    assert (state.source, state.campaign, state.first_captured_at) == ("website", None, 2)
    state = united({}, theirs)
    assert (state.source, state.campaign, state.first_captured_at) == ("event", "fair", 1)


def test_the_further_work_status_and_the_higher_cycle_count() -> None:
    state = united({"cycle": 1, "work": 3}, {"cycle": 2, "work": 1})
    assert (state.cycle, state.work) == (2, 3)


def test_attempts_and_contact_are_added_up_in_one_cycle_and_those_of_the_higher_count_else() -> None:
    ours, theirs = {"attempts": 2, "answered": True}, {"attempts": 3, "contact": True, "clocked": True}
    state = united(ours, theirs)
    assert (state.attempts, state.answered, state.contact, state.clocked) == (5, True, True, True)
    state = united(ours, theirs | {"cycle": 2})
    assert (state.attempts, state.answered, state.contact, state.clocked) == (3, False, True, True)
    state = united(ours | {"cycle": 2}, theirs)
    assert (state.attempts, state.answered, state.contact, state.clocked) == (2, True, False, False)


def test_cool_down_and_wake_date_go_with_the_stage() -> None:
    theirs = {"stage": "recycled", "cooldown_until": 9, "wake": None}
    state = united({"stage": "nurture", "wake": (5, "e", "crm")}, theirs)
    assert (state.cooldown_until, state.wake) == (9, None)
    state = united(theirs, {"stage": "nurture", "wake": (5, "e", "crm")})
    assert (state.cooldown_until, state.wake) == (9, None)


def test_of_an_opportunity_that_both_know_the_survivors_record_counts() -> None:
    state = united({"opportunities": {"o": (1, "lost")}}, {"opportunities": {"o": (1, "open"), "p": (1, "lost")}})
    assert state.opportunities == {"o": (1, "lost"), "p": (1, "lost")}
