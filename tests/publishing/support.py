"""Events and records for the tests of publishing, and the Java client's partitioner written out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from streams.config import Settings, load
from streams.importers import Imported
from tests.real.fixtures import Cluster
from tests.support.tools import ROOT

DATA = ROOT.parent / "shared" / "data"
"""Real event logs, where they are at hand."""
NOON = 1_767_268_800_000
"""2026-01-01T12:00:00Z."""


def line(kind: str = "LeadCaptured", **fields: object) -> str:
    """A valid line; a field given as None is null, one given as ... is left out."""
    given: dict[str, object] = {
        "type": kind,
        "event_id": "e1",
        "lead_id": "l1",
        "occurred_at": "2026-01-01T12:00:00Z",
        "source_system": "crm",
    }
    if kind == "LeadCaptured":
        given["source"] = "web"
    given |= fields
    return json.dumps({key: value for key, value in given.items() if value is not ...})


def imported(at: int, event_id: str, name: str = "LeadQualified", **fields: Any) -> Imported:
    return Imported(name, {"event_id": event_id, "lead_id": "l", "occurred_at": at, **fields}, at)


def settings_of(cluster: Cluster, prefix: str) -> Settings:
    return load(
        brokers=cluster.brokers, registry_url=cluster.registry_url, topic_prefix=prefix, transactions=cluster.real
    )


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]


def read(brokers: str, topic: str) -> list[Record]:
    """Everything that stands on a topic now, by partition and offset."""
    client = Consumer({
        "bootstrap.servers": brokers, "group.id": "reader", "enable.auto.commit": False, "fetch.wait.max.ms": 10,
        "log_level": 0,
    })  # fmt: skip
    try:
        return sorted(_records(client, topic), key=lambda record: (record.partition, record.offset))
    finally:
        client.close()


def _records(client: Consumer, topic: str) -> Iterator[Record]:
    """Of a topic without transactions: every offset is a record."""
    partitions = [
        TopicPartition(topic, number) for number in client.list_topics(topic, timeout=10).topics[topic].partitions
    ]
    ends = [client.get_watermark_offsets(partition, timeout=10) for partition in partitions]
    starts = [TopicPartition(topic, at.partition, low) for at, (low, _) in zip(partitions, ends, strict=True)]
    left = sum(high - low for low, high in ends)
    client.assign(starts)
    while left:
        messages = client.consume(min(left, 10_000), timeout=10)
        assert messages, f"{topic}: {left} records are missing"
        for message in messages:
            assert message.error() is None, message.error()
            left -= 1
            yield Record(
                topic,
                message.partition(),
                message.offset(),
                message.key(),
                message.value(),
                dict(message.headers() or ()),
            )


def baton(
    *argv: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command of `baton` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "streams", *map(str, argv)],
        input=stdin, capture_output=True, timeout=120, cwd=ROOT, env={**os.environ, **(env or {})}, check=False,
    )  # fmt: skip
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def murmur2(data: bytes) -> int:
    """MurmurHash2 as org.apache.kafka.common.utils.Utils.murmur2 computes it; a signed 32-bit integer.

    Source: the algorithm's definition by Austin Appleby, with Kafka's seed 0x9747b28c.
    """
    mask, mix = 0xFFFFFFFF, 0x5BD1E995
    state = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * mix & mask
        word = (word ^ word >> 24) * mix & mask
        state = state * mix & mask ^ word
    if tail := data[whole:]:
        state = (state ^ int.from_bytes(tail, "little")) * mix & mask
    state = (state ^ state >> 13) * mix & mask
    state ^= state >> 15
    return state - 2**32 if state >= 2**31 else state


def java_partition(key: bytes, partitions: int) -> int:
    """Where the Java client's default partitioner puts a keyed record."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
