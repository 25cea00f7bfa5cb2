"""`python -m benchmarks.kpis --leads 10000000`: what each KPI view takes on that many leads.

The tables are filled inside the store, by SELECTs from numbers, with what the pipeline would have told about leads that go
one of four ways: ten transitions and three clocks each, an archive of captures, touches and deals. Then they are rolled up
as `baton sink` does it, and every view is asked over HTTP.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import yaml
from rich.console import Console
from rich.table import Table

from streams.config import load
from streams.embedded.supervisor import Supervisor
from streams.store.client import INSERT_SETTINGS, Client, connect
from streams.store.migrations import Migrator, available, statements
from streams.store.reconcile import MARKED
from streams.store.rollup import Rollups

_BATCH: Final = 100_000
_PLACES: Final = {"leads": 1, "lead_transitions": 16, "sla_instances": 4, "events": 32}
"""Table -> how many offsets a lead takes in it."""
_BOARD: Final = Path(__file__).parent.parent / "tests" / "access" / "queries.yaml"
_PERIOD: Final = "since = '2026-05-01 00:00:00', until = '2026-06-01 00:00:00'"
_MODEL: Final = "model = 'w', half_life_days = 90, lookback_months = 27"
VIEWS: Final = (
    "kpi_routing", f"kpi_sla_missed({_PERIOD})", "kpi_ignored(days = 30)", "kpi_disposition(days = 30)", "kpi_rejections",
    "kpi_conversion(window_days = 90)", f"kpi_flow_conversion({_PERIOD})", "kpi_time_in_stage", "kpi_stage_age",
    f"kpi_stage_balance({_PERIOD})", "kpi_lead_velocity", "kpi_win_rate", "kpi_pipeline_velocity(days = 90)", "kpi_goals",
    "kpi_source_coverage", "kpi_campaign_cost", "kpi_recycle_yield(window_days = 90)",
    "kpi_collateral_lift(window_days = 90)",
    "kpi_manual_events", "kpi_completeness", "kpi_completed_by", f"kpi_attribution({_MODEL}, {_PERIOD})",
    f"kpi_campaign_return({_MODEL})", "kpi_touch_stage(days = 30)",
)  # fmt: skip

_SQL: Final = Path(__file__).with_name("kpis.sql")


@dataclass
class Asked:
    query: str
    board: bool
    p50: float
    """Seconds, like the next."""
    p95: float
    cpu: float
    """Likewise, of the store's CPU, the mean: what a machine without other work would need, spread over its cores."""
    read_rows: int
    read_bytes: int
    plan: list[str]
    """What is read, of EXPLAIN: table or projection, parts and granules used of all."""


