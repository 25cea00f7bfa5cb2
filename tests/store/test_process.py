"""`baton store` and `baton sql` as processes: ownership, the end, what a kill leaves."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.config import load
from streams.store.client import connect
from streams.store.migrations import available
from streams.store.ownership import serving
from tests.store.fixtures import start_store
from tests.store.raw import send
from tests.support.poll import eventually
from tests.support.processes import free_port


def baton(*arguments: object, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        input=text,
        check=False,
    )


def test_one_process_owns_a_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    child, url = start_store(data, tmp_path)
    try:
        second = baton("store", "--path", data, "--port", "0")
        assert second.returncode == 1
        assert second.stderr.strip().splitlines() == [
            f"baton: {data} is in use: process {child.pid} serves it at {url}; send queries there, or stop it first"
        ]
        taken = baton("store", "--path", tmp_path / "other", "--port", url.rpartition(":")[2])
        assert taken.returncode == 2
        assert "cannot listen on 127.0.0.1" in taken.stderr
        assert not (tmp_path / "other").exists()
    finally:
        child.stop()
    assert serving(data) is None


def test_sql_finds_the_store_served_or_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    child, url = start_store(data, tmp_path)
    try:
        send(url, "CREATE TABLE kept (n Int32, s String) ENGINE = MergeTree ORDER BY n")
        send(url, "INSERT INTO kept VALUES (1, 'one')")
        served = baton("sql", "SELECT * FROM kept", "--store", data, "--format", "JSONEachRow")
        assert (served.returncode, served.stdout) == (0, '{"n":1,"s":"one"}\n')
        assert baton("sql", "-", "--store", url, "--format", "CSV", text="SELECT 1, 2").stdout == "1,2\n"
    finally:
        child.stop()
    alone = baton("sql", "SELECT * FROM kept", "--store", data, "--format", "TSV")
    assert (alone.returncode, alone.stdout, alone.stderr) == (0, "1\tone\n", "")
    wrong = baton("sql", "SELECT nope FROM kept", "--store", data)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("baton: store http://127.0.0.1:")
    assert "nope" in wrong.stderr
    assert len(wrong.stderr.strip().splitlines()) == 1
    nothing = baton("sql", "SELECT 1", "--store", tmp_path / "nothing")
    assert (nothing.returncode, len(nothing.stderr.strip().splitlines())) == (1, 1)
    away = baton("sql", "SELECT 1", "--store", f"http://127.0.0.1:{free_port()}")
    assert (away.returncode, "does not answer: Connection refused" in away.stderr) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_two_seconds_whatever_runs(tmp_path: Path, number: signal.Signals) -> None:
    child, url = start_store(tmp_path / "data", tmp_path)

    def linger(sql: str) -> None:
        with contextlib.suppress(OSError, Exception):
            send(url, sql)

    for sql in (
        "SELECT sleepEachRow(3) FROM numbers(20) SETTINGS max_block_size = 1 FORMAT JSON",
        "SELECT count() FROM numbers(1e13)",
    ):
        threading.Thread(target=linger, args=(sql,), daemon=True).start()
    eventually(lambda: int(send(url, "SELECT count() FROM system.processes").body) >= 3)
    started = time.monotonic()
    child.signal(number)
    assert child.wait(10) == 0
    assert time.monotonic() - started < 2.5
    child.kill()
    again, url = start_store(tmp_path / "data", tmp_path)
    assert again.stop() == 0


def test_kill_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """kill -9 while inserts run: every acknowledged block is there, whole, and at most the one in flight besides."""
    child, url = start_store(tmp_path / "data", tmp_path)
    settings = load(store_url=url)
    client = connect(settings)
    client.command("CREATE TABLE blocks (block UInt32, n UInt32) ENGINE = MergeTree ORDER BY (block, n)")
    acknowledged: list[int] = []

    def write() -> None:
        with contextlib.suppress(ClickHouseError, OSError):
            for block in range(10_000):
                client.insert(
                    "blocks",
                    [(block, n) for n in range(2_000)],
                    column_names=["block", "n"],
                    settings={"async_insert": 0},
                )
                acknowledged.append(block)

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: len(acknowledged) > 20)
    child.kill()
    writer.join(20)
    child, url = start_store(tmp_path / "data", tmp_path)
    try:
        reply = send(url, "SELECT block, count() FROM blocks GROUP BY block ORDER BY block")
        found = {int(line.split()[0]): int(line.split()[1]) for line in reply.text.splitlines()}
    finally:
        child.stop()
    assert set(found.values()) == {2_000}
    assert list(found) in (acknowledged, [*acknowledged, len(acknowledged)])


def test_migrate_from_the_command_line(tmp_path: Path) -> None:
    names = [f"{one.number:04}_{one.name}" for one in available()]
    child, url = start_store(tmp_path / "data", tmp_path)
    try:
        assert baton("migrate", "--store-url", url).stdout == f"applied {', '.join(names)}\n"
        assert baton("migrate", "up", "--store-url", url).stdout == "up to date\n"
        assert baton("migrate", "status", "--store-url", url).stdout == "".join(f"{name}  applied\n" for name in names)
        assert baton("migrate", "down", "--store-url", url).returncode == 2
        assert (
            baton("migrate", "down", "--to", "0", "--store-url", url).stdout == f"undone {', '.join(reversed(names))}\n"
        )
    finally:
        child.stop()


def test_the_port_file_is_whole(tmp_path: Path) -> None:
    child, url = start_store(tmp_path / "data", tmp_path)
    try:
        told = json.loads(next(tmp_path.glob("store-*.json")).read_text())
        assert (told["pid"], told["url"]) == (child.pid, url)
    finally:
        child.stop()


def test_odd_paths(tmp_path: Path) -> None:
    child, url = start_store(tmp_path / "with space, <angle> and 'quote'", tmp_path)
    assert send(url, "SELECT 1").body == b"1\n"
    assert child.stop() == 0
    refused = baton("store", "--path", tmp_path / "a?b", "--port", "0")
    assert (refused.returncode, "name it without them" in refused.stderr) == (2, True)
    (tmp_path / "file").write_text("")
    assert baton("store", "--path", tmp_path / "file", "--port", "0").returncode == 1


def test_readers_beside_a_writer(tmp_path: Path) -> None:
    """Queries and inserts at once: no answer is wrong, none fails."""
    child, url = start_store(tmp_path / "data", tmp_path)
    failures: list[object] = []
    done = threading.Event()
    try:
        client = connect(load(store_url=url))
        client.command("CREATE TABLE kpi_pairs (n Int64, m Int64) ENGINE = MergeTree ORDER BY n")

        def read() -> None:
            with contextlib.suppress(OSError):
                while not done.is_set():
                    reply = send(url, "SELECT countIf(n != -m) FROM kpi_pairs", user="reader")
                    if reply.body != b"0\n":
                        failures.append(reply)

        readers = [threading.Thread(target=read) for _ in range(6)]
        for reader in readers:
            reader.start()
        for batch in range(25):
            client.insert(
                "kpi_pairs", [(n, -n) for n in range(batch * 4_000, batch * 4_000 + 4_000)], column_names=["n", "m"]
            )
        done.set()
        for reader in readers:
            reader.join(20)
        assert failures == []
        assert client.query("SELECT count() FROM kpi_pairs").result_rows == [(100_000,)]
        client.close()
    finally:
        done.set()
        child.stop()
