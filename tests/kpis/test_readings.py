"""What numbers mean where two readings are open, as docs/domain.md states it: small histories, counted here by hand.

The count of whole worlds (test_views) shares its readings with whoever wrote the views. Here they stand one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from deploy.clickhouse.catalogue import calls
from streams.config import Settings
from streams.store.client import Client, connect
from streams.store.migrations import Migrator
from streams.store.rollup import Rollups
from tests.kpis.data import AGREED, World
from tests.kpis.fill import fill
from tests.oracle.calendar import DAY, HOUR
from tests.oracle.events import record
from tests.oracle.histories import START
from tests.oracle.records import Record
from tests.store.fixtures import client, embedded_store_url, fresh, store

__all__ = ["client", "embedded_store_url", "store"]

MONDAY: Final = START + HOUR
"""09:00 in Amsterdam."""
NOW: Final = MONDAY + 120 * DAY


class Lead:
    """What happened to one lead, in hours after a Monday 09:00; its source is its own name."""

    def __init__(self, name: str) -> None:
        self.name, self.records = name, list[Record]()

    def then(self, hours: float, kind: str, identity: str = "", **fields: Any) -> Lead:
        at = MONDAY + round(hours * HOUR)
        if kind == "LeadCaptured":
            fields = {"source": self.name, **fields}
        self.records.append(record(kind, at, identity or f"e{len(self.records)}", lead=self.name, **fields))
        return self

    def raised(self, hours: float) -> Lead:
        return self.then(hours, "LeadCaptured", hand_raise=True)

    def called(self, hours: float, **fields: Any) -> Lead:
        return self.then(hours, "TouchRecorded", **{"outcome": "connected", **fields})


def _leads() -> list[Lead]:
    return [
        Lead("owned").then(0, "LeadCaptured").then(1, "LeadAssigned", owner="ann", team="a").called(2).raised(96).called(97),
        Lead("routed").raised(0).then(2, "LeadAssigned", owner="ann", team="b").called(5),
        Lead("both").then(0, "LeadCaptured").then(1, "LeadQualified").raised(2).called(3),
        Lead("early").then(0, "LeadAccepted").then(1, "LeadDisqualified").then(2, "LeadCaptured").then(3, "LeadQualified")
        .then(4, "LeadRejected", reason="not_target"),
        Lead("again").then(0, "LeadCaptured").then(1, "LeadQualified").then(2, "LeadRecycled", reason="no_need")
        .then(3, "LeadNurtured").then(4, "LeadQualified").then(5, "LeadRecycled", reason="no_need")
        .then(30, "OpportunityOpened", opportunity_id="again"),
        Lead("watched").then(0, "LeadCaptured").then(1, "LeadQualified").called(1 + 30 * 24),
        Lead("unseen").then(0, "LeadCaptured").then(1, "LeadQualified").called(1.001 + 30 * 24),
        Lead("refused").then(0, "LeadCaptured").then(1, "OpportunityOpened", opportunity_id="r", source="refused")
        .then(2, "OpportunityLost", opportunity_id="r", reason="unable_to_reach"),
        Lead("free").then(0, "LeadCaptured").then(1, "OpportunityOpened", opportunity_id="f", source="free"),
        Lead("sold").then(0, "OpportunityOpened", opportunity_id="s", source="sold", amount_minor=100_000, currency="EUR")
        .called(1, channel="email", campaign="mail").called(2, campaign="call").then(24, "OpportunityWon", opportunity_id="s"),
        Lead("main").then(0, "LeadCaptured").called(1, campaign="x").then(
            2, "OpportunityOpened", opportunity_id="m", source="main", contact_roles=[{"lead_id": "second", "role": "buyer"}]
        ).then(3, "OpportunityWon", opportunity_id="m"),
        Lead("second").then(0, "LeadCaptured").called(1, campaign="x"),
        Lead("joined").then(0, "LeadCaptured").called(1).then(
            2, "OpportunityOpened", opportunity_id="j", source="joined", contact_roles=[{"lead_id": "part", "role": "buyer"}]
        ).then(4, "OpportunityWon", opportunity_id="j"),
        Lead("part").then(0, "LeadCaptured").called(1.5, identity="p1").then(3, "LeadMerged", into="joined"),
        Lead("tied").then(0, "LeadCaptured", account="acme").then(0, "LeadEnriched", fields=["account"], system="aaa"),
        Lead("pound").called(1, campaign="pounds").then(2, "OpportunityOpened", opportunity_id="p", amount_minor=500_000,
        currency="GBP").then(3, "OpportunityWon", opportunity_id="p"),
        Lead("gift").called(1, campaign="pounds").then(2, "OpportunityWon", opportunity_id="g"),
        Lead("gone").then(0, "LeadCaptured").then(1, "LeadErasureRequested").then(2, "LeadErased"),
        Lead("waiting").then(0, "LeadCaptured").then(1, "LeadErasureRequested"),
        Lead("mailed").then(0, "LeadCaptured").then(1, "LeadQualified").then(
            2, "TouchRecorded", channel="email", outcome="bounced", collateral_id="leaflet"
        ).then(3, "TouchRecorded", channel="email", collateral_id="price list"),
    ]  # fmt: skip


def _cost(identity: str, campaign: str) -> tuple[str, Mapping[str, Any]]:
    fields = {
        "event_id": identity, "campaign": campaign, "occurred_at": MONDAY, "source_system": "ads", "entered_by": "system",
        "is_test": False, "currency": "GBP", "amount_minor": 10_000, "period_start": None, "period_end": None,
    }  # fmt: skip
    return "CampaignCostRecorded", fields


@pytest.fixture(scope="module")
def company(embedded_store_url: str) -> Iterator[Client]:
    settings: Settings = fresh(embedded_store_url)
    Migrator(settings).up()
    client = connect(settings)
    records = sorted((one for lead in _leads() for one in lead.records), key=lambda one: one.received_at)
    fill(client, World(records, NOW, agreement=AGREED, campaigns=[_cost("1", "mail"), _cost("2", "pounds")]))
    Rollups(client, settings.store_url).roll()
    yield client
    client.command(f"DROP DATABASE {settings.store_database}")
    client.close()


def _one(client: Client, columns: str, view: str, where: str = "true") -> list[tuple[Any, ...]]:
    sql = f"SELECT {columns} FROM {calls()[view]} WHERE {where} ORDER BY ALL"  # noqa: S608  # texts of this file
    return [tuple(row) for row in client.query(sql).result_rows]


def test_routing_is_of_first_things_in_their_order(company: Client) -> None:
    """The owner of `owned` was there before the hand went up: the call of Tuesday is no answer to Friday's."""
    columns = "team, raised, assigned, routing_p50_hours, answered, rep_p50_hours"
    assert _one(company, columns, "kpi_routing", "team IN ('a', 'b')") == [
        ("a", 1, 0, None, 0, None),
        ("b", 1, 1, 2.0, 1, 3.0),
    ]


