"""How far a pipeline has come: what is published and not yet folded, what is written and not yet in the store.

Asked of the brokers and of the processes' /status, so that nothing is complete because somebody said nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.config import Settings
from streams.errors import UnavailableError
from streams.topics import FORWARDS, INPUTS, STORED, Topics

Ends = Mapping[tuple[str, int], int]
"""(topic without prefix, partition) -> offset after the last record that a reader of committed records can see."""


class LogEnds:
    """Reads the ends of the pipeline's topics. A context manager."""

    def __init__(self, settings: Settings) -> None:
        self._brokers = settings.brokers
        self._topics = Topics(settings.topic_prefix)
        self._partitions: dict[str, int] = {}
        self._settings = settings
        self._reader: Consumer | None = None
        """Reads what lanes pass on: in transactions, whose marks at the end of a partition no lane ever sees."""
        self._read_to: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        """Partition of the forwards -> offset it has been read to, marks included; offset after the last record."""
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.brokers,
                "group.id": f"{settings.group}-progress",  # only to be had: it never joins
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )

    def inputs(self) -> Ends:
        return {**self._ends(INPUTS), **self.forwards()}

    def forwards(self) -> Ends:
        ends = self._ends((FORWARDS,))
        return {(topic, number): self._record_before(number, end) for (topic, number), end in ends.items()}

    def _record_before(self, number: int, end: int) -> int:
        """Offset after the last record before `end`: what stands after it are marks of transactions."""
        if not end or not self._settings.transactions:
            return end
        if self._reader is None:
            name = self._topics.name(FORWARDS)
            self._reader = Consumer(
                {
                    "bootstrap.servers": self._brokers,
                    "group.id": f"{self._settings.group}-progress",
                    "enable.auto.commit": False,
                    "isolation.level": "read_committed",
                    "enable.partition.eof": True,
                    "log_level": 0,
                }
            )
            self._reader.assign([TopicPartition(name, partition, 0) for partition in range(self._count(FORWARDS))])
        deadline = time.monotonic() + 10
        while self._read_to.get(number, 0) < end:
            for message in self._reader.consume(1_000, 0.1):
                if message.error() is None:
                    self._seen[message.partition()] = message.offset() + 1
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    self._read_to[message.partition()] = message.offset()
            if time.monotonic() > deadline:
                raise UnavailableError(f"brokers {self._brokers}: topic {FORWARDS} cannot be read to its end")
        return self._seen.get(number, 0)

    def stored(self) -> Ends:
        return self._ends(STORED)

    def _ends(self, topics: Sequence[str]) -> Ends:
        try:
            return {
                (topic, number): self._consumer.get_watermark_offsets(
                    TopicPartition(self._topics.name(topic), number), timeout=10
                )[1]
                for topic in topics
                for number in range(self._count(topic))
            }
        except KafkaException as error:
            raise UnavailableError(f"brokers {self._brokers}: {error.args[0].str()}") from None

    def _count(self, topic: str) -> int:
        if topic not in self._partitions:
            name = self._topics.name(topic)
            self._partitions[topic] = len(self._consumer.list_topics(name, timeout=10).topics[name].partitions)
        return self._partitions[topic]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()
        if self._reader is not None:
            self._reader.close()


def ready_lanes(workers: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Lane -> what its owner's /status says of it, of the lanes that are restored. `workers`: their /status.

    Where two say they own a lane, the later generation's word counts.
    """
    lanes: dict[int, Mapping[str, Any]] = {}
    for status in sorted(workers, key=lambda status: int(status.get("generation", -1))):
        lanes.update({int(key): lane for key, lane in status["lanes"].items() if lane["state"] == "ready"})
    return lanes


def unfolded(ends: Ends, lanes: Mapping[int, Mapping[str, Any]]) -> int:
    """Records of the topics read by lanes that no lane has durably folded."""
    return sum(
        max(0, end - lanes.get(number, {}).get("positions", {}).get(topic, 0)) for (topic, number), end in ends.items()
    )


def unstored(ends: Ends, sink: Mapping[str, Any], topics: Topics) -> int:
    """Records of the topics read by the sink that the store does not hold. `sink`: its /status."""
    partitions = sink["partitions"]
    return sum(
        max(0, end - partitions.get(f"{topics.name(topic)}-{number}", {}).get("position", 0))
        for (topic, number), end in ends.items()
    )
