"""`make chaos`: every fault in turn on a pipeline of real processes under load, and a table of what became of it.

Ends with code 1 where anything was lost, doubled, falsely told or otherwise wrong, or a killed worker held things up for
ten seconds and more. All on one machine, so waits include what the machine is short of.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.load import past
from tests.chaos.site import Ground, Site
from tests.oracle.records import Record

_BEFORE: Final = 8.0
_AFTER: Final = 6.0
"""Seconds of load before and after a fault."""
_FAIL_OVER: Final = 10.0
_HISTORIES: Final = 400


@dataclass
class Row:
    """A line of the table."""

    fault: str
    events: int = 0
    alerts: int = 0
    lost: int = 0
    doubled: int = 0
    false_alerts: int = 0
    wrong: int = 0
    stall: float = 0.0
    store_stall: float = 0.0
    refused: int = 0
    note: str = ""
    examples: list[str] = field(default_factory=list)
    seconds: float = 0.0
    failed: str = ""

    @property
    def good(self) -> bool:
        counted = self.lost or self.doubled or self.false_alerts or self.wrong or self.failed
        slow = self.fault == "worker killed" and self.stall >= _FAIL_OVER
        return not (counted or slow)


def run(ground: Ground, fault: Fault, then: list[Record]) -> Row:
    """One fault on a pipeline of its own."""
    from tests.chaos import observe

    row = Row(fault.name)
    began = time.monotonic()
    site = Site(ground, fault.name.replace(" ", "-").replace("'", ""), disk=fault.disk)
    try:
        site.begin(then, fault.workers, proxied=fault.proxied)
        time.sleep(_BEFORE)
        row.note = fault.does(site)
        time.sleep(_AFTER)
        verdict = site.end()
        row.events, row.alerts, row.lost, row.doubled = verdict.events, verdict.alerts, verdict.lost, verdict.doubled
        row.false_alerts, row.wrong, row.examples = verdict.false_alerts, verdict.wrong, verdict.examples
        row.refused = observe.refused(site.settings)
        row.stall, row.store_stall = site.watch.longest, site.watch.longest_in_store
    except Exception:  # the other faults are worth knowing all the same
        row.failed = traceback.format_exc()
    finally:
        for proxy in ground.proxies:
            proxy.resume()
        site.stop()
        ground.start()
    row.seconds = time.monotonic() - began
    return row


def table(rows: list[Row]) -> Table:
    shown = Table(
        title="Faults on real processes", caption="Waits in seconds; refused: records written and never visible"
    )
    for name in ("fault", "events", "alerts", "lost", "doubled", "false alerts", "wrong"):
        shown.add_column(name, justify="left" if name == "fault" else "right", no_wrap=True)
    for name in ("longest stall", "of the store", "refused"):
        shown.add_column(name, justify="right")
    shown.add_column("")
    for row in rows:
        shown.add_row(
            row.fault, f"{row.events:,}", f"{row.alerts:,}", str(row.lost), str(row.doubled), str(row.false_alerts),
            str(row.wrong), f"{row.stall:.1f}", f"{row.store_stall:.1f}", f"{row.refused:,}",
            "failed: see above" if row.failed else row.note, style=None if row.good else "red",
        )  # fmt: skip
    return shown


def main(
    only: Annotated[list[str] | None, typer.Option(help="Faults whose names contain this; may be repeated.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder for logs, kept; default: one that goes.")] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="File to write the rows to.")] = None,
) -> None:
    """Breaks a running pipeline in every way and shows what became of it."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    faults = [fault for fault in FAULTS if not only or any(part in fault.name for part in only)]
    rows = []
    with tempfile.TemporaryDirectory(prefix="baton-chaos-") as scratch:
        folder = (keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        then = past(_HISTORIES)
        ground = Ground(folder)
        try:
            ground.start()
            for fault in faults:
                if fault.needs_root and os.geteuid() != 0:
                    console.print(f"{fault.name}: left out, it takes root to mount a small disk")
                    continue
                row = run(ground, fault, then)
                rows.append(row)
                console.print(f"{row.fault}: {'good' if row.good else 'BAD'}, {row.seconds:.0f} s")
                for line in [*row.examples, row.failed]:
                    if line:
                        console.print(line, markup=False, highlight=False)
                if as_json is not None:
                    as_json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
        finally:
            ground.stop()
    console.print(table(rows))
    sys.exit(0 if rows and all(row.good for row in rows) else 1)


if __name__ == "__main__":
    typer.run(main)
