"""The lane clock: the instant up to and at which everything that was received has been handed over."""

from __future__ import annotations

from processors.clock import LaneClock

TOPICS = ("leads", "touches")


def test_the_slowest_partition_is_what_a_lane_is_certain_of() -> None:
    clock = LaneClock(TOPICS)
    clock.handed_over("leads", 5_000)
    assert clock.now == 0
    clock.handed_over("touches", 3_000)
    # Another record of 3,000 may still come.
    assert clock.now == 2_999


def test_an_earlier_record_takes_no_certainty_back() -> None:
    clock = LaneClock(TOPICS)
    clock.handed_over("leads", 5_000)
    clock.handed_over("touches", 5_000)
    clock.handed_over("touches", 1_000)
    assert clock.now == 4_999


def test_a_partition_read_to_its_end_is_certain_until_that_was_asked() -> None:
    clock = LaneClock(TOPICS)
    clock.handed_over("leads", 5_000)
    clock.caught_up("touches", 9_000)
    assert clock.now == 4_999
    clock.caught_up("leads", 8_000)
    assert clock.now == 7_999


def test_a_mark_at_the_end_of_input_makes_its_own_instant_certain() -> None:
    clock = LaneClock(TOPICS)
    for topic in TOPICS:
        clock.ended(topic, 5_000)
    assert clock.now == 5_000


def test_a_restored_clock_does_not_go_back() -> None:
    clock = LaneClock(TOPICS, now=7_000)
    clock.handed_over("leads", 3_000)
    clock.handed_over("touches", 3_000)
    assert clock.now == 7_000
