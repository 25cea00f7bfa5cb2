"""One lead: takes facts in any order, gives state and statements that depend on the set of (event, received_at) alone.

What is kept is a checkpoint and the facts after it, in their order. A fact that comes last in the order is applied to
the head at once, O(1). Any other changes the tail and the tail is folded again, O(tail); what then differs from what
was told is corrected under the same ids or taken back. May not import I/O.

A fact leaves the tail for the checkpoint when nothing effective before it can still arrive: when it lies 72 h before
the newest received_at of the lead and 72 h before the lane clock, and has stood in the log for as long. The last
condition keeps an import into a live lane from closing the door on its own later topics.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from typing import Final, NamedTuple

from processors import lifecycle, sla
from processors.agreement import Agreement
from processors.facts import Fact, Key
from processors.ids import event_hash
from processors.state import Instance, Memory, State, Story, Transition
from processors.vocabulary import LATENESS
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


class Outcome(NamedTuple):
    """What taking one fact came to. `refused`: (reason, detail, the fact it falls on), for the dead letters."""

    transitions: list[TransitionSaid]
    instances: list[InstanceSaid]
    changed: bool
    copy: bool = False
    refused: tuple[str, str, Fact] | None = None
    dropped: str | None = None
    """Counted, kept nowhere: erased (came after LeadErased), disputed (a withdrawal that came too late)."""


_ENDING: Final[Mapping[Verdict, SlaEventKind]] = {
    "met": "met",
    "late_met": "late_met",
    "breached_ended": "breached_ended",
    "cancelled": "cancelled",
    "transferred": "transferred",
}
"""How the end of a clock is told."""

_NOTHING: Final = Outcome([], [], changed=False)


def receive(memory: Memory, fact: Fact, clock: int, agreement: Agreement) -> Outcome:
    """Takes one fact. `clock`: the lane clock, UTC milliseconds."""
    if memory.erased_at and fact.received_at > memory.erased_at:
        return _NOTHING._replace(dropped="erased")
    identity = event_hash(fact.source_system, fact.event_id)
    if _contains(memory.seen, identity):
        return _again(memory, fact, agreement)
    memory.seen += identity
    if fact.received_at > memory.newest_received_at:
        memory.newest_received_at = fact.received_at
        if memory.tail and memory.tail[0].effective_at < fact.received_at - LATENESS:
            _fold_away(memory, clock, agreement)
    if fact.kind == "FactWithdrawn":
        return _withdraw(memory, fact, agreement)
    if memory.withdrawn:
        withdrawn_at = memory.withdrawn.get(_name(fact.source_system, fact.event_id))
        if withdrawn_at is not None and fact.kind != "LeadErased" and fact.effective_at >= withdrawn_at - LATENESS:
            return _NOTHING._replace(changed=True)
    if fact.kind == "LeadErased":
        memory.erased_at = fact.received_at
    if fact.effective_at < memory.checkpoint:
        # Only a forward that lagged by more than 72 h or an import that broke its own order comes here.
        fact.effective_at = memory.checkpoint
        fact.disputed = True
    return _take(memory, fact, agreement)


def _contains(seen: bytes, identity: bytes) -> bool:
    at = seen.find(identity)
    while at >= 0:
        if not at & 7:
            return True
        at = seen.find(identity, at + 1)
    return False


def _name(source_system: str, event_id: str) -> str:
    return f"{len(source_system)}:{source_system}{event_id}"


def _place(memory: Memory, source_system: str, event_id: str) -> int | None:
    for place, fact in enumerate(memory.tail):
        if fact.event_id == event_id and fact.source_system == source_system:
            return place
    return None


def _take(memory: Memory, fact: Fact, agreement: Agreement) -> Outcome:
    tail = memory.tail
    if tail and fact.key < tail[-1].key:
        at = bisect_left(tail, fact.key, key=_key)
        return _refold(memory, [*tail[:at], fact, *tail[at:]], agreement)
    head = memory.head
    if head is None:
        head = memory.head = memory.base.copied() if memory.base is not None else State()
    clocks = dict(head.clocks)
    story = Story()
    lifecycle.apply(head, fact, agreement, story)
    tail.append(fact)
    # What the last fact says about a transition is its entry, or the confirmation of an earlier one.
    transitions = [
        TransitionSaid("corrected" if transition.confirmed else "stated", transition)
        for transition in story.transitions.values()
    ]
    instances: list[InstanceSaid] = []
    for identity, instance in story.instances.items():
        _say_instance(memory, instances, clocks.get(identity), instance)
    return Outcome(transitions, instances, changed=True)


def _key(fact: Fact) -> Key:
    return fact.key


def _again(memory: Memory, fact: Fact, agreement: Agreement) -> Outcome:
    """An event id that was seen before: a copy, or another body under a known id."""
    place = _place(memory, fact.source_system, fact.event_id)
    if place is None:
        return _NOTHING._replace(copy=True)
    known = memory.tail[place]
    if fact.body == known.body:
        if fact.received_at < known.received_at:
            # Of copies the earliest receipt counts, whichever is processed first.
            return _refold(memory, _replaced(memory.tail, place, fact), agreement)._replace(copy=True)
        return _NOTHING._replace(copy=True)
    first, other = (fact, known) if (fact.received_at, fact.body) < (known.received_at, known.body) else (known, fact)
    refused = (
        "event_id_conflict",
        "another body under an event_id that this lead already has: give each event its own id within source_system",
        other,
    )
    if first is known:
        return _NOTHING._replace(refused=refused)
    return _refold(memory, _replaced(memory.tail, place, fact), agreement)._replace(refused=refused)


def _withdraw(memory: Memory, fact: Fact, agreement: Agreement) -> Outcome:
    source_system = fact.details["withdrawn_source_system"] or fact.source_system
    event_id = fact.details["withdrawn_event_id"]
    place = _place(memory, source_system, event_id)
    if place is None:
        if _name(source_system, event_id) in memory.withdrawn:
            return _NOTHING
        if _contains(memory.seen, event_hash(source_system, event_id)):
            memory.disputed += 1  # folded away: it was effective more than 72 h before
            return _NOTHING._replace(changed=True, dropped="disputed")
        memory.withdrawn[_name(source_system, event_id)] = fact.received_at
        return _NOTHING._replace(changed=True)
    withdrawn = memory.tail[place]
    if withdrawn.kind == "LeadErased" or withdrawn.effective_at < fact.received_at - LATENESS:
        memory.disputed += 1
        return _NOTHING._replace(changed=True, dropped="disputed")
    memory.withdrawn[_name(source_system, event_id)] = fact.received_at
    return _refold(memory, memory.tail[:place] + memory.tail[place + 1 :], agreement)


def _replaced(tail: list[Fact], place: int, fact: Fact) -> list[Fact]:
    """`tail` with `fact` in its own place instead of the one at `place`."""
    out = tail[:place] + tail[place + 1 :]
    insort(out, fact, key=_key)
    return out


def _folded(memory: Memory, tail: list[Fact], agreement: Agreement) -> tuple[State, Story]:
    """The checkpoint after `tail`, and what `tail` says."""
    head = memory.base.copied() if memory.base is not None else State()
    story = Story()
    for fact in tail:
        lifecycle.apply(head, fact, agreement, story)
    return head, story


def _refold(memory: Memory, tail: list[Fact], agreement: Agreement) -> Outcome:
    """Puts `tail` in place of the tail: corrects or takes back what the old one said and the new one does not."""
    _, before = _folded(memory, memory.tail, agreement)
    head, after = _folded(memory, tail, agreement)
    memory.tail = tail
    memory.head = head if tail else None
    base = memory.base or State()
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
    return Outcome(transitions, instances, changed=True)


def _say_instance(memory: Memory, clocks: list[InstanceSaid], before: Instance | None, now: Instance | None) -> None:
    """Tells how an instance changed; `now` None: it never was."""
    if before == now:
        return
    announced = before is not None and memory.announced.get(before.instance_id) == before.deadline
    if now is None:
        if before is not None:
            memory.announced.pop(before.instance_id, None)
            clocks.append(InstanceSaid("retracted", before, announced))
        return
    identity = now.instance_id
    # An announced breach stays true under an earlier deadline; a later one has to be waited for anew.
    verdict = sla.verdict(now, announced and now.deadline <= memory.announced[identity])
    if announced and verdict in ("met", "cancelled", "open"):
        del memory.announced[identity]
        clocks.append(InstanceSaid("breach_retracted", now, announced=False))
        return
    if announced:
        memory.announced[identity] = now.deadline
    kind: SlaEventKind
    if before is None and now.open:
        kind = "started"
    elif now.open or (before is not None and not before.open and verdict == sla.verdict(before, announced)):
        kind = "amended"
    else:
        kind = _ENDING[verdict]
    clocks.append(InstanceSaid(kind, now, announced))


def _fold_away(memory: Memory, clock: int, agreement: Agreement) -> None:
    """Moves what is final from the tail into the checkpoint. Says nothing: it was all told before."""
    limit = clock - LATENESS
    horizon = min(memory.newest_received_at - LATENESS, limit)
    tail = memory.tail
    if horizon <= memory.checkpoint or tail[0].effective_at >= horizon:
        return
    final = bisect_left(tail, horizon, key=lambda fact: fact.effective_at)
    early = next((place for place in range(final) if tail[place].arrived_at >= limit), final)
    if early < final:
        final = early
        horizon = min(horizon, tail[final].effective_at)
        final = bisect_left(tail, horizon, key=lambda fact: fact.effective_at)
    if not final:
        return
    memory.checkpoint = horizon
    if final == len(tail):
        memory.base, memory.head = memory.head, None
    else:
        memory.base = memory.base or State()
        for fact in tail[:final]:
            lifecycle.apply(memory.base, fact, agreement, Story())
    del tail[:final]
    if memory.announced:
        # An announcement is kept while its clock may still change.
        _, story = _folded(memory, tail, agreement)
        open_clocks = memory.base.clocks if memory.base is not None else {}
        memory.announced = {
            identity: deadline
            for identity, deadline in memory.announced.items()
            if identity in open_clocks or identity in story.instances
        }


def due(memory: Memory, grace_ms: int) -> int | None:
    """When the lane clock must look at this lead next; None: never."""
    clocks = memory.state.clocks
    if not clocks:
        return None
    deadlines = [
        clock.deadline + grace_ms
        for clock in clocks.values()
        if memory.announced.get(clock.instance_id) != clock.deadline
    ]
    return min(deadlines, default=None)


def overdue(memory: Memory) -> int:
    """Open instances whose breach has been announced; none of a test lead."""
    if not memory.announced or memory.state.is_test:
        return 0
    announced = memory.announced
    return sum(announced.get(clock.instance_id) == clock.deadline for clock in memory.state.clocks.values())


def fire(memory: Memory, clock: int, grace_ms: int) -> list[InstanceSaid]:
    """Announces the breach of each open instance whose deadline plus grace is not after the lane clock."""
    clocks: list[InstanceSaid] = []
    for instance in memory.state.clocks.values():
        if instance.deadline + grace_ms <= clock and memory.announced.get(instance.instance_id) != instance.deadline:
            memory.announced[instance.instance_id] = instance.deadline
            clocks.append(InstanceSaid("breached", instance, announced=True))
    return clocks
