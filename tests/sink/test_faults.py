"""The store goes, hangs, is slow, is made anew or refuses: nothing lost, nothing twice, and no more memory than two batches."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.config import Settings
from streams.sink.sink import Sink
from streams.store.client import Client, connect
from streams.store.migrations import Migrator, available, statements
from tests.sink.support import (
    START,
    Schemas,
    Worker,
    behind,
    caught_up,
    complete,
    environment,
    instance,
    journey,
    rows,
    running,
    state,
    transition,
)
from tests.store.fixtures import start_store
from tests.support.poll import eventually, never
from tests.support.processes import Child, free_port, start


class OwnStore:
    """A store of the test's own, to be ended and started again on the same address."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self._port = free_port()
        self.child: Child
        self.start()
        self.settings = settings.model_copy(
            update={"store_url": f"http://127.0.0.1:{self._port}", "sink_batch_rows": 500}
        )
        Migrator(self.settings).up()

    def start(self) -> None:
        self.child, _ = start_store(self._folder / "data", self._folder, port=self._port)


@pytest.fixture
def own_store(settings: Settings, tmp_path: Path) -> Iterator[OwnStore]:
    made = OwnStore(tmp_path, settings)
    yield made
    made.child.thaw()
    made.child.stop()


def held_in_memory(sink: Sink) -> int:
    return sum(map(len, sink._pending.values())) + sum(flight.records for flight in list(sink._flights))


def write(worker: Worker, numbers: range) -> None:
    for number in numbers:
        lane = number % 4
        worker.write("LeadTransition", transition(f"t{number}", f"l{number % 97}", "mql"), partition=lane)
        worker.write("SlaEvent", instance(f"i{number}", f"l{number % 97}", "open"), partition=lane)
        event = complete(
            "LeadCaptured", event_id=f"e{number}", lead_id=f"l{number % 97}", occurred_at=START, source="web"
        )
        worker.archive("leads", "LeadCaptured", event | {"entered_by": "system"})
        if number % 10 == 0:
            worker.write("LeadState", state(f"l{number}", "mql", journey(1)), partition=lane)
    worker.done()


def counted(settings: Settings) -> list[tuple[int, ...]]:
    """(rows, different keys) of each table."""
    with connect(settings) as client:
        return [
            rows(client, "SELECT count(), uniqExact({k:Identifier}) FROM {t:Identifier}", t=table, k=key)[0]
            for table, key in (
                ("lead_transitions", "transition_id"),
                ("sla_instances", "instance_id"),
                ("sla_events", "instance_id"),
                ("events", "event_id"),
                ("leads", "lead_id"),
            )
        ]


def test_a_store_that_is_away_or_hangs_holds_the_sink_back(own_store: OwnStore, settings: Settings) -> None:
    """It reads no more than the batch under way and the next one, however much there is, and goes on by itself."""
    worker = Worker(settings)
    written, most = 1_000, 0
    write(worker, range(written))
    with running(own_store.settings) as sink:
        caught_up(sink, worker)

        def passed() -> bool:
            nonlocal most
            most = max(most, held_in_memory(sink))
            return behind(sink, worker) == 0

        def end() -> None:
            own_store.child.kill()

        def freeze() -> None:
            own_store.child.freeze()

        for harm, mend in ((end, own_store.start), (freeze, lambda: own_store.child.thaw())):
            harm()
            write(worker, range(written, written + 4_000))
            written += 4_000
            eventually(lambda: passed() or held_in_memory(sink) >= 1_000, 30)
            never(passed, 2)
            if harm is end:
                assert "does not answer: Connection refused" in (sink.status()["waits_for"] or "")
            mend()
            caught_up(sink, worker)
            assert sink.status()["waits_for"] is None
        assert 1_000 <= most <= 1_500
    assert counted(own_store.settings) == [(9_000, 9_000)] * 4 + [(900, 900)]


def test_a_slow_store(settings: Settings, worker: Worker) -> None:
    """Inserts that take longer than the sink's interval: batches grow instead of gathering, and all of it lands once."""
    settings = settings.model_copy(update={"sink_interval": 0.05, "sink_batch_rows": 400})
    inserts: list[int] = []

    def make(given: Settings, schemas: Schemas) -> Sink:
        sink = Sink(given, schemas)
        insert = sink._writer._insert

        def slow(table: str, data: Any, token: str) -> None:
            inserts.append(len(data))
            time.sleep(0.2)
            insert(table, data, token)

        sink._writer._insert = slow  # type: ignore[method-assign]
        return sink

    with running(settings, make) as sink:
        for at in range(0, 1_500, 300):
            write(worker, range(at, at + 300))
        caught_up(sink, worker)
    assert max(inserts) <= 800
    assert counted(settings) == [(1_500, 1_500)] * 4 + [(150, 150)]


DDL = {
    word.split("EXISTS ")[1].split()[0]: word
    for migration in available()
    for word in statements(migration.up)
    if "CREATE TABLE IF NOT EXISTS " in word
}


def made_anew(client: Client, table: str) -> None:
    client.command("DROP TABLE IF EXISTS {t:Identifier} SYNC", parameters={"t": table})
    client.command(DDL[table])


@pytest.mark.parametrize("table", ["lead_transitions", "sla_instances", "sla_events", "events", "leads"])
def test_a_table_made_anew_is_filled_again(settings: Settings, worker: Worker, client: Client, table: str) -> None:
    """While nothing is under way, and before anything else is written into it."""
    write(worker, range(100))
    with running(settings) as sink:
        caught_up(sink, worker)
        made_anew(client, table)
        write(worker, range(100, 200))
        eventually(lambda: counted(settings) == [(200, 200)] * 4 + [(20, 20)], 30)
        caught_up(sink, worker)


