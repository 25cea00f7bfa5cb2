"""The broker's present time, never ahead of it, whatever the worker's own clock says.

A delivery report carries the broker's timestamp of a record that was just appended. Against the process's monotonic clock
it gives an offset that is too small by the report's way back; the largest of the recent ones is the best lower bound. The
worker's wall clock takes no part: it may be wrong or leap.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

_WINDOW: Final = 300.0
"""Seconds a report counts: clocks drift."""


class BrokerTime:
    """Thread-safe. `margin_ms` is taken off every answer: brokers differ among themselves."""

    def __init__(self, margin_ms: int, monotonic: Callable[[], float]) -> None:
        self._margin = margin_ms
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: deque[tuple[float, int]] = deque()

    def seen(self, timestamp: int) -> None:
        """The broker stamped a record with `timestamp` (UTC milliseconds), and the report has just come."""
        now = self._monotonic()
        offset = timestamp - int(now * 1000)
        with self._lock:
            # A deque with its largest first: what is smaller and older can never be the largest again.
            while self._seen and self._seen[-1][1] <= offset:
                self._seen.pop()
            self._seen.append((now, offset))
            while self._seen[0][0] < now - _WINDOW:
                self._seen.popleft()

    def at(self, instant: float) -> int | None:
        """The broker's time (UTC milliseconds) when the monotonic clock was at `instant`; None before the first report."""
        with self._lock:
            return self._seen[0][1] + int(instant * 1000) - self._margin if self._seen else None
