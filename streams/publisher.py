"""Publishes events: checks them, encodes them in the Confluent wire format, sends them to their lanes.

Idempotent, acks=all, memory bounded by the client's queue; failed deliveries are counted and the first one is raised at
flush, so that nothing is lost silently. Every producer of Baton's topics must use the partitioner `murmur2_random` (the
Java client's default): otherwise a lead's events land on different lanes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import structlog
from confluent_kafka import KafkaError, Message, Producer

from processors.facts import check
from schemas.catalog import CATALOG
from schemas.wire import Encoder
from streams.config import Settings
from streams.errors import BatonError
from streams.registry import Registry
from streams.topic_admin import wait_for_brokers
from streams.topics import CAMPAIGNS, END_OF_INPUT_KEY, INPUTS, RECEIVED_AT_HEADER, Topics

log = structlog.get_logger(__name__)

PARTITIONER: Final = "murmur2_random"


class DeliveryError(BatonError):
    """Events that the brokers did not take."""


class Publisher:
    """A context manager: leaving it flushes. Not thread-safe."""

    def __init__(self, settings: Settings, registry: Registry, *, patience: float = 30.0) -> None:
        """Raises UnavailableError where brokers or registry do not answer within `patience` seconds."""
        self._topics = Topics(settings.topic_prefix)
        self._admin = wait_for_brokers(settings, patience)
        events = [name for name, contract in CATALOG.items() if contract.is_event]
        self._encoder = Encoder(registry.ids(self._topics, events))
        self._producer = Producer(
            {
                "bootstrap.servers": settings.brokers,
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": PARTITIONER,
                "linger.ms": 10,
                "batch.size": 131_072,
                "queue.buffering.max.messages": 50_000,
                "queue.buffering.max.kbytes": 65_536,
                "message.max.bytes": 16 * 1024 * 1024,
                "compression.type": "none",  # aiokafka reads others only with a further library
                "log_level": 0,
            }
        )
        self.sent = 0
        self.delivered = 0
        self.failed = 0
        self._first_failure: str | None = None

    def publish(
        self, name: str, event: Mapping[str, Any], *, received_at: int | None = None, topic: str | None = None
    ) -> None:
        """Sends a complete event of record type `name`.

        `received_at` (UTC milliseconds): the original arrival of what is imported. `topic`, without prefix: for
        records that may stand on several. Raises RefusedFact for an event that means nothing, ValueError for a wrong
        shape; a failed delivery shows at flush.
        """
        contract = CATALOG[name]
        topic = topic or contract.topics[0]
        if topic == CAMPAIGNS:
            key = event["campaign"].encode()
        else:
            check(name, event)
            key = event["lead_id"].encode()
        headers = [] if received_at is None else [(RECEIVED_AT_HEADER, str(received_at).encode())]
        self._produce(self._topics.name(topic), key, self._encoder.encode(name, event), headers)

    def _produce(
        self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]], partition: int = -1
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=headers, on_delivery=self._reported)
                break
            except BufferError:  # the queue is full: wait for room, that is what bounds memory
                self._producer.poll(0.05)
        self.sent += 1
        if self.sent % 1000 == 0:
            self._producer.poll(0)

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivered += 1
            return
        self.failed += 1
        if self._first_failure is None:
            self._first_failure = f"{message.topic()}: {error.str()}"
            log.error("delivery failed", topic=message.topic(), error=error.name())

    def end_of_input(self, at: int) -> None:
        """Marks every partition of the inputs: nothing received before `at` (UTC milliseconds) is still to come."""
        metadata = self._admin.list_topics(timeout=10).topics
        header = [(RECEIVED_AT_HEADER, str(at).encode())]
        for topic in INPUTS:
            name = self._topics.name(topic)
            for partition in metadata[name].partitions:
                self._produce(name, END_OF_INPUT_KEY, None, header, partition)

    def flush(self, timeout: float = 60.0) -> None:
        """Waits until everything sent is delivered. Raises DeliveryError for what was not."""
        left = self._producer.flush(timeout)
        if left or self.failed:
            cause = self._first_failure or f"no answer within {timeout:.0f} s"
            raise DeliveryError(f"{left + self.failed} of {self.sent} events were not delivered: {cause}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
        else:
            self._producer.flush(10)
