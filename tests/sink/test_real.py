"""The sink on a real Kafka: transactions, groups, topics made anew, and the kill that a mock broker cannot judge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.config import Settings
from streams.metrics import SINK_LOST
from streams.registry import Registry
from streams.sink.sink import Sink
from streams.store.client import Client, connect
from streams.topic_admin import ensure_topics
from streams.topics import Topics
from tests.sink.support import (
    Worker,
    behind,
    caught_up,
    complete,
    environment,
    instance,
    journey,
    position,
    rows,
    running,
    state,
    transition,
)
from tests.support.poll import eventually
from tests.support.processes import Child, start

ALL = 17
"""Two lanes of each of the eight topics that the sink reads, and the dead letters."""
KEYS = {
    "lead_transitions": "transition_id", "leads": "lead_id", "sla_events": "instance_id", "sla_instances": "instance_id",
    "events": "event_id",
}  # fmt: skip


@pytest.fixture
def real_client(real_settings: Settings) -> Iterator[Client]:
    made = connect(real_settings)
    yield made
    made.close()


def counted(client: Client, table: str) -> tuple[int, ...]:
    """(physical rows, different places, keys)."""
    sql = "SELECT count(), uniqExact(topic_id, partition, offset), uniqExact({key:Identifier}) FROM {t:Identifier}"
    return tuple(rows(client, sql, t=table, key=KEYS[table])[0])


def test_what_was_aborted_is_never_seen(real_settings: Settings, real_client: Client) -> None:
    """Positions pass the markers of transactions: the last record of a log is never one of ours."""
    worker = Worker(real_settings, real_settings.topic_prefix + "lane-0")
    producer = worker.producer
    with running(real_settings) as sink:
        for round_ in range(6):
            producer.begin_transaction()
            worker.write(
                "LeadTransition", *(transition(f"t{round_}-{n}", "a", "mql") for n in range(20)), partition=round_ % 2
            )
            worker.write("LeadState", state(f"l{round_}", "mql", journey(1)), partition=round_ % 2)
            worker.done()
            if round_ % 2:
                producer.abort_transaction(30)
            else:
                producer.commit_transaction(30)
        caught_up(sink, worker)
        status = sink.status()
        place = f"{real_settings.topic_prefix}lead-transitions-0"
        assert status["partitions"][place] == {"position": 63, "at_end": True}  # 3 x (20 records and a marker)
        assert status["rows"]["lead_transitions"] == 60
    found = rows(real_client, "SELECT DISTINCT splitByChar('-', transition_id)[1] FROM lead_transitions ORDER BY 1")
    assert found == [("t0",), ("t2",), ("t4",)]


def test_a_topic_made_anew_while_the_sink_runs(real_settings: Settings, real_client: Client) -> None:
    worker = Worker(real_settings)
    admin = AdminClient({"bootstrap.servers": real_settings.brokers})
    name = Topics(real_settings.topic_prefix).name("lead-transitions")
    with running(real_settings) as sink:
        worker.write("LeadTransition", *(transition(f"t{n}", "a", "mql") for n in range(30)))
        caught_up(sink, worker)
        admin.delete_topics([name])[name].result(30)
        eventually(lambda: name not in admin.list_topics(timeout=10).topics, 30)
        ensure_topics(real_settings)
        worker = Worker(real_settings)
        worker.write("LeadTransition", *(transition(f"t{n}", "a", "sal") for n in range(10)))
        worker.done()
        eventually(
            lambda: (
                rows(real_client, "SELECT countIf(to_stage = 'sal'), count() FROM lead_transitions FINAL") == [(10, 30)]
            ),
            60,
        )


def cut(settings: Settings, topic: str, first: int) -> None:
    """The log of partition 0 begins at `first`, as if retention had taken what came before."""
    place = TopicPartition(Topics(settings.topic_prefix).name(topic), 0, first)
    admin = AdminClient({"bootstrap.servers": settings.brokers})
    for done in admin.delete_records([place]).values():
        done.result(30)


def test_what_retention_took_is_counted_and_the_rest_is_read(real_settings: Settings, real_client: Client) -> None:
    worker = Worker(real_settings)
    with running(real_settings) as sink:
        worker.write("LeadTransition", *(transition(f"t{n}", "a", "mql") for n in range(10)))
        caught_up(sink, worker)
    worker.write("LeadTransition", *(transition(f"t{n}", "a", "mql") for n in range(10, 30)))
    worker.done()
    cut(real_settings, "lead-transitions", 15)
    before = SINK_LOST.labels("lead-transitions")._value.get()
    with running(real_settings) as sink:
        caught_up(sink, worker)
        assert counted(real_client, "lead_transitions") == (25, 25, 25)
    assert SINK_LOST.labels("lead-transitions")._value.get() - before == 5


def test_a_new_store_reads_a_log_from_where_it_begins_and_has_lost_nothing(
    real_settings: Settings, real_client: Client
) -> None:
    worker = Worker(real_settings)
    worker.write("LeadTransition", *(transition(f"t{n}", "a", "mql") for n in range(20)))
    worker.done()
    cut(real_settings, "lead-transitions", 5)
    before = SINK_LOST.labels("lead-transitions")._value.get()
    with running(real_settings) as sink:
        caught_up(sink, worker)
        assert counted(real_client, "lead_transitions") == (15, 15, 15)
    assert SINK_LOST.labels("lead-transitions")._value.get() == before


def shared(*sinks: Sink) -> bool:
    """Each has half, all have everything once."""
    counts = [len(sink.status()["partitions"]) for sink in sinks]
    return sum(counts) == ALL and min(counts) == ALL // len(counts)


def test_two_sinks_share_and_take_over(real_settings: Settings, real_client: Client) -> None:
    worker = Worker(real_settings)
    with running(real_settings) as first:
        eventually(lambda: len(first.status()["partitions"]) == ALL, 30)
        with running(real_settings) as second:
            eventually(lambda: shared(first, second), 60)
            for lane in range(2):
                worker.write(
                    "LeadTransition", *(transition(f"t{lane}-{n}", "a", "mql") for n in range(40)), partition=lane
                )
            worker.done()
            eventually(lambda: behind(first, worker) + behind(second, worker) == 0, 30)
        eventually(lambda: len(first.status()["partitions"]) == ALL, 60)
        worker.write("LeadTransition", *(transition(f"t9-{n}", "a", "mql") for n in range(40)))
        caught_up(first, worker)
    assert counted(real_client, "lead_transitions") == (120, 120, 120)


def start_sink(settings: Settings, folder: Path) -> Child:
    port_file = folder / "sink.json"
    port_file.unlink(missing_ok=True)
    child = start(
        [sys.executable, "-m", "streams", "sink", "--port-file", port_file],
        folder,
        name="sink",
        env=environment(settings),
    )
    child.wait_until(port_file.exists)
    return child


def status(folder: Path) -> dict[str, Any]:
    port = json.loads((folder / "sink.json").read_text())["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
        return json.load(answer)  # type: ignore[no-any-return]


class Load:
    """Transactions of a worker with two lanes, one after another until stopped."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.written = 0

    def _run(self) -> None:
        write = self._worker.write
        while not self._enough.wait(0.05):
            self._worker.producer.begin_transaction()
            for lane in range(2):
                story = f"{self.written}-{lane}"
                write("LeadTransition", *(transition(f"t{story}-{n}", "a", "mql") for n in range(100)), partition=lane)
                write(
                    "SlaEvent", *(instance(f"i{story}-{n}", f"l{story}-{n}", "open") for n in range(20)), partition=lane
                )
                write("LeadState", *(state(f"l{story}-{n}", "mql", journey(1)) for n in range(20)), partition=lane)
                write("LanePosition", position(lane, self.written), partition=lane)
            for n in range(30):
                captured = complete("LeadCaptured", event_id=f"e{self.written}-{n}", lead_id="a", source="web")
                self._worker.archive("leads", "LeadCaptured", captured | {"entered_by": "system"})
            self._worker.done()
            self._worker.producer.commit_transaction(30)
            self.written += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(60)


