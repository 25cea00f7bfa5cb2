"""Workers as processes of their own, and what a read_committed consumer sees of their outputs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3
from confluent_kafka import Consumer, KafkaError, TopicPartition

from schemas.catalog import CATALOG
from schemas.wire import Decoder, UnknownSchema
from streams.config import Settings, load
from streams.registry import Registry
from streams.topic_admin import ensure_topics
from streams.topics import LANE_KEY, OUTPUTS, Topics
from tests.real.fixtures import Cluster
from tests.support.processes import Child, start


def settings_for(cluster: Cluster, prefix: str, **more: object) -> Settings:
    """Settings of a pipeline of its own on a shared cluster; its topics exist afterwards."""
    settings = load(
        brokers=cluster.brokers,
        registry_url=cluster.registry_url,
        topic_prefix=prefix,
        group=f"{prefix}worker",
        transactions=cluster.real,
        erasure_key="a key for tests",
        **more,
    )
    ensure_topics(settings)
    return settings


def environment(settings: Settings) -> dict[str, str]:
    shown = {
        f"BATON_{key.upper()}": str(value)
        for key, value in settings.model_dump(mode="json").items()
        if value is not None and not key.endswith("password")
    }
    return shown | {"BATON_ERASURE_KEY": settings.erasure_key.get_secret_value()}


class Worker:
    """A worker process."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        name: str = "worker",
        *,
        source: Path | None = None,
        program: Sequence[str] = ("-m", "streams"),
    ) -> None:
        """`source`: a folder with another version of the source; `program`: what Python is to run instead of it."""
        self._port_file = folder / f"{name}.json"
        self._port_file.unlink(missing_ok=True)
        command = [sys.executable, *program, "worker", "--port-file", str(self._port_file)]
        self.child: Child = start(command, folder, name=name, env=environment(settings), cwd=source)

    def status(self) -> dict[str, Any]:
        """What /status answers; {} before it does."""
        if not self._port_file.exists():
            return {}
        port = json.loads(self._port_file.read_text())["port"]
        try:
            return urllib3.request("GET", f"http://127.0.0.1:{port}/status", timeout=2, retries=False).json()  # type: ignore[no-any-return]
        except urllib3.exceptions.HTTPError:
            return {}

    def lanes(self) -> dict[int, dict[str, Any]]:
        """Lanes it has ready."""
        found = self.status().get("lanes", {})
        return {int(number): lane for number, lane in found.items() if lane["state"] == "ready"}

    def metrics(self) -> str:
        port = json.loads(self._port_file.read_text())["port"]
        return urllib3.request("GET", f"http://127.0.0.1:{port}/metrics/", timeout=5).data.decode()


@contextmanager
def running(settings: Settings, folder: Path, name: str = "worker") -> Iterator[Worker]:
    """A worker from here to the end of the block, ready."""
    worker = Worker(settings, folder, name)
    try:
        worker.child.wait_until(lambda: worker.status().get("ready"), 60)
        yield worker
    finally:
        worker.child.stop()


class Known:
    """Decodes what stands under any schema that the registry has, whatever version wrote it."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.registry_url
        self._decoder = Decoder()

    def decode(self, value: bytes) -> tuple[str, dict[str, Any]]:
        """(record name, record)."""
        try:
            return self._decoder.decode(value)
        except UnknownSchema as unknown:
            with Registry(self._url) as registry:
                self._decoder.learn(unknown.schema_id, registry.text(unknown.schema_id))
            return self._decoder.decode(value)


def read_outputs(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Every record of the output topics that read_committed shows now, decoded, by record name and offset."""
    topics = Topics(settings.topic_prefix)
    known = Known(settings)
    names = [name for name, contract in CATALOG.items() if set(contract.topics) & set(OUTPUTS)]
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": "reader",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    try:
        metadata = consumer.list_topics(timeout=10).topics
        waiting = {
            (topics.name(topic), number) for topic in OUTPUTS for number in metadata[topics.name(topic)].partitions
        }
        consumer.assign([TopicPartition(name, number, 0) for name, number in waiting])
        while waiting:
            # One by one: librdkafka fills a batch, or waits its time out, past every end of a partition.
            message = consumer.poll(10)
            assert message is not None, f"no answer for {sorted(waiting)}"
            if message.error() is not None:
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                waiting.discard((message.topic(), message.partition()))
                continue
            name, body = known.decode(message.value())
            assert (message.key() == LANE_KEY) == (name == "LanePosition")
            found[name].append({**body, "_partition": message.partition(), "_offset": message.offset()})
    finally:
        consumer.close()
    return found
