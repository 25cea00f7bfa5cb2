"""Who publishes events, and the registry that knows their schemas."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any, Final

from schemas.catalog import CATALOG
from schemas.wire import HEADER, MAGIC
from streams.errors import UnavailableError
from streams.partitioner import lane_of
from streams.topics import END_OF_INPUT_KEY, INPUTS, RECEIVED_AT_HEADER
from tests.chaos.judge import Received
from tests.oracle.events import record as event_of
from tests.oracle.records import Record
from tests.simulation.broker import Broker, Place
from tests.simulation.workers import ENCODER, IDS

_OTHER: Final = 1_000
"""Added to the id of a contract: the same under an id that workers have to ask for."""
_NAMES: Final = tuple(CATALOG)


@cache
def _nobody(lanes: int) -> tuple[str, ...]:
    """A lead of each lane that nothing happens to."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < lanes:
        found.setdefault(lane_of(f"nobody-{number}".encode(), lanes), f"nobody-{number}")
        number += 1
    return tuple(found[lane] for lane in range(lanes))


def _received_at(at: int) -> tuple[tuple[str, bytes]]:
    return ((RECEIVED_AT_HEADER, str(at).encode()),)


class Upstream:
    def __init__(
        self, broker: Broker, random: Random, lanes: int, later: Callable[..., None], told: Counter[str],
        *, replay: bool,
    ) -> None:  # fmt: skip
        self._broker, self._random, self._lanes = broker, random, lanes
        self._later, self._told = later, told
        self._unknown = frozenset(name for name in CATALOG if random.random() < 0.2)
        """Events that are written under the other id."""
        self._queues: dict[Place, deque[Record | int]] = defaultdict(deque)
        self._stalled: dict[str, float] = {}
        self._nudges = 0
        self._replay = replay
        self._astray = random.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.15))
        """How often a producer takes a partition of its own choice."""
        self.away_until = 0.0
        """Until then the registry does not answer."""
        self.received: list[Received] = []
        self.strays: set[str] = set()

    def text(self, schema_id: int) -> str | None:
        """The registry's answer."""
        if self._broker.time() < self.away_until:
            self._told["registry asked while away"] += 1
            raise UnavailableError("schema registry: it is away")
        return CATALOG[_NAMES[schema_id - _OTHER - 1]].text if schema_id > _OTHER else None

    def stall(self, until: float) -> None:
        """Whoever publishes to one of the topics has to wait: it falls behind the others."""
        self._stalled[self._random.choice(INPUTS)] = until

    def send(self, record: Record) -> None:
        topic = self._random.choice(CATALOG[record.name].topics)
        stray = self._random.random() < self._astray
        self._put((topic, self._random.randrange(self._lanes) if stray else self._home(record)), record)

    def _home(self, record: Record) -> int:
        return lane_of(record.lead.encode(), self._lanes)

    def nudge(self, number: int) -> None:
        """Something that says nothing, so that the lane has something to write."""
        self._nudges += 1
        lead_id = _nobody(self._lanes)[number]
        self._put(
            (INPUTS[0], number), event_of("LeadScored", self._broker.now(), f"nudge-{self._nudges}", lead=lead_id)
        )

    def end(self, at: int) -> None:
        """Marks: nothing that was received up to then is still to come."""
        for topic in INPUTS:
            for number in range(self._lanes):
                self._put((topic, number), at)

    def _put(self, place: Place, record: Record | int) -> None:
        self._queues[place].append(record)
        self._append(place)

    def _append(self, place: Place) -> None:
        """In the order in which they were sent, as soon as the broker takes it; now and then twice."""
        queue = self._queues[place]
        while queue:
            wait = max(self._stalled.get(place[0], 0.0), self._broker.unreachable_until) - self._broker.time()
            if wait > 0:
                self._later(wait + 0.01, self._append, place)
                return
            record = queue.popleft()
            if isinstance(record, int):
                self._broker.append(place, END_OF_INPUT_KEY, None, _received_at(record))
                continue
            headers = _received_at(record.received_at) if self._replay else ()
            twice = self._random.random() < 0.03
            self._told["records published twice"] += twice
            self._told["leads erased"] += record.name == "LeadErased"
            for _ in range(1 + twice):
                entry = self._broker.append(place, record.lead.encode(), self._encoded(record), headers)
                at = record.received_at if self._replay else entry.timestamp
                home = self._home(record)
                if home != place[1]:
                    self.strays.add(record.lead)
                    self._told["records on a lane of others"] += 1
                self.received.append(Received(Record(record.name, record.event, at), home))

    def _encoded(self, record: Record) -> bytes:
        value: Any = ENCODER.encode(record.name, record.event)
        if record.name in self._unknown:
            value = HEADER.pack(MAGIC, IDS[record.name] + _OTHER) + value[HEADER.size :]
        return bytes(value)
