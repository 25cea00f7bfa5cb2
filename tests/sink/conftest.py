"""Fixtures of the sink's tests: a broker, a migrated store, a worker's outputs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.config import Settings
from streams.topic_admin import ensure_topics
from tests.sink.support import Worker
from tests.store.fixtures import client, drop, embedded_store_url, fresh, store

__all__ = ["client", "embedded_store_url", "real_settings", "settings", "store", "worker"]


@pytest.fixture
def settings(mock_brokers: str, topic_prefix: str, store: Settings) -> Settings:
    """The embedded broker and a store, with topics, group and database of the test's own."""
    made = store.model_copy(
        update={
            "brokers": mock_brokers,
            "topic_prefix": topic_prefix,
            "sink_group": f"{topic_prefix}sink",
            "transactions": False,
            "sink_interval": 0.1,
        }
    )
    ensure_topics(made)
    return made


@pytest.fixture
def real_settings(kafka_brokers: str, topic_prefix: str, embedded_store_url: str) -> Iterator[Settings]:
    """A real Kafka and a store, likewise."""
    from streams.store.migrations import Migrator

    made = fresh(
        embedded_store_url, brokers=kafka_brokers, topic_prefix=topic_prefix, sink_group=f"{topic_prefix}sink",
        sink_interval=0.1, partitions=2,
    )  # fmt: skip
    ensure_topics(made)
    Migrator(made).up()
    yield made
    drop(made)


@pytest.fixture
def worker(settings: Settings) -> Worker:
    return Worker(settings)
