"""The facts of one lead folded into its state: the tail after the checkpoint, and what a change of it says.

A fact that comes last is applied to the head, O(1); any other changes the tail, and the tail is folded again, O(tail): what
then differs from what was told is corrected under the same ids or taken back. May not import I/O.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from processors import bots, lifecycle, telling
from processors.agreement import Agreements
from processors.facts import Fact, Key
from processors.ids import event_hash, holds, split
from processors.state import Memory, State, Story
from processors.telling import InstanceSaid, PassedOn, Said, TransitionSaid
from processors.vocabulary import DAY, LATENESS, MOST_TOUCHES


class Outcome(NamedTuple):
    """What taking one fact came to. `refused`: (reason, detail, the fact it falls on), for the dead letters."""

    transitions: list[TransitionSaid]
    instances: list[InstanceSaid]
    passed_on: list[PassedOn]
    changed: bool
    copy: bool = False
    refused: Sequence[tuple[str, str, Fact]] = ()
    dropped: str | None = None
    """Counted, kept nowhere: disputed (a withdrawal that came too late), bot (one touch too many)."""


NOTHING = Outcome([], [], [], changed=False)
SILENT = Outcome([], [], [], changed=True)


def name_of(source_system: str, event_id: str) -> str:
    """What names an event, as one text."""
    return f"{len(source_system)}:{source_system}{event_id}"


def in_order(fact: Fact) -> Key:
    """By this facts of a lead are sorted."""
    return fact.key


def place_of(memory: Memory, lead_id: str, source_system: str, event_id: str) -> int | None:
    """Where in the tail the fact that came under this lead id stands."""
    for place, fact in enumerate(memory.tail):
        if fact.event_id == event_id and fact.source_system == source_system and fact.lead_id == lead_id:
            return place
    return None


def replaced(tail: list[Fact], place: int, fact: Fact) -> list[Fact]:
    """`tail` with `fact` in its own place instead of the one at `place`."""
    out = tail[:place] + tail[place + 1 :]
    insort(out, fact, key=in_order)
    return out


def is_void(memory: Memory, fact: Fact) -> bool:
    """Whether the fact was withdrawn in time. Of several withdrawals the one received first counts."""
    withdrawals = memory.withdrawn.get(name_of(fact.source_system, fact.event_id))
    return bool(withdrawals) and fact.effective_at >= withdrawals[0] - LATENESS and fact.kind != "LeadErased"  # type: ignore[index]


def disputes(fact: Fact, withdrawals: Sequence[int]) -> int:
    """How many withdrawals of the fact are disputed: all, where the first came too late."""
    return len(withdrawals) if withdrawals and fact.effective_at < withdrawals[0] - LATENESS else 0


def ids_before(lead_id: str, memory: Memory, fact: Fact) -> bytes:
    """8 bytes for each event id that the lead had before `fact` in the order: all of them for a LeadMerged, that of the
    fact alone for one that a merged lead passes on.
    """
    if fact.kind == "LeadMerged":
        ids = split(memory.seen) - split(memory.refused)
        ids -= {event_hash(item.fact.source_system, item.fact.event_id) for item in memory.withdrawals.values()}
        for item in memory.tail:
            if item.lead_id == lead_id:
                identity = event_hash(item.source_system, item.event_id)
                ids.discard(identity) if item.key > fact.key else ids.add(identity)
        return b"".join(sorted(ids))
    if not fact.via:
        return b""
    identity = event_hash(fact.source_system, fact.event_id)
    place = place_of(memory, lead_id, fact.source_system, fact.event_id)
    if place is not None:
        return identity if memory.tail[place].key < fact.key else b""
    if not holds(memory.seen, identity) or holds(memory.refused, identity):
        return b""
    if memory.withdrawals and name_of(fact.source_system, fact.event_id) in memory.withdrawals:
        return b""
    return identity


def folded(lead_id: str, memory: Memory, agreements: Agreements) -> tuple[State, Story]:
    """The checkpoint after the tail, and what the tail says."""
    head = memory.base.copied() if memory.base is not None else State()
    head.erased_at = memory.erased_at
    story = Story()
    for fact in memory.tail:
        if memory.withdrawn and not fact.via and is_void(memory, fact):
            continue
        lifecycle.apply(lead_id, head, fact, agreements, story, ids_before(lead_id, memory, fact))
    return head, story


class Step(NamedTuple):
    """What one fact of a tail did. `story` None: it was withdrawn."""

    fact: Fact
    before: State
    after: State
    story: Story | None


def steps(lead_id: str, memory: Memory, agreements: Agreements) -> Iterator[Step]:
    """The lead's tail fact by fact: for explaining. What it says follows from the same calls as what is told."""
    head = memory.base.copied() if memory.base is not None else State()
    head.erased_at = memory.erased_at
    for fact in memory.tail:
        before = head.copied()
        story = None
        if not (memory.withdrawn and not fact.via and is_void(memory, fact)):
            story = Story()
            lifecycle.apply(lead_id, head, fact, agreements, story, ids_before(lead_id, memory, fact))
        yield Step(fact, before, head.copied(), story)


def refold(lead_id: str, memory: Memory, tail: list[Fact], agreements: Agreements) -> Outcome:
    """Puts `tail` in place of the tail."""
    _, before = folded(lead_id, memory, agreements)
    memory.tail = tail
    return retold(lead_id, memory, before, agreements)


def retold(lead_id: str, memory: Memory, before: Story, agreements: Agreements) -> Outcome:
    head, after = folded(lead_id, memory, agreements)
    memory.head = head if memory.tail else None
    said: Said = telling.retold(memory, before, after)
    return Outcome(*said, changed=True)


def take(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome:
    tail = memory.tail
    if fact.kind == "TouchRecorded" and len(tail) >= MOST_TOUCHES and not fact.via:
        outcome = _take_thinned(lead_id, memory, fact, agreements)
        if outcome is not None:
            return outcome
    if tail and fact.key < tail[-1].key:
        at = bisect_left(tail, fact.key, key=in_order)
        return refold(lead_id, memory, [*tail[:at], fact, *tail[at:]], agreements)
    head = memory.head
    if head is None:
        head = memory.head = memory.base.copied() if memory.base is not None else State()
    tail.append(fact)
    if memory.withdrawn and not fact.via and is_void(memory, fact):
        return SILENT
    clocks = dict(head.clocks)
    story = Story()
    head.erased_at = memory.erased_at
    lifecycle.apply(lead_id, head, fact, agreements, story, ids_before(lead_id, memory, fact))
    return Outcome(*telling.first_told(memory, clocks, story), changed=True)


def _take_thinned(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome | None:
    """Takes a touch where the day may hold too many; None: it does not."""
    tail = list(memory.tail)
    insort(tail, fact, key=in_order)
    places = bots.dropped(tail, fact.effective_at // DAY)
    if not places:
        return None
    for place in places:
        item = tail[place]
        memory.dropped += event_hash(item.source_system, item.event_id)
        memory.disputed -= disputes(item, memory.withdrawn.get(name_of(item.source_system, item.event_id), ()))
    quiet = tail[-1] is fact and memory.state.merged_into is None and bots.says_nothing(fact)
    quiet = quiet and all(bots.says_nothing(tail[place]) for place in places)
    kept = [item for place, item in enumerate(tail) if place not in places]
    if quiet and memory.head is not None and memory.head.wake is None:
        memory.tail = kept
        return SILENT._replace(dropped="bot")
    return refold(lead_id, memory, kept, agreements)._replace(dropped="bot")
