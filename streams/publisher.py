"""Publishes events: checks them, encodes them in the Confluent wire format, sends them to their lanes.

Idempotent, acks=all, memory bounded by the client's queue. Failed deliveries are counted and the first is raised, at the
next call or at flush: nothing is lost silently. Every producer of Baton's topics must use the partitioner
`murmur2_random`, the Java client's default: otherwise a lead's events land on different lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from processors.facts import RefusedFact, check
from schemas.wire import RESERVED, Encoder
from streams.config import Settings
from streams.errors import BatonError, UnavailableError
from streams.importers.shape import EVENTS, RefusedEvent, complete, contract_of, meaningful
from streams.registry import Registry
from streams.topic_admin import wait_for_brokers
from streams.topics import CAMPAIGNS, END_OF_INPUT_KEY, INPUTS, RECEIVED_AT_HEADER, Topics

log = structlog.get_logger(__name__)

PARTITIONER: Final = "murmur2_random"
LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a record that the input topics take."""

_FIELDS: Final = {name: frozenset(contract.field_names) for name, contract in EVENTS.items()}
_ENUMS: Final = {
    name: tuple(
        field["name"]
        for field in contract.schema["fields"]
        if isinstance(field["type"], dict) and field["type"]["type"] == "enum"
    )
    for name, contract in EVENTS.items()
}


@contextmanager
def client_errors() -> Iterator[None]:
    """Around flush() and poll() of a transactional producer: what they raise is a KafkaException.

    The client raises a fatal error (fencing is one) from within these calls, whatever `error_cb` says; where delivery
    call-backs are still to be made, the next of them turns it into a SystemError that names no cause.
    """
    try:
        yield
    except SystemError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, KafkaException):
            cause = cause.__cause__ or cause.__context__
        raise cause or error from None


class DeliveryError(BatonError):
    """Events that the brokers did not take."""


