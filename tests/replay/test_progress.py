"""What is left to do, told from the ends of the topics and the processes' own words."""

from __future__ import annotations

from streams.embedded.progress import ready_lanes, unfolded, unstored
from streams.topics import Topics

LANE = {"state": "ready", "positions": {"leads": 5, "touches": 7}, "clock": 1}


def test_lanes_that_are_restored_are_not_ready_and_the_later_generation_owns() -> None:
    old = {"generation": 1, "lanes": {"0": {**LANE, "clock": 10}, "1": LANE}}
    new = {"generation": 2, "lanes": {"0": {**LANE, "clock": 20}, "2": {"state": "restoring"}}}
    for workers in ([old, new], [new, old]):
        lanes = ready_lanes(workers)
        assert set(lanes) == {0, 1}
        assert lanes[0]["clock"] == 20


def test_unfolded_counts_what_no_lane_has_durably_folded() -> None:
    ends = {("leads", 0): 6, ("touches", 0): 7, ("leads", 1): 3}
    assert unfolded(ends, {0: LANE}) == 1 + 0 + 3
    assert unfolded(ends, {}) == 16
    assert unfolded({}, {}) == 0


def test_unstored_counts_partitions_the_sink_does_not_know() -> None:
    ends = {("sla-events", 0): 4, ("sla-events", 1): 2}
    sink = {"partitions": {"p.sla-events-0": {"position": 3, "at_end": False}}}
    assert unstored(ends, sink, Topics("p.")) == 1 + 2
    sink = {"partitions": {f"p.sla-events-{number}": {"position": 9, "at_end": True} for number in (0, 1)}}
    assert unstored(ends, sink, Topics("p.")) == 0
