"""Open time: every minute of two years counted one by one, and the sentences of the calendar rule with worked examples.

The count goes from UTC to local time, the calendars from local time to UTC: they share no conversion. While the clock
repeats a stretch, the count holds on to the last minute before it was set back: a local time that comes twice opened or
closed the first time, so nothing changes until the clock shows something new.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import accumulate, pairwise
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.calendars import ALWAYS, Calendar, calendar

Week = Mapping[int, Sequence[tuple[int, int]]]

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WORKDAYS: Final = range(5)
EVERY_DAY: Final = range(7)

OFFICE: Final[Week] = {day: [(540, 1050)] for day in WORKDAYS}
LUNCH: Final[Week] = {**{day: [(540, 750), (795, 1050)] for day in WORKDAYS}, 5: [(600, 720), (780, 900)]}
NIGHT: Final[Week] = {day: [(60, 240)] for day in EVERY_DAY}
ROUND: Final[Week] = {day: [(0, 1440)] for day in EVERY_DAY}
OVERNIGHT: Final[Week] = {day: [(0, 360), (1080, 1440)] for day in EVERY_DAY}
SLIVERS: Final[Week] = {
    **{day: [(30, 105), (105, 135), (140, 600)] for day in WORKDAYS},
    5: [(1410, 1440)],
    6: [(0, 15), (91, 93), (95, 119), (120, 121), (123, 149), (150, 151), (170, 190)],
}
WEEKS: Final = {
    "office": OFFICE, "lunch": LUNCH, "night": NIGHT, "round": ROUND, "overnight": OVERNIGHT, "slivers": SLIVERS,
}  # fmt: skip
CLOSED: Final = frozenset(
    date.fromisoformat(text)
    for text in (
        "2024-01-01", "2024-02-29", "2024-03-31", "2024-04-29", "2024-10-28", "2024-12-25", "2024-12-31",
        "2025-01-01", "2025-04-06", "2025-11-02",
    )
)  # fmt: skip


def at(text: str) -> int:
    """UTC milliseconds of an ISO time that states its offset."""
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


class Span:
    """The minutes from `begin` to `end` (UTC milliseconds, whole minutes) and what a clock on the wall shows in each."""

    def __init__(self, zone: str, begin: int, end: int) -> None:
        self.zone = zone
        self.begin = begin
        self.end = end
        self.days = array("l")
        """Date of each minute, as a proleptic ordinal."""
        self.minutes = array("h")
        """Minute of the day of each minute."""
        there = ZoneInfo(zone)
        day = minute = -1
        for second in range(begin // 1000, end // 1000, 60):
            local = datetime.fromtimestamp(second, there)
            if not local.fold:
                day, minute = local.toordinal(), local.hour * 60 + local.minute
            assert day >= 0, "a span may not begin in a repeated stretch"
            self.days.append(day)
            self.minutes.append(minute)


class Count:
    """Open time of a span, found by looking at each of its minutes."""

    def __init__(self, span: Span, week: Week, closed: Iterable[date] = ()) -> None:
        self.begin = span.begin
        shut = {day.toordinal() for day in closed}
        plan = [bytearray(1440) for _ in EVERY_DAY]
        for weekday, hours in week.items():
            for opens, closes in hours:
                plan[weekday][opens:closes] = b"\1" * (closes - opens)
        self.open = bytes(
            0 if day in shut else plan[(day - 1) % 7][minute]
            for day, minute in zip(span.days, span.minutes, strict=True)
        )
        self.totals = list(accumulate(self.open, initial=0))
        """Open minutes before each minute, and all of them."""

    def before(self, instant: int) -> int:
        """Open milliseconds of the span before the instant."""
        place, rest = divmod(instant - self.begin, MINUTE)
        return self.totals[place] * MINUTE + (rest if rest and self.open[place] else 0)

    def between(self, start: int, end: int) -> int:
        return max(0, self.before(end) - self.before(start))

    def add(self, start: int, amount: int) -> int | None:
        """None where it lies beyond the span."""
        if amount == 0:
            return start
        wanted = self.before(start) + amount
        place = bisect_left(self.totals, -(-wanted // MINUTE))  # the first boundary with at least as much before it
        if place == len(self.totals):
            return None
        return self.begin + (place - 1) * MINUTE + wanted - self.totals[place - 1] * MINUTE

    def edges(self) -> Iterator[int]:
        """Instants at which it opens or closes."""
        for place, (one, other) in enumerate(pairwise(self.open), 1):
            if one != other:
                yield self.begin + place * MINUTE


BEGIN: Final = at("2024-01-01T00:00+00:00")
END: Final = at("2026-01-01T00:00+00:00")
AMOUNTS: Final = (0, 1, 59_999, MINUTE, MINUTE + 1, HOUR - 1, 8 * HOUR + 30 * MINUTE, 3 * DAY + 1, 40 * DAY)
COUNTED: Final = {
    "Europe/Amsterdam": LUNCH,
    "America/New_York": NIGHT,
    "Asia/Kolkata": OVERNIGHT,
    "Australia/Lord_Howe": SLIVERS,
}


@cache
def two_years(zone: str) -> tuple[Calendar, Count]:
    week = COUNTED[zone]
    return calendar(zone, zone, week, CLOSED), Count(Span(zone, BEGIN, END), week, CLOSED)


def agree_at(found: Calendar, count: Count, instant: int) -> None:
    """Both functions, for a start and an end at the instant."""
    assert found.between(count.begin, instant) == count.between(count.begin, instant)
    for amount in AMOUNTS:
        expected = count.add(instant, amount)
        if expected is not None:
            assert found.add(instant, amount) == expected, (instant, amount)


@pytest.mark.parametrize("zone", COUNTED)
def test_every_minute_of_two_years_is_counted(zone: str) -> None:
    found, count = two_years(zone)
    between = found.between
    for instant, total in zip(range(BEGIN, END + 1, MINUTE), count.totals, strict=True):
        if between(BEGIN, instant) != total * MINUTE:
            pytest.fail(f"{datetime.fromtimestamp(instant / 1000, UTC)}: {between(BEGIN, instant)} {total * MINUTE}")


@pytest.mark.parametrize("zone", COUNTED)
def test_from_any_start_to_any_minute(zone: str) -> None:
    found, count = two_years(zone)
    starts = [BEGIN + 1, *(at(text) for text in (
        "2024-03-30T23:59:59.999+00:00", "2024-06-10T02:35:18.400+00:00", "2024-10-27T00:30+00:00",
        "2024-11-03T05:59:00.001+00:00", "2025-04-05T14:45+00:00", "2025-07-12T18:55:56.767+00:00",
    ))]  # fmt: skip
    for start in starts:
        before = count.before(start)
        for instant in range(BEGIN, END + 1, 37 * MINUTE):
            expected = max(0, count.totals[(instant - BEGIN) // MINUTE] * MINUTE - before)
            assert found.between(start, instant) == expected, (start, instant)


@pytest.mark.parametrize("zone", COUNTED)
def test_every_opening_and_closing_to_the_millisecond(zone: str) -> None:
    found, count = two_years(zone)
    edges = list(count.edges())
    assert len(edges) > 1000
    for edge in edges:
        for instant in (edge - 1, edge, edge + 1):
            agree_at(found, count, instant)
    for edge, later in pairwise(edges):
        assert found.between(edge, later) in (0, later - edge)
        assert found.between(edge - 1, later + 1) == count.between(edge - 1, later + 1)


@pytest.mark.parametrize("zone", COUNTED)
def test_deadlines_of_many_starts_and_amounts(zone: str) -> None:
    found, count = two_years(zone)
    draw = random.Random(zone)
    compared = 0
    for _ in range(20_000):
        start = draw.randrange(BEGIN, END)
        amount = round(10 ** draw.uniform(0, 10.3))
        if draw.random() < 0.5:  # people promise whole minutes
            start, amount = start // MINUTE * MINUTE, (amount // MINUTE + 1) * MINUTE
        expected = count.add(start, amount)
        if expected is not None:
            compared += 1
            assert found.add(start, amount) == expected, (start, amount)
    assert compared > 15_000


@pytest.mark.parametrize("zone", COUNTED)
@pytest.mark.parametrize("number", [50, 51])
def test_the_table_has_no_seams(zone: str, number: int) -> None:
    seam = number << 35  # where one block of the table ends and the next begins, not at a whole minute
    found, count = two_years(zone)
    never_closed = _never_closed(zone)
    for instant in (seam - 1, seam, seam + 1):
        agree_at(found, count, instant)
        assert found.between(instant, END) == count.between(instant, END)
        for end in (seam - 1, seam, seam + 1, seam + (1 << 35)):
            assert never_closed.between(instant, end) == max(0, end - instant)
            if end >= instant:
                assert never_closed.add(instant, end - instant) == end


CHANGES: Final = {
    # zone -> days on which its clocks are changed
    "Europe/Amsterdam": ("2024-03-31", "2024-10-27", "2025-03-30", "2025-10-26"),
    "America/New_York": ("2024-03-10", "2024-11-03", "2025-03-09", "2025-11-02"),
    "Australia/Lord_Howe": ("2024-04-07", "2024-10-06", "2025-04-06", "2025-10-05"),  # by 30 minutes
    "Asia/Kolkata": ("2024-03-31",),  # never
    "Pacific/Chatham": ("2024-04-07", "2024-09-29"),  # at 03:45 and 02:45
    "Antarctica/Troll": ("2024-03-31", "2024-10-27"),  # by two hours
    "America/Santiago": ("2024-04-07", "2024-09-08"),  # at midnight: 23:00 comes twice, 00:00 is missing
    "America/Havana": ("2024-03-10", "2024-11-03"),  # to and from midnight: 00:00 comes twice, or is missing
    "Africa/Casablanca": ("2024-03-10", "2024-04-14"),  # back for Ramadan
    "Europe/Dublin": ("2024-03-31", "2024-10-27"),  # winter is what is called saving
    "Pacific/Apia": ("2011-12-30",),  # a date that never was
    "Asia/Kathmandu": ("1986-01-01",),  # by 15 minutes, for good
}
PLACES: Final = [(zone, day) for zone, days in CHANGES.items() for day in days]


@cache
def around(zone: str, day: str) -> Span:
    middle = at(f"{day}T00:00+00:00")
    return Span(zone, middle - 2 * DAY, middle + 3 * DAY)


@pytest.mark.parametrize("week", WEEKS)
@pytest.mark.parametrize(("zone", "day"), PLACES)
def test_every_minute_around_a_change_of_clocks(zone: str, day: str, week: str) -> None:
    span = around(zone, day)
    count = Count(span, WEEKS[week])
    found = calendar(week, zone, WEEKS[week], ())
    for instant in range(span.begin, span.end, MINUTE):
        assert found.between(span.begin, instant) == count.between(span.begin, instant), instant
        expected = count.add(instant, 90 * MINUTE)
        if expected is not None:
            assert found.add(instant, 90 * MINUTE) == expected, instant
    for edge in count.edges():
        for instant in (edge - 1, edge + 1):
            agree_at(found, count, instant)


@st.composite
def hours(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Of a day; mostly about the hours in which clocks are changed. Some adjoin."""
    cut = st.integers(0, 48).map(lambda number: number * 5) | st.integers(0, 1440) | st.just(1440)
    cuts = sorted(draw(st.sets(cut, min_size=2, max_size=8)))
    kept = draw(st.lists(st.booleans(), min_size=len(cuts) - 1, max_size=len(cuts) - 1))
    return [span for span, keep in zip(pairwise(cuts), kept, strict=True) if keep]