class Publisher:
    """A context manager: leaving it flushes. Not thread-safe.

    `sent`, `delivered`, `failed`: records handed over, taken by the brokers, refused by them or timed out.
    """

    def __init__(self, settings: Settings, registry: Registry, *, patience: float = 30.0) -> None:
        """Raises UnavailableError where the brokers do not answer within `patience` seconds, or the registry in its own."""
        self._brokers = settings.brokers
        self._topics = Topics(settings.topic_prefix)
        self._partitions: dict[str, int] = {}
        self._admin = wait_for_brokers(settings, patience)
        self._encoder = Encoder(registry.ids(self._topics, EVENTS))
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
                "message.max.bytes": LARGEST,
                "message.timeout.ms": 120_000,
                "compression.type": "none",  # events are small and batches short-lived
                "error_cb": self._troubled,
                "log_level": 0,
            }
        )
        self.sent = 0
        self.delivered = 0
        self.failed = 0
        self._first_failure: str | None = None
        self._trouble: str | None = None

    def publish(
        self, name: str, event: Mapping[str, Any], *, received_at: int | None = None, topic: str | None = None
    ) -> None:
        """Sends one event of record type `name`; fields that have a default may be left out.

        `received_at` (UTC milliseconds): the original arrival of what is imported. `topic`, without prefix: for
        FactWithdrawn, which stands where the withdrawn event does; default leads.

        Raises RefusedFact for an event that cannot mean anything, RefusedEvent for one of another shape (both are
        ValueErrors; nothing was sent), UnavailableError where the topic is missing, DeliveryError where an earlier
        event was not delivered.
        """
        contract = contract_of(name)
        place = topic or contract.topics[0]
        if place not in contract.topics:
            raise RefusedEvent(f"topic: {name} belongs on {' or '.join(contract.topics)}")
        try:
            if event.keys() != _FIELDS[name] or any(event[field] == RESERVED for field in _ENUMS[name]):
                key, value = self._packed(name, complete(name, event))
            else:
                key, value = self._packed(name, event)
        except (RefusedFact, RefusedEvent):
            raise
        except (ValueError, TypeError, AttributeError, OverflowError):
            # Of another shape: the slow way mends it, or tells what is wrong.
            key, value = self._packed(name, complete(name, event))
        if len(value) + len(key) + 1024 > LARGEST:
            raise RefusedEvent(f"{name} takes {len(value):,} bytes: the topics take records below {LARGEST:,}")
        headers = [] if received_at is None else [(RECEIVED_AT_HEADER, str(received_at).encode())]
        full = self._topics.name(place)
        self._partitions_of(full)
        self._produce(full, key, value, headers)

    def _packed(self, name: str, event: Mapping[str, Any]) -> tuple[bytes, bytes]:
        if CAMPAIGNS in EVENTS[name].topics:
            meaningful(name, event)
            key = event["campaign"]
        else:
            check(name, event)
            key = event["lead_id"]
        return key.encode(), self._encoder.encode(name, event)

    def _partitions_of(self, topic: str) -> int:
        """Partitions of a topic, asked for once. A topic that is missing would fail its events only after minutes."""
        known = self._partitions.get(topic)
        if known is not None:
            return known
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(KafkaException),
                stop=stop_after_delay(5),
                wait=wait_exponential_jitter(multiplier=0.1, max=1),
                reraise=True,
            ):
                with attempt:
                    found = self._admin.list_topics(topic, timeout=10).topics[topic]
                    if found.error is not None:
                        raise KafkaException(found.error)
        except KafkaException as error:
            cause = error.args[0]
            mend = ""
            if cause.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
                mend = "; create the topics with `baton topics`"
            raise UnavailableError(f"topic {topic} on {self._brokers}: {cause.str()}{mend}") from None
        self._partitions[topic] = len(found.partitions)
        return self._partitions[topic]

    def _produce(
        self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]], partition: int = -1
    ) -> None:
        while True:
            if self.failed:
                raise self._undelivered(0)
            try:
                self._producer.produce(topic, value, key, partition, headers=headers, on_delivery=self._reported)
                break
            except BufferError:  # the queue is full: wait for room, that is what bounds memory
                self._producer.poll(0.05)
            except KafkaException as error:  # the client has given up: nothing more can be sent
                self._note(topic, error.args[0])
                raise self._undelivered(0) from None
        self.sent += 1
        if self.sent % 1000 == 0:
            self._producer.poll(0)

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivered += 1
            self._trouble = None
        else:
            self.failed += 1
            self._note(message.topic(), error)

    def _note(self, topic: str, error: KafkaError) -> None:
        if self._first_failure is None:
            self._first_failure = f"{topic}: {error.str()}"
            log.error("delivery failed", topic=topic, error=error.name())

    def _troubled(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._trouble is None:
            self._trouble = error.str()
            log.warning("brokers unreachable, retrying", brokers=self._brokers)

    def _undelivered(self, left: int) -> DeliveryError:
        cause = self._first_failure or f"no answer from {self._brokers}"
        if self._trouble is not None:
            cause += f" ({self._trouble})"
        return DeliveryError(f"{left + self.failed} of {self.sent} events were not delivered: {cause}")

    def end_of_input(self, at: int) -> None:
        """Marks every partition of the inputs: nothing received before `at` (UTC milliseconds) is still to come."""
        header = [(RECEIVED_AT_HEADER, str(at).encode())]
        for topic in INPUTS:
            name = self._topics.name(topic)
            for partition in range(self._partitions_of(name)):
                self._produce(name, END_OF_INPUT_KEY, None, header, partition)

    def flush(self, timeout: float = 60.0) -> None:
        """Waits until everything sent is delivered. Raises DeliveryError for what was not after `timeout` seconds."""
        left = self._producer.flush(timeout)
        if left or self.failed:
            raise self._undelivered(left)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
        else:
            self._producer.flush(10)
