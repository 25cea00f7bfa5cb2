"""Open time, counted day by day: slow, and easy to check against the rules for calendars (section 4, rule 3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import holidays

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Calendar(Protocol):
    """What measures a clock."""

    name: str
    business_day: int
    """`1 bd` in milliseconds: the longest daily hours."""

    def open_between(self, start: int, end: int) -> int:
        """Milliseconds of open time in [start, end)."""

    def add(self, start: int, amount: int) -> int:
        """The earliest instant by which `amount` of open time has passed since `start`."""


class RoundTheClock:
    """The built-in calendar 24x7."""

    name = "24x7"
    business_day = DAY

    def open_between(self, start: int, end: int) -> int:
        return max(0, end - start)

    def add(self, start: int, amount: int) -> int:
        return start + amount


class OfficeHours:
    """Hours of a week in one zone, without the holidays and the days that are closed."""

    def __init__(self, name: str, stated: Mapping[str, Any]) -> None:
        self.name = name
        self.zone = ZoneInfo(stated["zone"])
        self.week = _week(stated["hours"])
        self.business_day = max(sum(close - opens for opens, close in hours) for hours in self.week) * MINUTE
        self.closed = {_date(day) for day in stated.get("closed") or ()}
        off = stated.get("holidays")
        self.holidays = holidays.country_holidays(off["country"], subdiv=off.get("subdivision")) if off else None
        self._days: dict[int, list[tuple[int, int]]] = {}

    def hours_of(self, day: int) -> list[tuple[int, int]]:
        """The open spans of one local date (as a number of days since 1970), as UTC milliseconds."""
        if day not in self._days:
            local = date(1970, 1, 1) + timedelta(days=day)
            shut = local in self.closed or (self.holidays is not None and local in self.holidays)
            hours = [] if shut else self.week[local.weekday()]
            spans = [(self.instant(local, opens), self.instant(local, close)) for opens, close in hours]
            self._days[day] = [(opens, close) for opens, close in spans if opens < close]
        return self._days[day]

    def instant(self, day: date, minutes: int) -> int:
        """UTC milliseconds of a local time of day; the first of a double one, the end of the gap for a missing one."""
        local = datetime.combine(day + timedelta(days=minutes // 1440), time(minutes % 1440 // 60, minutes % 60))
        first = local.replace(tzinfo=self.zone, fold=0).astimezone(UTC)
        if first.astimezone(self.zone).replace(tzinfo=None) == local:
            return _ms(first)
        # Missing: the offset of after the gap gives an instant before the gap; walk on until the clocks have jumped.
        moment = local.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        before = moment.astimezone(self.zone).utcoffset()
        while moment.astimezone(self.zone).utcoffset() == before:
            moment += timedelta(minutes=1)
        return _ms(moment)

    def open_between(self, start: int, end: int) -> int:
        total = 0
        for day in range(start // DAY - 1, end // DAY + 2):  # local dates are at most a day off
            for opens, close in self.hours_of(day):
                total += max(0, min(close, end) - max(opens, start))
        return total

    def add(self, start: int, amount: int) -> int:
        if amount <= 0:
            return start
        day = start // DAY - 1
        while True:
            for opens, close in self.hours_of(day):
                begin = max(opens, start)
                if begin < close:
                    if close - begin >= amount:
                        return begin + amount  # a deadline at close stays there
                    amount -= close - begin
            day += 1


def _ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _date(day: date | str) -> date:
    return date.fromisoformat(day) if isinstance(day, str) else day


def _week(stated: Mapping[str, str]) -> list[list[tuple[int, int]]]:
    """Per weekday the spans as minutes of the day, from e.g. {mon-fri: "09:00-17:30"}."""
    week: list[list[tuple[int, int]]] = [[] for _ in WEEKDAYS]
    for days, hours in stated.items():
        for part in days.split(","):
            first, _, last = part.strip().partition("-")
            for number in range(WEEKDAYS.index(first), WEEKDAYS.index(last or first) + 1):
                week[number] += [_span(span) for span in hours.split(",")]
    return [sorted(spans) for spans in week]


def _span(text: str) -> tuple[int, int]:
    opens, _, close = text.strip().partition("-")
    return _minutes(opens), _minutes(close)


def _minutes(text: str) -> int:
    hours, _, minutes = text.strip().partition(":")
    return int(hours) * 60 + int(minutes)
