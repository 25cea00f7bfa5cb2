"""What is said about a lead: the statements that follow from a story, and those that correct an earlier one.

A statement under a known id replaces the one before. Pure; may not import I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from processors import sla
from processors.facts import Fact
from processors.state import Instance, Memory, State, Story, Transition
from processors.vocabulary import ABSORBED
from schemas.types import Change, SlaEventKind, Verdict


class TransitionSaid(NamedTuple):
    """A statement about a transition."""

    change: Change
    transition: Transition


class InstanceSaid(NamedTuple):
    """A statement about an SLA instance. `kind`: as in SlaEvent.avsc; `announced`: its breach has been told."""

    kind: SlaEventKind
    instance: Instance
    announced: bool
    rung: int | None = None
    """Percent, for kind rung and breached."""
    highest: bool = True
    """False for a rung that is told together with a higher one."""


class PassedOn(NamedTuple):
    """A fact for the lead that this one has merged into."""

    into: str
    fact: Fact
    recalled: bool
    """It belongs there no longer."""
    announced: dict[str, tuple[int, int]]
    """Of the clocks that move with it: as Memory.announced."""


class Said(NamedTuple):
    transitions: list[TransitionSaid]
    instances: list[InstanceSaid]
    passed_on: list[PassedOn]


_ENDING: Final[Mapping[Verdict, SlaEventKind]] = {
    "met": "met",
    "late_met": "late_met",
    "breached_ended": "breached_ended",
    "cancelled": "cancelled",
    "transferred": "transferred",
}
"""How the end of a clock is told."""


def first_told(memory: Memory, clocks: Mapping[str, Instance], story: Story) -> Said:
    """What one more fact at the end of the order says. `clocks`: those open before it."""
    # Of a transition that is its entry, or the confirmation of an earlier one.
    transitions = [
        TransitionSaid("corrected" if transition.confirmed else "stated", transition)
        for transition in story.transitions.values()
    ]
    instances: list[InstanceSaid] = []
    for identity, instance in story.instances.items():
        _say_instance(memory, instances, clocks.get(identity), instance)
    passed_on = []
    if story.passed_on:
        passed_on = [_passed_on(memory.announced, into, fact) for into, fact in story.passed_on.values()]
    return Said(transitions, instances, passed_on)


def retold(memory: Memory, before: Story, after: Story) -> Said:
    """Corrects or takes back what the tail said `before` and does not say `after`."""
    base = memory.base or State()
    # What moves on may be taken back here; that it has been announced goes with it.
    announced = dict(memory.announced)
    implied = {transition.transition_id: transition for transition in base.implied.values()}
    transitions: list[TransitionSaid] = []
    for identity, gone in before.transitions.items():
        if identity not in after.transitions:
            # Confirmed by a fact that is gone, the entry itself still stands in the checkpoint.
            standing = implied.get(identity)
            transitions.append(
                TransitionSaid("retracted", gone) if standing is None else TransitionSaid("corrected", standing)
            )
    for identity, transition in after.transitions.items():
        earlier = before.transitions.get(identity) or implied.get(identity)
        if earlier is None:
            transitions.append(TransitionSaid("stated", transition))
        elif earlier != transition:
            transitions.append(TransitionSaid("corrected", transition))
    instances: list[InstanceSaid] = []
    for identity, ended in before.instances.items():
        if identity not in after.instances:
            _say_instance(memory, instances, ended, base.clocks.get(identity))
    for identity, instance in after.instances.items():
        _say_instance(memory, instances, before.instances.get(identity) or base.clocks.get(identity), instance)
    passed_on = []
    for fact_name, was in before.passed_on.items():
        now = after.passed_on.get(fact_name)
        if now is None or now[0] != was[0]:
            passed_on.append(PassedOn(was[0], was[1], True, {}))
    for fact_name, now in after.passed_on.items():
        if before.passed_on.get(fact_name) != now:
            passed_on.append(_passed_on(announced, *now))
    return Said(transitions, instances, passed_on)


def _passed_on(announced: Mapping[str, tuple[int, int]], into: str, fact: Fact) -> PassedOn:
    # What was announced of a clock that moves need not be announced again.
    return PassedOn(into, fact, False, dict(announced) if fact.kind == ABSORBED else {})


def _say_instance(memory: Memory, said: list[InstanceSaid], before: Instance | None, now: Instance | None) -> None:
    """Tells how an instance changed; `now` None: it never was."""
    if before == now:
        return
    if now is not None and now.end == "moved":
        if before is not None and before.end != "moved":
            said.append(InstanceSaid("moved", now, announced=False))
        return
    identity = (now or before).instance_id  # type: ignore[union-attr]  # one of them is there
    deadline, rung = memory.announced.get(identity, (0, 0))
    announced = deadline != 0
    if now is None:
        memory.announced.pop(identity, None)
        if before is not None and before.end != "moved":
            said.append(InstanceSaid("retracted", before, announced))
        return
    # An announced breach stays true under an earlier deadline; a later one has to be waited for anew.
    verdict = sla.verdict(now, announced and now.deadline <= deadline)
    if announced and verdict in ("met", "cancelled", "transferred", "open"):
        memory.announced[identity] = (0, min(rung, WARNINGS))
        said.append(InstanceSaid("breach_retracted", now, announced=False))
        return
    if announced:
        memory.announced[identity] = (now.deadline, rung)
    kind: SlaEventKind
    if before is None and now.open:
        kind = "amended" if now.moves else "started"
    elif now.open or (before is not None and not before.open and verdict == sla.verdict(before, announced)):
        kind = "amended"
    else:
        kind = _ENDING[verdict]
    said.append(InstanceSaid(kind, now, announced))


WARNINGS: Final = 99
"""Rungs up to here are warnings: told once, they are not taken back with a breach."""
