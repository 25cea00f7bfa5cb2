"""Business calendars: open hours in a time zone, and arithmetic in open time. Instants are UTC milliseconds.

`add` and `between` read one table, built a year at a time: what one says, the other confirms. Pure; may not import I/O,
nor read a clock: zones come from the tz database, which changes only with its version.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

_MINUTE: Final = 60_000
_DAY: Final = 24 * 60 * _MINUTE
_MOST_YEARS: Final = 400
"""An amount that takes longer is a mistake."""
_MOST_CACHED: Final = 600


class _Year(NamedTuple):
    """Open intervals of one UTC year."""

    starts: list[int]
    ends: list[int]
    before: list[int]
    """Open time of the year before each interval, and of all of them."""


class Calendar:
    """When time counts. Immutable; made by `calendar`."""

    __slots__ = ("_closed", "_hours", "_years", "_zone", "business_day_ms", "name", "zone")

    def __init__(
        self, name: str, zone: str, hours: Mapping[int, Sequence[tuple[int, int]]] | None, closed: frozenset[date]
    ) -> None:
        self.name = name
        self.zone = zone
        self._zone = ZoneInfo(zone)
        self._hours = hours
        self._closed = closed
        self._years: dict[int, _Year] = {}
        self.business_day_ms = (
            _DAY
            if hours is None
            else max(sum(end - begin for begin, end in spans) for spans in hours.values()) * _MINUTE
        )
        """The longest daily open time, milliseconds."""

    def between(self, start: int, end: int) -> int:
        """Open time in [start, end), milliseconds; 0 where end is not after start."""
        if end <= start:
            return 0
        if self._hours is None:
            return end - start
        first, last = _year_of(start), _year_of(end)
        total = self._before(last, end) - self._before(first, start)
        return total + sum(self._year(year).before[-1] for year in range(first, last))

    def add(self, start: int, amount: int) -> int:
        """The earliest instant d, not before start, with between(start, d) == amount; for 0 start itself.

        A deadline that falls on a close stays there. Raises OverflowError where it lies centuries away.
        """
        if amount <= 0 or self._hours is None:
            return start + max(amount, 0)
        first = _year_of(start)
        wanted = self._before(first, start) + amount
        for number in range(first, first + _MOST_YEARS):
            year = self._year(number)
            total = year.before[-1]
            if wanted <= total:
                place = bisect_left(year.before, wanted) - 1
                return year.starts[place] + wanted - year.before[place]
            wanted -= total
        raise OverflowError(f"calendar {self.name}: {amount} ms of open time take more than {_MOST_YEARS} years")

    def _before(self, number: int, instant: int) -> int:
        """Open time of the year before the instant, which lies in it."""
        year = self._year(number)
        place = bisect_right(year.starts, instant) - 1
        if place < 0:
            return 0
        return year.before[place] + min(instant, year.ends[place]) - year.starts[place]

    def _year(self, number: int) -> _Year:
        year = self._years.get(number)
        if year is None:
            if len(self._years) >= _MOST_CACHED:
                self._years.clear()
            year = self._years[number] = self._built(number)
        return year

    def _built(self, number: int) -> _Year:
        begin, finish = _start_of(number), _start_of(number + 1)
        spans: list[tuple[int, int]] = []
        day = date(number, 1, 1) - timedelta(days=2)
        reached = begin
        while day <= date(number, 12, 31) + timedelta(days=2):
            for opens, closes in () if day in self._closed else (self._hours or {}).get(day.weekday(), ()):
                start, end = max(self._instant(day, opens), reached), min(self._instant(day, closes), finish)
                if start < end:
                    spans.append((start, end))
                    reached = end
            day += timedelta(days=1)
        lengths = (end - start for start, end in spans)
        return _Year([start for start, _ in spans], [end for _, end in spans], [0, *accumulate(lengths)])

    def _instant(self, day: date, minute: int) -> int:
        """The instant of a local time: the first of two, or the first after a gap."""
        local = datetime(day.year, day.month, day.day, tzinfo=self._zone) + timedelta(minutes=minute)
        there = local.astimezone(UTC)
        if there.astimezone(self._zone).replace(tzinfo=None) != local.replace(tzinfo=None):
            # In a gap: the offsets before and after it differ by its length.
            there = _transition(self._zone, there - timedelta(days=1), there + timedelta(days=1))
        return round(there.timestamp() * 1000)


def _transition(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first instant in (low, high] with the later offset; UTC, to the second."""
    offset = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high


def _year_of(instant: int) -> int:
    year = 1970 + instant // (365 * _DAY + _DAY // 4)
    while _start_of(year) > instant:
        year -= 1
    while _start_of(year + 1) <= instant:
        year += 1
    return year


_STARTS: Final[dict[int, int]] = {}


def _start_of(year: int) -> int:
    start = _STARTS.get(year)
    if start is None:
        start = _STARTS[year] = round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)
    return start


ALWAYS: Final = Calendar("24x7", "UTC", None, frozenset())
"""Time that always counts."""


def calendar(name: str, zone: str, hours: Mapping[int, Sequence[tuple[int, int]]], closed: Iterable[date]) -> Calendar:
    """`hours`: weekday (0 Monday) -> local minutes of the day [open, close), in order; `closed`: dates without hours.

    Raises ValueError that names the place.
    """
    for weekday, spans in hours.items():
        if weekday not in range(7):
            raise ValueError(f"weekday {weekday}: expected 0 (Monday) to 6 (Sunday)")
        for begin, end in spans:
            if not 0 <= begin < end <= 1440:
                raise ValueError(
                    f"weekday {weekday}: hours {begin}-{end}: expected minutes with 0 <= open < close <= 1440"
                )
        for (_, earlier), (later, _) in pairwise(spans):
            if later < earlier:
                raise ValueError(f"weekday {weekday}: hours overlap or are out of order at minute {later}")
    if not any(hours.values()):
        raise ValueError("no weekday has hours: give at least one")
    try:
        return Calendar(name, zone, {day: tuple(spans) for day, spans in hours.items() if spans}, frozenset(closed))
    except (KeyError, ValueError, OSError):
        raise ValueError(f"zone {zone!r} is not known: give an IANA name, such as Europe/Amsterdam") from None