@settings(max_examples=100, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    week=st.dictionaries(st.integers(0, 6), hours(), min_size=3).filter(lambda week: any(week.values())),
    shut=st.sets(st.integers(-2, 2), max_size=2),
)
def test_any_week_around_a_change_of_clocks(place: tuple[str, str], week: Week, shut: set[int]) -> None:
    span = around(*place)
    closed = [date.fromisoformat(place[1]) + timedelta(days=days) for days in shut]
    found, count = calendar("drawn", span.zone, week, closed), Count(span, week, closed)
    between = found.between
    differ = [
        instant
        for instant, total in zip(range(span.begin, span.end + 1, MINUTE), count.totals, strict=True)
        if between(span.begin, instant) != total * MINUTE
    ]
    assert not differ
    for edge in count.edges():
        for instant in (edge - 1, edge, edge + 1):
            agree_at(found, count, instant)


CALENDARS: Final = (
    ALWAYS,
    *(
        calendar(f"{zone} {name}", zone, WEEKS[name], CLOSED)
        for zone, name in (
            ("Europe/Amsterdam", "lunch"), ("America/New_York", "night"), ("Asia/Kolkata", "overnight"),
            ("Australia/Lord_Howe", "slivers"), ("America/Santiago", "round"),
        )
    ),
)  # fmt: skip
calendars = st.sampled_from(CALENDARS)
instants = st.integers(BEGIN, END) | st.integers(at("1990-01-01T00:00+00:00"), at("2101-01-01T00:00+00:00"))
near = st.integers(0, 10) | st.integers(0, 3 * DAY) | st.integers(0, 90 * DAY)


