"""What is final leaves the tail for the checkpoint.

A fact is final when nothing effective before it can still arrive: when it lies 72 h before the newest received_at of the
lead and 72 h before the lane clock, and has stood in the log for as long. The last condition keeps an import into a live
lane from closing the door on its own later topics. May not import I/O.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from msgspec.structs import replace

from processors import lifecycle, merging
from processors.agreement import Agreements
from processors.facts import Fact
from processors.folding import folded, ids_before, is_void, name_of
from processors.state import Memory, State, Story
from processors.vocabulary import ABSORBED, DAY, LATENESS
from processors.ways import foreign_hash, keep_ways


def admit(memory: Memory, fact: Fact) -> Fact:
    """The fact in the place that it may take."""
    if fact.effective_at >= memory.checkpoint:
        return fact
    # Only a forward that lagged by more than 72 h or an import that broke its own order comes here.
    return replace(fact, effective_at=memory.checkpoint, disputed=True)


def advance(lead_id: str, memory: Memory, received_at: int, clock: int, agreements: Agreements) -> None:
    """Notes a newer received_at, and folds away what is final by it."""
    if received_at > memory.newest_received_at:
        memory.newest_received_at = received_at
        if memory.tail and memory.tail[0].effective_at < received_at - LATENESS:
            fold_away(lead_id, memory, clock, agreements)


def _midnight(at: int) -> int:
    """The start of its UTC day. Days are folded away whole: the bot rule counts by the day."""
    return at - at % DAY


def fold_away(lead_id: str, memory: Memory, clock: int, agreements: Agreements) -> None:
    """Moves what is final from the tail into the checkpoint. Says nothing: it was all told before."""
    limit = clock - LATENESS
    horizon = _midnight(min(memory.newest_received_at - LATENESS, limit))
    tail = memory.tail
    if horizon <= memory.checkpoint or tail[0].effective_at >= horizon:
        return
    final = bisect_left(tail, horizon, key=lambda fact: fact.effective_at)
    early = next((place for place in range(final) if tail[place].arrived_at >= limit), final)
    if early < final:
        horizon = _midnight(tail[early].effective_at)
        final = bisect_left(tail, horizon, key=lambda fact: fact.effective_at)
    twice = _comes_twice(tail, final)
    if twice < final:
        horizon = _midnight(tail[twice].effective_at)
        final = bisect_left(tail, horizon, key=lambda fact: fact.effective_at)
    if not final:
        return
    memory.checkpoint = horizon
    if final == len(tail):
        memory.base, memory.head = memory.head, None
    else:
        memory.base = memory.base or State()
        memory.base.erased_at = memory.erased_at
        for fact in tail[:final]:
            if not (memory.withdrawn and not fact.via and is_void(memory, fact)):
                ids = ids_before(lead_id, memory, fact)
                lifecycle.apply(lead_id, memory.base, fact, agreements, Story(), ids)
    for fact in tail[:final]:
        if fact.via:
            memory.foreign += foreign_hash(fact)
            keep_ways(memory, fact, [])
        elif memory.withdrawn and not is_void(memory, fact):
            name = name_of(fact.source_system, fact.event_id)
            if memory.withdrawn.pop(name, None):
                for withdrawal in memory.withdrawals.values():
                    withdrawal.disputed |= withdrawal.target == name
    del tail[:final]
    if memory.announced:
        # An announcement is kept while its clock may still change.
        _, story = folded(lead_id, memory, agreements)
        open_clocks = memory.base.clocks if memory.base is not None else {}
        memory.announced = {
            identity: told
            for identity, told in memory.announced.items()
            if identity in open_clocks or identity in story.instances
        }


def _comes_twice(tail: Sequence[Fact], final: int) -> int:
    """The first fact before `final` that brings a clock which one after it brings, too; `final` for none.

    One of the two is about to be called back: with it the clock would seem to have gone, if the other were folded away.
    """
    bringing = [place for place, fact in enumerate(tail) if fact.kind == ABSORBED]
    if len(bringing) < 2 or bringing[0] >= final or bringing[-1] < final:
        return final
    clocks = {place: set(snapshot.state.clocks) for place in bringing if (snapshot := merging.snapshot_of(tail[place]))}
    later = set().union(*(ids for place, ids in clocks.items() if place >= final))
    return next((place for place, ids in clocks.items() if place < final and not ids.isdisjoint(later)), final)
