"""The components under the tests: that they are what they claim to be."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import urllib3
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.real.kafka import MAX_MESSAGE_BYTES, KafkaServer
from tests.support.poll import eventually
from tests.support.tools import unavailable


def _send(brokers: str, topic: str, value: bytes) -> str | None:
    """What the broker objects to, None when it took the record."""
    told: list[str | None] = []

    def tell(error: object, _message: object) -> None:
        told.append(None if error is None else str(error))

    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "message.timeout.ms": 3000,
            "log_level": 0,
        }
    )
    producer.produce(topic, value, partition=0, callback=tell)
    producer.flush(20)
    assert len(told) == 1
    return told[0]


def _first(brokers: str, topic: str) -> bytes | None:
    """The value of the first record of partition 0."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic, "fetch.message.max.bytes": MAX_MESSAGE_BYTES})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = eventually(lambda: consumer.poll(0.2), 20)
        assert message.error() is None
        value: bytes | None = message.value()
        return value
    finally:
        consumer.close()


def test_kafka_carries_a_ten_megabyte_record(kafka_brokers: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}large"
    admin = AdminClient({"bootstrap.servers": kafka_brokers})
    admin.create_topics([NewTopic(topic, 4, 1, config={"max.message.bytes": str(MAX_MESSAGE_BYTES)})])[topic].result(20)
    value = bytes(10_000_000)
    assert _send(kafka_brokers, topic, value) is None
    assert _first(kafka_brokers, topic) == value


def test_kafka_creates_no_topic_unasked(kafka_brokers: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}unasked"
    assert _send(kafka_brokers, topic, b"x") is not None
    assert topic not in AdminClient({"bootstrap.servers": kafka_brokers}).list_topics(timeout=10).topics


def test_kafka_keeps_its_records_over_a_kill(kafka_server: Callable[..., KafkaServer]) -> None:
    server = kafka_server().start()
    admin = AdminClient({"bootstrap.servers": server.brokers, "log_level": 0})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(20)
    assert _send(server.brokers, "kept", b"before") is None
    server.kill()
    assert server.start().brokers == server.brokers
    assert _first(server.brokers, "kept") == b"before"


def test_mock_broker_carries_records(mock_brokers: str, topic_prefix: str) -> None:
    assert _send(mock_brokers, f"{topic_prefix}any", b"hello") is None
    assert _first(mock_brokers, f"{topic_prefix}any") == b"hello"


def test_registry_gives_back_what_was_registered(apicurio_url: str, topic_prefix: str) -> None:
    schema = json.dumps({"type": "record", "name": "T", "fields": [{"name": "a", "type": "string"}]})
    answer = urllib3.request("POST", f"{apicurio_url}/subjects/{topic_prefix}leads-T/versions", json={"schema": schema})
    number = answer.json()["id"]
    text = urllib3.request("GET", f"{apicurio_url}/schemas/ids/{number}").json()["schema"]
    assert json.loads(text) == json.loads(schema)


def test_a_missing_component_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no such thing"):
        unavailable("no such thing")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no such thing"):
        unavailable("no such thing")