def test_a_table_that_is_gone_for_a_while(settings: Settings, worker: Worker, client: Client) -> None:
    write(worker, range(100))
    with running(settings) as sink:
        caught_up(sink, worker)
        client.command("DROP TABLE sla_instances SYNC")
        write(worker, range(100, 200))
        eventually(lambda: "table sla_instances is missing" in (sink.status()["waits_for"] or ""))
        client.command(DDL["sla_instances"])
        eventually(lambda: counted(settings) == [(200, 200)] * 4 + [(20, 20)], 30)


def test_a_table_made_anew_under_an_insert(settings: Settings, worker: Worker, client: Client) -> None:
    """The new table's first rows are in the middle of the log: what it holds is no position, all is read again."""
    write(worker, range(100))
    armed = threading.Event()

    def make(given: Settings, schemas: Schemas) -> Sink:
        sink = Sink(given, schemas)
        insert = sink._writer._insert

        def late(table: str, data: Any, token: str) -> None:
            if table == "lead_transitions" and armed.is_set():
                made_anew(client, table)
                armed.clear()
            insert(table, data, token)

        sink._writer._insert = late  # type: ignore[method-assign]
        return sink

    with running(settings, make) as sink:
        caught_up(sink, worker)
        armed.set()
        write(worker, range(100, 200))
        eventually(lambda: not armed.is_set(), 30)
        eventually(lambda: len(set(rows(client, "SELECT transition_id FROM lead_transitions FINAL"))) == 200, 30)
        caught_up(sink, worker)
    assert rows(client, "SELECT count(), uniqExact(transition_id) FROM lead_transitions FINAL") == [(200, 200)]


def test_a_column_that_the_store_has_not_names_itself(settings: Settings, worker: Worker, client: Client) -> None:
    """Nothing is skipped and nothing set aside: it is the store that has to be mended."""
    client.command("ALTER TABLE lead_transitions DROP COLUMN grade")
    client.command("ALTER TABLE leads DROP COLUMN grade")
    write(worker, range(30))
    with running(settings) as sink:
        for table in ("lead_transitions", "leads"):
            eventually(lambda: "grade" in (sink.status()["waits_for"] or ""), 30)
            client.command(f"ALTER TABLE {table} ADD COLUMN grade LowCardinality(Nullable(String))")
        caught_up(sink, worker)
    assert counted(settings) == [(30, 30)] * 4 + [(3, 3)]
    assert rows(client, "SELECT count() FROM dead_letters") == [(0,)]


def test_a_refused_record_is_told_before_what_comes_after_it(
    settings: Settings, worker: Worker, client: Client
) -> None:
    """A crash between the two inserts must not lose it: once a table has later rows, it would not be read again."""
    worker.raw("lead-transitions", b"a", b"\7 no such thing")
    worker.write("LeadTransition", *(transition(f"t{number}", "a", "mql") for number in range(20)))
    worker.done()

    class Crash(BaseException):
        pass

    sink = Sink(settings, Schemas())
    insert = sink._writer.insert

    def crashing(*args: Any) -> None:
        insert(*args)
        raise Crash

    sink._writer.insert = crashing  # type: ignore[method-assign, assignment]
    with pytest.raises(Crash):
        sink.run()
    with running(settings.model_copy(update={"sink_group": f"{settings.sink_group}2"})) as again:
        caught_up(again, worker)
    assert rows(client, "SELECT origin_offset, reason FROM dead_letters FINAL") == [(0, "unknown_magic_byte")]
    assert rows(client, "SELECT count(), uniqExact(offset) FROM lead_transitions") == [(20, 20)]


def test_a_store_that_is_not_there_at_the_start(settings: Settings, embedded_registry_url: str, tmp_path: Path) -> None:
    """One line an attempt with address and cause; the sink is ready once the store is."""
    port = free_port()
    given = settings.model_copy(update={"store_url": f"http://127.0.0.1:{port}", "registry_url": embedded_registry_url})
    store, _ = start_store(tmp_path / "data", tmp_path, port=port)
    Migrator(given).up()
    store.kill()
    child = start(
        [sys.executable, "-m", "streams", "sink", "--port-file", tmp_path / "sink.json"],
        tmp_path, name="sink", env=environment(given) | {"BATON_LOG_JSON": "true"},
    )  # fmt: skip
    try:
        line = f"store http://127.0.0.1:{port} does not answer: Connection refused"
        eventually(lambda: child.output().count(line) >= 2, 30)
        assert "Traceback" not in child.output()
        assert "urllib3" not in child.output()
        assert "Retry(" not in child.output()
        store, _ = start_store(tmp_path / "data", tmp_path, port=port)
        child.wait_until((tmp_path / "sink.json").exists)
        assert child.stop() == 0
    finally:
        child.kill()
        store.kill()


def test_a_store_that_is_not_there_for_one_command(settings: Settings) -> None:
    port = free_port()
    said = subprocess.run(
        [sys.executable, "-m", "streams", "migrate", "status", "--wait", "0", "--store-url", f"http://127.0.0.1:{port}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert said.returncode == 1
    assert said.stderr == f"baton: store http://127.0.0.1:{port} does not answer: Connection refused\n"
