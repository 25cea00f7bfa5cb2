"""Worlds to count in: generated histories, and real files as the importers read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings

from streams.importers import open_source
from tests.oracle.calendar import DAY
from tests.oracle.histories import START, History, histories
from tests.oracle.records import Record
from tests.oracle.terms import QUICK_OFFICE
from tests.oracle.test_against_fold import excepted

GOALS: Final = {
    "2026-07": {"mql": 4, "won_amount": 100.0, "won": 0},
    "2026-10": {"inquiry": 30, "mql": 20, "sal": 9, "sql": 7, "opportunity": 12, "won": 5, "won_amount": 25_000.5},
}
AGREED: Final[Mapping[str, Any]] = {
    **QUICK_OFFICE, "currency": {"base": "EUR", "rates": {"USD": 0.9, "JPY": 0.006}}, "goals": GOALS,
}  # fmt: skip

NAME, EMAIL, STAFF = "a lead's name", "an e-mail address", "one of the staff"


@dataclass
class World:
    records: list[Record]
    now: int
    """The lane clock."""
    agreement: Mapping[str, Any] = field(default_factory=lambda: AGREED)
    campaigns: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)


def drawn_number(text: str, below: int) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") % below


def _told(one: Record, lead_id: str, shift: int, *, is_test: bool) -> Record:
    """The record under another lead and time, with amounts, campaigns, collateral and persons, by its identity alone."""
    event = {**one.event, "lead_id": lead_id, "occurred_at": one.event["occurred_at"] - shift, "is_test": is_test}
    for name in ("until", "wake_date"):
        if event.get(name) is not None:
            event[name] -= shift
    if "into" in event:
        event["into"] = f"{lead_id.rpartition('-')[0]}-{event['into']}"
    token = f"{lead_id} {one.event['event_id']} {one.name}"
    event["entered_by"] = ("system", "person")[drawn_number(token, 2)]
    if "amount_minor" in event:
        event["amount_minor"] = (None, 1_000, 250_000, 99_999)[drawn_number(token + "a", 4)]
        event["currency"] = event["amount_minor"] and ("EUR", "USD", "JPY", "GBP")[drawn_number(token + "c", 4)]
    if "contact_roles" in event and drawn_number(token + "r", 2):
        event["contact_roles"] = [{"lead_id": f"{lead_id.rpartition('-')[0]}-b", "role": "buyer"}]
    if one.name == "TouchRecorded":
        event["campaign"] = (None, "spring", "fair")[drawn_number(token + "t", 3)]
        event["collateral_id"] = (None, None, "deck", "video")[drawn_number(token + "k", 4)]
    if one.name == "LeadCaptured":
        event["person"] = (
            None,
            {"name": NAME, "email": None, "phone": None},
            {"name": NAME, "email": EMAIL, "phone": ""},
        )[drawn_number(token + "p", 3)]
        event["account"] = (None, "acme")[drawn_number(token + "o", 2)]
        event["region"] = (None, None, "north")[drawn_number(token + "g", 3)]
    if one.name == "LeadEnriched":
        event["filled_by"] = (None, "directory", STAFF)[drawn_number(token + "f", 3)]
    return Record(one.name, event, one.received_at - shift)


def generated(number: int, *, merges: bool = True) -> World:
    """Histories side by side: copies, conflicts, late facts, withdrawals, recycles, merges, erasures, test traffic."""
    drawn: list[History] = []

    @settings(
        max_examples=number, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(histories(agreements=((AGREED,),)))
    def draw(history: History) -> None:
        drawn.append(history)

    draw()
    records: list[Record] = []
    for at, (history, _, _) in enumerate(drawn):
        if excepted(history) or (not merges and any(one.name == "LeadMerged" for one in history)):
            continue
        shift = (at % 5) * 28 * DAY
        told = [_told(one, f"h{at}-{one.lead}", shift, is_test=at % 11 == 0) for one in history]
        records += told
    now = max(one.received_at for one in records) + 3 * DAY
    return World(sorted(records, key=lambda one: one.received_at), now, campaigns=_campaigns())


def _campaigns() -> list[tuple[str, Mapping[str, Any]]]:
    def told(name: str, identity: str, campaign: str, at: int, **fields: Any) -> tuple[str, Mapping[str, Any]]:
        common = {"source_system": "ads", "entered_by": "system", "is_test": False}
        return name, {"event_id": identity, "campaign": campaign, "occurred_at": at, **common, **fields}

    period = {"period_start": None, "period_end": None}
    cost = [
        told("CampaignCostRecorded", "1", "c1", START, amount_minor=50_000, currency="EUR", **period),
        told("CampaignCostRecorded", "2", "spring", START, amount_minor=70_001, currency="USD", **period),
        told("CampaignCostRecorded", "3", "spring", START, amount_minor=500, currency="GBP", **period),
        told("CampaignCostRecorded", "4", "unseen", START, amount_minor=9_000, currency="JPY", **period),
    ]
    return [*cost, cost[0], cost[1]]


def imported(path: Path, most: int) -> World:
    """The first `most` leads of a real file."""
    made = open_source(path)
    records = [
        Record(item.name, item.event, item.event["occurred_at"] if item.received_at is None else item.received_at)
        for item in made.events()
    ]
    leads = set(sorted({one.lead for one in records})[:most])
    records = sorted((one for one in records if one.lead in leads), key=lambda one: one.received_at)
    return World(records, records[-1].received_at + 30 * DAY)
