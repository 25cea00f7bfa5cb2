"""Reads a lane's partition of lead-states to its end: the states of its leads and its position, in one read.

Values stay as they are; of each only the next deadline is decoded, the first field of LeadState.avsc.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.wire import HEADER, schema_ids
from streams.config import Settings
from streams.topics import LANE_KEY, STATES, Topics


def first_long(value: bytes) -> int:
    """The first field of an Avro body behind the 5-byte header, where that field is a long (Avro 1.11, zig-zag)."""
    number = shift = 0
    for byte in value[HEADER.size :]:
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
    "max.partition.fetch.bytes": 8 * 1024 * 1024,
    "log_level": 0,
}


class Restored(NamedTuple):
    """What stands in the partition beside the states. `schema_ids`: of all its values, states included."""

    position: bytes | None
    """Value of the LanePosition; None: the lane never was committed."""
    schema_ids: set[int]


def read(
    number: int, settings: Settings, keep: Callable[[str, bytes, int], None], abandoned: Callable[[], bool]
) -> Restored:
    """Hands each lead's latest value to `keep(lead_id, value, next_deadline)`.

    Blocking. `abandoned`: asked now and then; True ends the read early. Raises KafkaException.
    """
    consumer = Consumer({"bootstrap.servers": settings.brokers, **_CONFIG})
    latest: dict[bytes, bytes] = {}
    try:
        consumer.assign([TopicPartition(Topics(settings.topic_prefix).name(STATES), number, OFFSET_BEGINNING)])
        at_end = False
        while not at_end and not abandoned():
            for message in consumer.consume(10_000, 0.1):
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        at_end = True
                        break
                    raise KafkaException(error)
                key, value = message.key(), message.value()
                if value is None:
                    latest.pop(key, None)
                else:
                    latest[key] = value
    finally:
        consumer.close()
    ids = schema_ids(latest.values())
    position = latest.pop(LANE_KEY, None)
    for key, value in latest.items():
        keep(key.decode(), value, first_long(value))
    return Restored(position, ids)
