"""The simulated company that the examples of docs/kpis.md are about: five months of leads, the same for ever.

What the simulation leaves out is added by each lead's name alone: marketing's touches, collateral, fields, costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any, Final

from streams.simulate import leads
from tests.kpis.data import World, drawn_number
from tests.oracle import terms
from tests.oracle.calendar import DAY, HOUR
from tests.oracle.records import Record

_SINCE: Final = 1_780_272_000_000
"""2026-06-01T00:00:00Z."""
_DAYS: Final = 153
_LEADS: Final = 1_200
_SEED: Final = 7
_CHANNELS: Final = {"event": "event", "partner": "meeting", "referral": "email"}
_GOALS: Final = {
    "2026-09": {"mql": 170, "won": 20, "won_amount": 900_000.0},
    "2026-10": {"mql": 180, "sal": 110, "won": 22, "won_amount": 950_000.0},
}
AGREED: Final[Mapping[str, Any]] = {
    **terms.AGREED, "currency": {"base": "EUR", "rates": {"USD": 0.9}}, "goals": _GOALS,
}  # fmt: skip


def simulated() -> World:
    stream = leads(seed=_SEED, per_second=_LEADS / (_DAYS * 86_400), pace_ms=2 * HOUR)
    records = [
        record
        for due in takewhile(lambda one: one.at < _DAYS * DAY, stream)
        for record in _records(due.name, {**due.event, "occurred_at": _SINCE + due.at})
    ]
    now = _SINCE + _DAYS * DAY
    records = [one for one in records if one.received_at <= now]
    return World(sorted(records, key=lambda one: one.received_at), now, agreement=AGREED, campaigns=_costs())


def _records(name: str, event: dict[str, Any]) -> Iterator[Record]:
    at, token = event["occurred_at"], f"{event['lead_id']} {event['event_id']}"
    event["entered_by"] = "system" if drawn_number(token, 10) else "person"
    if name == "LeadCaptured":
        event["person"] = ({"name": "N", "email": "e", "phone": None}, {"name": "N", "email": "e", "phone": "p"})[
            drawn_number(token + "p", 2)
        ]
        event["account"] = ("acme", None)[drawn_number(token + "a", 2)]
        event["region"] = (None, "emea")[drawn_number(token + "r", 2)]
    if name == "TouchRecorded" and not drawn_number(token + "k", 3):
        event["collateral_id"] = ("price-list", "case-study")[drawn_number(token, 2)]
    yield Record(name, event, at + 60_000)
    if name == "LeadScored" and not drawn_number(token, 300):
        yield Record(name, {**event, "score": None}, at + 120_000)  # another body under its id
    if name == "LeadRecycled" and not drawn_number(token, 3):
        again = {**event, "event_id": f"{event['event_id']}-again", "occurred_at": at + 20 * DAY, "definition": "q4"}
        del again["reason"], again["reason_text"]
        yield Record("LeadQualified", again, at + 20 * DAY)
    if name == "LeadCaptured":
        touch = {
            "channel": _CHANNELS.get(event["source"], "web"), "direction": "inbound", "origin": "marketing",
            "actor": "human", "outcome": "attempted", "campaign": event["campaign"], "collateral_id": None,
            "performed_by": None, "message_id": None,
        }  # fmt: skip
        common = {name: event[name] for name in ("lead_id", "source_system", "entered_by", "is_test")}
        yield Record(
            "TouchRecorded", {**common, "event_id": f"{event['event_id']}-seen", "occurred_at": at, **touch}, at
        )
        if not drawn_number(token + "e", 4):
            filled = (
                {"filled_by": "rep-1", "entered_by": "person"},
                {"filled_by": "directory", "entered_by": "system", "source_system": "vendor"},
            )[drawn_number(token, 2)]
            told = {
                "event_id": f"{event['event_id']}-more", "occurred_at": at + DAY, "fields": ["account", "region"], **filled
            }  # fmt: skip
            yield Record("LeadEnriched", {**common, **told}, at + DAY)


def _costs() -> list[tuple[str, Mapping[str, Any]]]:
    out: list[tuple[str, Mapping[str, Any]]] = []
    for month in range(5):
        for place, source in enumerate(("website", "paid_search", "referral", "event", "partner")):
            fields = {
                "event_id": f"{source}-{month}", "campaign": f"{source}-autumn", "occurred_at": _SINCE + (30 * month + 1) * DAY,
                "source_system": "ads", "entered_by": "system", "is_test": False, "currency": "EUR",
                "amount_minor": (150_000, 900_000, 60_000, 700_000, 200_000)[place], "period_start": None,
                "period_end": None,
            }  # fmt: skip
            out.append(("CampaignCostRecorded", fields))
    return out
