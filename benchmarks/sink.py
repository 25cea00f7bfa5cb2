"""The sink's throughput, and a bare clickhouse-connect insert of the same rows into tables of the same kind."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import urllib3
from rich.console import Console
from rich.table import Table

from streams.config import Settings
from streams.embedded.supervisor import Supervisor
from streams.store.client import INSERT_SETTINGS, connect
from streams.store.migrations import Migrator
from tests.worker.processes import environment

TABLES = ("lead_transitions", "sla_instances", "leads", "lanes")
_BATCH = 50_000
_PATIENCE = 60.0


@dataclass
class Sunk:
    """Rows are those that stand in the tables afterwards, before merges take old versions away."""

    rows: int
    sink_seconds: float
    sink_cpu_seconds: float
    store_cpu_seconds: float
    """Of the store while the sink wrote."""
    bare_seconds: float
    bare_cpu_seconds: float
    """Of client and store together."""

    @property
    def ratio(self) -> float:
        return self.bare_seconds / self.sink_seconds

    @property
    def cpu_ratio(self) -> float:
        """Says less of parallel work, but does not move with what else the machine does."""
        return self.bare_cpu_seconds / (self.sink_cpu_seconds + self.store_cpu_seconds)


def _cpu(*processes: psutil.Process) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def compare(settings: Settings, supervisor: Supervisor, folder: Path) -> Sunk:
    """Drains the output topics of `settings` with a sink into a fresh store, then inserts the same rows once more, bare."""
    store = supervisor.start("store", ["store", "--path", str(folder / "store"), "--port", "0"], {})
    supervisor.wait_ready(store)
    settings = settings.model_copy(update={"store_url": f"http://127.0.0.1:{store.ready['port']}"})
    Migrator(settings).up()
    client = connect(settings)
    for table in TABLES:
        client.command(f"SYSTEM STOP MERGES {table}")
    sink = supervisor.start("sink", ["sink"], environment(settings))
    supervisor.wait_ready(sink)
    url = f"http://127.0.0.1:{sink.ready['port']}/status"

    def status() -> tuple[int, bool]:
        answer = urllib3.request("GET", url, timeout=5).json()
        return sum(answer["rows"].values()), answer["caught_up"]

    asked = time.monotonic()
    while not status()[0]:
        if time.monotonic() - asked > _PATIENCE:
            raise SystemExit(f"sink: nothing was stored within {_PATIENCE:.0f} s")
        time.sleep(0.02)
    process = psutil.Process(sink.process.pid)
    storing, bare_client = psutil.Process(store.process.pid), psutil.Process()
    first, began, cpu, store_cpu = status()[0], time.monotonic(), _cpu(process), _cpu(storing)
    last, ended = first, began
    while not (now := status())[1]:
        if now[0] != last:
            last, ended = now[0], time.monotonic()
        time.sleep(0.02)
    # The end is when the last row was stored; that there are no more is known a moment later.
    seconds, used = (ended if now[0] == last else time.monotonic()) - began, _cpu(process) - cpu
    store_cpu = _cpu(storing) - store_cpu
    sink.process.terminate()
    sink.process.wait(10)
    rows = now[0] - first
    bare = bare_cpu = share = 0.0
    for table in TABLES:
        held = client.query(f"SELECT * FROM {table}")  # noqa: S608  # a name of ours
        client.command(f"CREATE TABLE bare_{table} AS {table}")
        data = held.result_rows
        share += len(data)
        start, cpu = time.monotonic(), _cpu(bare_client, storing)
        for place in range(0, len(data), _BATCH):
            client.insert(f"bare_{table}", data[place : place + _BATCH], held.column_names, settings=INSERT_SETTINGS)
        bare += time.monotonic() - start
        bare_cpu += _cpu(bare_client, storing) - cpu
    client.close()
    return Sunk(rows, seconds, used, store_cpu, bare * rows / share, bare_cpu * rows / share)


def show(sunk: Sunk, console: Console) -> None:
    table = Table("rows", "seconds", "rows/s", "CPU us/row, client", "with store", title="One sink")
    us = 1e6 / sunk.rows
    table.add_row(
        f"sink: {sunk.rows:,}", f"{sunk.sink_seconds:.1f}", f"{sunk.rows / sunk.sink_seconds:,.0f}",
        f"{sunk.sink_cpu_seconds * us:.1f}", f"{(sunk.sink_cpu_seconds + sunk.store_cpu_seconds) * us:.1f}",
    )  # fmt: skip
    table.add_row(
        "bare insert of the same", f"{sunk.bare_seconds:.1f}", f"{sunk.rows / sunk.bare_seconds:,.0f}", "",
        f"{sunk.bare_cpu_seconds * us:.1f}",
    )  # fmt: skip
    console.print(table)
    console.print(
        f"sink / bare insert: {sunk.ratio:.2f} of the rows a second, {sunk.cpu_ratio:.2f} of the rows a CPU second"
    )
