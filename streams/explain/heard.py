"""What the log still has of one lead: its events, what merged leads passed on to it, and what was told of its clocks.

Reads the lead's own partition alone, committed records alone, from its beginning: Kafka knows no way to one key. Of an event
only what the fold reads is kept, so nothing personal leaves this module.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from processors.facts import Fact, RefusedFact, to_fact
from processors.state import unpack_fact
from processors.telling import PassedOn
from schemas.catalog import on_topic
from schemas.wire import Decoder, WireError, schema_id
from streams.config import Settings
from streams.errors import UnavailableError
from streams.partitioner import lane_of
from streams.registry import Registry
from streams.topic_admin import wait_for_brokers
from streams.topics import FORWARDS, INPUTS, SLA_EVENTS, Topics
from streams.worker.intake import Bare, is_stray, received_at

_READ: Final = (*INPUTS, FORWARDS, SLA_EVENTS)
_AT_ONCE: Final = 10_000
_ALLOWED: Final = {topic: frozenset(contract.name for contract in on_topic(topic)) for topic in INPUTS}


class Heard(NamedTuple):
    """An event as it stands in the log. `fact` None: `refused` says why it is none. Times in UTC milliseconds."""

    topic: str
    partition: int
    offset: int
    received_at: int
    occurred_at: int | None
    fact: Fact | None
    refused: tuple[str, str] | None = None
    """(reason, detail)."""


class Told(NamedTuple):
    """One announcement about a clock."""

    instance_id: str
    kind: str
    verdict: str
    at: int
    """Lane clock."""


@dataclass
class LeadLog:
    """In the order of arrival."""

    partition: int
    events: list[Heard] = field(default_factory=list)
    passed_on: list[PassedOn] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)


def partition_of(lead_id: str, partitions: int) -> int:
    """The lane of a lead."""
    return lane_of(lead_id.encode(), partitions)


def hear(settings: Settings, registry: Registry, lead_id: str, *, patience: float = 30.0) -> LeadLog:
    """Raises UnavailableError where brokers or registry do not answer within `patience` seconds, or a topic is missing."""
    admin = wait_for_brokers(settings, patience)
    topics = Topics(settings.topic_prefix)
    try:
        found = {topic: admin.list_topics(topics.name(topic), timeout=10).topics[topics.name(topic)] for topic in _READ}
    except KafkaException as error:
        raise UnavailableError(f"brokers {settings.brokers}: {error.args[0].str()}") from None
    for topic, metadata in found.items():
        if metadata.error is not None or not metadata.partitions:
            raise UnavailableError(
                f"topic {topics.name(topic)} on {settings.brokers} is not there: is the prefix right?"
            )
    number = partition_of(lead_id, len(found[INPUTS[0]].partitions))
    log = LeadLog(number)
    read = _Reading(registry, log)
    for topic, message in _records(settings, topics, number, patience):
        if message.key() == lead_id.encode():
            read.take(topic, message)
    log.events.sort(key=lambda heard: heard.received_at)
    return log


def _records(settings: Settings, topics: Topics, number: int, patience: float) -> Iterator[tuple[str, Any]]:
    consumer = Consumer({
        "bootstrap.servers": settings.brokers, "group.id": "baton-explain",  # needed by the client, never joined
        "enable.auto.commit": False, "auto.offset.reset": "earliest", "isolation.level": "read_committed",
        "enable.partition.eof": True, "fetch.wait.max.ms": 100, "fetch.message.max.bytes": 16 * 1024 * 1024,
        "log_level": 0,
    })  # fmt: skip
    try:
        consumer.assign([TopicPartition(topics.name(topic), number, 0) for topic in _READ])
        left = {topics.name(topic) for topic in _READ}
        moved = time.monotonic()
        while left:
            messages = consumer.consume(_AT_ONCE, 0.2)
            if messages:
                moved = time.monotonic()
            elif time.monotonic() - moved > patience:
                raise UnavailableError(f"brokers {settings.brokers}: no answer while topic {min(left)} is read")
            for message in messages:
                error = message.error()
                if error is None:
                    yield topics.bare(message.topic()), message
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.topic())
                elif error.fatal():
                    raise UnavailableError(f"brokers {settings.brokers}: {error.str()}")
    finally:
        consumer.close()


class _Reading:
    def __init__(self, registry: Registry, log: LeadLog) -> None:
        self._registry = registry
        self._decoder = Decoder()
        self._log = log

    def take(self, topic: str, message: Any) -> None:
        headers = tuple(message.headers() or ())
        record = Bare(message.offset(), message.timestamp()[1], message.key(), message.value(), headers)
        arrived = received_at(record)
        try:
            name, body = self._decoded(record.value)
        except WireError as error:
            if topic in INPUTS:
                refused = (error.reason, error.detail)
                self._log.events.append(Heard(topic, message.partition(), record.offset, arrived, None, None, refused))
            return
        if topic == FORWARDS:
            fact = unpack_fact(body["fact"])
            if is_stray(fact, body["lead_id"]):  # an event of the lead's own that stands on another lane's partition
                place, offset = fact.at
                heard = Heard(INPUTS[place], fact.lane, offset, fact.received_at, fact.effective_at, fact)
                self._log.events.append(heard)
                return
            announced = {number: (deadline, rung) for number, (deadline, rung) in body["announced"].items()}
            self._log.passed_on.append(PassedOn(body["lead_id"], fact, body["recalled"], announced))
        elif topic == SLA_EVENTS:
            self._log.told.append(Told(body["instance_id"], body["kind"], body["verdict"], body["emitted_at"]))
        else:
            self._log.events.append(_heard(topic, message.partition(), record.offset, arrived, name, body))

    def _decoded(self, value: bytes | None) -> tuple[str, dict[str, Any]]:
        if value is None:
            raise WireError("null_value", "the record has no value")
        number = schema_id(value)
        if number is not None and not self._decoder.knows(number):
            self._decoder.learn(number, self._registry.text(number))
        return self._decoder.decode(value)


def _heard(topic: str, partition: int, offset: int, arrived: int, name: str, body: Mapping[str, Any]) -> Heard:
    fact = refused = None
    if name not in _ALLOWED[topic]:
        refused = ("wrong_topic", f"{name} does not belong on {topic}")
    else:
        try:
            fact = to_fact(name, body, arrived, at=(INPUTS.index(topic), offset))
        except RefusedFact as error:
            refused = (error.reason, error.detail)
    return Heard(topic, partition, offset, arrived, body.get("occurred_at"), fact, refused)
