"""A real Apache Kafka for tests: KRaft nodes on the JVM, started from Maven artifacts.

Imports nothing of the product.
"""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

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


class Place(NamedTuple):
    """Where a broker and its controller listen, and the cluster that they belong to."""

    port: int
    controller: int
    cluster_id: str


def _new_cluster_id() -> str:
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")


class KafkaServer:
    """One broker on 127.0.0.1. It keeps port and data when taken down and started again."""

    def __init__(self, folder: Path, place: Place | None = None, /, **properties: object) -> None:
        """`properties` are added to server.properties, `_` for `.` in their names; what comes later holds."""
        self.folder = folder
        if place is None:
            port, controller = free_ports(2)
            place = Place(port, controller, _new_cluster_id())
        self.port, controller, cluster_id = place
        self.brokers = f"127.0.0.1:{self.port}"
        self.child: Child | None = None
        folder.mkdir(parents=True, exist_ok=True)
        text = _PROPERTIES.format(
            port=self.port, controller=controller, data=folder / "data", max_bytes=MAX_MESSAGE_BYTES
        )
        text += "".join(f"{key.replace('_', '.')}={value}\n" for key, value in properties.items())
        self._properties = folder / "server.properties"
        self._properties.write_text(text)
        self._format(cluster_id)

    def _java(self, *arguments: str) -> list[str]:
        # C1 only: the quickest start, and a test's load never runs long enough for the second compiler to pay.
        return [
            java(), "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
            f"-Dlog4j2.configurationFile={POM.parent / 'log4j2.properties'}",
            "-cp", f"{resolved() / 'kafka'}/*", *arguments, str(self._properties),
        ]  # fmt: skip

    def _format(self, cluster: str) -> None:
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c"),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"formatting Kafka's storage failed: {done.stdout[-800:]}{done.stderr[-800:]}"

    def start(self) -> KafkaServer:
        """Starts it and waits until it answers."""
        self.launch()
        self.wait()
        return self

    def launch(self) -> None:
        self.child = start(self._java("kafka.Kafka"), self.folder, name="kafka")

    def wait(self, brokers: int = 1) -> None:
        """Until it answers, and knows that many brokers."""
        assert self.child is not None
        self.child.wait_until(lambda: self._known() >= brokers, timeout=90)

    def _known(self) -> int:
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0})
        try:
            return len(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return 0

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop(timeout=15)

    def kill(self) -> None:
        """As a power cut: SIGKILL."""
        if self.child is not None:
            self.child.kill()


class KafkaCluster:
    """Several brokers, each a controller too, with every topic on three of them (fewer where there are fewer).

    Each listens twice: at `brokers`, and at ports that nobody is told of but through `advertised`: the addresses, one a
    broker, at which something in between passes on to `behind`.
    """

    def __init__(self, folder: Path, advertised: Sequence[int], **properties: object) -> None:
        count = len(advertised)
        ports = free_ports(3 * count)
        self.behind = ports[2 * count :]
        """The second ports, by broker."""
        voters = ",".join(f"{node}@127.0.0.1:{ports[count + node - 1]}" for node in range(1, count + 1))
        copies = min(3, count)
        cluster_id = _new_cluster_id()
        self.nodes: dict[int, KafkaServer] = {}
        for node in range(1, count + 1):
            port, controller, second = ports[node - 1], ports[count + node - 1], self.behind[node - 1]
            self.nodes[node] = KafkaServer(
                folder / f"kafka-{node}",
                Place(port, controller, cluster_id),
                node_id=node,
                controller_quorum_voters=voters,
                listeners=f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},"
                f"SECOND://127.0.0.1:{second}",
                advertised_listeners=f"PLAINTEXT://127.0.0.1:{port},SECOND://127.0.0.1:{advertised[node - 1]}",
                listener_security_protocol_map="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECOND:PLAINTEXT",
                inter_broker_listener_name="PLAINTEXT",
                min_insync_replicas=max(1, copies - 1),
                offsets_topic_replication_factor=copies,
                transaction_state_log_replication_factor=copies,
                transaction_state_log_min_isr=max(1, copies - 1),
                **properties,
            )
        self.brokers = ",".join(node.brokers for node in self.nodes.values())

    def start(self) -> KafkaCluster:
        """Starts what does not run, and waits until all know one another."""
        started = [node for node in self.nodes.values() if node.child is None or not node.child.running]
        for node in started:
            node.launch()
        for node in started:
            node.wait(len(self.nodes))
        return self

    def stop(self) -> None:
        """One after the other would wait for a quorum that is gone: tests keep nothing, so it is a kill."""
        for node in self.nodes.values():
            node.kill()
