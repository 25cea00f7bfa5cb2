"""The KPI views on a small world whose numbers can be counted by hand."""

from __future__ import annotations

import math

import pytest

from streams.config import Settings
from streams.store.client import Client
from streams.store.rollup import Rollups
from tests.sink.support import (
    DAY,
    START,
    Worker,
    caught_up,
    instance,
    journey,
    position,
    rows,
    running,
    state,
    transition,
)

HOUR = 3_600_000


@pytest.fixture
def world(settings: Settings, worker: Worker, client: Client) -> Client:
    """Two sources; leads that must not count: test traffic, merged, erased, one that nothing has moved."""
    web = {"source": "web"}
    worker.write(
        "LeadState",
        state("w1", "won", journey(1, inquiry_at=START, mql_at=START, won_at=START + DAY), **web),
        state("w2", "mql", journey(1, inquiry_at=START, mql_at=START, won_at=START), journey(2, mql_at=START), **web),
        state("w3", "inquiry", journey(1, inquiry_at=START), **web),
        state("f1", "lost", journey(1, mql_at=START, opportunity_at=START, lost_at=START), source="fair"),
        state("n1", "sql", journey(1, sql_at=START), source=None),
        state("x1", "won", journey(1, won_at=START), is_test=True, **web),
        state("x2", "merged", journey(1, won_at=START), **web),
        state("x3", "erased", journey(1, won_at=START), **web),
        state("x4", "", **web),
    )
    # Ten hand-raises of which seven were answered, in 1 to 7 hours; one clock that LeadQualified started.
    worker.write(
        "SlaEvent",
        *(instance(f"a{n}", "w1", "met", satisfied_at=START + n * HOUR, elapsed_ms=n * HOUR // 2) for n in range(1, 7)),
        instance("a7", "w1", "late_met", deadline=START, satisfied_at=START + 7 * HOUR, elapsed_ms=7 * HOUR // 2),
        instance("o1", "w2", "open", deadline=START + 3 * DAY),
        instance("b1", "w2", "breached_open", deadline=START + 2),
        instance("c1", "w3", "cancelled", ended_at=START + 1),
        instance(
            "m1", "w3", "met", start_event_id="qualified", start_event_type="LeadQualified", satisfied_at=START + 1
        ),
        instance("d1", "f1", "breached_ended", deadline=START + 1, source="fair"),
        instance("f2", "f1", "met", deadline=START + 9 * DAY, satisfied_at=START + HOUR, source="fair"),
        *(instance(f"x{n}", f"x{n}", "breached_open", deadline=START, is_test=n == 1) for n in range(1, 4)),
    )
    worker.write("LeadTransition", transition("t1", "w3", "mql", event_id="qualified"))
    worker.write("LanePosition", position(0, START + 2 * DAY))
    with running(settings) as sink:
        caught_up(sink, worker)
    Rollups(client, settings.store_url).roll()
    return client


def test_funnel(world: Client) -> None:
    assert rows(world, "SELECT * FROM kpi_funnel_by_source ORDER BY source") == [
        ("(none)", 1, 0, 0, 0, 1, 0, 0, 0, 0.0, 0.0),
        ("fair", 1, 0, 1, 0, 0, 1, 0, 1, 0.0, 1.0),
        ("web", 3, 3, 2, 0, 0, 0, 2, 0, 2 / 3, 1 / 3),
    ]
    assert rows(world, "SELECT source, stage, leads FROM kpi_current_stages ORDER BY ALL") == [
        ("(none)", "sql", 1), ("fair", "lost", 1), ("web", "inquiry", 1), ("web", "mql", 1), ("web", "won", 1),
    ]  # fmt: skip


def test_response_time(world: Client) -> None:
    """Of the seven: sorted[int(0.5 * 7)] = 4 h, sorted[int(0.9 * 7)] = 7 h. The qualified one is no hand-raise."""
    assert rows(world, "SELECT * FROM kpi_response_time WHERE source = 'web'") == [
        ("web", 10, 7, 0.7, 0.8, 4.0, 7.0, 1.0, 7.0, 2.0, 3.5)
    ]
    fair = rows(
        world, "SELECT raised, responded, p50_hours, open_p50_hours FROM kpi_response_time WHERE source = 'fair'"
    )
    assert fair == [(2, 1, 1.0, None)]


def test_compliance_counts_what_is_due(world: Client) -> None:
    found = {
        row[0]: row[1:]
        for row in rows(
            world,
            "SELECT source, started, open, breached_open, met, late_met, breached_ended, cancelled, transferred, due, gross,"
            " net FROM kpi_sla_compliance WHERE policy = 'first_response'",
        )
    }
    # web: seven met (one of them started by LeadQualified), one late, one open past its deadline: all due by the lane clock.
    web = found["web"]
    assert web[:9] == (11, 1, 1, 7, 1, 0, 1, 0, 9)
    assert math.isclose(web[9], 7 / 9)
    assert math.isclose(web[10], 8 / 9)
    # fair: what was met is due in a week only.
    assert found["fair"] == (2, 0, 0, 1, 0, 1, 0, 0, 1, 0.0, 0.0)


def test_open_clocks(world: Client) -> None:
    assert rows(
        world,
        "SELECT source, open, breached_open, toUnixTimestamp64Milli(next_deadline), toUnixTimestamp64Milli(oldest_breach)"
        " FROM kpi_open_clocks",
    ) == [("web", 1, 1, START + 3 * DAY, START + 2)]


def test_nothing_yet(settings: Settings, client: Client) -> None:
    for view in (
        "kpi_funnel_by_source",
        "kpi_response_time",
        "kpi_sla_compliance",
        "kpi_open_clocks",
        "kpi_dead_letters",
    ):
        assert rows(client, "SELECT * FROM {view:Identifier}", view=view) == []