@settings(max_examples=250, deadline=None)
@given(calendars, instants, near)
def test_between_confirms_add(found: Calendar, start: int, amount: int) -> None:
    deadline = found.add(start, amount)
    assert deadline >= start
    assert found.between(start, deadline) == amount


@settings(max_examples=250, deadline=None)
@given(calendars, instants, near.filter(bool))
def test_a_deadline_is_the_earliest(found: Calendar, start: int, amount: int) -> None:
    # between grows by one at most in a millisecond: one less just before the deadline leaves nothing earlier.
    assert found.between(start, found.add(start, amount) - 1) == amount - 1


@settings(max_examples=250, deadline=None)
@given(calendars, instants, near, near)
def test_open_time_adds_up(found: Calendar, start: int, first: int, second: int) -> None:
    middle, end = start + first, start + first + second
    assert found.between(start, middle) + found.between(middle, end) == found.between(start, end)


@settings(max_examples=250, deadline=None)
@given(calendars, instants, near, near.filter(bool))
def test_amounts_add_up(found: Calendar, start: int, first: int, second: int) -> None:
    assert found.add(found.add(start, first), second) == found.add(start, first + second)


@settings(max_examples=250, deadline=None)
@given(calendars, instants, near)
def test_open_time_is_never_more_than_time(found: Calendar, start: int, length: int) -> None:
    assert 0 <= found.between(start, start + length) <= length
    assert found.between(start + length, start) == 0


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([zone for zone in CHANGES if zone != "Pacific/Apia"]), instants, near)
@example("Pacific/Apia", at("2011-12-29T12:00+00:00"), 3 * DAY)
def test_hours_that_never_close_are_time_itself(zone: str, start: int, length: int) -> None:
    found = _never_closed(zone)
    assert found.between(start, start + length) == length
    assert found.add(start, length) == start + length