def test_a_hand_raised_while_a_clock_runs_has_none_of_its_own(company: Client) -> None:
    found = _one(company, "source, raised, p50_hours", "kpi_response_time", "source IN ('owned', 'both', 'routed')")
    assert found == [("owned", 1, 1.0), ("routed", 1, 5.0)]


def test_only_a_sal_after_the_mql_is_an_answer_to_it(company: Client) -> None:
    assert _one(company, "mqls, accepted, rejected, acceptance", "kpi_disposition", "source = 'early'") == [
        (1, 0, 1, 0.0)
    ]


def test_recycled_counts_once_a_cycle_and_an_opportunity_is_a_return(company: Client) -> None:
    assert _one(company, "recycled, mature, requalified", "kpi_recycle_yield", "reason = 'no_need'") == [(1, 1, 1)]


def test_a_touch_when_the_window_ends_is_in_it(company: Client) -> None:
    found = _one(company, "source, mature, ignored", "kpi_ignored", "source IN ('watched', 'unseen')")
    assert found == [("unseen", 1, 1), ("watched", 1, 0)]


def test_a_deal_is_what_its_own_events_say(company: Client) -> None:
    """The lead stays where it is: nobody had tried to reach it."""
    assert _one(company, "open, won, lost", "kpi_win_rate", "source = 'refused'") == [(0, 0, 1)]
    assert _one(company, "stage", "kpi_current_stages", "source = 'refused'") == [("opportunity",)]


