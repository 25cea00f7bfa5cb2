"""Times as files write them, to UTC milliseconds. A time without an offset is refused: it means another instant elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def millis(text: str) -> int:
    """ISO 8601 with an offset (or Z) to UTC milliseconds, cut off. Raises ValueError with what was expected."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expected an ISO-8601 time such as 2026-01-31T09:30:00+01:00") from None
    if moment.tzinfo is None:
        raise ValueError("expected an offset or Z after the time, such as 2026-01-31T09:30:00+01:00")
    return (moment - _EPOCH) // _MILLISECOND


def date_millis(text: str) -> int:
    """A date, or a date and time, that is UTC where it names no offset. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expected a date such as 2018-01-31 or 2018-01-31 09:30:00") from None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
