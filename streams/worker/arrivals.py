"""In a replay: until when everything that lanes pass on to each other has certainly arrived.

A replay goes through months in seconds, and each lane at its own pace. A lane that let facts become final by its own clock
would close the door on what another, months behind it, has still to pass on. So a round is made again and again: the
earliest durable clock of all lanes is noted; then, once for each merge that a fact may go through, every lane reads what
was passed on to its end, and makes durable what came of it.

May not import Kafka clients, Faust or the engine. Instants are those of time.monotonic(), clocks UTC milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

HOPS: Final = 3
"""Merges, one after the other, that a fact is waited for through."""


class Standing(NamedTuple):
    """Where a lane stands."""

    clock: int
    """As last made durable."""
    read_at: float
    """Everything that stood on its partition of forwards then has been folded; 0: that is not known."""
    durable_at: float
    """Everything folded until then is durable."""


class Arrivals:
    """Rounds over all lanes. `until` never goes back."""

    def __init__(self) -> None:
        self.until = 0
        """Of what was received until then nothing is on its way any more."""
        self._lanes: frozenset[int] = frozenset()
        self._begin(0.0, frozenset(), 0)

    def _begin(self, now: float, lanes: frozenset[int], clock: int) -> None:
        self._lanes = lanes
        self._clock = clock
        self._hop = 0
        self._reading = True
        self._step(now)

    def _step(self, now: float) -> None:
        self._since = now
        self._left = set(self._lanes)

    def look(self, now: float, lanes: Mapping[int, Standing]) -> int:
        """`until`, after a look at how all lanes stand at `now`."""
        least = min(lane.clock for lane in lanes.values())
        if lanes.keys() != self._lanes:
            self._begin(now, frozenset(lanes), least)
        self._left -= {
            number
            for number in self._left
            if (lanes[number].read_at if self._reading else lanes[number].durable_at) > self._since
        }
        if self._left:
            return self.until
        self._hop += not self._reading
        self._reading = not self._reading
        if self._hop < HOPS:
            self._step(now)
        else:
            self.until = max(self.until, self._clock)
            self._begin(now, self._lanes, least)
        return self.until