def fill(client: Client, leads: int, archived: int, say: Callable[[str], None]) -> None:
    """The tables of `leads` leads; the archive holds the events of the first `archived` of them."""
    for table in MARKED:
        client.command(f"DETACH TABLE IF EXISTS {_marks(table)}")  # all of it is rolled up: no need to mark it
    for sql in statements(_SQL.read_text("utf-8")):
        table = sql.partition("INSERT INTO ")[2].partition(" ")[0]
        if "{start:UInt64}" not in sql or not table:
            client.command(sql, settings=INSERT_SETTINGS)
            continue
        began = time.monotonic()
        count = archived if table == "events" else leads
        # A run that was broken off goes on where it was; what comes twice is replaced.
        (last,) = client.query(f"SELECT max(offset) FROM {table}").first_row  # noqa: S608  # a name of ours
        for start in range(last // _PLACES[table] // _BATCH * _BATCH, count, _BATCH):
            client.command(
                sql, parameters={"start": start, "count": min(_BATCH, count - start)}, settings=INSERT_SETTINGS
            )
        ((rows, size),) = [(rows, size) for name, rows, size in _sizes(client) if name == table]
        say(f"{table}: {rows:,} rows, {size / 1e9:.2f} GB, {time.monotonic() - began:.0f} s")
    for table in MARKED:
        client.command(f"ATTACH TABLE {_marks(table)}")


def _views_of_today(client: Client) -> None:
    """A folder that was kept holds the views of the day it was filled."""
    for migration in available():
        for sql in statements(migration.up):
            if "CREATE OR REPLACE VIEW" in sql:
                client.command(sql)


def _sizes(client: Client) -> list[tuple[str, int, int]]:
    return list(
        client.query(
            "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()"
            " GROUP BY table ORDER BY table"
        ).result_rows
    )


def _marks(table: str) -> str:
    short = {"lead_transitions": "transitions", "sla_instances": "clocks", "dead_letters": "letters"}
    return short.get(table, table) + "_changed"


def _plan(client: Client, sql: str, parameters: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for (line,) in client.query(f"EXPLAIN indexes = 1, projections = 1 {sql}", parameters=parameters).result_rows:
        text = line.strip(" │└─├")
        if text.startswith("ReadFrom") and "(" in text:
            found.append(text.split("(", 1)[1].rstrip(")"))
        elif text.startswith("Granules:") and found and "Granules" not in found[-1]:
            found[-1] += " " + text
    return found


def ask(
    client: Client, store: psutil.Process, sql: str, parameters: dict[str, Any], *, board: bool, runs: int
) -> Asked:
    took, summary, used = [], {}, 0.0
    for number in range(runs + 1):
        if number == 1:
            used = sum(store.cpu_times()[:2])
        began = time.perf_counter()
        answer = client.query(sql, parameters=parameters)
        if number:
            took.append(time.perf_counter() - began)
        summary = answer.summary
    used = (sum(store.cpu_times()[:2]) - used) / runs
    took.sort()
    return Asked(
        sql, board, took[len(took) // 2], took[min(len(took) - 1, int(0.95 * len(took)))], used,
        int(summary.get("read_rows", 0)), int(summary.get("read_bytes", 0)), _plan(client, sql, parameters),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kpis", description=__doc__)
    parser.add_argument("--leads", type=int, default=200_000)
    parser.add_argument("--archived", type=int, help="leads whose events are archived (default: all)")
    parser.add_argument(
        "--runs", type=int, default=12, help="of each query, after one to warm up; five times as many of the board's"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="is kept, and not filled again (but gets the views as they are now: its tables have to be those of now);"
        " default: a new one",
    )
    options = parser.parse_args()
    console = Console()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="baton-kpis-"))
    filled = folder / "filled"
    try:
        with Supervisor(folder / "run") as supervisor:
            store = supervisor.start("store", ["store", "--path", str(folder / "store"), "--port", "0"], {})
            supervisor.wait_ready(store)
            settings = load(store_url=f"http://127.0.0.1:{store.ready['port']}", erasure_key="bench")
            client, process = connect(settings), psutil.Process(store.process.pid)
            if (folder / "store" / "migrated").exists():
                _views_of_today(client)
            else:
                Migrator(settings).up()
                (folder / "store" / "migrated").touch()
            if not filled.exists():
                archived = options.leads if options.archived is None else options.archived
                fill(client, options.leads, archived, console.print)
                began = time.monotonic()
                leads = Rollups(client, settings.store_url, share=100_000).rebuild()
                console.print(f"rolled up: {leads:,} leads, {time.monotonic() - began:.0f} s")
                filled.touch()
            # A p95 of the fast ones takes more than a few runs.
            asked = [
                ask(client, process, one["sql"], one.get("parameters", {}), board=True, runs=5 * options.runs)
                for one in yaml.safe_load(_BOARD.read_text("utf-8"))
            ]
            asked += [
                ask(client, process, f"SELECT * FROM {view}", {}, board=False, runs=options.runs)  # noqa: S608  # names of ours
                for view in VIEWS
            ]
            sizes = _sizes(client)
            client.close()
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    table = Table(
        "query", "p50 ms", "p95 ms", "CPU ms", "rows read", "MB read", "reads", title=f"{options.leads:,} leads"
    )
    for one in asked:
        table.add_row(
            ("* " if one.board else "") + one.query[:90], f"{one.p50 * 1000:.0f}", f"{one.p95 * 1000:.0f}",
            f"{one.cpu * 1000:.0f}",
            f"{one.read_rows:,}", f"{one.read_bytes / 1e6:.1f}", "; ".join(one.plan)[:200],
        )  # fmt: skip
    console.print(table)
    for name, rows, size in sizes:
        console.print(f"{name}: {rows:,} rows, {size / 1e9:.2f} GB")
    console.print(f"{os.cpu_count()} cores; Python {platform.python_version()}; {platform.platform()}")
    print(json.dumps([asdict(one) for one in asked]))


if __name__ == "__main__":
    main()
