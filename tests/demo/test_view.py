"""How a snapshot is shown."""

from __future__ import annotations

import io

from rich.console import Console

from streams.demo.run import summary
from streams.demo.snapshot import Breach, Snapshot, rank
from streams.demo.view import line, render, spark

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
    breaches=(Breach("lead-17", "hot", "rep-berg", 4_200),),
    latencies_ms=(900.0, 400.0, 500.0),
)


def shown(snapshot: Snapshot) -> str:
    console = Console(width=140, height=50, record=True, file=io.StringIO())
    console.print(render(snapshot, {"worker metrics": "http://127.0.0.1:1/metrics"}))
    return console.export_text()


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
    assert any("kept in time" in text and "70%" in text for text in lines)
    assert any("http://127.0.0.1:1/metrics" in text for text in lines)


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
