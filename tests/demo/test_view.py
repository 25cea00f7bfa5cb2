"""How a snapshot is shown."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console, RenderableType

from processors.vocabulary import STAGES
from streams.demo.run import summary
from streams.demo.snapshot import Breach, Snapshot, rank
from streams.demo.view import legend, line, render, spark

SLA = {"met": 7, "late_met": 2, "breached_open": 1, "breached_ended": 0, "cancelled": 3, "transferred": 0, "open": 4}
SNAPSHOT = Snapshot(
    elapsed=12.5,
    published=1234,
    rate_now=98.6,
    rates=(50.0, 100.0),
    figures={
        "events": 1234,
        "reached": {"inquiry": 200, "mql": 100, "won": 3},
        "current": {"inquiry": 60, "won": 3},
        "sla": {"first_response": SLA},
    },
    breaches=(Breach("lead-17", "rep-berg", 4_200),),
    latencies_ms=(900.0, 400.0, 500.0),
)


def text_of(content: RenderableType, width: int = 140) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(content)
    return console.export_text()


def shown(snapshot: Snapshot) -> str:
    return text_of(render(snapshot))


def test_the_view_shows_funnel_clocks_breaches_throughput_and_where_to_look() -> None:
    lines = shown(SNAPSHOT).splitlines()
    assert "1,234 events" in lines[0]
    assert "99 events/s" in lines[0]
    assert "p50 0.50 s, p90 0.90 s" in lines[0]
    mql = next(text for text in lines if "mql" in text)
    assert "100" in mql
    assert "14 " not in mql
    breach = next(text for text in lines if "lead-17" in text)
    assert "rep-berg" in breach
    assert "4 s" in breach
    assert any("breached, unanswered" in text and " 1 " in text for text in lines)
    assert any("share kept in time" in text and "70%" in text for text in lines)


def test_it_fits_a_terminal_of_80_columns_and_24_lines() -> None:
    full = dict.fromkeys(STAGES, 12345)
    figures = {**SNAPSHOT.figures, "reached": full, "current": full}
    breaches = [Breach(f"lead-{number:07d}", "rep-anders", 3_600_000) for number in range(5)]
    text = text_of(render(replace(SNAPSHOT, figures=figures, breaches=breaches)), 80)
    lines = text.splitlines()
    assert len(lines) <= 24 - 5
    assert max(map(len, lines)) <= 80
    assert "12,345" in next(line for line in lines if "opportunity" in line)
    last = next(line for line in lines if "lead-0000004" in line)
    assert "rep-anders" in last
    assert "3600 s" in last


def test_the_legend_tells_whole_addresses_on_a_narrow_terminal() -> None:
    where = "http://127.0.0.1:8123  database baton, user reader, no password"
    text = text_of(legend({"BI tools (ClickHouse HTTP)": where}), 60)
    assert where.replace(" ", "") in "".join(text.split())[len("BItools(ClickHouseHTTP)") :]


def test_stages_nobody_reached_are_shown_on_the_forward_path_only() -> None:
    text = shown(SNAPSHOT)
    assert "opportunity" in text
    assert "nurture" not in text


def test_an_empty_snapshot_can_be_shown() -> None:
    assert "none yet" in shown(Snapshot())
    assert "0 events" in line(Snapshot())


def test_without_a_terminal_the_same_is_one_line() -> None:
    text = line(SNAPSHOT)
    assert "\n" not in text
    assert "1234 events (99/s)" in text
    assert "inquiry=200 mql=100 won=3" in text
    assert "open=4 met=7 breached=1 late=2" in text


def test_a_spark_line_has_the_highest_value_full() -> None:
    assert spark((0.0, 50.0, 100.0)) == " ▄█"
    assert spark(()) == ""
    assert spark((0.0,)) == ""


def test_ranks_are_nearest_rank() -> None:
    assert rank([], 0.5) is None
    assert rank([3.0, 1.0, 2.0], 0.5) == 2.0
    assert rank([float(value) for value in range(10)], 0.9) == 9.0


def test_the_summary_counts_breaches_answered_late_too() -> None:
    found = summary(SNAPSHOT, seed=5)
    assert (found["met"], found["breached"], found["open"]) == (7, 3, 4)
    assert found["latency_ms"] == {"n": 3, "p50": 500, "p90": 900}
    assert found["events_per_second"] == 98.7
    assert summary(Snapshot(), seed=5)["latency_ms"] == {"n": 0, "p50": None, "p90": None}
