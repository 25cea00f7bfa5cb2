"""Our murmur2 is everybody's: of the client library we have at hand, and of librdkafka, which puts records there."""

from __future__ import annotations

from aiokafka.partitioner import murmur2
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from streams.partitioner import lane_of
from streams.publisher import PARTITIONER


@given(st.binary(max_size=60), st.integers(1, 1024))
def test_as_another_implementation_says(key: bytes, lanes: int) -> None:
    assert lane_of(key, lanes) == (murmur2(key) & 0x7FFFFFFF) % lanes


def test_where_the_producer_puts_them(mock_brokers: str, topic_prefix: str) -> None:
    placed: dict[bytes, int] = {}
    producer = Producer({"bootstrap.servers": mock_brokers, "partitioner": PARTITIONER})
    for number in range(200):
        producer.produce(
            f"{topic_prefix}leads", b"", f"lead-ü-{number}".encode(),
            on_delivery=lambda error, message: placed.update({message.key(): message.partition()}),
        )  # fmt: skip
    assert producer.flush(20) == 0
    assert len(placed) == 200
    assert {key: lane_of(key, 4) for key in placed} == placed
    assert len(set(placed.values())) == 4
