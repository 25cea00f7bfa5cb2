"""Every setting that would make a guarantee false is found, and the message says how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from streams.config import Environment, Settings, copies, load
from streams.errors import ConfigurationError
from streams.guarantees import Cluster, Topic, differences, problems
from streams.topic_settings import SETTINGS, SINGLE, wanted
from streams.topics import (
    AGREEMENTS,
    DEAD_LETTERS,
    FORWARDS,
    INPUTS,
    LETTER_REPLAYS,
    SLA_EVENTS,
    STATES,
    TRANSITIONS,
)

DEVELOPMENT = Settings(topic_prefix="p.")
PRODUCTION = Settings(topic_prefix="p.", environment=Environment.PRODUCTION)
Change = Callable[[Cluster], Cluster]


def right(settings: Settings) -> Cluster:
    """A cluster as `baton topics apply` leaves it."""
    return Cluster(
        {
            name: Topic(1 if name in SINGLE else 4, copies(settings), wanted(name, settings.environment))
            for name in SETTINGS
        },
        {1: {"auto.create.topics.enable": "false", "transaction.state.log.replication.factor": "3"}},
    )


def with_topic(name: str, **changes: object) -> Change:
    def change(found: Cluster) -> Cluster:
        return replace(found, topics={**found.topics, name: replace(found.topics[name], **changes)})  # type: ignore[arg-type]

    return change


def with_config(name: str, key: str, value: str) -> Change:
    def change(found: Cluster) -> Cluster:
        return with_topic(name, config={**found.topics[name].config, key: value})(found)

    return change


def with_broker(key: str, value: str) -> Change:
    return lambda found: replace(found, brokers={1: {**found.brokers[1], key: value}})


def without(name: str) -> Change:
    return lambda found: replace(found, topics={key: topic for key, topic in found.topics.items() if key != name})


@pytest.mark.parametrize("settings", [DEVELOPMENT, PRODUCTION], ids=["development", "production"])
def test_what_apply_leaves_is_right(settings: Settings) -> None:
    assert problems(right(settings), settings) == []
    assert differences(right(settings), settings) == {}


ALWAYS = [
    *((with_topic(name, partitions=5), f"p.{name}=5", "equal partition counts")
      for name in (*INPUTS, FORWARDS, STATES, TRANSITIONS, SLA_EVENTS, DEAD_LETTERS)),
    *((with_config(name, "message.timestamp.type", "CreateTime"), f"p.{name}", "LogAppendTime")
      for name in (*INPUTS, STATES)),
    *((with_config(name, "cleanup.policy", "compact"), f"p.{name}", "not delete") for name in (*INPUTS, FORWARDS)),
    (with_config(STATES, "cleanup.policy", "delete"), "p.lead-states", "not compact"),
    (with_config(STATES, "cleanup.policy", "compact,delete"), "p.lead-states", "not compact"),
    (with_config(AGREEMENTS, "cleanup.policy", "delete"), "p.agreements", "not compact"),
    (with_topic(AGREEMENTS, partitions=4), "p.agreements", "make it anew with one"),
    (with_topic(LETTER_REPLAYS, partitions=4), "p.dead-letter-replays", "make it anew with one"),
    (without("touches"), "p.touches", "baton topics apply"),
    (with_broker("auto.create.topics.enable", "true"), "broker 1", "set it to false"),
]  # fmt: skip


@pytest.mark.parametrize("settings", [DEVELOPMENT, PRODUCTION], ids=["development", "production"])
@pytest.mark.parametrize(("change", "where", "mend"), ALWAYS)
def test_refused_everywhere(change: Change, where: str, mend: str, settings: Settings) -> None:
    [problem] = problems(change(right(settings)), settings)
    assert where in problem
    assert mend in problem


IN_PRODUCTION = [
    (with_topic("leads", copies=1), "p.leads", "add replicas"),
    (with_topic(STATES, copies=2), "p.lead-states", "add replicas"),
    (with_config("touches", "min.insync.replicas", "1"), "p.touches", "baton topics apply"),
    (with_config(STATES, "unclean.leader.election.enable", "true"), "p.lead-states", "set it to false"),
    (with_broker("transaction.state.log.replication.factor", "1"), "broker 1", "set it to 3"),
]


@pytest.mark.parametrize(("change", "where", "mend"), IN_PRODUCTION)
def test_refused_in_production_alone(change: Change, where: str, mend: str) -> None:
    [problem] = problems(change(right(PRODUCTION)), PRODUCTION)
    assert where in problem
    assert mend in problem
    assert problems(change(right(DEVELOPMENT)), DEVELOPMENT) == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"replication_factor": 1}, "BATON_REPLICATION_FACTOR"), ({"transactions": False}, "BATON_TRANSACTIONS")],
)
def test_settings_of_our_own_that_production_refuses(changed: dict[str, object], named: str) -> None:
    [problem] = problems(right(PRODUCTION), PRODUCTION.model_copy(update=changed))
    assert named in problem
    assert problems(right(DEVELOPMENT), DEVELOPMENT.model_copy(update=changed)) == []


@pytest.mark.parametrize("acks", ["0", "1"])
def test_acks_other_than_all_are_refused(acks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_ACKS", acks)
    with pytest.raises(ConfigurationError, match=r"acks \(BATON_ACKS\).*'all'"):
        load()


def test_brokers_that_do_not_tell_their_settings_are_taken_at_their_word() -> None:
    assert problems(replace(right(PRODUCTION), brokers={}), PRODUCTION) == []


def test_a_shorter_retention_is_a_difference_and_no_refusal() -> None:
    found = with_config("leads", "retention.ms", "604800000")(right(DEVELOPMENT))
    assert problems(found, DEVELOPMENT) == []
    assert differences(found, DEVELOPMENT) == {"leads": {"retention.ms": ("604800000", "2073600000")}}
