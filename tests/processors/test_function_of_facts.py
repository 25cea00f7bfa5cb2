"""State, transitions and verdicts are a function of the set of (event, received_at) alone.

Generated histories are folded in the order of their arrival and in any other, with copies; whatever was said on the way,
what stands in the end is the same. The lane clock runs as it would: never past what is still to come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.facts import Fact, to_fact
from processors.sla import verdict
from processors.state import pack, unpack
from tests.processors.support import HOUR, START, Told, event

KINDS = (
    "LeadCaptured", "LeadScored", "LeadQualified", "LeadAssigned", "LeadAccepted", "LeadRejected",
    "LeadSalesQualified", "TouchRecorded", "TouchRecorded", "OpportunityOpened", "OpportunityStageChanged",
    "OpportunityWon", "OpportunityLost", "LeadNurtured", "LeadRecycled", "LeadDisqualified", "LeadMerged",
)  # fmt: skip


@dataclass(frozen=True)
class Given:
    kind: str
    occurred: int
    """Hours after START."""
    delay: int
    """Hours until it was received; more than 72 makes it disputed."""
    fields: tuple[tuple[str, Any], ...]


def _fields(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    match kind:
        case "LeadCaptured":
            return st.fixed_dictionaries({"hand_raise": st.booleans(), "source": st.sampled_from(["web", "fair"])})
        case "LeadScored":
            return st.fixed_dictionaries({"grade": st.sampled_from(["hot", "warm", "cold"])})
        case "LeadRejected":
            return st.fixed_dictionaries({"reason": st.sampled_from(["wrong_route", "duplicate"])})
        case "LeadRecycled" | "LeadDisqualified":
            return st.fixed_dictionaries({"reason": st.sampled_from(["no_need", "no_budget", "unable_to_reach"])})
        case "TouchRecorded":
            return st.fixed_dictionaries(
                {
                    "actor": st.sampled_from(["human", "human", "human", "automated"]),
                    "direction": st.sampled_from(["outbound", "outbound", "inbound"]),
                    "outcome": st.sampled_from(["connected", "no_answer", "bounced", "replied"]),
                    "channel": st.sampled_from(["call", "meeting", "ad"]),
                }
            )
        case "OpportunityOpened" | "OpportunityWon" | "OpportunityLost":
            return st.fixed_dictionaries({"opportunity_id": st.sampled_from(["o-1", "o-2"])})
        case "OpportunityStageChanged":
            return st.fixed_dictionaries(
                {
                    "opportunity_id": st.sampled_from(["o-1", "o-2"]),
                    "stage_status": st.sampled_from(["open", "won", "lost"]),
                }
            )
        case _:
            return st.just({})


def _one(kind: str) -> st.SearchStrategy[Given]:
    return st.builds(
        lambda occurred, delay, fields: Given(kind, occurred, delay, tuple(sorted(fields.items()))),
        # Few instants, so that ties are common; up to 20 days, so that facts become final on the way.
        st.one_of(st.integers(0, 12), st.integers(0, 480)),
        st.one_of(st.just(0), st.integers(0, 60), st.integers(70, 90)),
        _fields(kind),
    )


HISTORIES = st.lists(st.sampled_from(KINDS).flatmap(_one), min_size=1, max_size=30)


def _facts(history: list[Given]) -> list[Fact]:
    made = []
    for number, item in enumerate(history):
        body = event(item.kind, item.occurred, f"e{number}", **dict(item.fields))
        made.append((item.kind, body, START + (item.occurred + item.delay) * HOUR))
    return [to_fact(kind, body, received) for kind, body, received in made]


def _fold(facts: list[Fact]) -> Told:
    told = Told()
    for place, item in enumerate(facts):
        to_come = min((fact.received_at for fact in facts[place:]), default=item.received_at)
        told.take([msgspec.structs.replace(item)], (to_come - START) / HOUR)
        told.fire((to_come - START) / HOUR)
        told.memory = unpack(pack(told.memory))  # as a restart between any two facts would have it
    told.take([], None)
    return told.fire(2000)


def _standing(told: Told) -> dict[str, Any]:
    state = told.memory.state
    return {
        "state": {name: getattr(state, name) for name in state.__struct_fields__},
        "transitions": dict(sorted(told.transitions.items())),
        "instances": {key: (item[0], verdict(*item)) for key, item in sorted(told.instances.items())},
    }


@settings(max_examples=1000, deadline=None)
@given(HISTORIES, st.randoms(use_true_random=False), st.booleans())
def test_any_order_and_copies_come_to_the_same(history: list[Given], random: Any, copies: bool) -> None:
    facts = _facts(history)
    in_order = sorted(facts, key=lambda fact: fact.received_at)
    shuffled = facts * 2 if copies else list(facts)
    random.shuffle(shuffled)
    expected = _fold([msgspec.structs.replace(fact) for fact in in_order])
    found = _fold([msgspec.structs.replace(fact) for fact in shuffled])
    assert _standing(found) == _standing(expected)


@settings(max_examples=300, deadline=None)
@given(HISTORIES, st.integers(0, 29))
def test_a_withdrawn_fact_never_came(history: list[Given], which: int) -> None:
    history = [item for item in history if item.delay < 70]
    if not history:
        return
    facts = _facts(history)
    gone = facts[which % len(facts)]
    body = event("FactWithdrawn", 0, "withdrawal", withdrawn_event_id=gone.event_id)
    body["occurred_at"] = gone.received_at
    withdrawal = to_fact("FactWithdrawn", body, gone.received_at)
    without = [fact for fact in facts if fact is not gone]
    order = sorted([*facts, withdrawal], key=lambda fact: fact.received_at)
    found = _fold([msgspec.structs.replace(fact) for fact in order])
    expected = _fold([msgspec.structs.replace(fact) for fact in sorted(without, key=lambda fact: fact.received_at)])
    assert _standing(found) == _standing(expected)


@pytest.mark.parametrize("count", [2_000])
def test_a_history_in_order_costs_the_same_per_event_however_long_it_is(count: int) -> None:
    told = Told()
    for number in range(count):
        item = to_fact("TouchRecorded", event("TouchRecorded", number, f"e{number}"), START + number * HOUR)
        told.take([item], number)
    assert len(told.memory.tail) <= 99  # 72 h of facts, one an hour, the rest of a day, and those at the edge
    assert told.memory.state.attempts == count
