"""Creates the topics with the settings that the guarantees rest on, alters what differs, and tells what is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from streams.config import Settings, copies
from streams.errors import BatonError, ConfigurationError, UnavailableError
from streams.guarantees import Cluster, Topic, differences, own, problems
from streams.topic_settings import LANES, SETTINGS, SINGLE, wanted
from streams.topics import Topics

log = structlog.get_logger(__name__)


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
    """Creates the topics that are missing; full topic name -> partitions. Raises ConfigurationError where counts differ."""
    client = wait_for_brokers(settings, patience)
    topics = Topics(settings.topic_prefix)
    configs = {topics.name(topic): wanted(topic, settings.environment) for topic in SETTINGS}
    if not settings.transactions:  # the embedded broker has no call to create topics: asking for one makes it
        have = {name: client.list_topics(name, timeout=10).topics[name] for name in configs}
        return _counts({name: len(found.partitions) for name, found in have.items()}, topics)
    existing = client.list_topics(timeout=10).topics
    new = [
        NewTopic(
            name,
            1 if topics.bare(name) in SINGLE else settings.partitions,
            copies(settings),
            config=config,
        )
        for name, config in configs.items()
        if name not in existing
    ]
    for name, created in client.create_topics(new, operation_timeout=30).items() if new else ():
        try:
            created.result(30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BatonError(f"topic {name} cannot be created: {error.args[0].str()}") from None
    found = _wait_for(client, set(configs))
    return _counts({name: len(found[name].partitions) for name in configs}, topics)


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
    lanes = {counts[topics.name(topic)] for topic in LANES}
    if len(lanes) != 1:
        shown = ", ".join(f"{name}={count}" for name, count in sorted(counts.items()))
        raise ConfigurationError(
            f"topics must have equal partition counts to form lanes: {shown}; make those anew that hold nothing yet"
        )
    return counts


def describe(settings: Settings, client: AdminClient) -> Cluster:
    """The topics and brokers as they are. What the brokers do not let us read of themselves is left out."""
    topics = Topics(settings.topic_prefix)
    metadata = client.list_topics(timeout=10)
    there = {name: metadata.topics[topics.name(name)] for name in SETTINGS if topics.name(name) in metadata.topics}
    configs = _configs(client, ResourceType.TOPIC, [topics.name(name) for name in there])
    return Cluster(
        {
            name: Topic(
                len(found.partitions),
                min((len(partition.replicas) for partition in found.partitions.values()), default=0),
                configs.get(topics.name(name), {}),
            )
            for name, found in there.items()
        },
        {int(name): config for name, config in _configs(client, ResourceType.BROKER, list(metadata.brokers)).items()},
    )


def _configs(client: AdminClient, kind: Any, names: list[Any]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = client.describe_configs([ConfigResource(kind, str(name)) for name in names], request_timeout=15)
    out: dict[str, dict[str, str]] = {}
    for resource, answer in asked.items():
        try:
            entries = answer.result(20)
        except KafkaException as error:
            if kind is ResourceType.TOPIC:
                raise UnavailableError(f"settings of topic {resource.name}: {error.args[0].str()}") from None
            log.warning("broker settings cannot be read", broker=resource.name, error=error.args[0].name())
            continue
        out[resource.name] = {name: str(entry.value) for name, entry in entries.items() if entry.value is not None}
    return out


def apply(settings: Settings, patience: float = 60.0) -> list[str]:
    """Creates what is missing and alters what differs; a line for each thing done. Raises ConfigurationError for what is
    left and makes a guarantee false.
    """
    client = wait_for_brokers(settings, patience)
    if not settings.transactions:
        ensure_topics(settings, patience)
        return []
    topics = Topics(settings.topic_prefix)
    before = describe(settings, client)
    ensure_topics(settings, patience)
    now = describe(settings, client)
    done = [
        f"{topics.name(name)}: created, {topic.partitions} partitions, {topic.copies} copies"
        for name, topic in now.topics.items()
        if name not in before.topics
    ]
    changes = differences(now, settings)
    if changes:
        altered = client.incremental_alter_configs(
            [
                ConfigResource(
                    ResourceType.TOPIC,
                    topics.name(name),
                    incremental_configs=[
                        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                        for key, (_, value) in changed.items()
                    ],
                )
                for name, changed in changes.items()
            ],
            request_timeout=15,
        )
        for resource, answer in altered.items():
            try:
                answer.result(20)
            except KafkaException as error:
                raise BatonError(f"topic {resource.name} cannot be altered: {error.args[0].str()}") from None
        done += [
            f"{topics.name(name)}: {key} {old} -> {value}"
            for name, changed in changes.items()
            for key, (old, value) in changed.items()
        ]
    # What was just altered is there for the brokers and may not be read back yet by every one of them.
    altered_to = {
        name: Topic(
            topic.partitions, topic.copies, {**topic.config, **{k: v for k, (_, v) in changes.get(name, {}).items()}}
        )
        for name, topic in now.topics.items()
    }
    left = problems(Cluster(altered_to, now.brokers), settings)
    if left:
        raise ConfigurationError("\n".join([*done, *left]))
    return done


def check(settings: Settings, patience: float = 60.0) -> tuple[list[str], list[str]]:
    """(what makes a guarantee false, what else differs), a line each. Changes nothing."""
    client = wait_for_brokers(settings, patience)
    topics = Topics(settings.topic_prefix)
    if not settings.transactions:  # the embedded broker has no settings that could be wrong
        return list(own(settings)), []
    found = describe(settings, client)
    told = [
        f"topic {topics.name(name)} has {key}={old}, not {value}"
        for name, changed in differences(found, settings).items()
        for key, (old, value) in changed.items()
    ]
    return problems(found, settings), told


def require(settings: Settings) -> None:
    """Raises ConfigurationError, which names every problem and its mend, where a guarantee would be false."""
    left, told = check(settings)
    for line in told:
        log.warning("topic setting differs; `baton topics apply` mends it", setting=line)
    if left:
        raise ConfigurationError("; ".join(left))


def topic_ids(settings: Settings, names: list[str]) -> dict[str, str]:
    """Kafka's UUID of each topic; a re-created topic has another. The embedded broker has none and does not answer."""
    client = _admin(settings)  # it has to live until the futures are done
    described = client.describe_topics(TopicCollection(names), request_timeout=15)
    return {name: str(future.result(15).topic_id) for name, future in described.items()}
