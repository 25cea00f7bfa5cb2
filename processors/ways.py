"""Facts of merged leads: one may come on several ways, for as long as leads that have sent it on call it back.

May not import I/O.
"""

from __future__ import annotations

from msgspec.structs import replace

from processors import merging
from processors.agreement import Agreements
from processors.facts import Fact
from processors.folding import NOTHING, SILENT, Outcome, name_of, place_of, refold, replaced
from processors.ids import event_hash, holds, split, without
from processors.state import Memory, Story
from processors.telling import PassedOn
from processors.vocabulary import ABSORBED


def ways_of(memory: Memory, fact: Fact) -> list[Fact]:
    """The same fact, as it also came on other ways: until the lead that has sent it on a new one calls back the old."""
    return memory.ways.get(f"{len(fact.lead_id)}:{fact.lead_id}{name_of(fact.source_system, fact.event_id)}", [])


def keep_ways(memory: Memory, fact: Fact, ways: list[Fact]) -> None:
    """Lets `ways` be those on which the fact has come beside the one that stands in the tail."""
    name = f"{len(fact.lead_id)}:{fact.lead_id}{name_of(fact.source_system, fact.event_id)}"
    if ways:
        memory.ways[name] = ways
    else:
        memory.ways.pop(name, None)


def foreign_hash(fact: Fact) -> bytes:
    """8 bytes that name a merged lead's fact."""
    return event_hash(f"{len(fact.lead_id)}:{fact.lead_id}{fact.source_system}", fact.event_id)


def _way_hash(fact: Fact) -> bytes:
    """8 bytes that name the way on which a fact has come."""
    return event_hash("", "".join(f"{len(lead_id)}:{lead_id}" for lead_id in fact.via))


def come_home(lead_id: str, memory: Memory, fact: Fact, recalled: bool, agreements: Agreements) -> Outcome:
    """The snapshot of this lead's own merge: the lead that it merged into has, by earlier merges, merged into it."""
    ways = [way for way in ways_of(memory, fact) if way.via != fact.via]
    if not recalled:
        ways.append(fact)
    keep_ways(memory, fact, ways)
    place = place_of(memory, lead_id, fact.source_system, fact.event_id)
    if place is None or memory.tail[place].circular == bool(ways):
        return SILENT
    merge = replace(memory.tail[place], circular=bool(ways))
    return refold(lead_id, memory, replaced(memory.tail, place, merge), agreements)


def pass_by(lead_id: str, memory: Memory, fact: Fact, recalled: bool, announced: dict[str, tuple[int, int]]) -> Outcome:
    """A fact that comes to what is left of an erased lead: on to the lead that this one had merged into before, or nowhere."""
    state = memory.state
    if state.merged_into is not None and state.merged_key is not None and fact.key > state.merged_key:
        story = Story()
        merging.pass_on(lead_id, fact, state.merged_into, story)
        return NOTHING._replace(
            passed_on=[PassedOn(into, onward, recalled, announced) for into, onward in story.passed_on.values()],
            changed=True,
        )
    if fact.kind == ABSORBED:
        return NOTHING
    if holds(memory.foreign, foreign_hash(fact)):
        return NOTHING
    before = memory.refused_erased
    if recalled:
        _let_go(memory, fact)
    else:
        turn_away(memory, fact)
    return SILENT if memory.refused_erased != before else NOTHING._replace(changed=True)


def turn_away(memory: Memory, fact: Fact) -> None:
    """Refuses a merged lead's fact: once, on however many ways it comes."""
    identity, way = foreign_hash(fact), _way_hash(fact)
    if not holds(memory.refused, identity):
        memory.refused += identity
        memory.refused_erased += 1
    if not holds(memory.refused_ways, identity + way):
        memory.refused_ways += identity + way


def _let_go(memory: Memory, fact: Fact) -> None:
    """Takes that back, where no way is left."""
    identity = foreign_hash(fact)
    known = split(memory.refused_ways, 16)
    left = known - {identity + _way_hash(fact)}
    if len(left) < len(known):
        memory.refused_ways = b"".join(sorted(left))
        if not any(one.startswith(identity) for one in left):
            memory.refused = without(memory.refused, identity)
            memory.refused_erased -= 1
