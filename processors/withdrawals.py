"""FactWithdrawn: takes a fact back, where it comes within 72 h of it; one that comes later is disputed. May not import I/O."""

from __future__ import annotations

from processors.agreement import Agreements
from processors.facts import Fact
from processors.folding import SILENT, Outcome, disputes, folded, is_void, name_of, place_of, retold
from processors.ids import event_hash, holds
from processors.state import Memory, Withdrawal


def withdraw(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome:
    """Takes a FactWithdrawn, whether or not what it names has come."""
    source_system = fact.details["withdrawn_source_system"] or fact.source_system
    event_id = fact.details["withdrawn_event_id"]
    name, identity = name_of(source_system, event_id), event_hash(source_system, event_id)
    withdrawal = Withdrawal(fact)
    memory.withdrawals[name_of(fact.source_system, fact.event_id)] = withdrawal
    if name in memory.withdrawals or holds(memory.dropped, identity):
        return SILENT
    place = place_of(memory, lead_id, source_system, event_id)
    if place is None:
        known = holds(memory.seen, identity) and not holds(memory.refused, identity)
        if known and name not in memory.withdrawn:
            memory.disputed += 1  # folded away: it was effective more than 72 h before
            withdrawal.disputed = True
            return SILENT._replace(dropped="disputed")
    elif memory.tail[place].kind == "LeadErased":
        return SILENT
    withdrawal.target = name
    then = sorted([*memory.withdrawn.get(name, ()), fact.received_at])
    return _void(lead_id, memory, name, place, then, agreements)


def reinstate(lead_id: str, memory: Memory, name: str, agreements: Agreements) -> Outcome:
    """Undoes a withdrawal: another fact under its id was received before it."""
    withdrawal = memory.withdrawals.pop(name)
    memory.disputed -= withdrawal.disputed
    target = withdrawal.target
    if target is None or target not in memory.withdrawn:
        return SILENT
    then = list(memory.withdrawn[target])
    then.remove(withdrawal.fact.received_at)
    named = (place for place, item in enumerate(memory.tail) if name_of(item.source_system, item.event_id) == target)
    place = next((place for place in named if memory.tail[place].lead_id == lead_id), None)
    return _void(lead_id, memory, target, place, then, agreements)


def _void(
    lead_id: str, memory: Memory, name: str, place: int | None, then: list[int], agreements: Agreements
) -> Outcome:
    """Lets the withdrawals of the fact `name` be those received at `then`; `place`: where it stands in the tail."""
    if place is None:
        _keep_withdrawals(memory, name, then)
        return SILENT
    fact = memory.tail[place]
    more = disputes(fact, then) - disputes(fact, memory.withdrawn.get(name, ()))
    memory.disputed += more
    was_void = is_void(memory, fact)
    before = folded(lead_id, memory, agreements)[1]
    _keep_withdrawals(memory, name, then)
    # Only the one that takes the fact back changes the story.
    if is_void(memory, fact) == was_void:
        return SILENT._replace(dropped="disputed") if more > 0 else SILENT
    return retold(lead_id, memory, before, agreements)


def _keep_withdrawals(memory: Memory, name: str, then: list[int]) -> None:
    if then:
        memory.withdrawn[name] = then
    else:
        memory.withdrawn.pop(name, None)
