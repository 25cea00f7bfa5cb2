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
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from processors import bots, ladder, lifecycle, merging, telling
from processors.agreement import Agreements
from processors.facts import Fact, Key, tick
from processors.ids import event_hash, holds
from processors.state import Memory, State, Story, Withdrawal
from processors.telling import InstanceSaid, PassedOn, Said, TransitionSaid
from processors.vocabulary import ABSORBED, DAY, LATENESS, MOST_TOUCHES


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


_MOST_REFUSED = 2 * 1024 * 1024
"""Bytes of ids of an erased lead's later events; those of more are not kept, their copies count anew."""
_ERASED = ("refused_erased", "the lead was erased: a person who returns gets a new lead id upstream")
_NOTHING = Outcome([], [], [], changed=False)
_SILENT = Outcome([], [], [], changed=True)


def receive(lead_id: str, memory: Memory, fact: Fact, clock: int, agreements: Agreements) -> Outcome:
    """Takes one fact that names this lead. `clock`: the lane clock, UTC milliseconds."""
    identity = event_hash(fact.source_system, fact.event_id)
    after_erasure = memory.gone or (memory.erased_at != 0 and fact.received_at > memory.erased_at)
    if holds(memory.seen, identity):
        if after_erasure or not holds(memory.refused, identity):
            return _again(lead_id, memory, fact, agreements)
        memory.refused = _without(memory.refused, identity)
        memory.refused_erased -= 1
        memory.seen = _without(memory.seen, identity)
    if after_erasure:
        if len(memory.refused) < _MOST_REFUSED:
            memory.seen += identity
            memory.refused += identity
        memory.refused_erased += 1
        return _SILENT._replace(refused=[(*_ERASED, fact)])
    _advance(lead_id, memory, fact.received_at, clock, agreements)
    outcome = _accept(lead_id, memory, fact, agreements)
    # Not before: what was told before it came must fold again as it was told.
    memory.seen += identity
    return outcome


