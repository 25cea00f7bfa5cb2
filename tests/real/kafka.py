"""A real Apache Kafka for tests: one KRaft node on the JVM, started from Maven artifacts.

Imports nothing of the product.
"""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.real.artifacts import POM, java, resolved
from tests.support.processes import Child, free_ports, start

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024

_PROPERTIES: Final = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes={max_bytes}
replica.fetch.max.bytes={max_bytes}
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class KafkaServer:
    """One broker on 127.0.0.1. It keeps port and data when taken down and started again."""

    def __init__(self, folder: Path, **properties: object) -> None:
        """`properties` are added to server.properties, `_` for `.` in their names."""
        self.folder = folder
        self.port, controller = free_ports(2)
        self.brokers = f"127.0.0.1:{self.port}"
        self.child: Child | None = None
        folder.mkdir(parents=True, exist_ok=True)
        text = _PROPERTIES.format(
            port=self.port, controller=controller, data=folder / "data", max_bytes=MAX_MESSAGE_BYTES
        )
        text += "".join(f"{key.replace('_', '.')}={value}\n" for key, value in properties.items())
        self._properties = folder / "server.properties"
        self._properties.write_text(text)
        self._format()

    def _java(self, *arguments: str) -> list[str]:
        # C1 only: the quickest start, and a test's load never runs long enough for the second compiler to pay.
        return [
            java(), "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
            f"-Dlog4j2.configurationFile={POM.parent / 'log4j2.properties'}",
            "-cp", f"{resolved() / 'kafka'}/*", *arguments, str(self._properties),
        ]  # fmt: skip

    def _format(self) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c"),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"formatting Kafka's storage failed: {done.stdout[-800:]}{done.stderr[-800:]}"

    def start(self) -> KafkaServer:
        """Starts it and waits until it answers."""
        self.child = start(self._java("kafka.Kafka"), self.folder, name="kafka")
        self.child.wait_until(self._answers, timeout=60)
        return self

    def _answers(self) -> bool:
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop(timeout=15)

    def kill(self) -> None:
        """As a power cut: SIGKILL."""
        if self.child is not None:
            self.child.kill()
