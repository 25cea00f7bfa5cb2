"""LeadErased, and what is left of an erased lead: that it was, counts, and hashes of event ids. May not import I/O."""

from __future__ import annotations

from bisect import insort

from processors import lifecycle
from processors.agreement import Agreements
from processors.facts import Fact
from processors.folding import Outcome, in_order, refold, take
from processors.ids import event_hash
from processors.state import Memory, State
from processors.vocabulary import ABSORBED
from processors.ways import foreign_hash, turn_away, ways_of

ERASED = ("refused_erased", "the lead was erased: a person who returns gets a new lead id upstream")


def take_erased(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements, known: Fact | None = None) -> Outcome:
    """Takes a LeadErased, which may come after facts that were received after it: those are refused, too.

    `known`: what it replaces, received later.
    """
    if not memory.erased_at or fact.received_at < memory.erased_at:
        memory.erased_at = fact.received_at
    after = [item for item in memory.tail if item.received_at > memory.erased_at and item is not known]
    late = [item for item in after if item.lead_id == lead_id]
    if not after and known is None:
        return take(lead_id, memory, fact, agreements)
    memory.refused_erased += len(late)
    memory.refused += b"".join(event_hash(item.source_system, item.event_id) for item in late)
    tail = [item for item in memory.tail if item not in late and item is not known]
    insort(tail, fact, key=in_order)
    return refold(lead_id, memory, tail, agreements)._replace(refused=[(*ERASED, item) for item in late])


def bury(memory: Memory) -> None:
    """What is left of an erased lead: that it was, counts, and the hashes of its event ids."""
    state = memory.state
    refusals = dict(state.refusals)
    for fact in memory.tail:
        if not fact.via or fact.kind == ABSORBED:
            continue
        if not lifecycle.comes_after_erasure(state, fact):
            memory.foreign += foreign_hash(fact)
        elif state.merged_key is None or fact.key < state.merged_key:
            # It may still be called back.
            for way in (fact, *ways_of(memory, fact)):
                turn_away(memory, way)
            refusals["refused_erased"] -= 1
    memory.base = State(
        stage="erased",
        cycle=state.cycle,
        sequence=state.sequence,
        stage_entered_at=state.stage_entered_at,
        is_test=state.is_test,
        refusals=refusals,
        merged_into=state.merged_into,
        merged_key=state.merged_key,
    )
    memory.head = None
    memory.tail = []
    memory.announced = {}
    memory.withdrawn = {}
    memory.withdrawals = {}
    memory.dropped = b""
    memory.ways = {}
    memory.gone = True
