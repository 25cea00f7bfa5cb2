"""Until when a fetch's answer speaks for its partition.

A broker stamps a record when it appends it, and shows it to consumers when all in-sync replicas have it. While one of these
is gone and not yet given up (broker.session.timeout.ms, 9 s), an answer that says "this is the end" hides what was stamped
since: a clock that went by it alone would tell of breaches although the touch lies in the log. So an answer counts only until
the last moment at which every in-sync replica was known to live. Kafka shows no consumer where the log really ends.

Pure bookkeeping; one thread. No Kafka client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.worker.handover import Place

SETTLES: Final = 1.0
"""Seconds after which a leader surely goes by in-sync replicas that the metadata tell of."""


class Replicas:
    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        """Broker -> when the last request was sent that it has answered."""
        self._in_sync: dict[Place, frozenset[int]] = {}
        self._since: dict[Place, float] = {}
        """From when on a fetch must have been sent to go by these in-sync replicas."""
        self._told_at = 0.0

    def answered(self, broker: int, asked: float, in_sync: Mapping[Place, frozenset[int]]) -> None:
        """A broker has answered a request that was sent at `asked` (monotonic seconds) with these in-sync replicas."""
        self._seen[broker] = max(asked, self._seen.get(broker, 0.0))
        if asked < self._told_at:
            return
        self._told_at = asked
        for place, replicas in in_sync.items():
            known = self._in_sync.get(place)
            if replicas != known:
                self._in_sync[place] = replicas
                self._since[place] = 0.0 if known is None else asked + SETTLES

    def until(self, place: Place, asked: float) -> float | None:
        """What an answer to a fetch that was sent at `asked` speaks for: all that was stamped until then. None: nothing."""
        replicas = self._in_sync.get(place)
        if not replicas or asked < self._since[place]:
            return None
        seen = min(self._seen.get(broker, 0.0) for broker in replicas)
        return min(asked, seen) or None

    def brokers(self) -> set[int]:
        """Those that have to be asked whether they live."""
        return {broker for replicas in self._in_sync.values() for broker in replicas}
