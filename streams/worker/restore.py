"""Reads a lane's partition of lead-states: the states of its leads and its position, in one read; or whether it was left
alone since.

Values stay as they are; of each only the next deadline is decoded, the first field of LeadState.avsc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from processors.vocabulary import NEVER
from schemas.wire import HEADER, MAGIC, schema_id, schema_ids
from streams.config import Settings
from streams.topics import LANE_KEY, STATES, Topics
from streams.worker.ports import Consumer, Ports, Steps


class Unreadable(NamedTuple):
    """A key's latest record, if it is no state."""

    offset: int
    schema_id: int | None
    detail: str


class Found(NamedTuple):
    """What stands in the partition. `position`: the value of the LanePosition; `schema_ids`: of all states, superseded ones
    too."""

    position: bytes | None
    schema_ids: set[int]
    unreadable: list[Unreadable]


_MAGIC: Final = bytes([MAGIC])
_NEVER: Final = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
"""NEVER as Avro writes it: most leads of a long past wait for nothing."""


def first_long(value: bytes) -> int:
    """The first field of an Avro body behind the 5-byte header, where that field is a long (Avro 1.11, zig-zag).

    Raises ValueError where it is not that.
    """
    if value[:1] != _MAGIC:
        raise ValueError("it has no Confluent header")
    if value.startswith(_NEVER, HEADER.size):
        return NEVER
    number = shift = 0
    for byte in value[HEADER.size : HEADER.size + len(_NEVER)]:
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1)
        shift += 7
    raise ValueError("the value ends within its first field")


_CONFIG: Final[dict[str, Any]] = {
    "group.id": "baton-restore",  # needed by the client, never joined
    "enable.auto.commit": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 50,
    "queued.min.messages": 200_000,
    "queued.max.messages.kbytes": 16_384,
    "fetch.queue.backoff.ms": 5,  # the default is a second for each time that the queue was full
    "max.partition.fetch.bytes": 8 * 1024 * 1024,
    "log_level": 0,
}
_SECONDS: Final = 10.0


def read(
    number: int,
    settings: Settings,
    ports: Ports,
    keep: Callable[[str, bytes | None, int], None],
    progress: Callable[[float], None],
    abandoned: Callable[[], bool],
) -> Steps[Found]:
    """Hands each lead's values, the latest last, to `keep(lead_id, value, next_deadline)`; None where the key was given up.
    Every step may raise KafkaException.

    `progress` is told the share that is read, 0 to 1. `abandoned` is asked now and then; True ends the read early.
    """
    position: bytes | None = None
    headers: set[bytes] = set()
    unreadable: dict[bytes, Unreadable] = {}
    with _reader(settings, ports) as consumer:
        place = _place(number, settings, OFFSET_BEGINNING)
        _, end = consumer.get_watermark_offsets(place, _SECONDS)
        for messages in _batches(consumer, place):
            if abandoned():
                break
            for message in messages:
                key, value = message.key(), message.value()
                if unreadable:
                    unreadable.pop(key, None)
                try:
                    if value is None:
                        keep(key.decode(errors="replace"), None, NEVER)
                    elif key == LANE_KEY:
                        position = value
                    else:
                        keep(key.decode(), value, first_long(value))
                        headers.add(value[: HEADER.size])
                except ValueError as error:
                    shown = "its key is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
                    unreadable[key] = Unreadable(message.offset(), schema_id(value), shown)
            if messages:
                progress(min(1.0, (messages[-1].offset() + 1) / max(1, end)))
            yield "restore"
    return Found(position, schema_ids(headers), list(unreadable.values()))


def untouched(number: int, offset: int, settings: Settings, ports: Ports) -> Steps[bool]:
    """Whether nothing was committed after the record at `offset`, which stands. Every step may raise KafkaException."""
    with _reader(settings, ports) as consumer:
        place = _place(number, settings, offset + 1)
        low, _ = consumer.get_watermark_offsets(place, _SECONDS)
        yield "look"
        if low > offset:
            return False
        for messages in _batches(consumer, place):
            if messages:
                return False
            yield "look"
    return True


def where(number: int, key: bytes, settings: Settings, ports: Ports) -> Steps[Unreadable]:
    """The key's latest record. Every step may raise KafkaException."""
    found = Unreadable(-1, None, "")
    with _reader(settings, ports) as consumer:
        for messages in _batches(consumer, _place(number, settings, OFFSET_BEGINNING)):
            for message in messages:
                if message.key() == key:
                    found = Unreadable(message.offset(), schema_id(message.value()), "")
            yield "where"
    return found


def _place(number: int, settings: Settings, offset: int) -> TopicPartition:
    return TopicPartition(Topics(settings.topic_prefix).name(STATES), number, offset)


@contextmanager
def _reader(settings: Settings, ports: Ports) -> Iterator[Consumer]:
    """A consumer that is closed by the thread that uses it."""
    consumer = ports.consumer({"bootstrap.servers": settings.brokers, **_CONFIG})
    try:
        yield consumer
    finally:
        consumer.close()


def _batches(consumer: Consumer, place: TopicPartition) -> Iterator[list[Any]]:
    """Committed records from `place` to the end, in batches, any of which may be empty."""
    consumer.assign([place])
    while True:
        records = []
        for message in consumer.consume(10_000, 0.1):
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                yield records
                return
            else:
                raise KafkaException(error)
        yield records
