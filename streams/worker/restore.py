"""Reads a lane's partition of lead-states: the states of its leads and its position, in one read; or whether it was left
alone since.

Values stay as they are; of each only the next deadline is decoded, the first field of LeadState.avsc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from schemas.wire import HEADER, schema_ids
from streams.config import Settings
from streams.topics import LANE_KEY, STATES, Topics
from streams.worker.ports import Ports, Steps


class Found(NamedTuple):
    """What stands in the partition. `position`: the value of the LanePosition; `schema_ids`: of all values."""

    position: bytes | None
    schema_ids: set[int]


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
_SECONDS: Final = 10.0


class States:
    """One lane's partition of lead-states. Every step may raise KafkaException; close it at the end."""

    def __init__(self, number: int, settings: Settings, ports: Ports) -> None:
        self._topic, self._number = Topics(settings.topic_prefix).name(STATES), number
        self._consumer = ports.consumer({"bootstrap.servers": settings.brokers, **_CONFIG})

    def close(self) -> None:
        self._consumer.close()

    def read(
        self,
        keep: Callable[[str, bytes, int], None],
        progress: Callable[[float], None],
        abandoned: Callable[[], bool],
    ) -> Steps[Found]:
        """Hands each lead's latest value to `keep(lead_id, value, next_deadline)`.

        `progress` is told the share that is read, 0 to 1. `abandoned` is asked now and then; True ends the read early.
        """
        latest: dict[bytes, bytes] = {}
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, self._number), _SECONDS)
        for messages in self._from(OFFSET_BEGINNING):
            if abandoned():
                break
            for message in messages:
                key, value = message.key(), message.value()
                if value is None:
                    latest.pop(key, None)
                else:
                    latest[key] = value
            if messages:
                progress(min(1.0, (messages[-1].offset() + 1) / max(1, end)))
            yield "restore"
        position = latest.pop(LANE_KEY, None)
        for key, value in latest.items():
            keep(key.decode(), value, first_long(value))
        ids = schema_ids(latest.values())
        return Found(position, ids if position is None else ids | schema_ids([position]))

    def untouched(self, offset: int) -> Steps[bool]:
        """Whether nothing was committed after the record at `offset`, which stands."""
        low, _ = self._consumer.get_watermark_offsets(TopicPartition(self._topic, self._number), _SECONDS)
        alone = low <= offset
        for messages in self._from(offset + 1):
            alone = alone and not messages
            yield "look"
            if not alone:
                break
        return alone

    def _from(self, offset: int) -> Iterator[list[Any]]:
        """Committed records from `offset` to the end, in batches, the last of which may be empty."""
        self._consumer.assign([TopicPartition(self._topic, self._number, offset)])
        while True:
            messages = self._consumer.consume(10_000, 0.1)
            records = []
            for message in messages:
                error = message.error()
                if error is None:
                    records.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    yield records
                    return
                else:
                    raise KafkaException(error)
            yield records
