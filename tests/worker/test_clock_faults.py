"""Clocks that are wrong: a worker's, off or leaping; a producer's, a day ahead or years behind; a broker's that leaps back.

None raises a false alarm, and none holds a lane for longer than the fault itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.vocabulary import DAY
from streams.worker.skew import BrokerTime
from tests.processors.support import START
from tests.worker.support import HOUR, Read, Rec, imported, lane, record

YEARS = 24 * 365 * 12
MINUTE = 60_000


def raised(offset: int, hours: float, lead_id: str, *, received: float | None = None) -> Rec:
    """A hand-raise, to be answered within 4 h."""
    return record(
        offset, "LeadCaptured", hours, received=received, hand_raise=True, lead_id=lead_id, event_id=f"c-{lead_id}"
    )


def touched(offset: int, hours: float, lead_id: str, *, received: float | None = None) -> Rec:
    return record(
        offset, "TouchRecorded", hours, received=received, outcome="connected", lead_id=lead_id, event_id=f"t-{lead_id}"
    )


def alarms(read: Read) -> set[str]:
    """Leads that people were called to."""
    return {item["lead_id"] for item in read.sla if item["kind"] in ("breached", "rung") and item["notify"]}


def work(read: Read, hours: float) -> None:
    """All topics are read to their ends at that time of the broker."""
    now = START + round(hours * HOUR)
    read.lane.work([now, now, now, 0])
    read.commit()


# The worker's clock.


class Clocks:
    """A monotonic clock that is set by the test, and a wall clock that is wrong and leaps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.wall = 0.0
        monkeypatch.setattr(time, "time", lambda: self.wall)
        monkeypatch.setattr(time, "time_ns", lambda: int(self.wall * 1e9))


