"""The status of erasures on a screen and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.erasure.status import LONGEST_DAYS, Status
from streams.explain.shapes import plain
from streams.explain.words import local

_WORDS = {
    "open": "requested, not done yet", "overdue": "OVERDUE", "deleting": "erased, its rows are being deleted",
    "unproven": "erased, not proven: see the topics", "done": "done", "done_late": "done, after the deadline",
}  # fmt: skip


def as_json(status: Status) -> dict[str, Any]:
    """Instants as ISO-8601 in UTC."""
    return {name: plain(name, value) for name, value in asdict(status).items()}


def show(status: Status, console: Console) -> None:
    table = Table(title="Erasures (UTC)", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("lead", "requested", "deadline", "erased", "state", "personal rows left", "last bytes gone by"):
        table.add_column(column, overflow="fold")
    for item in status.erasures:
        instants = [
            "-" if at is None else local(at, "UTC")
            for at in (item.requested_at, item.deadline, item.erased_at, item.gone_at)
        ]
        left = ", ".join(f"{name} {count}" for name, count in item.rows_left.items()) or "none"
        if item.erased_at is None:
            left = "all: it is not erased"
        table.add_row(Text(item.lead_id), *instants[:3], _WORDS[item.state], left, instants[3])
    console.print(table if status.erasures else "No erasure was requested or done.")
    topics = Table(title="\nTopics that may say something of a person", title_justify="left", box=None, pad_edge=False,
                   padding=(0, 2, 0, 0))  # fmt: skip
    for column in ("topic", "keeps at most", "so"):
        topics.add_column(column, overflow="fold")
    for kept in status.topics:
        days = "-" if kept.days is None else f"{kept.days:.3g} days"
        topics.add_row(Text(kept.topic), days, Text(kept.problem or f"within the {LONGEST_DAYS} days allowed"))
    console.print(topics)
    console.print(f"\nTables whose rows go with a lead: {', '.join(status.tables)}.")
    for note in status.notes:
        console.print(Text(note, style="yellow"))
    console.print("Proven." if status.proven else Text("NOT PROVEN, or overdue: see above.", style="bold red"))
