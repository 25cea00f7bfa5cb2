"""Creates the topics with the settings that the guarantees rest on, and tells their UUIDs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from streams.config import Settings
from streams.errors import BatonError, UnavailableError
from streams.topics import (
    AGREEMENTS,
    CAMPAIGNS,
    DEAD_LETTERS,
    FORWARDS,
    INPUTS,
    SLA_EVENTS,
    STATES,
    TRANSITIONS,
    Topics,
)

log = structlog.get_logger(__name__)

_DAY: Final = 86_400_000
_LARGEST: Final = str(16 * 1024 * 1024)
_BY_TOPIC: Final[Mapping[str, Mapping[str, str]]] = {
    # No record stays for more than 25 days: what makes an erasure within a month provable. A segment goes as a whole, with
    # its newest record, so a day of segment comes on top of 24 of retention. LogAppendTime: one clock, the broker's.
    **{
        topic: {
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(24 * _DAY),
            "segment.ms": str(_DAY),
            "max.message.bytes": _LARGEST,
        }
        for topic in (*INPUTS, CAMPAIGNS)
    },
    DEAD_LETTERS: {"retention.ms": str(24 * _DAY), "segment.ms": str(_DAY), "max.message.bytes": _LARGEST},
    FORWARDS: {"retention.ms": str(24 * _DAY), "segment.ms": str(_DAY), "max.message.bytes": _LARGEST},
    TRANSITIONS: {"retention.ms": str(25 * _DAY)},
    SLA_EVENTS: {"retention.ms": str(25 * _DAY)},
    # Compacted early, so that a restore reads little more than one record a lead.
    # LogAppendTime: the commits' delivery reports tell the broker's time.
    STATES: {
        "cleanup.policy": "compact",
        "message.timestamp.type": "LogAppendTime",
        "min.cleanable.dirty.ratio": "0.1",
        "segment.ms": str(_DAY // 24),
        "max.compaction.lag.ms": str(_DAY // 24),
        # A sink that was away for days still has to see which leads were erased.
        "delete.retention.ms": str(25 * _DAY),
        "max.message.bytes": _LARGEST,
    },
    # A version stays for ever; the tombstones that would end one are never written.
    AGREEMENTS: {"cleanup.policy": "compact", "max.message.bytes": _LARGEST},
}
_SINGLE: Final = frozenset({AGREEMENTS})
"""Topics of one partition: their order is part of what they say."""


def _admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.brokers, "log_level": 0, "socket.timeout.ms": 10_000})


def wait_for_brokers(settings: Settings, patience: float = 60.0) -> AdminClient:
    """An AdminClient whose brokers answered. UnavailableError, one line, after `patience` seconds of trying."""
    client = _admin(settings)
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type(KafkaException),
            stop=stop_after_delay(patience),
            wait=wait_exponential_jitter(multiplier=0.2, max=5.0),
            before_sleep=lambda state: log.warning(
                "brokers unreachable, retrying", brokers=settings.brokers, attempt=state.attempt_number
            ),
            reraise=True,
        ):
            with attempt:
                client.list_topics(timeout=5)
    except KafkaException as error:
        raise UnavailableError(f"brokers {settings.brokers}: {error.args[0].str()}") from None
    return client


def ensure_topics(settings: Settings, patience: float = 60.0) -> dict[str, int]:
    """Creates the topics that are missing; full topic name -> partitions. Raises BatonError where counts differ."""
    client = wait_for_brokers(settings, patience)
    topics = Topics(settings.topic_prefix)
    wanted = {topics.name(topic): config for topic, config in _BY_TOPIC.items()}
    if not settings.transactions:  # the embedded broker has no call to create topics: asking for one makes it
        have = {name: client.list_topics(name, timeout=10).topics[name] for name in wanted}
        return _counts({name: len(found.partitions) for name, found in have.items()}, topics)
    existing = client.list_topics(timeout=10).topics
    new = [
        NewTopic(
            name,
            1 if topics.bare(name) in _SINGLE else settings.partitions,
            settings.replication_factor,
            config=dict(config),
        )
        for name, config in wanted.items()
        if name not in existing
    ]
    for name, created in client.create_topics(new, operation_timeout=30).items() if new else ():
        try:
            created.result(30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BatonError(f"topic {name} cannot be created: {error.args[0].str()}") from None
    found = _wait_for(client, set(wanted))
    return _counts({name: len(found[name].partitions) for name in wanted}, topics)


def _wait_for(client: AdminClient, names: set[str]) -> Mapping[str, Any]:
    for attempt in Retrying(
        stop=stop_after_delay(30), wait=wait_exponential_jitter(multiplier=0.05, max=1), reraise=True
    ):
        with attempt:
            found = client.list_topics(timeout=10).topics
            missing = [name for name in names if name not in found or not found[name].partitions]
            if missing:
                raise BatonError(f"topic {sorted(missing)[0]} was created but does not appear in the metadata")
            return dict(found)
    raise AssertionError("tenacity returns or raises")


def _counts(counts: dict[str, int], topics: Topics) -> dict[str, int]:
    lanes = {counts[topics.name(topic)] for topic in (*INPUTS, FORWARDS, TRANSITIONS, STATES, SLA_EVENTS)}
    if len(lanes) != 1:
        shown = ", ".join(f"{name}={count}" for name, count in sorted(counts.items()))
        raise BatonError(f"topics must have equal partition counts to form lanes: {shown}; re-create or extend them")
    return counts


def topic_ids(settings: Settings, names: list[str]) -> dict[str, str]:
    """Kafka's UUID of each topic; a re-created topic has another. The embedded broker has none and does not answer."""
    client = _admin(settings)  # it has to live until the futures are done
    described = client.describe_topics(TopicCollection(names), request_timeout=15)
    return {name: str(future.result(15).topic_id) for name, future in described.items()}
