"""What others see of the pipeline while it runs, and all of it in the end."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import urllib3
from confluent_kafka import Consumer, KafkaError, TopicPartition

from schemas.wire import schema_id
from streams.config import Settings
from streams.store.client import connect
from streams.topics import INPUTS, LANE_KEY, OUTPUTS, RECEIVED_AT_HEADER, STATES, TRANSITIONS, Topics
from tests.chaos.judge import Received
from tests.chaos.load import LIVE
from tests.oracle.records import Record
from tests.worker.processes import Known

_WARM: Final = 5.0
"""Seconds that pass before waits are measured: a process that has just started is not what is asked about."""
_PATIENCE: Final = 60.0
"""Seconds for brokers that may just have been started again."""
_TABLES: Final = {
    "lead_transitions": "lead_id, transition_id",
    "sla_instances": "lead_id, instance_id",
    "leads": "lead_id",
}


def _consumer(settings: Settings, isolation: str = "read_committed") -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": "observer",  # needed by the client, never joined
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )


def _partitions(consumer: Consumer, name: str) -> list[int]:
    return sorted(consumer.list_topics(name, timeout=20).topics[name].partitions)


def read_all(
    settings: Settings,
    topics: tuple[str, ...],
    take: Callable[[Any], None],
    isolation: str,
    patience: float = _PATIENCE,
) -> None:
    """Every record of the topics that stands there now."""
    consumer = _consumer(settings, isolation)
    try:
        names = [Topics(settings.topic_prefix).name(topic) for topic in topics]
        waiting = {(name, number) for name in names for number in _partitions(consumer, name)}
        consumer.assign([TopicPartition(name, number, 0) for name, number in waiting])
        deadline = time.monotonic() + patience
        while waiting:
            assert time.monotonic() < deadline, f"no answer for {sorted(waiting)}"
            for message in consumer.consume(1000, 0.2):  # it waits for the thousand as long as it may
                if (error := message.error()) is None:
                    take(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    waiting.discard((message.topic(), message.partition()))
    finally:
        consumer.close()


def inputs(settings: Settings) -> list[Received]:
    """All that was published, with the time and the lane that Kafka gave it."""
    known = Known(settings)
    found: list[Received] = []

    def take(message: Any) -> None:
        name, body = known.decode(message.value())
        received = message.timestamp()[1]
        for key, value in message.headers() or ():
            if key == RECEIVED_AT_HEADER:
                received = min(received, int(value))
        found.append(Received(Record(name, body, received), message.partition()))

    read_all(settings, INPUTS, take, "read_committed")
    return found


def versions(settings: Settings) -> tuple[dict[int, list[str]], int]:
    """By lane: the versions of the workers that had it, one after the other; and by how many schemas states are written."""
    known = Known(settings)
    had: dict[int, list[str]] = {}
    schemas: set[int | None] = set()

    def take(message: Any) -> None:
        if message.key() != LANE_KEY:
            schemas.add(schema_id(message.value()))
            return
        _, position = known.decode(message.value())
        owners = had.setdefault(position["lane"], [])
        if owners[-1:] != [position["worker_version"]]:
            owners.append(position["worker_version"])

    read_all(settings, (STATES,), take, "read_committed")
    return had, len(schemas - {None})


def refused(settings: Settings) -> int:
    """Records that workers wrote and that no read_committed consumer will ever see."""
    counted = {"read_committed": 0, "read_uncommitted": 0}
    for isolation in counted:

        def take(_: object, isolation: str = isolation) -> None:
            counted[isolation] += 1

        read_all(settings, OUTPUTS, take, isolation)
    return counted["read_uncommitted"] - counted["read_committed"]


def unfinished(settings: Settings, lanes: set[int]) -> int:
    """Records of the output topics that are written and wait for their transactions, in these lanes."""
    counted = 0
    for isolation, sign in (("read_uncommitted", 1), ("read_committed", -1)):
        consumer = _consumer(settings, isolation)
        for topic in OUTPUTS:
            name = Topics(settings.topic_prefix).name(topic)
            for lane in lanes:
                counted += sign * int(consumer.get_watermark_offsets(TopicPartition(name, lane), timeout=10)[1])
        consumer.close()
    return counted


def ends(settings: Settings, topics: tuple[str, ...]) -> dict[tuple[str, int], int]:
    """High watermarks, by topic and partition."""
    consumer = _consumer(settings)
    try:
        full = {topic: Topics(settings.topic_prefix).name(topic) for topic in topics}
        return {
            (topic, number): consumer.get_watermark_offsets(TopicPartition(name, number), timeout=20)[1]
            for topic, name in full.items()
            for number in _partitions(consumer, name)
        }
    finally:
        consumer.close()


def stored(settings: Settings) -> tuple[dict[str, dict[tuple[str, ...], int]], dict[str, int]]:
    """By table: offset of the statement that holds under each key, and how many rows came from the same record."""
    held: dict[str, dict[tuple[str, ...], int]] = {}
    twice: dict[str, int] = {}
    client = connect(settings)
    try:
        for table, key in _TABLES.items():
            rows = client.query(f"SELECT {key}, offset FROM {table} FINAL").result_rows  # noqa: S608  # our own names
            held[table] = {tuple(row[:-1]): row[-1] for row in rows}
            [(again,)] = client.query(
                f"SELECT count() - uniqExact(topic_id, partition, offset) FROM {table}"  # noqa: S608
            ).result_rows
            twice[table] = again
    finally:
        client.close()
    return held, twice


def asked(port_file: Path) -> dict[str, Any]:
    """What the process that wrote `port_file` answers to /status; {} where it does not."""
    if not port_file.exists():
        return {}
    port = json.loads(port_file.read_text())["port"]
    try:
        answer = urllib3.request("GET", f"http://127.0.0.1:{port}/status", timeout=2, retries=False)
    except urllib3.exceptions.HTTPError:
        return {}
    return answer.json()  # type: ignore[no-any-return]


class Watch:
    """How long the news of leads that live now take: from `publish` to a read_committed consumer, and the longest time
    in which nothing came to the store.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._enough = threading.Event()
        self.longest = 0.0
        """Seconds."""
        self.longest_in_store = 0.0
        self.loaded = True
        """Whether something is published: without it nothing needs to come."""
        self.seen = 0
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._topic, self._store)]

    def start(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(30)

    def _topic(self) -> None:
        from_here = (time.time() + _WARM) * 1000
        known = Known(self._settings)
        consumer = _consumer(self._settings)
        name = Topics(self._settings.topic_prefix).name(TRANSITIONS)
        consumer.assign([TopicPartition(name, number, 0) for number in _partitions(consumer, name)])
        while not self._enough.is_set():
            for message in consumer.consume(500, 0.1):
                if message.error() is not None:
                    continue
                now = time.time()
                _, body = known.decode(message.value())
                live = body["lead_id"].startswith(LIVE) and body["entered_at"] >= from_here
                if live and body["change"] == "stated" and not body["implied"]:
                    self.seen += 1
                    self.longest = max(self.longest, now - body["entered_at"] / 1000)
        consumer.close()

    def _store(self) -> None:
        held, since = -1, time.monotonic()
        sql = "SELECT sum(newest) FROM (SELECT max(offset) AS newest FROM leads GROUP BY partition)"
        while not self._enough.wait(0.3):
            with contextlib.suppress(Exception):  # whatever it is, nothing came
                client = connect(self._settings)
                [(now,)] = client.query(sql).result_rows
                client.close()
                if now != held:
                    if held > 0 and self.loaded:
                        self.longest_in_store = max(self.longest_in_store, time.monotonic() - since)
                    held, since = now, time.monotonic()
