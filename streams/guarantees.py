"""What would make the guarantees false, found in a cluster's settings. Pure; reading them is topic_admin's work.

Each problem is one sentence that ends with the mend. What a test of tests/topics names is refused at start-up; what merely
differs from streams/topic_settings.py is told, and altered by `baton topics apply`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from streams.config import Environment, Settings, copies
from streams.topic_settings import IN_SYNC, LANES, SETTINGS, SINGLE, wanted
from streams.topics import INPUTS, STATES, Topics

_PRODUCTION_COPIES: Final = 3
APPLY: Final = "run `baton topics apply`"

_MUST: Final = ("cleanup.policy", "message.timestamp.type")
"""Settings that a topic must have where topic_settings names them."""
_WHY: Final[Mapping[tuple[str, str], str]] = {
    ("cleanup.policy", "compact"): "with `delete` what nobody has written to for a while is forgotten",
    ("cleanup.policy", "delete"): "compaction drops all records of a key but the latest",
    (
        "message.timestamp.type",
        "LogAppendTime",
    ): "a producer's clock would decide who was late, and deadlines would fire early",
}


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the brokers have it."""

    partitions: int
    copies: int
    """The least of its partitions."""
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What was found. `topics` by name without prefix; `brokers`: settings by broker id, those that could be read."""

    topics: Mapping[str, Topic]
    brokers: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


def problems(found: Cluster, settings: Settings) -> list[str]:
    """Everything that makes a guarantee false: a worker does not start on it."""
    return [
        *own(settings),
        *_brokers(found, settings),
        *_missing(found, settings),
        *_partitions(found, settings),
        *_topics(found, settings),
    ]


def differences(found: Cluster, settings: Settings) -> dict[str, dict[str, tuple[str | None, str]]]:
    """Topic (without prefix) -> setting -> (as it is, as it is to be), of the topics that are there."""
    out: dict[str, dict[str, tuple[str | None, str]]] = {}
    for name, topic in found.topics.items():
        changed = {
            key: (topic.config.get(key), value)
            for key, value in wanted(name, settings.environment).items()
            if topic.config.get(key) != value
        }
        if changed:
            out[name] = changed
    return out


def own(settings: Settings) -> Iterator[str]:
    """What the settings say already, whatever the brokers have."""
    if settings.environment is Environment.PRODUCTION:
        if not settings.transactions:
            yield (
                "transactions (BATON_TRANSACTIONS) is off: a crash would lose or double events; leave it on, "
                "it is off on the embedded broker alone"
            )
        if copies(settings) < _PRODUCTION_COPIES:
            yield (
                f"replication_factor (BATON_REPLICATION_FACTOR) is {copies(settings)} in production: a broker's death "
                f"would lose what it holds; give {_PRODUCTION_COPIES}, or leave it out"
            )


def _brokers(found: Cluster, settings: Settings) -> Iterator[str]:
    production = settings.environment is Environment.PRODUCTION
    for number, config in found.brokers.items():
        if config.get("auto.create.topics.enable") == "true":
            yield (
                f"broker {number} creates topics unasked (auto.create.topics.enable=true): one that appears so has the wrong "
                "number of lanes, retention and clock; set it to false on every broker"
            )
        if production and int(config.get("transaction.state.log.replication.factor", _PRODUCTION_COPIES)) < 2:
            yield (
                f"broker {number} keeps one copy of the transactions (transaction.state.log.replication.factor=1): with "
                "that broker all lanes stand still; set it to 3 and let __transaction_state be reassigned"
            )


def _missing(found: Cluster, settings: Settings) -> Iterator[str]:
    topics = Topics(settings.topic_prefix)
    for name in SETTINGS:
        if name not in found.topics:
            yield f"topic {topics.name(name)} is not there: {APPLY}"


def _partitions(found: Cluster, settings: Settings) -> Iterator[str]:
    topics = Topics(settings.topic_prefix)
    lanes = {name: found.topics[name].partitions for name in LANES if name in found.topics}
    if len(set(lanes.values())) > 1:
        shown = ", ".join(f"{topics.name(name)}={count}" for name, count in lanes.items())
        yield (
            f"topics must have equal partition counts to form lanes, found {shown}: delete those that hold nothing yet and "
            f"{APPLY}; of one that holds events, move them to a topic made anew"
        )
    for name in sorted(SINGLE & found.topics.keys()):
        if found.topics[name].partitions != 1:
            yield (
                f"topic {topics.name(name)} has {found.topics[name].partitions} partitions: its order is part of what it "
                f"says; make it anew with one"
            )


def _topics(found: Cluster, settings: Settings) -> Iterator[str]:
    topics = Topics(settings.topic_prefix)
    production = settings.environment is Environment.PRODUCTION
    for name, topic in found.topics.items():
        full = topics.name(name)
        for key in _MUST:
            value = wanted(name, settings.environment).get(key)
            if value is not None and topic.config.get(key) != value:
                what = "keyed states and positions" if name == STATES else "input" if name in INPUTS else "records"
                yield (
                    f"topic {full} ({what}) has {key}={topic.config.get(key)}, not {value}: {_WHY[key, value]}; {APPLY}"
                )
        if not production:
            continue
        if topic.copies < _PRODUCTION_COPIES:
            yield (
                f"topic {full} has {topic.copies} {'copy' if topic.copies == 1 else 'copies'} in production, not "
                f"{_PRODUCTION_COPIES}: add replicas with kafka-reassign-partitions.sh, or make an empty one anew"
            )
        if int(topic.config.get("min.insync.replicas", "1")) < IN_SYNC:
            yield (
                f"topic {full} has min.insync.replicas={topic.config.get('min.insync.replicas', '1')} in production: a record "
                f"may count as written that one broker alone has; {APPLY}"
            )
        if topic.config.get("unclean.leader.election.enable") == "true":
            yield (
                f"topic {full} has unclean.leader.election.enable=true: a broker that was behind may become the leader, and "
                f"what it missed is gone; set it to false"
            )
