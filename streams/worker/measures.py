"""What the worker tells Prometheus, and when. Names and meanings stand in streams.metrics."""

from __future__ import annotations

from collections import Counter

from processors.vocabulary import NEVER
from streams.metrics import (
    BATCH_SECONDS,
    BREACHES,
    COMMIT_SECONDS,
    COPIES,
    DEAD_LETTERS,
    EVENTS,
    LAG,
    LANE_CLOCK,
    LANE_CLOCK_AGE,
    LANES_HALTED,
    LANES_LOST,
    LANES_OWNED,
    MISPARTITIONED,
    OPEN_CLOCKS,
    RESTORE_PROGRESS,
    RESTORE_SECONDS,
    SLA_EVENTS,
    TRANSITIONS,
    UNWORKED,
)
from streams.topics import INPUTS, READ_BY_LANES
from streams.worker.lane import Batch, Lane

for _topic in INPUTS:  # from zero on, so that the first of them counts as an increase
    MISPARTITIONED.labels(topic=_topic)


class Measures:
    """What one worker tells."""

    def __init__(self) -> None:
        self._told: dict[int, Counter[str]] = {}
        """Lane -> its counters as last told. They are durable and counted once; Prometheus gets what this process added."""

    def owned(self, lanes: int) -> None:
        LANES_OWNED.set(lanes)

    def restoring(self, number: int, share: float) -> None:
        """So much of the lane's states is read, 0 to 1."""
        RESTORE_PROGRESS.labels(lane=str(number)).set(share)

    def opened(self, number: int, told: Counter[str], seconds: float) -> None:
        """The lane is restored; `told`: what its counters said when they were last told, by whoever had it."""
        RESTORE_SECONDS.observe(seconds)
        self._told[number] = Counter(told)

    def folded(self, seconds: float) -> None:
        BATCH_SECONDS.observe(seconds)

    def lost(self, error: str) -> None:
        LANES_LOST.labels(error=error).inc()

    def halted(self, lanes: int) -> None:
        LANES_HALTED.set(lanes)

    def committed(self, number: int, batch: Batch, seconds: float) -> None:
        """A batch of the lane is durable. What was folded since it was made comes with its own commit."""
        COMMIT_SECONDS.observe(seconds)
        label = str(number)
        now = Counter(batch.counters)
        before, self._told[number] = self._told[number], now
        for key, count in (now - before).items():
            family, _, detail = key.partition(".")
            match family:
                case "events":
                    EVENTS.labels(lane=label).inc(count)
                case "copies":
                    COPIES.labels(lane=label).inc(count)
                case "transitions":
                    TRANSITIONS.labels(lane=label, change=detail or "stated").inc(count)
                case "sla":
                    SLA_EVENTS.labels(lane=label, kind=detail).inc(count)
                case "breaches":
                    BREACHES.labels(policy=detail).inc(count)
                case "dead_letters":
                    DEAD_LETTERS.labels(reason=detail).inc(count)
                case "mispartitioned":
                    MISPARTITIONED.labels(topic=detail).inc(count)
                case _:
                    continue

    def lane(self, number: int, lane: Lane, lag: dict[str, int], broker_now: int | None) -> None:
        """Once a second."""
        label = str(number)
        for topic, records in lag.items():
            LAG.labels(lane=label, topic=topic).set(records)
        LANE_CLOCK.labels(lane=label).set(lane.fold.told_until / 1000)
        if broker_now is not None:
            LANE_CLOCK_AGE.labels(lane=label).set(max(0, broker_now - lane.fold.told_until) / 1000)
        UNWORKED.labels(lane=label).set(lane.fold.counters["overdue"])
        OPEN_CLOCKS.labels(lane=label).set(lane.fold.open_deadlines if lane.fold.next_deadline != NEVER else 0)

    def forget(self, number: int) -> Counter[str]:
        """The lane is no longer ours: its gauges would tell of the past. Gives its counters as last told."""
        label = str(number)
        for topic in READ_BY_LANES:
            LAG.remove(label, topic)
        for gauge in (LANE_CLOCK, LANE_CLOCK_AGE, OPEN_CLOCKS, UNWORKED, RESTORE_PROGRESS):
            gauge.remove(label)
        return self._told.pop(number)
