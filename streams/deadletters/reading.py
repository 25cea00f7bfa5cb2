"""Reads the topics that dead letters need to their ends of this moment: letters, what was replayed, who was erased."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from processors.erasure import ERASED_PREFIX, Erased
from schemas.types import DeadLetter
from schemas.wire import Decoder, WireError, schema_id
from streams.config import Settings
from streams.errors import UnavailableError
from streams.partitioner import lane_of
from streams.registry import Registry
from streams.topic_admin import topic_ids, wait_for_brokers
from streams.topics import DEAD_LETTERS, LETTER_REPLAYS, STATES, Topics

_PATIENCE: Final = 30.0
_AT_ONCE: Final = 500
"""Records fetched in one call; with fetch.max.bytes it bounds what is in memory."""


class Place(NamedTuple):
    """Of a letter on the topic of dead letters. Written PARTITION/OFFSET."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


class Letter(NamedTuple):
    """A dead letter and where it lies."""

    place: Place
    written_at: int
    """UTC milliseconds, by its Kafka timestamp."""
    record: DeadLetter


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters; what is empty or None chooses nothing out. `topic`: of the originals, without prefix."""

    reasons: frozenset[str] = frozenset()
    topic: str | None = None
    since: int | None = None
    until: int | None = None
    places: frozenset[Place] | None = None

    def takes(self, letter: Letter, topics: Topics) -> bool:
        """`since` included, `until` excluded: UTC milliseconds."""
        return (
            (not self.reasons or letter.record["reason"] in self.reasons)
            and (self.topic is None or topics.bare(letter.record["topic"]) == self.topic)
            and (self.since is None or letter.written_at >= self.since)
            and (self.until is None or letter.written_at < self.until)
            and (self.places is None or letter.place in self.places)
        )


def records(settings: Settings, name: str, partitions: Sequence[int] | None = None) -> Iterator[Any]:
    """Every record of a topic (full name), up to the ends that its partitions have now; committed ones only."""
    consumer = Consumer({
        "bootstrap.servers": settings.brokers, "group.id": "baton-dead-letters",  # needed by the client, never joined
        "enable.auto.commit": False, "isolation.level": "read_committed", "auto.offset.reset": "earliest",
        "enable.partition.eof": True, "fetch.wait.max.ms": 50, "queued.max.messages.kbytes": 32_768, "log_level": 0,
    })  # fmt: skip
    try:
        if partitions is None:
            found = consumer.list_topics(name, timeout=10).topics[name]
            if found.error is not None:
                raise UnavailableError(f"topic {name} on {settings.brokers}: {found.error.str()}; run `baton topics`")
            partitions = sorted(found.partitions)
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)[1] for number in partitions
        }
        left = {number for number, end in ends.items() if end > 0}
        consumer.assign([TopicPartition(name, number, 0) for number in left])
        moved = time.monotonic()
        while left:
            messages = consumer.consume(_AT_ONCE, 0.05)
            if messages:
                moved = time.monotonic()
            elif time.monotonic() - moved > _PATIENCE:
                raise UnavailableError(f"brokers {settings.brokers}: no answer while topic {name} is read")
            for message in messages:
                error = message.error()
                number = message.partition()
                if error is None:
                    if number in left and message.offset() < ends[number]:
                        yield message
                    if message.offset() >= ends[number] - 1:
                        left.discard(number)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(number)
                elif error.fatal():
                    raise UnavailableError(f"brokers {settings.brokers}: {error.str()}")
    except KafkaException as error:
        raise UnavailableError(f"topic {name} on {settings.brokers}: {error.args[0].str()}") from None
    finally:
        consumer.close()


class Letters:
    """The letters of one pipeline. `topic_id`: Kafka's UUID of their topic, "" on the embedded broker, which has none."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        wait_for_brokers(settings, _PATIENCE)
        self._settings = settings
        self._registry = registry
        self._decoder = Decoder()
        self.topics = Topics(settings.topic_prefix)
        name = self.topics.name(DEAD_LETTERS)
        try:
            self.topic_id = topic_ids(settings, [name])[name] if settings.transactions else ""
        except KafkaException as error:
            raise UnavailableError(f"topic {name}: {error.args[0].str()}; run `baton topics`") from None

    def decoded(self, value: bytes | None) -> tuple[str, dict[str, Any]]:
        """(record name, record). Raises WireError."""
        if value is None:
            raise WireError("null_value", "there are no bytes")
        number = schema_id(value)
        if number is not None and not self._decoder.knows(number):
            self._decoder.learn(number, self._registry.text(number))
        return self._decoder.decode(value)

    def read(self, wanted: Wanted) -> Iterator[Letter]:
        """The letters that are there now and wanted, those of one partition in order."""
        for message in records(self._settings, self.topics.name(DEAD_LETTERS)):
            _, record = self.decoded(message.value())
            place = Place(message.partition(), message.offset())
            letter = Letter(place, message.timestamp()[1], record)  # type: ignore[arg-type]
            if wanted.takes(letter, self.topics):
                yield letter

    def replayed(self) -> set[Place]:
        """The letters that were published again."""
        found: set[Place] = set()
        for message in records(self._settings, self.topics.name(LETTER_REPLAYS)):
            _, record = self.decoded(message.value())
            if record["letter_topic_id"] == self.topic_id:
                found.add(Place(record["letter_partition"], record["letter_offset"]))
        return found


class ErasedLeads:
    """Which leads were erased: of each lane its tombstones are read when one of its leads is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._states = Topics(settings.topic_prefix).name(STATES)
        self._erased = Erased(settings.erasure_key.get_secret_value().encode())
        self._read: set[int] = set()
        client = wait_for_brokers(settings, _PATIENCE)
        self._lanes = len(client.list_topics(self._states, timeout=10).topics[self._states].partitions)

    def __contains__(self, lead_id: str) -> bool:
        lane = lane_of(lead_id.encode(), self._lanes)
        if lane not in self._read:
            self._read.add(lane)
            for message in records(self._settings, self._states, [lane]):
                key = message.key()
                if key is not None and key.startswith(ERASED_PREFIX.encode()):
                    self._erased.restore(key.decode())
        return self._erased.name(lead_id) is not None