@pytest.mark.parametrize("minutes", [-90, -5, 5, 90])
def test_a_worker_whose_clock_is_off_by_minutes_knows_the_brokers_time(
    minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = Clocks(monkeypatch)
    broker = BrokerTime(1_000, lambda: clocks.now)
    clocks.wall = START / 1000 + minutes * 60
    assert broker.at(clocks.now) is None
    broker.seen(START)
    clocks.wall -= 3_600  # and leaps back
    assert broker.at(clocks.now + 60) == START + MINUTE - 1_000


@given(st.lists(st.tuples(st.floats(0.01, 200), st.floats(0, 30)), min_size=1, max_size=60), st.floats(0, 100))
def test_what_it_takes_for_the_brokers_time_is_never_ahead_of_it(
    reports: list[tuple[float, float]], later: float
) -> None:
    """However late the reports come, and however long ago the last one was."""
    clock = [5_000.0]
    broker = BrokerTime(0, lambda: clock[0])
    for pause, way_back in reports:
        clock[0] += pause
        stamped = START + int(clock[0] * 1000)
        clock[0] += way_back
        broker.seen(stamped)
    found = broker.at(clock[0] + later)
    assert found is not None
    assert found <= START + int((clock[0] + later) * 1000) + 1


def test_a_broker_whose_clock_leaps_back_is_believed_again_after_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(monkeypatch)
    broker = BrokerTime(0, lambda: clocks.now)
    broker.seen(START)
    for _ in range(7):  # ten minutes back from here on, a report a minute
        clocks.now += 60
        broker.seen(START + int((clocks.now - 1_000) * 1000) - 10 * MINUTE)
    assert broker.at(clocks.now) == START + int((clocks.now - 1_000) * 1000) - 10 * MINUTE


# The broker's.


def test_records_stamped_earlier_than_those_before_them_stop_nothing_and_are_received_when_they_say() -> None:
    """A new leader whose clock is ten minutes behind: the lane's clock stands until it has caught up, and never goes back."""
    read = Read(lane())
    read.lane.add(0, [raised(0, 1, "before"), raised(1, 1, "after", received=1 - 1 / 6)])
    work(read, 2)
    assert read.lane.clock.now == START + 2 * HOUR - 1
    read.lane.add(1, [touched(0, 1.5, "before", received=1.75), touched(1, 1.5, "after", received=1.6)])
    work(read, 1.9)  # the broker's time as it is told now
    assert read.lane.clock.now == START + 2 * HOUR - 1
    work(read, 9)
    assert read.kinds.count("met") == 2
    assert alarms(read) == set()


def test_a_stamp_that_fell_back_holds_no_deadline() -> None:
    read = Read(lane())
    read.lane.add(0, [raised(0, 1, "lead-1"), raised(1, 0.9, "lead-2", received=0.5)])
    work(read, 1.1)
    work(read, 5.1)
    assert {item["lead_id"]: item["breached_at"] for item in read.sla if item["kind"] == "breached"} == {
        "lead-1": START + 5 * HOUR, "lead-2": START + round(4.5 * HOUR)
    }  # fmt: skip


# The producers'.


def test_a_producer_a_day_ahead_is_clamped_to_its_arrival() -> None:
    read = Read(lane())
    read.lane.add(0, [raised(0, 0, "lead-1"), raised(1, 23.9, "ahead", received=0)])
    read.lane.add(1, [touched(0, 24.9, "lead-1", received=1), touched(1, 24.9, "ahead", received=1)])
    work(read, 1.1)
    assert read.lane.clock.now == START + round(1.1 * HOUR) - 1
    work(read, 100)
    latest = {item["lead_id"]: item for item in read.sla}
    assert {lead: item["verdict"] for lead, item in latest.items()} == {"lead-1": "met", "ahead": "met"}
    assert {item["started_at"] for item in latest.values()} == {START}
    assert {item["satisfied_at"] for item in latest.values()} == {START + HOUR}
    assert alarms(read) == set()


@pytest.mark.parametrize("ahead", [24.1, 24 * 30, YEARS, 24 * 365 * 7000])
def test_farther_ahead_is_set_aside_and_neither_moves_nor_holds_the_clock(ahead: float) -> None:
    read = Read(lane())
    read.lane.add(0, [raised(0, 0, "lead-1"), raised(1, ahead, "lead-2", received=0)])
    work(read, 1)
    assert [letter["reason"] for letter in read.letters] == ["occurred_at_out_of_range"]
    assert read.lane.clock.now == START + HOUR - 1
    assert alarms(read) == set()
    work(read, 4.1)
    assert alarms(read) == {"lead-1"}  # a true one, in time


def test_a_producer_years_behind_calls_nobody_and_holds_nobody() -> None:
    read = Read(lane())
    behind = -YEARS / 2
    read.lane.add(0, [raised(0, 0, "lead-1"), raised(1, behind, "behind", received=0.1), raised(2, 0.2, "lead-2")])
    read.lane.add(1, [touched(0, 1, "lead-2"), touched(1, behind, "behind", received=1)])
    work(read, 1.1)
    assert read.lane.clock.now == START + round(1.1 * HOUR) - 1
    assert alarms(read) == set()
    entered = {item["lead_id"]: item for item in read.transitions}
    assert entered["behind"]["disputed"]
    assert entered["behind"]["entered_at"] == START + round(0.1 * HOUR) - 3 * DAY
    work(read, 4.1)
    assert alarms(read) == {"lead-1"}
    latest = {item["lead_id"]: item["verdict"] for item in read.sla}
    # The hand-raise and its answer were clamped alike: three days before they arrived.
    assert latest == {"lead-1": "breached_open", "lead-2": "met", "behind": "met"}


@pytest.mark.parametrize("before", [0, -1, -(2**62), 1])
def test_an_arrival_that_an_import_makes_up_moves_no_clock_back(before: int) -> None:
    read = Read(lane())
    read.lane.add(0, [raised(0, 0, "lead-1"), imported(raised(1, 0, "lead-2"), before / HOUR - START / HOUR, 0.5)])
    work(read, 1)
    assert read.lane.clock.now == START + HOUR - 1
    work(read, 4.1)
    assert alarms(read) == {"lead-1"}


LEAPS: list[Callable[[int], float]] = [
    lambda n: n * 0.1,
    lambda n: 20 - n * 0.1,
    lambda n: (n % 2) * 23.0,
    lambda n: -YEARS / 2 if n % 3 else n * 0.1,
]


@pytest.mark.parametrize("leap", LEAPS, ids=["right", "backwards", "leaping a day", "mostly years behind"])
def test_a_producers_clock_that_leaps_calls_nobody_to_a_lead_that_was_touched(leap: Callable[[int], float]) -> None:
    """A right producer's touches come in time; a wrong one speaks of the same lane."""
    read = Read(lane())
    for number in range(20):
        arrived = number * 0.1
        read.lane.add(0, [raised(2 * number, arrived, f"lead-{number}")])
        read.lane.add(0, [raised(2 * number + 1, leap(number), f"other-{number}", received=arrived)])
        read.lane.add(1, [touched(2 * number, arrived + 0.05, f"lead-{number}")])
        read.lane.add(1, [touched(2 * number + 1, leap(number), f"other-{number}", received=arrived + 0.05)])
        work(read, arrived + 0.06)
        assert read.lane.clock.now == START + round((arrived + 0.06) * HOUR) - 1
    for hours in range(3, 30):
        work(read, hours)
    assert alarms(read) == set()
