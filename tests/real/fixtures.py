"""Fixtures of real and embedded components, started on first use and once per session.

tests/conftest.py hands them to every test.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.real.apicurio import ApicurioServer
from tests.real.kafka import KafkaServer
from tests.support.poll import eventually
from tests.support.processes import accepts, free_port


@dataclass(frozen=True, slots=True)
class Cluster:
    """A broker and a registry that a contract test runs against."""

    brokers: str
    registry_url: str
    real: bool
    """False: the embedded parts. They have no transactions, no topic settings and no append time."""


@pytest.fixture(scope="session")
def kafka_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real Apache Kafka shared by the session: take `topic_prefix` for topics and groups."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    try:
        yield server.start().brokers
    finally:
        server.stop()


@pytest.fixture(scope="session")
def apicurio_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Confluent-compatible URL of a real registry shared by the session."""
    server = ApicurioServer(tmp_path_factory.mktemp("apicurio"))
    try:
        yield server.start().url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def mock_brokers() -> Iterator[str]:
    """Bootstrap address of librdkafka's mock cluster, shared by the session.

    Topics appear when first asked for, with 4 partitions.
    """
    with_cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = with_cluster.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    with_cluster.flush(1)  # the object must live until here: the cluster ends with it


@pytest.fixture(scope="session")
def embedded_registry_url() -> Iterator[str]:
    """URL of the embedded registry, shared by the session."""
    import uvicorn

    from streams.embedded.registry import app

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app(), host="127.0.0.1", port=port, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: accepts(port))
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="session", params=["embedded", "real"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The contract suite's: every test that takes it runs against the embedded parts and against the real ones."""
    if request.param == "real":
        return Cluster(request.getfixturevalue("kafka_brokers"), request.getfixturevalue("apicurio_url"), real=True)
    return Cluster(
        request.getfixturevalue("mock_brokers"), request.getfixturevalue("embedded_registry_url"), real=False
    )


@pytest.fixture(scope="session")
def real_cluster(kafka_brokers: str, apicurio_url: str) -> Cluster:
    return Cluster(kafka_brokers, apicurio_url, real=True)


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics and groups that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def kafka_server(tmp_path: Path) -> Iterator[Callable[..., KafkaServer]]:
    """Makes brokers of a test's own, to kill or tune: `kafka_server(group_min_session_timeout_ms=1000).start()`."""
    servers: list[KafkaServer] = []

    def make(**properties: object) -> KafkaServer:
        servers.append(KafkaServer(tmp_path / f"kafka-{len(servers)}", **properties))
        return servers[-1]

    yield make
    for server in servers:
        server.kill()
