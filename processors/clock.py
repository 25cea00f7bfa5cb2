"""The lane clock, its pure part: up to which instant a lane has certainly seen everything that was received.

A lane is the same partition of each input topic. A partition's time is the running maximum of received_at handed over;
when it is read to its end it is, in live processing, the broker's present time. The lane's clock is the minimum over
its partitions and never goes back. Deadlines fire on it, never on a wall clock: a lane that lags fires nothing that a
touch already in the log would have prevented. May not import I/O.

The rule follows Beam's KafkaIO (CustomTimestampPolicyWithLimitedDelay): an idle partition advances to the time of the
backlog check, only where the backlog is empty.
"""

from __future__ import annotations

from collections.abc import Iterable


class LaneClock:
    """Times are UTC milliseconds; 0 before anything is known."""

    __slots__ = ("_now", "reached")

    def __init__(self, topics: Iterable[str], now: int = 0) -> None:
        self.reached: dict[str, int] = dict.fromkeys(topics, 0)
        """By topic: everything received before this instant has been handed over."""
        self._now = now

    def handed_over(self, topic: str, received_at: int) -> None:
        """A record received at `received_at` was folded. An earlier one changes nothing."""
        if received_at > self.reached[topic]:
            self.reached[topic] = received_at

    def caught_up(self, topic: str, broker_now: int) -> None:
        """The partition was read to its end at the broker's time `broker_now`, and all of it has been folded."""
        self.handed_over(topic, broker_now)

    def ended(self, topic: str, at: int) -> None:
        """An end-of-input mark: nothing received before or at `at` is still to come on this partition."""
        self.handed_over(topic, at + 1)

    @property
    def now(self) -> int:
        """Everything received up to and at this instant has been handed over."""
        # Another record of the very millisecond that was reached may still come.
        least = min(self.reached.values()) - 1
        if least > self._now:
            self._now = least
        return self._now
