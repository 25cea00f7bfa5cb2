"""That a clock's breach has been told goes with the clock, on whatever way it comes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from processors import lead as leads
from processors.state import Memory
from processors.telling import PassedOn
from tests.processors.support import AGREEMENTS, HOUR, START, fact

LANES = START + 500 * HOUR


def merged(*, breach_told: bool) -> tuple[str, PassedOn]:
    """(clock, what a lead with it passes on): raised its hand at 0, due at 4, merged at 10 before or after the lane says so."""
    memory = Memory()
    [started] = leads.receive("one", memory, fact("LeadCaptured", 0, hand_raise=True), 0, AGREEMENTS).instances
    if breach_told:
        [said] = leads.fire("one", memory, AGREEMENTS, LANES, 0)[1]
        assert said.kind == "breached"
    [passed_on] = leads.receive("one", memory, fact("LeadMerged", 10, into="two"), 0, AGREEMENTS).passed_on
    return started.instance.instance_id, passed_on


def test_it_comes_with_the_clock() -> None:
    clock, passed_on = merged(breach_told=True)
    memory = Memory()
    outcome = leads.receive_foreign("two", memory, passed_on.fact, False, passed_on.announced, 0, AGREEMENTS)
    assert [(said.kind, said.announced) for said in outcome.instances if said.instance.instance_id == clock] == [
        ("amended", True)
    ]
    assert leads.fire("two", memory, AGREEMENTS, LANES, 0).instances == []


@pytest.mark.parametrize("via", [("one",), ("one", "three")], ids=["the same way", "another way"])
def test_it_may_be_heard_of_when_the_clock_is_there(via: tuple[str, ...]) -> None:
    """The lead was first known to have merged, then to have been somewhere else before, where its breach was told."""
    clock, first = merged(breach_told=False)
    _, later = merged(breach_told=True)
    memory = Memory()
    leads.receive_foreign("two", memory, first.fact, False, first.announced, 0, AGREEMENTS)
    again = replace(later.fact, via=via)
    outcome = leads.receive_foreign("two", memory, again, False, later.announced, 0, AGREEMENTS)
    assert [(said.kind, said.announced) for said in outcome.instances if said.instance.instance_id == clock] == [
        ("amended", True)
    ]
    assert leads.fire("two", memory, AGREEMENTS, LANES, 0).instances == []