@cache
def _never_closed(zone: str) -> Calendar:
    return calendar("round", zone, ROUND, ())


# The rule, sentence by sentence. 2024-05-31 is a Friday; Amsterdam is at +02:00 in summer.

AMSTERDAM: Final = calendar("amsterdam", "Europe/Amsterdam", OFFICE, [date(2024, 5, 20)])


def test_hours_are_closed_at_their_end_and_open_at_their_beginning() -> None:
    assert AMSTERDAM.between(at("2024-05-31T09:00+02:00"), at("2024-05-31T09:00:00.001+02:00")) == 1
    assert AMSTERDAM.between(at("2024-05-31T08:59:59.999+02:00"), at("2024-05-31T09:00+02:00")) == 0
    assert AMSTERDAM.between(at("2024-05-31T17:29:59.999+02:00"), at("2024-05-31T17:30+02:00")) == 1
    assert AMSTERDAM.between(at("2024-05-31T17:30+02:00"), at("2024-06-03T09:00+02:00")) == 0


def test_a_start_outside_hours_begins_at_the_next_opening() -> None:
    assert AMSTERDAM.add(at("2024-05-31T07:12+02:00"), HOUR) == at("2024-05-31T10:00+02:00")
    assert AMSTERDAM.add(at("2024-06-01T12:00+02:00"), HOUR) == at("2024-06-03T10:00+02:00")


def test_a_start_at_close_begins_at_the_next_opening() -> None:
    assert AMSTERDAM.add(at("2024-05-31T17:30+02:00"), 1) == at("2024-06-03T09:00:00.001+02:00")
    assert AMSTERDAM.add(at("2024-05-31T17:30+02:00"), HOUR) == at("2024-06-03T10:00+02:00")


def test_a_start_on_a_holiday_begins_at_the_next_opening() -> None:
    assert AMSTERDAM.add(at("2024-05-20T10:00+02:00"), HOUR) == at("2024-05-21T10:00+02:00")
    assert AMSTERDAM.between(at("2024-05-20T00:00+02:00"), at("2024-05-21T00:00+02:00")) == 0


