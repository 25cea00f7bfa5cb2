"""What counts as proven, from the settings of topics and the rows of the store."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from processors.vocabulary import DAY, HOUR
from streams.config import Settings, load
from streams.erasure.status import HOLDING, Found, Kept, bound, compacted, judge, kept
from streams.topic_admin import ensure_topics
from streams.topics import Topics

NOW = 1_793_610_000_000
GOOD = {
    "cleanup.policy": "delete", "retention.ms": str(24 * DAY), "segment.ms": str(DAY),
    "message.timestamp.type": "LogAppendTime",
}  # fmt: skip
TOPICS = [Kept(topic, 25.0, None) for topic in HOLDING]


def request(lead: str, requested_at: int, satisfied_at: int | None = None) -> dict[str, Any]:
    return {
        "lead_id": lead, "started_at": requested_at, "deadline": requested_at + 30 * DAY, "satisfied_at": satisfied_at,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "days", "problem"),
    [
        ({}, 25, None),
        ({"retention.ms": str(24 * DAY + HOUR)}, 25 + 1 / 24, "at most 25 may pass"),
        # 25 days of retention, and a segment that was written to for a week goes a week late.
        ({"retention.ms": str(25 * DAY), "segment.ms": str(7 * DAY)}, 32, "retention.ms and segment.ms together"),
        ({"retention.ms": "-1"}, None, "unlimited"),
        ({"cleanup.policy": "compact"}, None, "cleanup.policy is not delete"),
        ({"cleanup.policy": "compact,delete"}, None, "cleanup.policy is not delete"),
        ({"message.timestamp.type": "CreateTime"}, 25, "LogAppendTime"),
    ],
)
def test_what_a_topic_keeps(changed: dict[str, str], days: float | None, problem: str | None) -> None:
    found = bound("leads", GOOD | changed, appended=True)
    assert found.days == days
    assert (found.problem is None) == (problem is None)
    assert (problem or "") in (found.problem or "")


def test_what_is_given_up_of_a_compacted_topic() -> None:
    config = {"cleanup.policy": "compact", "max.compaction.lag.ms": str(HOUR), "segment.ms": str(HOUR)}
    assert compacted("lead-states", config) == Kept("lead-states", 2 / 24, None)
    assert "given up" in (compacted("lead-states", config | {"max.compaction.lag.ms": str(2**63 - 1)}).problem or "")
    assert "not compact" in (compacted("lead-states", config | {"cleanup.policy": "delete"}).problem or "")


def test_dead_letters_are_stamped_by_the_worker() -> None:
    assert bound("dead-letters", GOOD | {"message.timestamp.type": "CreateTime"}, appended=False).problem is None


STATES: list[tuple[str, dict[str, Any], dict[str, int], dict[str, dict[str, int]], bool, str, bool]] = [
    # name, request, erased, rows left, topics bounded -> state, proven
    ("asked for", request("a", NOW - DAY), {}, {}, True, "open", True),
    ("on the last day", request("a", NOW - 30 * DAY), {}, {}, True, "open", True),
    ("a day late", request("a", NOW - 31 * DAY), {}, {}, True, "overdue", False),
    ("in time", request("a", NOW - 9 * DAY, NOW - DAY), {"a": NOW - DAY}, {}, True, "done", True),
    ("too late", request("a", NOW - 40 * DAY, NOW - DAY), {"a": NOW - DAY}, {}, True, "done_late", True),
    ("rows left", request("a", NOW - 9 * DAY, NOW), {"a": NOW}, {"a": {"leads": 2}}, True, "deleting", False),
    ("rows left for long", request("a", NOW - 31 * DAY, NOW), {"a": NOW}, {"a": {"leads": 2}}, True, "overdue", False),
    ("unbounded", request("a", NOW - 9 * DAY, NOW), {"a": NOW}, {}, False, "unproven", False),
]


@pytest.mark.parametrize(("name", "asked", "erased", "left", "bounded", "state", "proven"), STATES)
def test_states(
    name: str,
    asked: dict[str, Any],
    erased: dict[str, int],
    left: dict[str, dict[str, int]],
    bounded: bool,
    state: str,
    proven: bool,
) -> None:
    topics = TOPICS if bounded else [*TOPICS[:-1], Kept("lead-states", None, "not known")]
    found = judge(Found([asked], erased, left), topics, NOW)
    assert ([item.state for item in found.erasures], found.proven) == ([state], proven), name


def test_an_erasure_that_nobody_asked_for_is_proven_too() -> None:
    [erasure] = judge(Found([], {"a": NOW - DAY}, {}), TOPICS, NOW).erasures
    assert (erasure.requested_at, erasure.state, erasure.gone_at) == (None, "done", NOW + 24 * DAY)
    assert not judge(Found([], {"a": NOW - DAY}, {"a": {"leads": 1}}), TOPICS, NOW).proven


def test_topics_as_they_are_made_keep_bytes_for_25_days_and_no_longer(kafka_brokers: str, topic_prefix: str) -> None:
    settings = load(brokers=kafka_brokers, topic_prefix=topic_prefix, partitions=1)
    ensure_topics(settings)
    topics = Topics(topic_prefix)
    *kept_whole, states = HOLDING
    assert kept(settings) == [
        *(Kept(topics.name(topic), 25.0, None) for topic in kept_whole),
        Kept(topics.name(states), 2 / 24, None),
    ]
    resource = ConfigResource(
        ResourceType.TOPIC,
        topics.name("touches"),
        incremental_configs=[
            ConfigEntry("retention.ms", str(90 * DAY), incremental_operation=AlterConfigOpType.SET),
        ],
    )
    admin = AdminClient({"bootstrap.servers": kafka_brokers})  # it has to live until the futures are done
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)
    [wrong] = [item for item in kept(settings) if item.problem is not None]
    assert (wrong.topic, wrong.days) == (topics.name("touches"), 91.0)


def test_brokers_that_do_not_say_leave_it_unproven(store: Settings) -> None:
    found = kept(store.model_copy(update={"brokers": "127.0.0.1:1"}), patience=0.5)
    assert [item.topic for item in found] == list(HOLDING)
    assert all(item.problem is not None and "not known" in item.problem for item in found)
