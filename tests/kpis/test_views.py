"""Every KPI view says what a count of the raw events by hand says; before parts are merged, and after."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from deploy.clickhouse.catalogue import EXAMPLES
from streams.config import Settings
from streams.store.client import Client
from streams.store.missing import TABLES
from streams.store.reconcile import Reconciliation
from streams.store.rollup import Rollups
from tests.kpis.data import generated, imported
from tests.kpis.examples import answers, written
from tests.kpis.fill import fill, merge_parts
from tests.kpis.known import Known
from tests.kpis.simulated import simulated
from tests.kpis.views import AT_ONCE, CHECKS, MODELS, OVER_A_WINDOW, SOME, wrong
from tests.oracle.calendar import DAY
from tests.publishing.support import DATA
from tests.store.fixtures import client, embedded_store_url, store

__all__ = ["client", "embedded_store_url", "store"]


@pytest.mark.timeout(300)
def test_every_view_on_generated_histories(store: Settings, client: Client) -> None:
    world = generated(200)
    known = Known(world)
    rollups = Rollups(client, store.store_url)
    fill(client, world, between=rollups.roll)
    for name in AT_ONCE:
        assert (found := wrong(client, known, name)) is None, f"not rolled up: {found}"
    rollups.roll()
    for moment in ("before", "after"):
        problems = [found for name in CHECKS if (found := wrong(client, known, name)) is not None]
        assert not problems, f"{moment}:\n" + "\n".join(problems)
        merge_parts(client)
    assert Reconciliation(client, store.store_url).differing() == dict.fromkeys(TABLES, 0)
    won = sum(deal.status == "won" for deal in known.deals)
    for model in MODELS:
        sums = client.query(
            f"SELECT sum(weight) FROM attribution(model = '{model}', half_life_days = 90, lookback_months = 27)"  # noqa: S608
            " GROUP BY opportunity_id, lead_id"
        ).result_rows
        assert sums == [(Decimal(1),)] * won


@pytest.mark.timeout(300)
def test_leads_rolled_up_a_few_at_a_time_come_to_the_same(store: Settings, client: Client) -> None:
    """Of few leads most tables have nothing to say, and are left out."""
    world = generated(24)
    rollups = Rollups(client, store.store_url, share=2)
    fill(client, world, between=rollups.roll)
    rollups.roll()
    assert Reconciliation(client, store.store_url).differing() == dict.fromkeys(TABLES, 0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", ["inquiry", "mql"])
def test_the_window_of_who_entered_exactly_then_is_over(store: Settings, client: Client, stage: str) -> None:
    world = generated(60)
    entered = max(at for journey in Known(world).journeys if (at := journey.at(stage)) is not None)
    world = replace(world, now=entered + SOME * DAY)
    known = Known(world)
    assert any(journey.at(stage) == entered for journey in known.journeys)
    fill(client, world)
    Rollups(client, store.store_url).roll()
    for moment in ("rolled up", "not rolled up"):
        problems = [found for name in OVER_A_WINDOW if (found := wrong(client, known, name)) is not None]
        assert not problems, f"{moment}:\n" + "\n".join(problems)
        # As if all of them had just changed.
        client.command(
            "ALTER TABLE rollups UPDATE upto = toDateTime64(0, 3, 'UTC') WHERE true SETTINGS mutations_sync = 1"
        )


@pytest.mark.timeout(300)
def test_every_view_on_the_simulated_company(store: Settings, client: Client) -> None:
    """And the examples of docs/kpis.md are what they come to there: `python -m tests.kpis.examples` makes them anew."""
    world = simulated()
    known = Known(world)
    fill(client, world)
    Rollups(client, store.store_url).roll()
    problems = [found for check in CHECKS if (found := wrong(client, known, check)) is not None]
    assert not problems, "\n".join(problems)
    told = answers(client)
    assert written(told) == EXAMPLES.read_text("utf-8")
    assert all(len(answer["rows"]) > 1 for answer in told.values())
    merge_parts(client)
    assert answers(client) == told


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["olist", "bpic2012/financial_log_sample.xes.gz"])
def test_every_view_on_real_files(store: Settings, client: Client, name: str) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the real event logs are not at {DATA}: they are no part of the project")
    world = imported(path, 300)
    known = Known(world)
    fill(client, world)
    Rollups(client, store.store_url).roll()
    for _ in range(2):
        problems = [found for check in CHECKS if (found := wrong(client, known, check)) is not None]
        assert not problems, "\n".join(problems)
        merge_parts(client)