def test_kill_after_kill_every_row_is_there_once(
    real_settings: Settings, real_client: Client, embedded_registry_url: str, tmp_path: Path
) -> None:
    """The sink's process is killed (-9) under load, right after an insert was seen, several times; nothing is twice."""
    settings = real_settings.model_copy(
        update={
            "registry_url": embedded_registry_url,
            "group_instance_id": "sink",
            "sink_batch_rows": 400,
            "rollup_interval": 0,
        }
    )
    topics = Topics(settings.topic_prefix)
    with Registry(settings.registry_url) as registry:
        ids = registry.ids(topics, ["LeadTransition", "SlaEvent", "LeadState", "LanePosition", "LeadCaptured"])

    def stored() -> int:
        return counted(real_client, "lead_transitions")[0]

    def grown(past: int) -> None:
        eventually(lambda: stored() > past, 60, interval=0.002)

    with Load(Worker(settings, settings.topic_prefix + "lane-1", ids)) as load:
        for round_ in range(4):
            child = start_sink(settings, tmp_path)
            for _ in range(round_ + 1):
                grown(stored())
            child.kill()
    total = load.written * 200
    assert stored() < total
    child = start_sink(settings, tmp_path)
    try:
        eventually(lambda: stored() >= total and status(tmp_path)["caught_up"], 150)
        each = {"lead_transitions": 200, "sla_events": 40, "sla_instances": 40, "leads": 40, "events": 30}
        for table, count in each.items():
            assert (table, *counted(real_client, table)) == (table, *(load.written * count,) * 3)
        assert child.stop() == 0
    finally:
        child.kill()


def test_the_command_says_what_is_missing(real_settings: Settings, tmp_path: Path) -> None:
    def run(**update: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "streams", "sink"],
            env={**os.environ, **environment(real_settings.model_copy(update=update))},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    without = run(store_database="nowhere")
    assert without.returncode == 2
    assert "baton: store" in without.stderr
    assert "run `baton migrate`" in without.stderr
