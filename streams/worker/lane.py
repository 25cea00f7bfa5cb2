"""One lane: the same partition number of the three input topics, with one state, one deadline heap and one clock.

Takes what was fetched, merges it by arrival, folds it, lets the clock fire what is due, and gives back what has to be
written. Synchronous and free of Kafka clients, Faust and clocks: the engine (or a test) feeds it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from processors.clock import LaneClock
from processors.facts import Fact
from processors.lane import LaneFold, RefusedByFold
from processors.state import FOLD_VERSION, pack_fact, unpack_fact
from processors.telling import PassedOn
from schemas.types import LanePosition
from schemas.wire import Decoder, Encoder, schema_ids
from streams.topics import (
    DEAD_LETTERS,
    FORWARDS,
    INPUTS,
    LANE_KEY,
    READ_BY_LANES,
    SLA_EVENTS,
    STATES,
    TRANSITIONS,
)
from streams.worker.intake import VERSION, Bare, Intake, Record, Refused, is_stray, received_at


class Message(NamedTuple):
    """A record to write: topic without prefix; the partition is the lane's number, or for FORWARDS that of the key."""

    topic: str
    key: bytes | None
    value: bytes | None


class Batch(NamedTuple):
    """All that one transaction holds, in the order it is written."""

    messages: list[Message]
    positions: dict[str, int]
    told_until: int
    """All that was due until then had been told when it was made, UTC milliseconds."""
    whole: bool
    """Whether nothing was due any more."""
    counters: dict[str, int]
    """The fold's, as this batch makes them durable."""


MOST_BYTES: Final = 8 * 1024 * 1024
"""Of the records in a queue, or of the letters in a batch: a storm of large records must not fill memory."""


def _size(record: Record) -> int:
    return len(record.value) if record.value is not None else 0


class Queue:
    """Fetched records of one input partition, with the running maximum of their received_at."""

    __slots__ = ("arrivals", "records", "size", "top", "tops")

    def __init__(self, top: int) -> None:
        self.size = 0
        """Bytes of the records' values."""
        self.records: list[Record] = []
        self.arrivals: list[int] = []
        """received_at of each record."""
        self.tops: list[int] = []
        """Their running maximum at each record."""
        self.top = top

    def add(self, records: Sequence[Record]) -> None:
        top = self.top
        for record in records:
            arrived = received_at(record)
            if arrived > top:
                top = arrived
            self.arrivals.append(arrived)
            self.tops.append(top)
            self.size += _size(record)
        self.records += records
        self.top = top

    def take(self, bound: int | None) -> tuple[list[Record], list[int]]:
        """Removes the records whose running maximum is not after `bound` (None: no bound).

        Returns them and the received_at of each.
        """
        count = len(self.records) if bound is None or self.top <= bound else bisect_right(self.tops, bound)
        taken = self.records[:count], self.arrivals[:count]
        del self.records[:count], self.arrivals[:count], self.tops[:count]
        self.size = self.size - sum(map(_size, taken[0])) if self.records else 0
        return taken

    def full(self, most: int) -> bool:
        """Whether nothing more should be fetched: more than `most` records, or than MOST_BYTES."""
        return len(self.records) > most or self.size > MOST_BYTES

    def has_room(self, most: int) -> bool:
        """Whether it is time to fetch again."""
        return len(self.records) < most // 2 and self.size < MOST_BYTES // 2


