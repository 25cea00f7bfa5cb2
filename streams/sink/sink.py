"""The sink's loop: consume, turn into rows, insert, go on. Why it is exactly once: see the package's docstring.

Steps of one round:
1. newly assigned partitions: the topics' ids, then from the store where each table stands; read from there;
2. consume until the batch is full or old enough; markers of the log's end are noted;
3. the batch takes off (flight.py): one insert a table, tried until the store takes it. Meanwhile the next is consumed and,
   once it is full, made ready to follow at once; then nothing more is fetched (memory stays bounded: two batches);
4. landed: positions move on; the consumer group's offsets are committed for lag tools alone.
A partition that is taken away in between is dropped with what was read of it: its next owner asks the store. The same where
a topic or a table turns out to have been made anew.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.config import Settings
from streams.errors import BatonError, UnavailableError
from streams.metrics import SINK_LAG, SINK_LOST
from streams.sink.batch import TABLES, Partition, Reader, Schemas
from streams.sink.direct import Direct
from streams.sink.flight import Abandoned, Flight, Patience, Place, Remade
from streams.sink.origins import identities
from streams.sink.roller import Roller
from streams.sink.writer import MOST_ROWS, Writer
from streams.topics import STORED, Topics

log = structlog.get_logger(__name__)

T = TypeVar("T")

_MOST_BYTES: Final = 32 * 1024 * 1024
"""Values of a batch: dead letters carry whole records of up to 10 MB and more."""
_CONSUME: Final = 10_000
_IDENTITY_CHECK_SECONDS: Final = 10.0
_POLL: Final = 0.02
"""Seconds between looks at a batch under way."""
_PAUSE_AFTER: Final = 2.0
"""Seconds of a batch under way for which the next, full, just waits: a client throws away what it has fetched of partitions
that are paused, and fetches it again."""
_LANDING: Final = 3.0
"""Seconds that a partition's next owner is kept waiting for an insert under way, so that it need not come twice."""


class LostError(BatonError):
    """Records that the log no longer has were never read."""


def _hole(place: Place, first: int, after: int) -> LostError:
    return LostError(
        f"topic {place[0]}, partition {place[1]}: offsets {first} to {after - 1} are gone, and the store lacks them: the "
        "embedded broker keeps 5 MB a partition, and the sink was too slow. Run it again on a machine with less to do, a "
        "smaller file, or with a real Kafka (--brokers)"
    )


