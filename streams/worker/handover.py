"""What is known of the partitions that are fetched: which fetches belong to which seek, and where a partition ends.

Kept by whoever fetches, in its own thread, together with the hand-over of the records. No I/O, no Kafka client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Place: TypeAlias = tuple[str, int]
"""Full topic name, partition."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One partition's fetch."""

    epoch: int
    """Of the seek before it: what was fetched before a later one is recognised by it."""
    number: int
    """Of the fetches since the seek, from 1: where one is missing, it was lost on its way to the lane."""
    records: list[Any]


@dataclass(frozen=True, slots=True)
class HandOver:
    """What is known of a partition when its latest fetch was handed over."""

    epoch: int
    fetches: int
    """Fetches handed over since the seek."""
    at_end: bool
    """Everything up to the last stable offset has been handed over."""
    certain: bool
    """...and no open transaction hides what was received since."""
    asked_at: float
    """Monotonic time that the fetch whose answer says so speaks for: when it was sent, or before (replicas.py)."""
    lag: int
    """Records behind the high watermark."""


NOTHING: Final = HandOver(-1, -1, at_end=False, certain=False, asked_at=0.0, lag=0)

_OVERDUE: Final = 10.0
"""Seconds after which a fetch that was handed over is taken for lost."""


class HandOvers:
    """One writer; `known` may be read from any thread."""

    def __init__(self) -> None:
        self.known: Mapping[Place, HandOver] = {}
        """Replaced whole, so that another thread reads one state."""
        self._epochs: dict[Place, int] = {}
        self._fetches: dict[Place, int] = {}
        self._asked: dict[Place, float] = {}

    def sought(self, places: Iterable[Place], epoch: int) -> None:
        """Partitions were sought, and what is fetched from here on is of that epoch."""
        for place in places:
            self._epochs[place] = epoch
            self._fetches[place] = 0
            self._asked.pop(place, None)
        self.known = {place: value for place, value in self.known.items() if place not in places}

    def asked(self, until: Mapping[Place, float]) -> None:
        """A fetch has been answered: for these partitions it speaks for all that was stamped until then (replicas.py)."""
        for place, instant in until.items():
            self._asked[place] = max(instant, self._asked.get(place, 0.0))

    def fetched(self, place: Place, records: list[Any]) -> Fetched:
        """Records that are handed over now."""
        self._fetches[place] = number = self._fetches.get(place, 0) + 1
        return Fetched(self._epochs.get(place, 0), number, records)

    def handed_over(self, standing: Iterable[tuple[Place, int, int, int]]) -> None:
        """Of every fetched partition: (place, position, last stable offset, high watermark), as last answered."""
        self.known = {
            place: HandOver(
                epoch=self._epochs.get(place, 0),
                fetches=self._fetches.get(place, 0),
                at_end=position >= stable,
                certain=position >= stable == high and place in self._asked,
                asked_at=self._asked.get(place, 0.0),
                lag=max(0, high - position),
            )
            for place, position, stable, high in standing
        }


class Overdue:
    """Notices a fetch that was handed over and does not come: one that no later one of its partition betrays."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float]] = {}

    def look(self, topic: str, known: HandOver, came: int, now: float) -> bool:
        """`came`: how many fetches of the epoch that `known` is of have come. True: one has been waited for in vain."""
        if known.fetches <= came:
            self._since.pop(topic, None)
            return False
        last, since = self._since.get(topic, (-1, now))
        if last != came:
            self._since[topic] = came, now
            return False
        return now - since > _OVERDUE