def test_a_holiday_is_a_local_date() -> None:
    found = calendar("auckland", "Pacific/Auckland", ROUND, [date(2024, 5, 20)])
    begin, end = at("2024-05-20T00:00+12:00"), at("2024-05-21T00:00+12:00")
    assert found.between(begin - HOUR, end + HOUR) == 2 * HOUR
    assert found.add(begin - HOUR, HOUR) == begin
    assert found.add(begin - HOUR, HOUR + 1) == end + 1


def test_a_deadline_at_close_stays() -> None:
    opens = at("2024-05-31T09:00+02:00")
    assert AMSTERDAM.add(opens, AMSTERDAM.business_day_ms) == at("2024-05-31T17:30+02:00")
    assert AMSTERDAM.add(opens, AMSTERDAM.business_day_ms + 1) == at("2024-06-03T09:00:00.001+02:00")


def test_a_deadline_before_lunch_stays() -> None:
    found = calendar("split", "Europe/Amsterdam", LUNCH, ())
    opens = at("2024-05-31T09:00+02:00")
    assert found.add(opens, 210 * MINUTE) == at("2024-05-31T12:30+02:00")
    assert found.add(opens, 210 * MINUTE + 1) == at("2024-05-31T13:15:00.001+02:00")
    assert found.between(at("2024-05-31T12:00+02:00"), at("2024-05-31T14:00+02:00")) == 75 * MINUTE


def test_nothing_is_added_to_a_start_wherever_it_lies() -> None:
    for text in ("2024-05-31T12:00+02:00", "2024-05-31T17:30+02:00", "2024-06-01T03:00+02:00"):
        assert AMSTERDAM.add(at(text), 0) == at(text)


def test_hours_to_midnight_go_on_in_hours_from_midnight() -> None:
    found = calendar("overnight", "Asia/Kolkata", OVERNIGHT, ())
    evening = at("2024-05-31T23:00+05:30")
    assert found.add(evening, HOUR) == at("2024-06-01T00:00+05:30")
    assert found.add(evening, 7 * HOUR) == at("2024-06-01T06:00+05:30")
    assert found.between(evening, at("2024-06-01T12:00+05:30")) == 7 * HOUR


def _open_on(day: date, zone: str, hours: tuple[int, int]) -> tuple[int, int] | None:
    """The interval that a day's hours come to; None where nothing is left of them."""
    found = calendar("one day", zone, {day.weekday(): [hours]}, ())
    noon = at(f"{day}T12:00+00:00")
    total = found.between(noon - 2 * DAY, noon + 2 * DAY)
    return (found.add(noon - 2 * DAY, 1) - 1, found.add(noon - 2 * DAY, total)) if total else None


# 02:00 to 03:00 is missing: 01:59 is followed by 03:00, at 01:00 UTC.
@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ((150, 240), ("2024-03-31T01:00+00:00", "2024-03-31T02:00+00:00")),
        ((60, 150), ("2024-03-31T00:00+00:00", "2024-03-31T01:00+00:00")),
        ((60, 240), ("2024-03-31T00:00+00:00", "2024-03-31T02:00+00:00")),
        ((120, 181), ("2024-03-31T01:00+00:00", "2024-03-31T01:01+00:00")),
        ((135, 165), None),
        ((120, 180), None),
    ],
)
def test_a_missing_local_time_moves_forward(hours: tuple[int, int], expected: tuple[str, str] | None) -> None:
    found = _open_on(date(2024, 3, 31), "Europe/Amsterdam", hours)
    assert found == (expected and tuple(map(at, expected)))


def test_a_missing_half_hour_moves_forward() -> None:
    # Lord Howe: 01:59 is followed by 02:30, at 15:30 UTC of the day before.
    found = _open_on(date(2024, 10, 6), "Australia/Lord_Howe", (135, 180))
    assert found == (at("2024-10-05T15:30+00:00"), at("2024-10-05T16:00+00:00"))


def test_a_missing_midnight_moves_forward() -> None:
    # Santiago: 23:59 of the seventh is followed by 01:00 of the eighth, at 04:00 UTC.
    assert _open_on(date(2024, 9, 7), "America/Santiago", (1380, 1440)) == (
        at("2024-09-08T03:00+00:00"),
        at("2024-09-08T04:00+00:00"),
    )
    assert _open_on(date(2024, 9, 8), "America/Santiago", (0, 120)) == (
        at("2024-09-08T04:00+00:00"),
        at("2024-09-08T05:00+00:00"),
    )


