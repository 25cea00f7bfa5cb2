"""How the demonstration looks in a terminal. Renders a snapshot; asks nothing of anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich import box
from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from processors.vocabulary import FORWARD, STAGES
from streams.demo.snapshot import Breach, Snapshot, rank, verdicts

_TICKS: Final = " ▁▂▃▄▅▆▇█"
_CLOCKS: Final = (
    ("open", "running", "cyan"),
    ("met", "met in time", "green"),
    ("breached_open", "breached, unanswered", "bold red"),
    ("late_met", "answered late", "yellow"),
    ("breached_ended", "breached, ended", "red"),
    ("cancelled", "cancelled", "dim"),
)


def render(snapshot: Snapshot) -> RenderableType:
    """The whole view: 19 lines at most, so that it fits the smallest terminal."""
    body = Table.grid(expand=True, padding=(0, 1))
    body.add_column(ratio=1)
    body.add_column(ratio=1)
    body.add_row(
        _panel("Funnel: leads that ever reached a stage, and stand there now", _funnel(snapshot)),
        Group(
            _panel("Clocks of all promises", _clocks(snapshot)),
            _panel("Latest breaches", _breaches(snapshot.breaches)),
        ),
    )
    return Group(_head(snapshot), body)


def line(snapshot: Snapshot) -> str:
    """The same in one line, for what is no terminal."""
    counts = verdicts(snapshot)
    reached = snapshot.figures.get("reached", {})
    stages = " ".join(f"{stage}={reached[stage]}" for stage in FORWARD if stage in reached)
    return (
        f"{snapshot.elapsed:5.1f} s  {snapshot.published} events ({snapshot.rate_now:.0f}/s)  {stages}  "
        f"clocks: open={counts.get('open', 0)} met={counts.get('met', 0)} "
        f"breached={counts.get('breached_open', 0)} late={counts.get('late_met', 0)}"
    )


def _panel(title: str, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", box=box.ROUNDED, border_style="dim")


def _head(snapshot: Snapshot) -> RenderableType:
    p50, p90 = rank(snapshot.latencies_ms, 0.5), rank(snapshot.latencies_ms, 0.9)
    latency = "..." if p50 is None or p90 is None else f"p50 {p50 / 1000:.2f} s, p90 {p90 / 1000:.2f} s"
    return Text.assemble(
        (" Baton ", "bold reverse"),
        f"  {snapshot.elapsed:.0f} s   ",
        (f"{snapshot.published:,}", "bold"),
        " events   ",
        (f"{snapshot.rate_now:,.0f}", "bold"),
        " events/s ",
        (spark(snapshot.rates[-30:]), "cyan"),
        "   event to visible: ",
        (latency, "bold"),
        no_wrap=True,
        overflow="ellipsis",
    )


def spark(values: Sequence[float]) -> str:
    """A line of bars, one a value, the highest full."""
    most = max(values, default=0.0)
    if most <= 0:
        return ""
    return "".join(_TICKS[round(value / most * (len(_TICKS) - 1))] for value in values)


def _funnel(snapshot: Snapshot) -> Table:
    reached: Mapping[str, int] = snapshot.figures.get("reached", {})
    current: Mapping[str, int] = snapshot.figures.get("current", {})
    most = max(reached.values(), default=0)
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("stage")
    table.add_column("reached", justify="right")
    table.add_column("", ratio=1)
    table.add_column("now", justify="right")
    for stage in STAGES:
        if stage in FORWARD or stage in reached:
            count = reached.get(stage, 0)
            colour = "green" if stage == "won" else "cyan" if stage in FORWARD else "bright_black"
            bar = Bar(max(most, 1), 0, count, color=colour)
            table.add_row(stage, f"{count:,}", bar, f"{current.get(stage, 0):,}")
    return table


def _clocks(snapshot: Snapshot) -> Table:
    counts = verdicts(snapshot)
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column()
    table.add_column(justify="right")
    for verdict, words, style in _CLOCKS:
        table.add_row(Text(words, style), Text(f"{counts.get(verdict, 0):,}", style))
    due = sum(counts.get(verdict, 0) for verdict in ("met", "late_met", "breached_open", "breached_ended"))
    if due:
        table.add_row(Text("share kept in time", "dim"), Text(f"{counts.get('met', 0) / due:.0%}", "dim"))
    return table


def _breaches(breaches: Sequence[Breach]) -> RenderableType:
    if not breaches:
        return Text("none yet", "dim")
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("lead", no_wrap=True, overflow="ellipsis")
    table.add_column("owner", no_wrap=True, max_width=10, overflow="ellipsis")
    table.add_column("late", justify="right", no_wrap=True, min_width=6)
    for breach in breaches:
        table.add_row(breach.lead_id, breach.owner or "-", f"{breach.overdue_ms / 1000:.0f} s")
    return table


def legend(places: Mapping[str, str]) -> RenderableType:
    """Where to look further, by what is there."""
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for what, where in places.items():
        table.add_row(what, where)
    return table
