"""Events of clients in other languages: the right lane, and read as ours, on real and embedded parts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import urllib3
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.wire import Decoder, schema_id
from streams.registry import Registry
from streams.topics import Topics
from tests.foreign.clients import CLIENTS
from tests.real.fixtures import Cluster
from tests.support.poll import eventually

_TOPICS = ("leads", "touches")
_CONTRACTS = ("LeadCaptured", "TouchRecorded")
_PARTITIONS = 4
_LEADS = [f"lead-{number}" for number in range(40)]


def _prepare(cluster: Cluster, prefix: str) -> None:
    """Topics there, our own contracts registered: what a client finds in a running pipeline."""
    admin = AdminClient({"bootstrap.servers": cluster.brokers})
    names = [f"{prefix}{topic}" for topic in _TOPICS]
    if cluster.real:
        for done in admin.create_topics([NewTopic(name, _PARTITIONS, 1) for name in names]).values():
            done.result(20)
    else:
        eventually(lambda: all(admin.list_topics(name, timeout=5).topics[name].partitions for name in names))
    with Registry(cluster.registry_url) as registry:
        registry.ids(Topics(prefix), _CONTRACTS)
        registry.require_compatibility(Topics(prefix), _CONTRACTS)


def _read(cluster: Cluster, topic: str, count: int) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": cluster.brokers, "group.id": f"{topic}.reader"})
    read: list[Message] = []
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in range(_PARTITIONS)])

        def all_there() -> bool:
            for message in consumer.consume(500, 0.2):
                assert message.error() is None, message.error()
                read.append(message)
            return len(read) >= count

        eventually(all_there, 30)
    finally:
        consumer.close()
    assert len(read) == count
    return read


def _decode(cluster: Cluster, messages: list[Message]) -> list[tuple[str, dict[str, Any]]]:
    decoder = Decoder()
    for number in {schema_id(message.value()) for message in messages}:
        assert number is not None
        answer = urllib3.request("GET", f"{cluster.registry_url}/schemas/ids/{number}", timeout=10)
        decoder.learn(number, answer.json()["schema"])
    return [decoder.decode(message.value()) for message in messages]


def _our_lanes(cluster: Cluster, topic: str) -> dict[str, int]:
    """Where our own producers' partitioner puts each lead."""
    lanes: dict[str, int] = {}

    def told(error: object, message: Message) -> None:
        assert error is None
        lanes[message.key().decode()] = message.partition()

    producer = Producer({"bootstrap.servers": cluster.brokers, "partitioner": "murmur2_random"})
    for lead in _LEADS:
        producer.produce(topic, key=lead.encode(), value=b"", callback=told)
    assert producer.flush(20) == 0
    return lanes


# Not Java on the embedded broker: it answers the ApiVersions request of Java clients from 3.9 on in a form that they
# read as a throttle of 20 minutes.
@pytest.mark.parametrize(
    ("cluster", "client"), [("real", "java"), ("real", "node"), ("embedded", "node")], indirect=["cluster"]
)
def test_events_of_other_clients_stand_on_our_lanes_and_read_as_ours(
    cluster: Cluster, client: str, topic_prefix: str
) -> None:
    _prepare(cluster, topic_prefix)
    CLIENTS[client](cluster.brokers, cluster.registry_url, topic_prefix, _LEADS)
    records = {topic: _read(cluster, f"{topic_prefix}{topic}", len(_LEADS)) for topic in _TOPICS}

    lanes = _our_lanes(cluster, f"{topic_prefix}leads")
    assert len(set(lanes.values())) == _PARTITIONS, "the leads must tell the partitions apart"
    for topic in _TOPICS:
        assert {message.key().decode(): message.partition() for message in records[topic]} == lanes

    captured = _decode(cluster, records["leads"])
    assert Counter(name for name, _ in captured) == {"LeadCaptured": len(_LEADS)}
    by_lead = {event["lead_id"]: event for _, event in captured}
    assert by_lead.keys() == set(_LEADS)
    first = by_lead["lead-0"]
    expected = {
        "event_id": "lead-0-captured", "source_system": client, "entered_by": "system", "is_test": False,
        "source": "website", "hand_raise": True, "person": None,
    }  # fmt: skip
    assert first.items() >= expected.items()
    assert isinstance(first["occurred_at"], int)

    touched = _decode(cluster, records["touches"])
    assert Counter(name for name, _ in touched) == {"TouchRecorded": len(_LEADS)}
    for _, event in touched:
        assert event["event_id"] == f"{event['lead_id']}-touched"
        assert event["occurred_at"] - by_lead[event["lead_id"]]["occurred_at"] == 30_000
        assert [event[key] for key in ("channel", "direction", "origin", "actor", "outcome")] == [
            "call", "outbound", "sales", "human", "connected",
        ]  # fmt: skip