class Lane:
    """State of one lane. `positions` and `clock` are where it stands in memory; what is durable lags behind by a batch."""

    MOST_AT_ONCE: Final = 5_000
    """Records folded in one call: bounds how long the event loop is held."""
    MOST_DUE: Final = 1_000
    """Leads whose deadlines are looked at in one call, likewise: after an outage a million may be due at once."""

    def __init__(
        self,
        number: int,
        fold: LaneFold,
        intake: Intake,
        decoder: Decoder,
        encoder: Encoder,
        position: LanePosition | None,
    ) -> None:
        self.number = number
        self.fold = fold
        self._intake = intake
        self._decoder = decoder
        self._encoder = encoder
        self.next: list[int] = [0] * len(READ_BY_LANES)
        """Offset after the last record taken into the queue, by topic: where to fetch on."""
        self.positions: list[int] = [0] * len(READ_BY_LANES)
        """Offset after the last record folded, by topic: what a commit makes durable."""
        self.clock = LaneClock(INPUTS, position["clock"] if position is not None else 0)
        if position is not None:
            for index, topic in enumerate(READ_BY_LANES):
                self.positions[index] = self.next[index] = position["positions"].get(topic, 0)
            for topic in INPUTS:
                self.clock.reached[topic] = position["reached"].get(topic, 0)
            fold.counters.update(position["counters"])
            fold.advance(self.clock.now, 0)  # what is due by then is left to `work`
        self.queues = [Queue(self.clock.reached.get(topic, 0)) for topic in READ_BY_LANES]
        self._schema_ids: set[int] = set()
        """Of the records in the queues."""
        self._letters: list[Refused] = []
        self._letter_bytes = 0
        self._strays: list[Fact] = []
        """Facts of other lanes' leads, to be passed on."""
        self.dirty = position is None
        """Something has to be committed."""

    def add(self, topic: int, records: Sequence[Record]) -> None:
        """Takes what was fetched of READ_BY_LANES[topic], in offset order; what was taken before is passed over."""
        if records and records[0].offset < self.next[topic]:
            records = [record for record in records if record.offset >= self.next[topic]]
        if records:
            self.queues[topic].add(records)
            self._schema_ids |= schema_ids(record.value for record in records)
            self.next[topic] = records[-1].offset + 1

    def queued(self) -> int:
        return sum(len(queue.records) for queue in self.queues)

    def unknown_schemas(self) -> set[int]:
        """Ids to be learnt before `work` can go on."""
        if not self.queued():
            self._schema_ids.clear()
        return {number for number in self._schema_ids if not self._decoder.knows(number)}

    def work(self, ends: Sequence[int | None]) -> int:
        """Folds what may be folded, advances the clock and tells what is due; the number of records folded and leads told of.
        Nothing is folded before everything is told that was due.

        `ends`, by topic of READ_BY_LANES: None where the partition is not read to its end, else the broker's time (UTC
        milliseconds) at which it was: everything received before has been added. In a replay that time is 0: being at the
        end says that nothing needs to be waited for, and nothing about time.
        """
        if self._letter_bytes > MOST_BYTES:
            return 0  # they have to be written first
        if self.fold.is_due:
            return self._tell()
        done = 0
        # A partition that is not at its end may still bring what was received before the others' records.
        inputs = self.queues[: len(INPUTS)]
        bounds = [queue.top for queue, end in zip(inputs, ends, strict=False) if end is None]
        # Nor may one that is cut short fall behind the others: what is folded at once is merged by arrival.
        bounds += [queue.tops[self.MOST_AT_ONCE - 1] for queue in inputs if len(queue.records) > self.MOST_AT_ONCE]
        bound = min(bounds) if bounds else None
        facts = []
        batches = []
        unreadable: list[Refused] = []
        for index, topic in enumerate(INPUTS):
            records, arrivals = self.queues[index].take(bound)
            batches.append(records)
            if not records:
                continue
            taken = self._intake.take(index, records, arrivals, self.clock.now)
            facts += taken.facts
            if taken.strays:
                self._strays += taken.strays
                self.fold.counters[f"mispartitioned.{topic}"] += len(taken.strays)
            unreadable += taken.refused
            for refused in taken.refused:
                self.fold.counters[f"dead_letters.{refused.letter['reason']}"] += 1
            self.positions[index] = records[-1].offset + 1
            self.clock.handed_over(topic, max(arrivals))
            if taken.ended is not None:
                self.clock.ended(topic, taken.ended)
            done += len(records)
        if facts:
            facts.sort(key=lambda fact: fact.received_at)
            for refusal in self.fold.fold(facts):
                self._refuse(refusal, batches)
        for refused in unreadable:
            self._keep(self._without_bytes(refused))
        done += self._take_forwards()
        for index, topic in enumerate(INPUTS):
            end = ends[index]
            if end is not None and not self.queues[index].records:
                self.clock.caught_up(topic, end)
        if done:
            self.dirty = True
        return done + self._tell()

    def _tell(self) -> int:
        looked = self.fold.advance(self.clock.now, self.MOST_DUE)
        if looked:
            self.dirty = True
        return looked

    def _take_forwards(self) -> int:
        """Folds what other lanes passed on. It is no part of the lane's clock: a lane does not wait for another."""
        index = READ_BY_LANES.index(FORWARDS)
        records, _ = self.queues[index].take(None)
        if not records:
            return 0
        passed_on = []
        strays = []
        for record in records:
            if record.value is None:
                continue
            _, forward = self._decoder.decode(record.value)
            fact = unpack_fact(forward["fact"])
            if is_stray(fact, forward["lead_id"]):
                strays.append(fact)
                continue
            announced = {number: (deadline, rung) for number, (deadline, rung) in forward["announced"].items()}
            passed_on.append(PassedOn(forward["lead_id"], fact, forward["recalled"], announced))
        self.fold.fold_foreign(passed_on)
        for refusal in self.fold.fold(strays):
            self._refuse(refusal, ())
        self.positions[index] = records[-1].offset + 1
        return len(records)

    def _refuse(self, refusal: RefusedByFold, batches: Sequence[Sequence[Record]]) -> None:
        """Sets a fact aside that the fold refused; of one folded in an earlier batch only the coordinates are at hand."""
        fact, reason, detail = refusal
        topic, offset = fact.at
        lane = fact.lane if fact.lane >= 0 else None
        here = batches[topic] if batches and lane is None else ()
        place = bisect_left(here, offset, key=lambda record: record.offset)
        record: Record
        if place < len(here) and here[place].offset == offset:
            record = here[place]
        else:
            record = Bare(offset, fact.arrived_at, fact.lead_id.encode())
            detail += "; the bytes stand in the original record"
        if record.value is not None and (reason == "refused_erased" or self.fold.is_erased(fact.lead_id)):
            record = self._intake.without_person(record)
        self._keep(self._intake.dead_letter(topic, record, reason, detail, self.clock.now, lane))
        self.fold.counters[f"dead_letters.{reason}"] += 1

    def _keep(self, refused: Refused) -> None:
        self._letters.append(refused)
        self._letter_bytes += len(refused.letter["value"] or b"")

    def _without_bytes(self, refused: Refused) -> Refused:
        """A letter of an erased lead keeps no bytes: nobody can tell where in them the person stands."""
        letter = refused.letter
        lead_id = letter["lead_id"]
        if lead_id is None or not self.fold.is_erased(lead_id):
            return refused
        detail = f"{letter['detail']}; the bytes are left out: the lead was erased"
        return refused._replace(letter={**letter, "value": None, "headers": [], "detail": detail})

    def batch(self) -> Batch:
        """Everything said and changed since the last batch, encoded, with where the lane then stands."""
        encode = self._encoder.encode
        said = self.fold.drain()
        messages = [
            Message(TRANSITIONS, item["lead_id"].encode(), encode("LeadTransition", item)) for item in said.transitions
        ]
        messages += [
            Message(SLA_EVENTS, item["lead_id"].encode(), encode("SlaEvent", item)) for item in said.sla_events
        ]
        messages += [Message(DEAD_LETTERS, key, encode("DeadLetter", letter)) for key, letter in self._letters]
        strays = [PassedOn(fact.lead_id, fact, recalled=False, announced={}) for fact in self._strays]
        messages += [Message(FORWARDS, item.into.encode(), self._forward(item)) for item in (*said.passed_on, *strays)]
        messages += [
            Message(STATES, lead_id.encode(), None if state is None else encode("LeadState", state))
            for lead_id, state in self.fold.changed()
        ]
        positions = dict(zip(READ_BY_LANES, self.positions, strict=True))
        counters = dict(self.fold.counters)
        position: LanePosition = {
            "lane": self.number,
            "positions": positions,
            "reached": dict(self.clock.reached),
            "clock": self.clock.now,
            "counters": counters,
            "worker_version": VERSION,
        }
        messages.append(Message(STATES, LANE_KEY, encode("LanePosition", position)))
        self._letters = []
        self._letter_bytes = 0
        self._strays = []
        self.dirty = self.fold.is_due
        return Batch(messages, positions, self.fold.told_until, not self.dirty, counters)

    def _forward(self, item: PassedOn) -> bytes:
        return self._encoder.encode(
            "LaneForward",
            {
                "lead_id": item.into,
                "recalled": item.recalled,
                "fold_version": FOLD_VERSION,
                "fact": pack_fact(item.fact),
                "announced": {number: list(told) for number, told in item.announced.items()},
            },
        )
