"""The sink's throughput, and a bare clickhouse-connect insert of the same rows into tables of the same kind.

Both write into one store on this machine: the sink all tables that it fills, whose views mark the leads that changed, and
after it a client that has the same rows as tuples, table by table, into copies of those tables that no view looks at. Parts
are merged in neither.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import urllib3
from rich.console import Console
from rich.table import Table

from streams.config import Settings
from streams.embedded.supervisor import Supervisor
from streams.sink.batch import TABLES
from streams.store.client import INSERT_SETTINGS, connect
from streams.store.migrations import Migrator
from tests.worker.processes import environment

_BATCH = 50_000
_PATIENCE = 60.0
_POLL = 0.1
"""Seconds: to answer takes time of the process that is measured."""


@dataclass
class Sunk:
    """Rows are those that stand in the tables afterwards, before merges take old versions away."""

    rollup_interval: float
    """Seconds between rollups of the KPI tables meanwhile; 0: none."""
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


def compare(settings: Settings, supervisor: Supervisor, folder: Path, rollup_interval: float) -> Sunk:
    """Drains the topics of `settings` with a sink into a fresh store, then inserts the same rows once more, bare."""
    kind = f"{rollup_interval:g}"
    store = supervisor.start(f"store-{kind}", ["store", "--path", str(folder / f"store-{kind}"), "--port", "0"], {})
    supervisor.wait_ready(store)
    settings = settings.model_copy(
        update={
            "store_url": f"http://127.0.0.1:{store.ready['port']}",
            "sink_group": f"bench.sink-{kind}",
            "rollup_interval": rollup_interval,
        }
    )
    Migrator(settings).up()
    client = connect(settings)
    tables = list(dict.fromkeys(table.name for of_topic in TABLES.values() for table in of_topic))
    for table in tables:
        client.command(f"SYSTEM STOP MERGES {table}")
    sink = supervisor.start(f"sink-{kind}", ["sink"], environment(settings))
    supervisor.wait_ready(sink)
    url = f"http://127.0.0.1:{sink.ready['port']}/status"

    def status() -> dict[str, Any]:
        return urllib3.request("GET", url, timeout=5).json()  # type: ignore[no-any-return]

    asked = time.monotonic()
    while not status()["ready"]:  # its group has formed, and it knows where to begin
        if time.monotonic() - asked > _PATIENCE:
            raise SystemExit(f"sink: it was not ready within {_PATIENCE:.0f} s")
        time.sleep(0.02)
    process = psutil.Process(sink.process.pid)
    storing, bare_client = psutil.Process(store.process.pid), psutil.Process()
    began, cpu, store_cpu = time.monotonic(), _cpu(process), _cpu(storing)
    rows, ended = 0, began
    while True:
        time.sleep(_POLL)
        now = status()
        if (stored := sum(now["rows"].values())) != rows:
            rows, ended = stored, time.monotonic()
        if now["caught_up"] or (rows and all(place["at_end"] for place in now["partitions"].values())):
            break  # rollups of the last rows may go on
    # The end is when the last row was stored; that there are no more is known a moment later.
    seconds, used = ended - began, _cpu(process) - cpu
    store_cpu = _cpu(storing) - store_cpu
    sink.process.terminate()
    sink.process.wait(10)
    bare = bare_cpu = share = 0.0
    for table in tables:
        # In the order in which they came, as a client has them.
        held = client.query(f"SELECT * FROM {table} ORDER BY topic_id, partition, offset")  # noqa: S608  # a name of ours
        client.command(f"CREATE TABLE bare_{table} AS {table}")
        client.command(f"SYSTEM STOP MERGES bare_{table}")
        data = held.result_rows
        share += len(data)
        start, cpu = time.monotonic(), _cpu(bare_client, storing)
        for place in range(0, len(data), _BATCH):
            client.insert(f"bare_{table}", data[place : place + _BATCH], held.column_names, settings=INSERT_SETTINGS)
        bare += time.monotonic() - start
        bare_cpu += _cpu(bare_client, storing) - cpu
    client.close()
    store.process.terminate()
    store.process.wait(30)
    return Sunk(rollup_interval, rows, seconds, used, store_cpu, bare * rows / share, bare_cpu * rows / share)


def _title(sunk: Sunk) -> str:
    return f"One sink, rollups every {sunk.rollup_interval:g} s" if sunk.rollup_interval else "One sink, no rollups"


def show(sunk: Sunk, console: Console) -> None:
    table = Table("rows", "seconds", "rows/s", "CPU us/row, client", "with store", title=_title(sunk))
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
