"""From records of the input topics to rows of the archive: one record, one row, without what is personal. Pure; no I/O.

The archive is the audit trail and what a replay reads once Kafka's retention is over, so a body stays complete but for
`person` and free text: neither means anything to the fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from processors.agreement import Agreement, AgreementError, pinned
from processors.rows import PLACE, At, Row, Table, place

FREE_TEXT: Final = ("reason_text",)
"""Fields in which people write what they like."""
_WITHHELD: Final = "(text)"

_COMMON: Final = ("source_system", "event_id", "event_type", "occurred_at", "received_at", "entered_by", "is_test")

EVENTS: Final = Table(
    "events", ("lead_id", *_COMMON, "person_fields", "body_hash", "body", "topic", "timestamp", *PLACE)
)
CAMPAIGN_EVENTS: Final = Table(
    "campaign_events", ("campaign", *_COMMON, "body_hash", "body", "topic", "timestamp", *PLACE)
)
AGREEMENT_VERSIONS: Final = Table(
    "agreement_versions",
    (
        "agreement_version", "effective_from", "published_at", "checksum", "text", "zone", "base_currency", "rates",
        *(f"goals.{name}" for name in ("month", "metric", "target", "starts_at", "ends_at", "days_end_at")), *PLACE,
    ),
)  # fmt: skip


class Came(NamedTuple):
    """How a record came. Instants are UTC milliseconds."""

    topic: str
    """With its prefix."""
    timestamp: int
    """The record's own."""
    received_at: int


def _common(name: str, event: Mapping[str, Any], came: Came) -> Row:
    return (
        event["source_system"], event["event_id"], name, event["occurred_at"], came.received_at, event["entered_by"],
        event["is_test"],
    )  # fmt: skip


def _json(event: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(event, order="deterministic")


def _hash_and_body(name: str, event: Mapping[str, Any]) -> tuple[int, str]:
    """The hash is of all that was sent, as the fold tells bodies apart; the body is what may be kept of it."""
    whole = _json(event)
    number = int.from_bytes(sha256(name.encode() + whole).digest()[:8], "big")
    texts = [field for field in FREE_TEXT if event.get(field)]
    if texts or event.get("person"):
        whole = _json({key: value for key, value in event.items() if key != "person"} | dict.fromkeys(texts, _WITHHELD))
    else:
        # A quote within a text has a backslash before it: nothing but the field itself looks so.
        whole = whole.replace(b'"person":null,', b"", 1)
    return number, f'{{"type":"{name}",{whole[1:].decode()}'


def event(name: str, record: Mapping[str, Any], came: Came, at: At) -> Row:
    """An event about a lead."""
    person = record.get("person")
    given = sorted(key for key, value in person.items() if value) if person else []
    return (
        record["lead_id"], *_common(name, record, came), given, *_hash_and_body(name, record), came.topic, came.timestamp,
        *place(at),
    )  # fmt: skip


def campaign_event(name: str, record: Mapping[str, Any], came: Came, at: At) -> Row:
    """An event about a campaign."""
    return (
        record["campaign"], *_common(name, record, came), *_hash_and_body(name, record), came.topic, came.timestamp,
        *place(at),
    )  # fmt: skip


def _midnight(day: date, zone: ZoneInfo) -> int:
    instant = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    return round(instant.timestamp() * 1000)


def _days(month: date) -> Iterator[date]:
    day = month
    while day.month == month.month:
        yield day
        day += timedelta(days=1)


def _goals(agreement: Agreement) -> Iterator[tuple[date, str, float, int, int, list[int]]]:
    """(month, metric, target, its first instant, the first after it, the end of each of its business days)."""
    calendar = agreement.calendar(agreement.document.default_calendar)
    zone = ZoneInfo(calendar.zone)
    for text, goal in sorted(agreement.document.goals.items()):
        month = date.fromisoformat(f"{text}-01")
        days = [(_midnight(day, zone), _midnight(day + timedelta(days=1), zone)) for day in _days(month)]
        ends = [end for start, end in days if calendar.between(start, end) > 0]
        for metric, target in goal.model_dump(exclude_none=True).items():
            yield month, metric, float(target), days[0][0], days[-1][1], ends


def agreement_version(record: Mapping[str, Any], at: At) -> Row | None:
    """An AgreementVersion; None where it says nothing that can be read."""
    try:
        agreement = Agreement.parse(record["text"], source=record["version"], holidays=pinned(record["holidays"]))
    except AgreementError:
        return None
    currency = agreement.document.currency
    goals = list(_goals(agreement))
    return (
        record["version"], record["effective_from"], record["published_at"], record["checksum"], record["text"],
        agreement.calendar(agreement.document.default_calendar).zone,
        "" if currency is None else currency.base, {} if currency is None else dict(currency.rates),
        *(list(column) for column in (zip(*goals, strict=True) if goals else ((),) * 6)), *place(at),
    )  # fmt: skip
