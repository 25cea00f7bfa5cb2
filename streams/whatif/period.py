"""A month by the agreement's calendar, as goals have it. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from processors.agreement import Agreements
from processors.whatif import Span
from streams.errors import InputError

_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Period:
    name: str
    """2026-10."""
    zone: str
    """Where its first and last midnight are."""
    span: Span


def month(text: str, agreements: Agreements) -> Period:
    """The month `2026-10` in the zone of the default calendar. Raises InputError."""
    found = _MONTH.fullmatch(text)
    year = int(found[1]) if found else 0
    if found is None or not 1990 <= year <= 9998:
        raise InputError(f"--period {text[:20]!r} is no month: expected year and month, such as 2026-10")
    number = int(found[2])
    zone = agreements.at(_midnight(year, number, "UTC")).zone_of(None)
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    return Period(text, zone, Span(_midnight(year, number, zone), _midnight(*following, zone)))


def _midnight(year: int, number: int, zone: str) -> int:
    """The month's first instant, UTC milliseconds."""
    return round(datetime(year, number, 1, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def iso(instant: int) -> str:
    """UTC milliseconds as ISO 8601."""
    return datetime.fromtimestamp(instant / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
