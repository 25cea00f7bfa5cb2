"""One lead: takes facts in any order, gives state and statements that depend on the set of (event, received_at) alone.

What is kept is a checkpoint (checkpoint.py) and the facts after it, in their order (folding.py). May not import I/O.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from processors import ladder
from processors.agreement import Agreements
from processors.checkpoint import admit, advance
from processors.facts import Fact, tick
from processors.folding import NOTHING, SILENT, Outcome, disputes, name_of, place_of, refold, replaced, take
from processors.ids import event_hash, holds, without
from processors.state import Memory
from processors.telling import WARNINGS, InstanceSaid
from processors.tombstone import ERASED, bury, take_erased
from processors.ways import come_home, foreign_hash, keep_ways, pass_by, ways_of
from processors.withdrawals import reinstate, withdraw

_MOST_REFUSED = 2 * 1024 * 1024
"""Bytes of ids of an erased lead's later events; those of more are not kept, their copies count anew."""


def receive(lead_id: str, memory: Memory, fact: Fact, clock: int, agreements: Agreements) -> Outcome:
    """Takes one fact that names this lead. `clock`: the lane clock, UTC milliseconds."""
    identity = event_hash(fact.source_system, fact.event_id)
    after_erasure = memory.gone or (memory.erased_at != 0 and fact.received_at > memory.erased_at)
    if holds(memory.seen, identity):
        if after_erasure or not holds(memory.refused, identity):
            return _again(lead_id, memory, fact, agreements)
        memory.refused = without(memory.refused, identity)
        memory.refused_erased -= 1
        memory.seen = without(memory.seen, identity)
    if after_erasure:
        if len(memory.refused) < _MOST_REFUSED:
            memory.seen += identity
            memory.refused += identity
        memory.refused_erased += 1
        return SILENT._replace(refused=[(*ERASED, fact)])
    advance(lead_id, memory, fact.received_at, clock, agreements)
    outcome = _accept(lead_id, memory, fact, agreements)
    # Not before: what was told before it came must fold again as it was told.
    memory.seen += identity
    return outcome