class Sink:
    """`run` in one thread; `status` and `stop` from any."""

    def __init__(self, settings: Settings, schemas: Schemas, roller: Roller | None = None) -> None:
        """`roller`: is told what has landed, and is waited for before all counts as caught up."""
        self._settings = settings
        self._roller = roller
        self._topics = Topics(settings.topic_prefix)
        self._reader = Reader(schemas)
        self._direct = Direct(schemas, MOST_ROWS)
        self._writer = Writer(settings)
        self._patience = Patience()
        self._consumer: Any = None
        self._stopping = threading.Event()
        self._wanted: list[Place] | None = None
        """Assigned and not yet positioned."""
        self._partitions: dict[Place, Partition] = {}
        self._positions: dict[Place, int] = {}
        """Next offset that is not yet in the store."""
        self._read: dict[Place, int] = {}
        """Highest offset read."""
        self._ends: dict[Place, int] = {}
        """The log's end, where the consumer stands at it."""
        self._pending: dict[Place, list[Any]] = {}
        """Read, and next to be written."""
        self._pending_since = 0.0
        self._pending_bytes = 0
        self._pending_records = 0
        self._assignment = 0
        self._flights: deque[Flight] = deque()
        """Being written, and what follows it."""
        self._first_since = 0.0
        """When the one being written came first."""
        self._tables: dict[str, str] = {}
        """Identities of the tables whose positions were asked."""
        self._doubtful: frozenset[str] = frozenset()
        """Tables made anew under rows on their way: what they hold begins nobody knows where, so all is read again."""
        self._paused = False
        self._checked_at = 0.0
        self._refused = 0

    # --- what others see ---------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        assignment = self._assignment
        positions, ends, pending = dict(self._positions), dict(self._ends), {*self._pending}
        for flight in list(self._flights):
            pending |= flight.ends.keys()
        partitions = {}
        for place in positions:
            at_end = place in ends and place not in pending
            topic, number = place
            partitions[f"{topic}-{number}"] = {
                "position": ends[place] if at_end else positions[place],
                "at_end": at_end,
            }
        rolled = self._roller is None or self._roller.current
        same = assignment == self._assignment  # else what was looked at first is not what was looked at last
        return {
            "role": "sink",
            "pid": os.getpid(),
            "ready": bool(positions),
            "partitions": partitions,
            "caught_up": bool(partitions) and all(place["at_end"] for place in partitions.values()) and rolled and same,
            "rolled": rolled,
            "rows": dict(self._writer.inserted),
            "refused": self._refused,
            "waits_for": self._patience.cause,
        }

    def stop(self) -> None:
        self._stopping.set()

    # --- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until `stop`. Raises KafkaException where the client gives up for good."""
        config = {
            "bootstrap.servers": self._settings.brokers,
            "group.id": self._settings.sink_group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",  # what the log no longer has must not be passed over in silence
            "enable.partition.eof": True,
            "partition.assignment.strategy": "range",
            "session.timeout.ms": int(self._settings.session_timeout * 1000),
            "heartbeat.interval.ms": 1000,
            "topic.metadata.refresh.interval.ms": 10_000,
            "fetch.wait.max.ms": 100,
            "queued.min.messages": 50_000,
            "queued.max.messages.kbytes": 65_536,
            "fetch.queue.backoff.ms": 10,  # by default a full queue is looked at again after a whole second
            "fetch.message.max.bytes": 16 * 1024 * 1024,
            "log_level": 0,
        }
        if self._settings.group_instance_id is not None:
            config["group.instance.id"] = self._settings.group_instance_id
        self._consumer = Consumer(config)
        try:
            if self._settings.transactions:
                self._consumer.subscribe(
                    [self._topics.name(topic) for topic in STORED],
                    on_assign=self._assigned,
                    on_revoke=self._revoked,
                    on_lost=self._revoked,
                )
            else:
                # The embedded broker has one sink: all is its own, without the wait for a group.
                self._wanted = self._until_done("the brokers", self._everything)
            while not self._stopping.is_set():
                try:
                    self._round()
                except Abandoned:
                    continue
        finally:
            self._abandon_flights()
            self._consumer.close()
            self._writer.close()

    def _round(self) -> None:
        while self._flights and self._flights[0].done:
            try:
                self._land(self._flights[0])
            finally:
                self._flights.popleft()  # not before: what it carried must not look as if nobody had it
            self._first_since = time.monotonic()
        if self._wanted is not None and not self._flights:
            self._position(self._wanted)
        full = self._pending_records >= self._settings.sink_batch_rows or self._pending_bytes >= _MOST_BYTES
        if full and len(self._flights) == 1 and self._flights[0].is_ready:
            self._take_off(before=self._flights[0])
        if self._flights and (full or len(self._flights) > 1) and not self._paused:  # enough in memory
            if time.monotonic() - self._first_since < _PAUSE_AFTER:
                self._flights[0].join(_POLL)
                return
            self._consumer.pause([TopicPartition(*place) for place in self._partitions])
            self._paused = True
        due = 0.1
        if self._pending:
            due = 0.0 if full else max(0.0, self._pending_since + self._settings.sink_interval - time.monotonic())
        if self._pending and not due and not self._flights:
            self._first_since = time.monotonic()
            self._take_off()
            due = 0.1
        wait = _POLL if self._flights else min(due, 0.1)
        self._take(self._consumer.consume(min(_CONSUME, self._settings.sink_batch_rows), wait))

    def _assigned(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        # Nothing is fetched until the store has said from where: the empty assignment keeps the client from starting.
        consumer.assign([])
        self._drop()
        self._wanted = [(partition.topic, partition.partition) for partition in partitions]

    def _revoked(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._drop()
        self._wanted = None

    def _drop(self) -> None:
        self._assignment += 1
        self._paused = False
        self._abandon_flights()
        self._partitions.clear()
        self._positions.clear()
        self._read.clear()
        self._ends.clear()
        self._clear_pending()

    def _abandon_flights(self) -> None:
        """They stay where they are until they have ended: nobody asks the store where it stands while it is being filled."""
        for flight in self._flights:
            flight.abandon()
        for flight in self._flights:
            flight.join(_LANDING)

    def _clear_pending(self) -> None:
        self._pending = {}
        self._pending_bytes = self._pending_records = 0

    # --- step 1 ------------------------------------------------------------------------------------------------------

    def _position(self, wanted: list[Place]) -> None:
        names = {topic for topic, _ in wanted}
        ids = self._until_done("topic ids", lambda: self._identities(names))
        origins = self._until_done("topics in the store", lambda: self._writer.origins(ids))
        self._tables = self._until_done("tables", self._writer.tables)
        held: dict[str, dict[str, dict[int, int]]] = {}
        for name in names:
            for table in TABLES[self._topics.bare(name)]:
                asked = table.name not in self._doubtful
                held.setdefault(name, {})[table.name] = (
                    self._until_done("positions in the store", partial(self._writer.held, table, origins[name]))
                    if asked
                    else {}
                )
        self._doubtful = frozenset()
        self._checked_at = time.monotonic()
        for name, number in wanted:
            by_table = {table: offsets.get(number, -1) for table, offsets in held[name].items()}
            partition = Partition(self._topics.bare(name), number, origins[name], by_table)
            self._partitions[name, number] = partition
            self._positions[name, number] = partition.start
            self._read[name, number] = partition.start - 1
        places = [TopicPartition(name, number, self._positions[name, number]) for name, number in wanted]
        self._consumer.assign(places)
        self._consumer.resume(places)  # a partition stays paused when it is assigned anew
        self._paused = False
        self._wanted = None
        # Before anything is inserted: what is marked then would hide what is not.
        self._until_done("marks", self._writer.mark_missed)
        self._until_done("erasures", self._writer.forget_missed)
        log.info("sink positioned", partitions=len(wanted))

    def _everything(self) -> list[Place]:
        try:
            names = [self._topics.name(topic) for topic in STORED]
            found = {name: self._consumer.list_topics(name, timeout=10).topics[name] for name in names}
        except KafkaException as error:
            raise UnavailableError(f"brokers {self._settings.brokers}: {error.args[0].str()}") from None
        return [(name, number) for name in names for number in found[name].partitions]

    def _identities(self, names: set[str]) -> dict[str, str]:
        try:
            return identities(self._settings, names)
        except KafkaException as error:
            raise UnavailableError(f"brokers {self._settings.brokers}: {error.args[0].str()}") from None

    # --- step 2 ------------------------------------------------------------------------------------------------------

    def _take(self, messages: Sequence[Any]) -> None:
        out_of_range: set[Place] = set()
        place: Place | None = None
        known: list[Any] | None = None
        # What is looked up once for many records of a partition: this loop sees every one that the sink reads.
        for message in messages:
            error = message.error()
            if error is not None:
                place = None
                self._told(message, error, out_of_range)
                continue
            here = (message.topic(), message.partition())
            if here != place:
                place = here
                known = self._pending_of(place)
            if known is None:
                continue
            offset = message.offset()
            if offset <= self._read[place]:
                log.warning("offsets began anew: was the topic re-created?", topic=place[0], partition=place[1])
                self._begin_anew()
                raise Abandoned
            if not self._settings.transactions and offset != self._read[place] + 1:
                raise _hole(place, self._read[place] + 1, offset)
            self._read[place] = offset
            known.append(message)
            self._pending_records += 1
            self._pending_bytes += len(message)
        if out_of_range := out_of_range & self._partitions.keys():
            for place in out_of_range:
                self._out_of_range(place)
            # A partition that has stopped so cannot be sought.
            self._consumer.assign([TopicPartition(*place, offset + 1) for place, offset in self._read.items()])

    def _told(self, message: Any, error: Any, out_of_range: set[Place]) -> None:
        """What is no record."""
        place = (message.topic(), message.partition())
        if error.code() == KafkaError._PARTITION_EOF:
            if place in self._partitions:
                self._ends[place] = message.offset()
        elif error.fatal():
            raise KafkaException(error)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            out_of_range.add(place)
        else:
            log.warning("broker", error=error.str(), topic=message.topic())

    def _pending_of(self, place: Place) -> list[Any] | None:
        """Where records of the partition are gathered, of which there are some; None: it is not ours."""
        if place not in self._partitions:
            return None
        self._ends.pop(place, None)
        if not self._pending:
            self._pending_since = time.monotonic()
        return self._pending.setdefault(place, [])

    def _out_of_range(self, place: Place) -> None:
        """The log no longer has, or not yet, what is to be read next. What retention took is told, and what is left is read:
        to wait would lose more of it."""
        wanted = self._read[place] + 1
        first, end = self._until_done("the log's ends", partial(self._watermarks, place))
        if first <= wanted:
            self._check_identities()
            raise LostError(
                f"topic {place[0]}, partition {place[1]}: the log ends at offset {end}, and the store has read up to {wanted}: "
                "the brokers have lost what they had acknowledged (unclean leader election, restored disk?). Take a "
                "backup of the store from before, or a new database (BATON_STORE_DATABASE)"
            )
        if not self._settings.transactions:
            raise _hole(place, wanted, first)
        if wanted:
            SINK_LOST.labels(self._topics.bare(place[0])).inc(first - wanted)
            log.error("records are gone", topic=place[0], partition=place[1], first=wanted, last=first - 1)
        else:
            log.warning("the log begins late", topic=place[0], partition=place[1], first=first)
        self._read[place] = first - 1

    def _watermarks(self, place: Place) -> tuple[int, int]:
        try:
            first, end = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=10)
        except KafkaException as error:
            raise UnavailableError(f"brokers {self._settings.brokers}: {error.args[0].str()}") from None
        return first, end

    def _begin_anew(self) -> None:
        """As if all partitions had just been assigned."""
        places = list(self._partitions)
        self._consumer.assign([])
        self._drop()
        self._wanted = places

    # --- steps 3 and 4 -----------------------------------------------------------------------------------------------

    def _take_off(self, before: Flight | None = None) -> None:
        if self._settings.transactions and time.monotonic() - self._checked_at > _IDENTITY_CHECK_SECONDS:
            self._check_identities()
        flight = Flight(
            [(self._partitions[place], messages) for place, messages in self._pending.items()],
            {place: messages[-1].offset() for place, messages in self._pending.items()},
            self._reader, self._direct, self._writer, self._tables, self._patience, before,
        )  # fmt: skip
        self._flights.append(flight)
        self._clear_pending()
        flight.start()

    def _land(self, flight: Flight) -> None:
        if isinstance(flight.error, Remade):
            log.warning("the store's tables were made anew", tables=str(flight.error))
        elif flight.error is not None and not isinstance(flight.error, Abandoned):
            raise flight.error
        if flight.doubtful:
            log.warning("the store's tables were made anew under way", tables=sorted(flight.doubtful))
            self._doubtful |= flight.doubtful
        if flight.abandoned:
            return
        self._refused += flight.refused
        if flight.error is not None or flight.doubtful:
            self._begin_anew()
            return
        offsets = []
        for place, last in flight.ends.items():
            self._positions[place] = last + 1
            offsets.append(TopicPartition(*place, self._positions[place]))
        if self._paused:
            self._consumer.resume([TopicPartition(*place) for place in self._partitions])
            self._paused = False
        if self._roller is not None:
            self._roller.landed()
        self._tell_lag()
        self._consumer.commit(offsets=offsets, asynchronous=True)

    def _check_identities(self) -> None:
        """A topic that was re-created in mid-flight: what was read of it carries the wrong identity."""
        names = {topic for topic, _ in self._partitions}
        ids = self._until_done("topic ids", lambda: self._identities(names))
        self._checked_at = time.monotonic()
        if any(ids[name] != partition.origin.topic_id for (name, _), partition in self._partitions.items()):
            log.warning("a topic was re-created")
            self._begin_anew()
            raise Abandoned

    def _tell_lag(self) -> None:
        lags: dict[str, int] = {}
        for (name, number), position in self._positions.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(name, number), cached=True)
            bare = self._topics.bare(name)
            lags[bare] = lags.get(bare, 0) + max(high - position, 0)
        for topic, lag in lags.items():
            SINK_LAG.labels(topic).set(lag)

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _until_done(self, what: str, call: Callable[[], T]) -> T:
        """`call` until it succeeds. An outage is never poison: nothing is skipped, nothing more is read meanwhile.

        Raises Abandoned where the assignment changed or the process is to stop.
        """
        assignment = self._assignment
        paused = False

        def wait(seconds: float) -> None:
            nonlocal paused
            if not paused:
                self._consumer.pause([TopicPartition(*place) for place in self._partitions])
                paused = True
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                # Keeps the membership alive; what had been fetched before the pause waits for the next batch.
                self._take(self._consumer.consume(_CONSUME, min(left, 0.2)))
                if self._stopping.is_set() or self._assignment != assignment:
                    raise Abandoned

        answer = self._patience.until_done(what, call, wait)
        if paused and not self._paused:
            self._consumer.resume([TopicPartition(*place) for place in self._partitions])
        return answer