def _accept(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome:
    """Takes a fact under an id that is its own."""
    if fact.kind == "FactWithdrawn":
        return _withdraw(lead_id, memory, fact, agreements)
    fact = _admit(memory, fact)
    if memory.withdrawn and fact.kind != "LeadErased":
        memory.disputed += _disputes(fact, memory.withdrawn.get(_name(fact.source_system, fact.event_id), ()))
    if fact.kind == "LeadErased":
        return _take_erased(lead_id, memory, fact, agreements)
    return _take(lead_id, memory, fact, agreements)


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
        return _pass_by(lead_id, memory, fact, recalled, announced)
    if fact.lead_id == lead_id:
        return _come_home(lead_id, memory, fact, recalled, agreements)
    if holds(memory.foreign, _foreign_hash(fact)):
        return _NOTHING
    place = _place(memory, fact.lead_id, fact.source_system, fact.event_id)
    if recalled:
        if place is None:
            return _NOTHING
        if memory.tail[place].via != fact.via:
            _keep_ways(memory, fact, [way for way in _ways(memory, fact) if way.via != fact.via])
            return _SILENT
        *others, standing = _ways(memory, fact) or (None,)
        if standing is None:
            return _refold(lead_id, memory, memory.tail[:place] + memory.tail[place + 1 :], agreements)
        _keep_ways(memory, fact, others)
        return _refold(lead_id, memory, _replaced(memory.tail, place, standing), agreements)
    _advance(lead_id, memory, fact.received_at, clock, agreements)
    for instance_id, told in announced.items():
        memory.announced.setdefault(instance_id, told)
    fact = _admit(memory, fact)
    place = _place(memory, fact.lead_id, fact.source_system, fact.event_id)
    if place is None:
        return _take(lead_id, memory, fact, agreements)
    known = memory.tail[place]
    if known == fact:
        return _NOTHING
    if known.via != fact.via:
        _keep_ways(memory, fact, [*(way for way in _ways(memory, fact) if way.via != fact.via), known])
    return _refold(lead_id, memory, _replaced(memory.tail, place, fact), agreements)


def _ways(memory: Memory, fact: Fact) -> list[Fact]:
    """The same fact, as it also came on other ways: until the lead that has sent it on a new one calls back the old."""
    return memory.ways.get(f"{len(fact.lead_id)}:{fact.lead_id}{_name(fact.source_system, fact.event_id)}", [])


def _keep_ways(memory: Memory, fact: Fact, ways: list[Fact]) -> None:
    name = f"{len(fact.lead_id)}:{fact.lead_id}{_name(fact.source_system, fact.event_id)}"
    if ways:
        memory.ways[name] = ways
    else:
        memory.ways.pop(name, None)


def _pass_by(
    lead_id: str, memory: Memory, fact: Fact, recalled: bool, announced: dict[str, tuple[int, int]]
) -> Outcome:
    """A fact that comes to what is left of an erased lead: on to the lead that this one had merged into before, or nowhere."""
    state = memory.state
    if state.merged_into is not None and state.merged_key is not None and fact.key > state.merged_key:
        story = Story()
        merging.pass_on(lead_id, fact, state.merged_into, story)
        return _NOTHING._replace(
            passed_on=[PassedOn(into, onward, recalled, announced) for into, onward in story.passed_on.values()],
            changed=True,
        )
    if fact.kind == ABSORBED:
        return _NOTHING
    if holds(memory.foreign, _foreign_hash(fact)):
        return _NOTHING
    before = memory.refused_erased
    if recalled:
        _let_go(memory, fact)
    else:
        _turn_away(memory, fact)
    return _SILENT if memory.refused_erased != before else _NOTHING._replace(changed=True)


def _turn_away(memory: Memory, fact: Fact) -> None:
    """Refuses a merged lead's fact: once, on however many ways it comes."""
    identity, way = _foreign_hash(fact), _way_hash(fact)
    if not holds(memory.refused, identity):
        memory.refused += identity
        memory.refused_erased += 1
    if not holds(memory.refused_ways, identity + way):
        memory.refused_ways += identity + way


def _let_go(memory: Memory, fact: Fact) -> None:
    """Takes that back, where no way is left."""
    identity = _foreign_hash(fact)
    known = _hashes(memory.refused_ways, 16)
    left = known - {identity + _way_hash(fact)}
    if len(left) < len(known):
        memory.refused_ways = b"".join(sorted(left))
        if not any(one.startswith(identity) for one in left):
            memory.refused = _without(memory.refused, identity)
            memory.refused_erased -= 1


def _come_home(lead_id: str, memory: Memory, fact: Fact, recalled: bool, agreements: Agreements) -> Outcome:
    """The snapshot of this lead's own merge: the lead that it merged into has, by earlier merges, merged into it."""
    ways = [way for way in _ways(memory, fact) if way.via != fact.via]
    if not recalled:
        ways.append(fact)
    _keep_ways(memory, fact, ways)
    place = _place(memory, lead_id, fact.source_system, fact.event_id)
    if place is None or memory.tail[place].circular == bool(ways):
        return _SILENT
    merge = replace(memory.tail[place], circular=bool(ways))
    return _refold(lead_id, memory, _replaced(memory.tail, place, merge), agreements)


def _without(hashes: bytes, identity: bytes) -> bytes:
    return b"".join(hashes[at : at + 8] for at in range(0, len(hashes), 8) if hashes[at : at + 8] != identity)


def _hashes(hashes: bytes, length: int = 8) -> set[bytes]:
    return {hashes[at : at + length] for at in range(0, len(hashes), length)}


def _name(source_system: str, event_id: str) -> str:
    return f"{len(source_system)}:{source_system}{event_id}"


def _foreign_hash(fact: Fact) -> bytes:
    return event_hash(f"{len(fact.lead_id)}:{fact.lead_id}{fact.source_system}", fact.event_id)


def _way_hash(fact: Fact) -> bytes:
    return event_hash("", "".join(f"{len(lead_id)}:{lead_id}" for lead_id in fact.via))


def _key(fact: Fact) -> Key:
    return fact.key


def _place(memory: Memory, lead_id: str, source_system: str, event_id: str) -> int | None:
    for place, fact in enumerate(memory.tail):
        if fact.event_id == event_id and fact.source_system == source_system and fact.lead_id == lead_id:
            return place
    return None


def _advance(lead_id: str, memory: Memory, received_at: int, clock: int, agreements: Agreements) -> None:
    if received_at > memory.newest_received_at:
        memory.newest_received_at = received_at
        if memory.tail and memory.tail[0].effective_at < received_at - LATENESS:
            _fold_away(lead_id, memory, clock, agreements)


def _admit(memory: Memory, fact: Fact) -> Fact:
    """The fact in the place that it may take."""
    if fact.effective_at >= memory.checkpoint:
        return fact
    # Only a forward that lagged by more than 72 h or an import that broke its own order comes here.
    return replace(fact, effective_at=memory.checkpoint, disputed=True)


def _is_void(memory: Memory, fact: Fact) -> bool:
    """Whether the fact was withdrawn in time. Of several withdrawals the one received first counts."""
    withdrawals = memory.withdrawn.get(_name(fact.source_system, fact.event_id))
    return bool(withdrawals) and fact.effective_at >= withdrawals[0] - LATENESS and fact.kind != "LeadErased"  # type: ignore[index]


def _disputes(fact: Fact, withdrawals: Sequence[int]) -> int:
    """How many withdrawals of the fact are disputed: all, where the first came too late."""
    return len(withdrawals) if withdrawals and fact.effective_at < withdrawals[0] - LATENESS else 0


def _take(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome:
    tail = memory.tail
    if fact.kind == "TouchRecorded" and len(tail) >= MOST_TOUCHES and not fact.via:
        outcome = _take_thinned(lead_id, memory, fact, agreements)
        if outcome is not None:
            return outcome
    if tail and fact.key < tail[-1].key:
        at = bisect_left(tail, fact.key, key=_key)
        return _refold(lead_id, memory, [*tail[:at], fact, *tail[at:]], agreements)
    head = memory.head
    if head is None:
        head = memory.head = memory.base.copied() if memory.base is not None else State()
    tail.append(fact)
    if memory.withdrawn and not fact.via and _is_void(memory, fact):
        return _SILENT
    clocks = dict(head.clocks)
    story = Story()
    head.erased_at = memory.erased_at
    lifecycle.apply(lead_id, head, fact, agreements, story, _ids_before(lead_id, memory, fact))
    return Outcome(*telling.first_told(memory, clocks, story), changed=True)


def _take_thinned(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome | None:
    """Takes a touch where the day may hold too many; None: it does not."""
    tail = list(memory.tail)
    insort(tail, fact, key=_key)
    places = bots.dropped(tail, fact.effective_at // DAY)
    if not places:
        return None
    for place in places:
        item = tail[place]
        memory.dropped += event_hash(item.source_system, item.event_id)
        memory.disputed -= _disputes(item, memory.withdrawn.get(_name(item.source_system, item.event_id), ()))
    quiet = tail[-1] is fact and memory.state.merged_into is None and bots.says_nothing(fact)
    quiet = quiet and all(bots.says_nothing(tail[place]) for place in places)
    kept = [item for place, item in enumerate(tail) if place not in places]
    if quiet and memory.head is not None and memory.head.wake is None:
        memory.tail = kept
        return _SILENT._replace(dropped="bot")
    return _refold(lead_id, memory, kept, agreements)._replace(dropped="bot")


def _again(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome:
    """An event id that was seen before: a copy, or another body under a known id."""
    name = _name(fact.source_system, fact.event_id)
    withdrawal = memory.withdrawals.get(name)
    place = _place(memory, lead_id, fact.source_system, fact.event_id)
    if withdrawal is not None:
        known = withdrawal.fact
    elif place is not None:
        known = memory.tail[place]
    else:
        return _NOTHING._replace(copy=True)
    first, other = (fact, known) if (fact.received_at, fact.body) < (known.received_at, known.body) else (known, fact)
    copy = fact.body == known.body
    refused = (
        "event_id_conflict",
        "another body under an event_id that this lead already has: give each event its own id within source_system",
        other,
    )
    # Of copies the earliest receipt counts, whichever is processed first.
    if first is known:
        outcome = _NOTHING
    elif place is None or fact.kind == "FactWithdrawn":
        outcome = _exchange(lead_id, memory, name, place, fact, agreements)
    elif fact.kind == "LeadErased":
        outcome = _take_erased(lead_id, memory, _admit(memory, fact), agreements, known)
    else:
        admitted = replace(_admit(memory, fact), circular=known.circular)
        withdrawals = memory.withdrawn.get(name, ())
        memory.disputed += _disputes(admitted, withdrawals) - _disputes(known, withdrawals)
        outcome = _refold(lead_id, memory, _replaced(memory.tail, place, admitted), agreements)
    return outcome._replace(copy=True) if copy else outcome._replace(refused=[*outcome.refused, refused])


def _exchange(
    lead_id: str, memory: Memory, name: str, place: int | None, fact: Fact, agreements: Agreements
) -> Outcome:
    """Takes a fact in the stead of the withdrawal known under its id, or a withdrawal in the stead of the fact at `place`."""
    if place is None:
        undone = _reinstate(lead_id, memory, name, agreements)
    else:
        memory.disputed -= _disputes(memory.tail[place], memory.withdrawn.get(name, ()))
        undone = _refold(lead_id, memory, memory.tail[:place] + memory.tail[place + 1 :], agreements)
    taken = _accept(lead_id, memory, fact, agreements)
    return taken._replace(
        transitions=undone.transitions + taken.transitions,
        instances=undone.instances + taken.instances,
        passed_on=undone.passed_on + taken.passed_on,
    )


def _withdraw(lead_id: str, memory: Memory, fact: Fact, agreements: Agreements) -> Outcome:
    source_system = fact.details["withdrawn_source_system"] or fact.source_system
    event_id = fact.details["withdrawn_event_id"]
    name, identity = _name(source_system, event_id), event_hash(source_system, event_id)
    withdrawal = Withdrawal(fact)
    memory.withdrawals[_name(fact.source_system, fact.event_id)] = withdrawal
    if name in memory.withdrawals or holds(memory.dropped, identity):
        return _SILENT
    place = _place(memory, lead_id, source_system, event_id)
    if place is None:
        known = holds(memory.seen, identity) and not holds(memory.refused, identity)
        if known and name not in memory.withdrawn:
            memory.disputed += 1  # folded away: it was effective more than 72 h before
            withdrawal.disputed = True
            return _SILENT._replace(dropped="disputed")
    elif memory.tail[place].kind == "LeadErased":
        return _SILENT
    withdrawal.target = name
    then = sorted([*memory.withdrawn.get(name, ()), fact.received_at])
    return _void(lead_id, memory, name, place, then, agreements)


def _reinstate(lead_id: str, memory: Memory, name: str, agreements: Agreements) -> Outcome:
    """Undoes a withdrawal: another fact under its id was received before it."""
    withdrawal = memory.withdrawals.pop(name)
    memory.disputed -= withdrawal.disputed
    target = withdrawal.target
    if target is None or target not in memory.withdrawn:
        return _SILENT
    then = list(memory.withdrawn[target])
    then.remove(withdrawal.fact.received_at)
    named = (place for place, item in enumerate(memory.tail) if _name(item.source_system, item.event_id) == target)
    place = next((place for place in named if memory.tail[place].lead_id == lead_id), None)
    return _void(lead_id, memory, target, place, then, agreements)


def _void(
    lead_id: str, memory: Memory, name: str, place: int | None, then: list[int], agreements: Agreements
) -> Outcome:
    """Lets the withdrawals of the fact `name` be those received at `then`; `place`: where it stands in the tail."""
    if place is None:
        _keep_withdrawals(memory, name, then)
        return _SILENT
    fact = memory.tail[place]
    disputes = _disputes(fact, then) - _disputes(fact, memory.withdrawn.get(name, ()))
    memory.disputed += disputes
    was_void = _is_void(memory, fact)
    before = _folded(lead_id, memory, agreements)[1]
    _keep_withdrawals(memory, name, then)
    # Only the one that takes the fact back changes the story.
    if _is_void(memory, fact) == was_void:
        return _SILENT._replace(dropped="disputed") if disputes > 0 else _SILENT
    return _retold(lead_id, memory, before, agreements)


def _keep_withdrawals(memory: Memory, name: str, then: list[int]) -> None:
    if then:
        memory.withdrawn[name] = then
    else:
        memory.withdrawn.pop(name, None)


def _replaced(tail: list[Fact], place: int, fact: Fact) -> list[Fact]:
    """`tail` with `fact` in its own place instead of the one at `place`."""
    out = tail[:place] + tail[place + 1 :]
    insort(out, fact, key=_key)
    return out


def _ids_before(lead_id: str, memory: Memory, fact: Fact) -> bytes:
    """8 bytes for each event id that the lead had before `fact` in the order: all of them for a LeadMerged, that of the
    fact alone for one that a merged lead passes on.
    """
    if fact.kind == "LeadMerged":
        ids = _hashes(memory.seen) - _hashes(memory.refused)
        ids -= {event_hash(item.fact.source_system, item.fact.event_id) for item in memory.withdrawals.values()}
        for item in memory.tail:
            if item.lead_id == lead_id:
                identity = event_hash(item.source_system, item.event_id)
                ids.discard(identity) if item.key > fact.key else ids.add(identity)
        return b"".join(sorted(ids))
    if not fact.via:
        return b""
    identity = event_hash(fact.source_system, fact.event_id)
    place = _place(memory, lead_id, fact.source_system, fact.event_id)
    if place is not None:
        return identity if memory.tail[place].key < fact.key else b""
    if not holds(memory.seen, identity) or holds(memory.refused, identity):
        return b""
    if memory.withdrawals and _name(fact.source_system, fact.event_id) in memory.withdrawals:
        return b""
    return identity


def _folded(lead_id: str, memory: Memory, agreements: Agreements) -> tuple[State, Story]:
    """The checkpoint after the tail, and what the tail says."""
    head = memory.base.copied() if memory.base is not None else State()
    head.erased_at = memory.erased_at
    story = Story()
    for fact in memory.tail:
        if memory.withdrawn and not fact.via and _is_void(memory, fact):
            continue
        lifecycle.apply(lead_id, head, fact, agreements, story, _ids_before(lead_id, memory, fact))
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
        if not (memory.withdrawn and not fact.via and _is_void(memory, fact)):
            story = Story()
            lifecycle.apply(lead_id, head, fact, agreements, story, _ids_before(lead_id, memory, fact))
        yield Step(fact, before, head.copied(), story)


def _refold(lead_id: str, memory: Memory, tail: list[Fact], agreements: Agreements) -> Outcome:
    """Puts `tail` in place of the tail."""
    _, before = _folded(lead_id, memory, agreements)
    memory.tail = tail
    return _retold(lead_id, memory, before, agreements)


def _retold(lead_id: str, memory: Memory, before: Story, agreements: Agreements) -> Outcome:
    head, after = _folded(lead_id, memory, agreements)
    memory.head = head if memory.tail else None
    said: Said = telling.retold(memory, before, after)
    return Outcome(*said, changed=True)


def _take_erased(
    lead_id: str, memory: Memory, fact: Fact, agreements: Agreements, known: Fact | None = None
) -> Outcome:
    """Takes a LeadErased, which may come after facts that were received after it: those are refused, too.

    `known`: what it replaces, received later.
    """
    if not memory.erased_at or fact.received_at < memory.erased_at:
        memory.erased_at = fact.received_at
    after = [item for item in memory.tail if item.received_at > memory.erased_at and item is not known]
    late = [item for item in after if item.lead_id == lead_id]
    if not after and known is None:
        return _take(lead_id, memory, fact, agreements)
    memory.refused_erased += len(late)
    memory.refused += b"".join(event_hash(item.source_system, item.event_id) for item in late)
    tail = [item for item in memory.tail if item not in late and item is not known]
    insort(tail, fact, key=_key)
    return _refold(lead_id, memory, tail, agreements)._replace(refused=[(*_ERASED, item) for item in late])


def bury(memory: Memory) -> None:
    """What is left of an erased lead: that it was, counts, and the hashes of its event ids."""
    state = memory.state
    refusals = dict(state.refusals)
    for fact in memory.tail:
        if not fact.via or fact.kind == ABSORBED:
            continue
        if not lifecycle.comes_after_erasure(state, fact):
            memory.foreign += _foreign_hash(fact)
        elif state.merged_key is None or fact.key < state.merged_key:
            # It may still be called back.
            for way in (fact, *_ways(memory, fact)):
                _turn_away(memory, way)
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


def _midnight(at: int) -> int:
    """The start of its UTC day. Days are folded away whole: the bot rule counts by the day."""
    return at - at % DAY


def _fold_away(lead_id: str, memory: Memory, clock: int, agreements: Agreements) -> None:
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
            if not (memory.withdrawn and not fact.via and _is_void(memory, fact)):
                ids = _ids_before(lead_id, memory, fact)
                lifecycle.apply(lead_id, memory.base, fact, agreements, Story(), ids)
    for fact in tail[:final]:
        if fact.via:
            memory.foreign += _foreign_hash(fact)
            _keep_ways(memory, fact, [])
        elif memory.withdrawn and not _is_void(memory, fact):
            name = _name(fact.source_system, fact.event_id)
            if memory.withdrawn.pop(name, None):
                for withdrawal in memory.withdrawals.values():
                    withdrawal.disputed |= withdrawal.target == name
    del tail[:final]
    if memory.announced:
        # An announcement is kept while its clock may still change.
        _, story = _folded(lead_id, memory, agreements)
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


def fire(lead_id: str, memory: Memory, agreements: Agreements, clock: int, grace_ms: int) -> Outcome:
    """The lane clock has reached `clock`: starts the wake clock that has come due, and tells every rung that has."""
    outcome = _NOTHING
    if memory.erased_at and not memory.gone and memory.erased_at <= clock:
        bury(memory)
        return _SILENT
    wake = memory.state.wake
    if wake is not None and wake[0] <= clock:
        outcome = _take(lead_id, memory, tick(wake[0], clock), agreements)
    fired = ladder.fire(memory, agreements, clock, grace_ms)
    return Outcome(outcome.transitions, outcome.instances + fired, outcome.passed_on, outcome.changed or bool(fired))
