"""The arithmetic of one SLA clock: consumed time, deadline, pauses, rungs. All instants in UTC milliseconds.

A clock has a budget of open time in its calendar. It consumes the open time that passes, pauses left out; its deadline is
the earliest instant at which the budget is consumed. Pure; may not import I/O.
"""

from __future__ import annotations

from msgspec.structs import replace

from processors.agreement import Agreements
from processors.calendars import Calendar
from processors.state import Instance


def calendar_of(clock: Instance, agreements: Agreements) -> Calendar:
    return agreements.named(clock.agreement_version).calendar(clock.calendar)


def consumed(clock: Instance, at: int, calendar: Calendar) -> int:
    """Open time from the start to `at`, pauses left out, milliseconds."""
    if not clock.pauses:
        return calendar.between(clock.started_at, at)
    total = 0
    cursor = clock.started_at
    for begin, end in clock.pauses:
        if at <= begin:
            break
        total += calendar.between(cursor, begin)
        cursor = end
    return total + calendar.between(cursor, at)


def paused_ms(clock: Instance, agreements: Agreements) -> int:
    """Open time that the pauses take out, milliseconds."""
    calendar = calendar_of(clock, agreements)
    return sum(calendar.between(begin, end) for begin, end in clock.pauses)


def reached(clock: Instance, amount: int, calendar: Calendar) -> int:
    """The earliest instant at which `amount` milliseconds are consumed."""
    cursor = clock.started_at
    for begin, end in clock.pauses:
        part = calendar.between(cursor, begin)
        if amount <= part:
            break
        amount -= part
        cursor = end
    return calendar.add(cursor, amount)


def rung_at(clock: Instance, percent: int, calendar: Calendar) -> int:
    """When `percent` of the budget is consumed."""
    return clock.deadline if percent == 100 else reached(clock, clock.budget * percent // 100, calendar)


def budgeted(clock: Instance, budget: int, calendar: Calendar) -> Instance:
    clock = replace(clock, budget=budget)
    return replace(clock, deadline=reached(clock, budget, calendar))


def paused(clock: Instance, at: int, until: int | None, cap: int, calendar: Calendar) -> Instance:
    """The clock with a pause from `at`, as long as it may become: to `until`, or until all its pauses together take `cap`
    milliseconds of open time. A clock that has reached its deadline is not paused.
    """
    clock = resumed(clock, at, calendar)
    left = cap - sum(calendar.between(begin, end) for begin, end in clock.pauses)
    if at > clock.deadline or left <= 0:
        return clock
    end = calendar.add(at, left)
    if until is not None and until < end:
        end = until
    if end <= at:
        return clock
    clock = replace(clock, pauses=(*clock.pauses, (at, end)))
    return replace(clock, deadline=reached(clock, clock.budget, calendar))


def resumed(clock: Instance, at: int, calendar: Calendar) -> Instance:
    """The clock without what would be left of a pause at `at`."""
    if not clock.pauses or clock.pauses[-1][1] <= at:
        return clock
    begin, _ = clock.pauses[-1]
    last = ((begin, at),) if begin < at else ()
    clock = replace(clock, pauses=clock.pauses[:-1] + last)
    return replace(clock, deadline=reached(clock, clock.budget, calendar))