def _accept(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome:
    """Takes a fact under an id that is its own."""
    if fact.kind == "FactWithdrawn":
        return withdraw(lead_id, memory, fact, agreements)
    fact = admit(memory, fact)
    if memory.withdrawn and fact.kind != "LeadErased":
        memory.disputed += disputes(fact, memory.withdrawn.get(name_of(fact.source_system, fact.event_id), ()))
    if fact.kind == "LeadErased":
        return take_erased(lead_id, memory, fact, agreements)
    return take(lead_id, memory, fact, agreements)


def receive_foreign(
    lead_id: str,
    memory: Memory,
    fact: Fact,
    recalled: bool,
    announced: dict[str, tuple[int, int]],
    clock: int,
    agreements: Agreements,
) -> Outcome:
    """Takes a fact of a lead that has merged into this one, or gives it back (`recalled`)."""
    if memory.gone:
        return pass_by(lead_id, memory, fact, recalled, announced)
    if fact.lead_id == lead_id:
        return come_home(lead_id, memory, fact, recalled, agreements)
    if holds(memory.foreign, foreign_hash(fact)):
        return NOTHING
    place = place_of(memory, fact.lead_id, fact.source_system, fact.event_id)
    if recalled:
        if place is None:
            return NOTHING
        if memory.tail[place].via != fact.via:
            keep_ways(memory, fact, [way for way in ways_of(memory, fact) if way.via != fact.via])
            return SILENT
        *others, standing = ways_of(memory, fact) or (None,)
        if standing is None:
            return refold(lead_id, memory, memory.tail[:place] + memory.tail[place + 1 :], agreements)
        keep_ways(memory, fact, others)
        return refold(lead_id, memory, replaced(memory.tail, place, standing), agreements)
    advance(lead_id, memory, fact.received_at, clock, agreements)
    heard = {identity: told for identity, told in announced.items() if identity not in memory.announced}
    memory.announced |= heard
    return _breaches_heard_of(memory, heard, _take_foreign(lead_id, memory, admit(memory, fact), agreements))


def _take_foreign(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome:
    place = place_of(memory, fact.lead_id, fact.source_system, fact.event_id)
    if place is None:
        return take(lead_id, memory, fact, agreements)
    known = memory.tail[place]
    if known == fact:
        return NOTHING
    if known.via != fact.via:
        keep_ways(memory, fact, [*(way for way in ways_of(memory, fact) if way.via != fact.via), known])
    return refold(lead_id, memory, replaced(memory.tail, place, fact), agreements)


def _breaches_heard_of(memory: Memory, heard: Iterable[str], outcome: Outcome) -> Outcome:
    """Tells of clocks that stood as running here, that a lead on another way has told their breach."""
    told = {said.instance.instance_id for said in outcome.instances}
    amended = []
    for identity in heard:
        clock = memory.state.clocks.get(identity)
        if clock is None or identity in told:
            continue
        deadline, rung = memory.announced[identity]
        if 0 < clock.deadline <= deadline:
            amended.append(InstanceSaid("amended", clock, announced=True))
        else:
            memory.announced[identity] = (0, min(rung, WARNINGS))
    return outcome._replace(instances=outcome.instances + amended, changed=True) if amended else outcome


def _again(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome:
    """An event id that was seen before: a copy, or another body under a known id."""
    name = name_of(fact.source_system, fact.event_id)
    withdrawal = memory.withdrawals.get(name)
    place = place_of(memory, lead_id, fact.source_system, fact.event_id)
    if withdrawal is not None:
        known = withdrawal.fact
    elif place is not None:
        known = memory.tail[place]
    else:
        return NOTHING._replace(copy=True)
    first, other = (fact, known) if (fact.received_at, fact.body) < (known.received_at, known.body) else (known, fact)
    copy = fact.body == known.body
    refused = (
        "event_id_conflict",
        "another body under an event_id that this lead already has: give each event its own id within source_system",
        other,
    )
    # Of copies the earliest receipt counts, whichever is processed first.
    if first is known:
        outcome = NOTHING
    elif place is None or fact.kind == "FactWithdrawn":
        outcome = _exchange(lead_id, memory, name, place, fact, agreements)
    elif fact.kind == "LeadErased":
        outcome = take_erased(lead_id, memory, admit(memory, fact), agreements, known)
    else:
        admitted = replace(admit(memory, fact), circular=known.circular)
        withdrawals = memory.withdrawn.get(name, ())
        memory.disputed += disputes(admitted, withdrawals) - disputes(known, withdrawals)
        outcome = refold(lead_id, memory, replaced(memory.tail, place, admitted), agreements)
    return outcome._replace(copy=True) if copy else outcome._replace(refused=[*outcome.refused, refused])


def _exchange(
    lead_id: str, memory: Memory, name: str, place: int | None, fact: Fact, agreements: Agreements
) -> Outcome:
    """Takes a fact in the stead of the withdrawal known under its id, or a withdrawal in the stead of the fact at `place`."""
    if place is None:
        undone = reinstate(lead_id, memory, name, agreements)
    else:
        memory.disputed -= disputes(memory.tail[place], memory.withdrawn.get(name, ()))
        undone = refold(lead_id, memory, memory.tail[:place] + memory.tail[place + 1 :], agreements)
    taken = _accept(lead_id, memory, fact, agreements)
    return taken._replace(
        transitions=undone.transitions + taken.transitions,
        instances=undone.instances + taken.instances,
        passed_on=undone.passed_on + taken.passed_on,
    )


def fire(lead_id: str, memory: Memory, agreements: Agreements, clock: int, grace_ms: int) -> Outcome:
    """The lane clock has reached `clock`: starts the wake clock that has come due, and tells every rung that has."""
    outcome = NOTHING
    if memory.erased_at and not memory.gone and memory.erased_at <= clock:
        bury(memory)
        return SILENT
    wake = memory.state.wake
    if wake is not None and wake[0] <= clock:
        outcome = take(lead_id, memory, tick(wake[0], clock), agreements)
    fired = ladder.fire(memory, agreements, clock, grace_ms)
    return Outcome(outcome.transitions, outcome.instances + fired, outcome.passed_on, outcome.changed or bool(fired))