def test_a_missing_day_has_no_hours() -> None:
    assert _open_on(date(2011, 12, 30), "Pacific/Apia", (540, 1050)) is None
    assert _open_on(date(2011, 12, 30), "Pacific/Apia", (0, 1440)) is None


# 02:00 to 03:00 comes twice: 02:59 is followed by 02:00, at 01:00 UTC.
@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ((150, 240), ("2024-10-27T00:30+00:00", "2024-10-27T03:00+00:00")),
        ((60, 150), ("2024-10-26T23:00+00:00", "2024-10-27T00:30+00:00")),
        ((60, 240), ("2024-10-26T23:00+00:00", "2024-10-27T03:00+00:00")),
        ((135, 165), ("2024-10-27T00:15+00:00", "2024-10-27T00:45+00:00")),
        ((120, 180), ("2024-10-27T00:00+00:00", "2024-10-27T02:00+00:00")),
        ((180, 181), ("2024-10-27T02:00+00:00", "2024-10-27T02:01+00:00")),
    ],
)
def test_a_double_local_time_is_the_first(hours: tuple[int, int], expected: tuple[str, str]) -> None:
    assert _open_on(date(2024, 10, 27), "Europe/Amsterdam", hours) == tuple(map(at, expected))


def test_a_double_half_hour_is_the_first() -> None:
    # Lord Howe: 01:59 is followed by 01:30, at 15:00 UTC of the day before.
    found = _open_on(date(2024, 4, 7), "Australia/Lord_Howe", (105, 180))
    assert found == (at("2024-04-06T14:45+00:00"), at("2024-04-06T16:30+00:00"))


def test_the_longest_daily_hours_are_a_business_day() -> None:
    assert AMSTERDAM.business_day_ms == 8 * HOUR + 30 * MINUTE
    assert calendar("split", "Europe/Amsterdam", LUNCH, ()).business_day_ms == 7 * HOUR + 45 * MINUTE
    assert calendar("round", "Europe/Amsterdam", ROUND, ()).business_day_ms == DAY
    unequal = calendar("unequal", "UTC", {0: [(0, 60)], 3: [(0, 60), (100, 190)], 4: []}, ())
    assert unequal.business_day_ms == 150 * MINUTE


def test_round_the_clock_is_plain_time() -> None:
    assert (ALWAYS.name, ALWAYS.zone, ALWAYS.business_day_ms) == ("24x7", "UTC", DAY)
    assert ALWAYS.add(BEGIN, 12_345) == BEGIN + 12_345
    assert ALWAYS.add(BEGIN, 0) == BEGIN
    assert ALWAYS.between(BEGIN, BEGIN + 12_345) == 12_345
    assert ALWAYS.between(BEGIN, BEGIN - 1) == 0


def test_calendars_are_told_apart_by_identity() -> None:
    one, other = (calendar("same", "UTC", OFFICE, ()) for _ in range(2))
    assert one != other
    assert len({one, other, one}) == 2
    assert not hasattr(one, "__dict__")


def test_what_a_calendar_was_made_from_may_change() -> None:
    monday = [(540, 1050)]
    week, closed = {0: monday}, [date(2024, 5, 20)]
    found = calendar("copied", "UTC", week, closed)
    monday[0] = (0, 1440)
    week[1] = [(0, 1440)]
    closed.clear()
    assert found.between(at("2024-05-20T00:00+00:00"), at("2024-06-03T00:00+00:00")) == 8 * HOUR + 30 * MINUTE


# Far away.


@pytest.mark.parametrize("year", [1970, 1990, 2038, 2100, 2500, 9000])
def test_far_years(year: int) -> None:
    found = calendar("far", "Asia/Kolkata", ROUND, [date(year, 6, 15)])
    begin = at(f"{year}-06-14T12:00+05:30")
    assert found.add(begin, 12 * HOUR) == at(f"{year}-06-15T00:00+05:30")
    assert found.add(begin, 12 * HOUR + 1) == at(f"{year}-06-16T00:00:00.001+05:30")
    assert found.between(begin, begin + 3 * DAY) == 2 * DAY


def test_a_century_is_as_exact_as_a_day() -> None:
    found = calendar("mondays", "Europe/Amsterdam", {0: [(540, 1050)]}, ())
    begin, end = at("1990-01-01T00:00+01:00"), at("2100-01-04T00:00+01:00")  # both are Mondays
    weeks = (end - begin) // (7 * DAY)
    assert found.between(begin, end) == weeks * found.business_day_ms
    assert found.add(begin, weeks * found.business_day_ms) == at("2099-12-28T17:30+01:00")


