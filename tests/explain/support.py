"""A week of a few leads, told in two parts: between them the lane clocks pass Monday's deadlines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from streams.config import ClockMode
from streams.embedded.pipeline import Pipeline, Plan, running
from streams.replay.run import Job, play

ZONE: Final = ZoneInfo("Europe/Amsterdam")
AGREEMENT: Final = """\
version: week-1
effective_from: 2026-01-01T00:00:00Z
calendars:
  office: {zone: Europe/Amsterdam, hours: {mon-fri: "09:00-17:00"}}
default_calendar: office
teams: {north: {calendar: office}}
policies:
  first_response: {targets: {hot: 1 h, warm: 4 h}}
  owner_response: {targets: 4 h}
  qualification: {targets: 2 bd}
  erasure: {targets: 30 d, calendar: 24x7}
pause: {reasons: [customer_request]}
"""
PERSON: Final = {"name": "Ann Example", "email": "ann@example.com", "phone": "+31 20 000 0000"}
CALL: Final[dict[str, Any]] = {
    "channel": "call", "direction": "outbound", "origin": "sales", "actor": "human", "outcome": "connected",
}  # fmt: skip


def at(day: int, time: str) -> int:
    """A time of November 2026 in Amsterdam, UTC milliseconds. The 2nd is a Monday."""
    hour, minute = time.split(":")
    return round(datetime(2026, 11, day, int(hour), int(minute), tzinfo=ZONE).timestamp() * 1000)


def line(kind: str, lead: str, day: int, time: str, *, received: tuple[int, str] | None = None, **fields: Any) -> str:
    when = at(day, time)
    return json.dumps(
        {
            "type": kind, "event_id": f"{lead}-{kind}-{day}-{time}", "lead_id": lead, "occurred_at": when,
            "source_system": "crm", "received_at": when if received is None else at(*received), **fields,
        }
    )  # fmt: skip


def captured(lead: str, day: int, time: str, **fields: Any) -> str:
    return line(
        "LeadCaptured", lead, day, time, **{"source": "website", "hand_raise": True, "person": PERSON, **fields}
    )


def assigned(lead: str, day: int, time: str, owner: str) -> str:
    return line("LeadAssigned", lead, day, time, owner=owner, owner_kind="person", team="north")


MONDAY: Final = [
    captured("late", 2, "10:00"),
    assigned("late", 2, "11:00", "anna"),
    assigned("late", 2, "13:00", "ben"),
    line("TouchRecorded", "late", 2, "15:10", performed_by="ben", **CALL),
    captured("heard-late", 2, "10:00"),
    captured("nobody", 2, "10:00"),
    captured("bad-data", 2, "10:00"),
]
REST: Final = [
    line("TouchRecorded", "heard-late", 2, "13:30", received=(2, "18:00"), **CALL),
    line("LeadQualified", "late", 3, "09:00", definition="mql-3"),
    line("LeadAccepted", "late", 3, "09:30"),
    line("LeadNurtured", "late", 3, "10:00"),
    line("LeadPaused", "late", 3, "12:00", reason="customer_request", until=at(4, "12:00")),
    captured("other", 3, "16:00"),
    line("LeadMerged", "other", 4, "10:00", into="late"),
    line("TouchRecorded", "other", 4, "11:00", performed_by="ben", **CALL),
    line("OpportunityWon", "won", 4, "10:00", opportunity_id="o-1"),
    line("LeadErasureRequested", "bad-data", 4, "09:00"),
    line("LeadErased", "bad-data", 4, "10:00"),
    captured("bad-data", 4, "12:00", event_id="afterwards"),
]


@contextmanager
def week(folder: Path, **plan: Any) -> Iterator[Pipeline]:
    """The pipeline when all of it has come through, its clocks on Friday 12:00; the embedded one unless `plan` says more."""
    agreement = folder / "agreement.yaml"
    agreement.write_text(AGREEMENT)
    with running(Plan(clock=ClockMode.EVENT, agreement=agreement, **plan)) as pipeline:
        for name, lines, until in (("monday", MONDAY, at(2, "17:00")), ("rest", REST, at(6, "12:00"))):
            path = folder / f"{name}.jsonl"
            path.write_text("".join(f"{text}\n" for text in lines))
            play(pipeline, Job([path], until=until), lambda phase, count: None)
        yield pipeline