def test_deals_without_an_amount_count_with_the_base_currency(company: Client) -> None:
    """Won are `sold`, `main`, `joined` and `gift`, of which the first alone has an amount; and `pound`."""
    call = calls()["kpi_pipeline_velocity"].replace("30", "1000")
    columns = "currency, open, won, lost, win_rate, mean_won_amount, p50_won_amount, p90_won_amount"
    found = company.query(f"SELECT {columns} FROM {call}").result_rows  # noqa: S608
    assert sorted(tuple(row) for row in found) == [
        ("EUR", 2, 4, 1, 4 / 5, 1000.0, 1000.0, 1000.0), ("GBP", 0, 1, 0, 1.0, 5000.0, 5000.0, 5000.0),
    ]  # fmt: skip


def test_a_lead_that_was_never_captured_has_no_touch_of_the_capture(company: Client) -> None:
    """40 for the first, 20 for the rest: of 60."""
    found = company.query(
        "SELECT campaign, round(toFloat64(weight), 6) FROM attribution(model = 'u', half_life_days = 90, lookback_months = 27)"
        " WHERE lead_id = 'sold' ORDER BY campaign"
    ).result_rows
    assert [tuple(row) for row in found] == [("call", 0.333333), ("mail", 0.666667)]


@pytest.mark.parametrize("lead", ["main", "joined"])
def test_touches_of_two_leads_are_two_and_of_one_are_read_once(company: Client, lead: str) -> None:
    """`main` and `second` have each a touch of the same id; `part` is `joined` by now, which names it still."""
    found = company.query(
        "SELECT count(), sum(weight) FROM attribution(model = 'linear', half_life_days = 90, lookback_months = 27)"
        " WHERE lead_id = {lead:String}", parameters={"lead": lead},
    ).result_rows  # fmt: skip
    assert [tuple(map(int, row)) for row in found] == [(2, 1)]


def test_no_return_across_currencies(company: Client) -> None:
    found = _one(company, "currency, round(cost), round(amount), roi", "kpi_campaign_return", "campaign = 'mail'")
    assert [(currency, cost, amount > 0, roi) for currency, cost, amount, roi in found] == [
        ("EUR", 0.0, True, None),
        ("GBP", 100.0, False, None),
    ]


def test_a_deal_without_an_amount_makes_no_second_currency(company: Client) -> None:
    found = _one(company, "currency, round(cost), round(amount), roi", "kpi_campaign_return", "campaign = 'pounds'")
    assert found == [("EUR", 0.0, 0.0, None), ("GBP", 100.0, 5000.0, 49.0)]


def test_at_one_instant_the_capture_came_first(company: Client) -> None:
    found = company.query("SELECT completed_by FROM completions WHERE lead_id = 'tied'").result_rows
    assert [tuple(row) for row in found] == [("(captured)",)]


def test_a_store_with_a_lane_that_is_behind(store: Settings, client: Client) -> None:
    """Nothing is older than now; and before anything was told there is no month."""
    assert _one(client, "month", "kpi_lead_velocity") == []
    fill(client, World(Lead("new").then(0, "LeadCaptured").records, NOW, agreement=AGREED))
    Rollups(client, store.store_url).roll()
    assert [age > 100 for _, age in _one(client, "stage, p50_days", "kpi_stage_age")] == [True]
    client.command("INSERT INTO lanes (lane, clock, version) VALUES (99, '2026-10-01 00:00:00', 1)")
    assert _one(client, "stage, p50_days, p90_days", "kpi_stage_age") == [("inquiry", 0.0, 0.0)]


def test_erasure_has_its_own_proof(company: Client) -> None:
    """Who was erased in time is left out of all numbers; what is past due now is not."""
    assert _one(company, "policy", "kpi_sla_compliance", "policy = 'erasure'") == []
    assert _one(company, "policy", "kpi_sla_missed", "policy = 'erasure'") == []
    assert _one(company, "open, breached_open", "kpi_open_clocks", "policy = 'erasure'") == [(0, 1)]


def test_months_without_an_mql_are_months(company: Client) -> None:
    found = _one(company, "toString(month), qualified, velocity, is_over", "kpi_lead_velocity")
    assert found[0][1:] == (found[0][1], None, True)
    assert [row[1:] for row in found[1:]] == [(0, -1.0, True), (0, None, True), (0, None, True), (0, None, False)]


def test_what_bounced_was_shown_to_nobody(company: Client) -> None:
    assert [row[0] for row in _one(company, "collateral_id", "kpi_collateral_lift")] == ["price list"]