def test_answers_do_not_depend_on_what_was_asked_before() -> None:
    found = calendar("mondays", "Europe/Amsterdam", {0: [(540, 1050)]}, ())
    asked = [at(f"{year}-05-31T12:00+00:00") for year in range(1700, 2300, 7)]
    forth = [(found.add(start, HOUR), found.between(start, start + 30 * DAY)) for start in asked]
    back = [(found.add(start, HOUR), found.between(start, start + 30 * DAY)) for start in reversed(asked)]
    assert forth == back[::-1]


def test_ten_times_the_longest_promise_is_reached() -> None:
    begin, longest = at("2024-01-01T00:00+01:00"), 20 * 365 * DAY
    closed = [date(2024, 1, 1) + timedelta(weeks=weeks) for weeks in range(0, 250 * 53, 6)]
    found = calendar("mondays", "Europe/Amsterdam", {0: [(540, 1050)]}, closed)
    amount = 10 * longest // (7 * DAY) * found.business_day_ms
    deadline = found.add(begin, amount)
    assert deadline > begin + 10 * longest
    assert found.between(begin, deadline) == amount


def test_an_absurd_amount_is_refused() -> None:
    for amount in (100 * 365 * DAY, 2**62):
        for _ in range(2):
            with pytest.raises(OverflowError, match=rf"calendar amsterdam: {amount} ms of open time .* 300 years"):
                AMSTERDAM.add(BEGIN, amount)


def test_a_future_that_is_all_closed_is_refused() -> None:
    first = date(2024, 1, 1)
    closed = (first + timedelta(days=days) for days in range(320 * 366))
    found = calendar("closed", "Europe/Amsterdam", OFFICE, closed)
    with pytest.raises(OverflowError, match="calendar closed: 1 ms of open time"):
        found.add(BEGIN, 1)
    assert found.between(BEGIN, BEGIN + 50 * 365 * DAY) == 0
    assert found.add(BEGIN, 0) == BEGIN


@pytest.mark.parametrize("instant", [2**63 - 1, -(2**63), at("0001-01-02T00:00+00:00"), at("9999-12-31T00:00+00:00")])
def test_instants_without_a_date_are_refused(instant: int) -> None:
    with pytest.raises(OverflowError, match=r"calendar amsterdam: .*year"):
        AMSTERDAM.add(instant, 1)
    with pytest.raises(OverflowError, match=r"calendar amsterdam: .*year"):
        AMSTERDAM.between(min(instant, BEGIN), max(instant, BEGIN))


def test_a_span_of_many_centuries_is_refused() -> None:
    with pytest.raises(OverflowError, match=r"calendar amsterdam: .* 300 years"):
        AMSTERDAM.between(BEGIN, at("3000-01-01T00:00+00:00"))


# What is refused.


@pytest.mark.parametrize(
    ("week", "message"),
    [
        ({0: [(540, 540)]}, "weekday 0: hours 540-540"),
        ({1: [(1050, 540)]}, "weekday 1: hours 1050-540"),
        ({2: [(-1, 540)]}, "weekday 2: hours -1-540"),
        ({3: [(540, 1441)]}, "weekday 3: hours 540-1441"),
        ({4: [(540, 720), (700, 1050)]}, "weekday 4: .*overlap.* minute 700"),
        ({5: [(780, 1050), (540, 720)]}, "weekday 5: .*out of order.* minute 540"),
        ({7: [(540, 1050)]}, "weekday 7"),
        ({-1: [(540, 1050)]}, "weekday -1"),
        ({}, "no weekday has hours"),
        ({0: [], 6: ()}, "no weekday has hours"),
    ],
)
def test_hours_that_make_no_sense_are_refused(week: Week, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calendar("wrong", "Europe/Amsterdam", week, ())


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "CEST", "../etc/passwd", "/etc/passwd", "Europe", "a\0b"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match=r"zone .* is not known"):
        calendar("wrong", zone, OFFICE, ())


def test_hours_may_adjoin() -> None:
    found = calendar("adjoining", "UTC", {0: [(540, 600), (600, 660)]}, ())
    assert found.business_day_ms == 2 * HOUR
    assert found.add(at("2024-06-03T09:00+00:00"), 2 * HOUR) == at("2024-06-03T11:00+00:00")
