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
from processors.lifecycle import Story
from processors.state import Instance, Memory, State, Transition
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
        if memory.tail:
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
        insort(tail, fact, key=_key)
        return _refold(memory, agreement)
    head = memory.head
    if head is None:
        head = memory.head = memory.base.copied() if memory.base is not None else State()
    story = Story()
    lifecycle.apply(head, fact, agreement, story)
    tail.append(fact)
    return _say(memory, story, retract_missing=False)


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
            memory.tail[place : place + 1] = []
            insort(memory.tail, fact, key=_key)
            return _refold(memory, agreement)._replace(copy=True)
        return _NOTHING._replace(copy=True)
    first, other = (fact, known) if (fact.received_at, fact.body) < (known.received_at, known.body) else (known, fact)
    refused = (
        "event_id_conflict",
        "another body under an event_id that this lead already has: give each event its own id within source_system",
        other,
    )
    if first is known:
        return _NOTHING._replace(refused=refused)
    memory.tail[place : place + 1] = []
    insort(memory.tail, fact, key=_key)
    return _refold(memory, agreement)._replace(refused=refused)


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
    memory.tail[place : place + 1] = []
    return _refold(memory, agreement)


def _refold(memory: Memory, agreement: Agreement) -> Outcome:
    story = Story()
    head = memory.base.copied() if memory.base is not None else State()
    for fact in memory.tail:
        lifecycle.apply(head, fact, agreement, story)
    memory.head = head if memory.tail else None
    return _say(memory, story, retract_missing=True)


def _base_transition(memory: Memory, identity: str) -> Transition | None:
    implied = memory.base.implied.values() if memory.base is not None else ()
    return next((transition for transition in implied if transition.transition_id == identity), None)


def _base_instance(memory: Memory, identity: str) -> Instance | None:
    return memory.base.clocks.get(identity) if memory.base is not None else None


def _say(memory: Memory, story: Story, *, retract_missing: bool) -> Outcome:
    """What `story` says that was not told before. After a refold, what it no longer says is put back or taken back."""
    said: list[TransitionSaid] = []
    clocks: list[InstanceSaid] = []
    if retract_missing:
        for identity in memory.transitions.keys() - story.transitions.keys():
            before, _ = memory.transitions.pop(identity)
            base = _base_transition(memory, identity)
            if base is None:
                said.append(TransitionSaid("retracted", before))
            elif base != before:
                said.append(TransitionSaid("corrected", base))
        said.sort(key=lambda item: item.transition.sequence)
        for identity in sorted(memory.instances.keys() - story.instances.keys()):
            gone, _ = memory.instances.pop(identity)
            _say_instance(memory, clocks, gone, _base_instance(memory, identity))
    for identity, (transition, key) in story.transitions.items():
        known = memory.transitions.get(identity)
        earlier = known[0] if known is not None else _base_transition(memory, identity)
        if earlier is None:
            said.append(TransitionSaid("stated", transition))
        elif earlier != transition:
            said.append(TransitionSaid("corrected", transition))
        memory.transitions[identity] = (transition, key)
    for identity, (instance, key) in story.instances.items():
        had = memory.instances.get(identity)
        _say_instance(memory, clocks, had[0] if had is not None else _base_instance(memory, identity), instance)
        memory.instances[identity] = (instance, key)
    return Outcome(said, clocks, changed=True)


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
        last = tail[-1].key
    else:
        memory.base = memory.base or State()
        for fact in tail[:final]:
            lifecycle.apply(memory.base, fact, agreement, Story())
        last = tail[final - 1].key
    del tail[:final]
    for identity in [identity for identity, (_, key) in memory.transitions.items() if key <= last]:
        del memory.transitions[identity]
    for identity in [identity for identity, (_, key) in memory.instances.items() if key <= last]:
        instance, _ = memory.instances.pop(identity)
        if not instance.open:
            memory.announced.pop(identity, None)


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
