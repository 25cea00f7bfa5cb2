"""Business calendars: open hours in a time zone, and arithmetic in open time. Instants are UTC milliseconds.

`add` and `between` are one function and its inverse: both read one table, built a block at a time, so what one says the
other confirms. Pure; may not import I/O, nor read a clock: zones come from the tz database, which changes only with its
version.
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
_BLOCK: Final = 35
"""The table is built in blocks of 2**35 ms, 398 days: of an instant, a shift gives the block."""
_MOST_YEARS: Final = 300
"""A promise of 20 years and a rung at ten times as much are agreed to; what takes longer, holidays and all, is a mistake."""
_MOST_BLOCKS: Final = _MOST_YEARS * 1461 * _DAY // 4 >> _BLOCK
_MOST_CACHED: Final = 2 * _MOST_BLOCKS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Block(NamedTuple):
    """Open intervals of one block, in order. The first is empty and lies where the block begins: none is before it."""

    starts: list[int]
    ends: list[int]
    before: list[int]
    """Open time of the block before each interval, and of all of them."""


class Calendar:
    """When time counts. Immutable; made by `calendar`. `add` and `between` agree: they read the same table."""

    __slots__ = ("_blocks", "_closed", "_hours", "_zone", "business_day_ms", "name", "zone")

    def __init__(
        self, name: str, zone: str, hours: Mapping[int, Sequence[tuple[int, int]]] | None, closed: frozenset[date]
    ) -> None:
        self.name = name
        self.zone = zone
        self._zone = ZoneInfo(zone)
        self._hours = hours
        self._closed = closed
        self._blocks: dict[int, _Block] = {}
        self.business_day_ms = (
            _DAY
            if hours is None
            else max(sum(end - begin for begin, end in spans) for spans in hours.values()) * _MINUTE
        )
        """The longest daily open time, milliseconds."""

    def between(self, start: int, end: int) -> int:
        """Open time in [start, end), milliseconds; 0 where end is not after start.

        Raises OverflowError where they lie centuries apart, or where there are no dates.
        """
        if end <= start:
            return 0
        if self._hours is None:
            return end - start
        first, last = start >> _BLOCK, end >> _BLOCK
        # Looked up here and in `add`, not in a function of its own: a call would cost as much as the rest.
        starts, ends, before = self._blocks.get(first) or self._block(first)
        place = bisect_right(starts, start) - 1
        close = ends[place]
        passed = before[place] - starts[place] + (start if start < close else close)
        if first != last:
            passed -= before[-1] + self._whole(first + 1, last)
            starts, ends, before = self._blocks.get(last) or self._block(last)
        place = bisect_right(starts, end) - 1
        close = ends[place]
        return before[place] - starts[place] + (end if end < close else close) - passed

    def add(self, start: int, amount: int) -> int:
        """The earliest instant d, not before start, with between(start, d) == amount; for 0 or less start itself.

        `amount`: milliseconds of open time. A deadline that falls on a close stays there. Raises OverflowError where it
        lies centuries away, or where there are no dates.
        """
        if amount <= 0:
            return start
        if self._hours is None:
            return start + amount
        number = start >> _BLOCK
        starts, ends, before = self._blocks.get(number) or self._block(number)
        place = bisect_right(starts, start) - 1
        close = ends[place]
        wanted = before[place] - starts[place] + (start if start < close else close) + amount
        last = number + _MOST_BLOCKS
        while wanted > before[-1]:
            wanted -= before[-1]
            number += 1
            if number > last:
                raise OverflowError(
                    f"calendar {self.name}: {amount} ms of open time take more than {_MOST_YEARS} years"
                )
            starts, ends, before = self._blocks.get(number) or self._block(number)
        place = bisect_left(before, wanted) - 1
        return starts[place] + wanted - before[place]

    def _whole(self, first: int, last: int) -> int:
        """Open time of the blocks from first to before last."""
        if last - first > _MOST_BLOCKS:
            raise OverflowError(f"calendar {self.name}: open time is asked of more than {_MOST_YEARS} years")
        return sum((self._blocks.get(number) or self._block(number)).before[-1] for number in range(first, last))

    def _block(self, number: int) -> _Block:
        """Built and kept."""
        block = self._built(number)
        if len(self._blocks) >= _MOST_CACHED:
            self._blocks.clear()
        self._blocks[number] = block
        return block

    def _built(self, number: int) -> _Block:
        begin, finish = number << _BLOCK, number + 1 << _BLOCK
        if not _START <= begin < finish <= _END:
            raise OverflowError(f"calendar {self.name}: an instant has no date: expected the years 4 to 9996")
        starts, ends = [begin], [begin]
        reached = begin
        # Two days more on either side: a zone may be a day off, and a day that is missing moves to the next.
        first, last = ((_EPOCH + timedelta(milliseconds=edge)).date() for edge in (begin, finish))
        for ordinal in range(first.toordinal() - 2, last.toordinal() + 3):
            day = date.fromordinal(ordinal)
            for opens, closes in () if day in self._closed else (self._hours or {}).get(day.weekday(), ()):
                start, end = max(self._instant(day, opens), reached), min(self._instant(day, closes), finish)
                if start < end:
                    starts.append(start)
                    ends.append(end)
                    reached = end
        lengths = (end - start for start, end in zip(starts, ends, strict=True))
        return _Block(starts, ends, [0, *accumulate(lengths)])

    def _instant(self, day: date, minute: int) -> int:
        """The instant of a local time: the first of two, or the first after a gap."""
        local = datetime(day.year, day.month, day.day, tzinfo=self._zone) + timedelta(minutes=minute)
        there = local.astimezone(UTC)
        if there.astimezone(self._zone).replace(tzinfo=None) != local.replace(tzinfo=None):
            # In a gap: by the offset before it the time is past the gap, by the one after it the time is not there yet.
            there = _transition(self._zone, local.replace(fold=1).astimezone(UTC), there)
        return _ms(there)


def _transition(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first instant in (low, high] with the offset of high, where low has another; UTC, to the second."""
    offset = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


_START: Final = _ms(datetime(2, 1, 1, tzinfo=UTC))
_END: Final = _ms(datetime(9999, 1, 1, tzinfo=UTC))
"""Blocks are whole between them; dates go from the year 1 to 9999, and a zone may be a day off."""

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
