"""What Faust and aiokafka do in a worker: membership of the group, fetches, and the way of a fetch to its lane.

Fetches are handed over by the driver's own bookkeeping (handover.py); like there, a fetch is on its way for a while between
the hand-over and the lane, and what was asked before a seek is dropped.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from random import Random

from streams.worker.engine import Engine
from streams.worker.handover import NOTHING, Fetched, HandOver, HandOvers, Place
from streams.worker.replicas import Replicas
from tests.simulation.broker import Broker
from tests.simulation.groups import Group


class Fetcher:
    """ports.Fetcher of one worker. `run` and `heartbeats` are its life."""

    def __init__(
        self,
        name: str,
        broker: Broker,
        group: Group,
        random: Random,
        topics: Sequence[str],
        monotonic: Callable[[], float],
        reachable: Callable[[], bool],
        session: float,
        told: Counter[str],
    ) -> None:
        self._broker, self._group, self._random = broker, group, random
        self._topics, self._monotonic, self._reachable = topics, monotonic, reachable
        self._session, self._told = session, told
        self._name, self._joined = name, 0
        self._member, self._generation = "", -1
        self._must_join = True
        self._told_to_join: asyncio.Future[None] | None = None
        self.ready: frozenset[int] = frozenset()
        self._hand_overs = HandOvers()
        self._replicas = Replicas()
        self._positions: dict[Place, int] = {}
        self._ends: dict[Place, tuple[int, int]] = {}
        """Last stable offset and high watermark, as last answered."""
        self._paused: set[Place] = set()
        self._lanes: set[int] = set()
        self._under_way: deque[tuple[Place, Fetched]] = deque()
        self._feeding = False
        self._loses = random.choice((0.0, 0.0, 0.0, 0.03))
        """How often a fetch does not reach its lane."""
        self._engine: Engine | None = None

    # ports.Fetcher

    async def seek(self, positions: Mapping[Place, int], epoch: int) -> None:
        await asyncio.sleep(self._random.uniform(0, 0.02))
        self._positions.update(positions)
        self._hand_overs.sought(positions, epoch)
        await asyncio.sleep(self._random.choice((0, 0, 0.2)))  # the answer's way: fetches may be faster

    def hand_over(self, place: Place) -> HandOver:
        return self._hand_overs.known.get(place, NOTHING)

    def partitions(self, topic: str) -> int:
        return sum(1 for name, _ in self._broker.partitions if name == topic)

    def tell_offsets(self, positions: Mapping[Place, int]) -> None: ...

    @property
    def member(self) -> str:
        return self._member

    def pause(self, place: Place) -> None:
        self._told["partitions paused"] += 1
        self._paused.add(place)

    def resume(self, place: Place) -> None:
        self._paused.discard(place)

    # Membership.

    async def run(self, engine: Engine) -> None:
        """Joins, and joins again whenever the group says so."""
        self._engine = engine
        while True:
            await engine.revoked(set(self._lanes))
            self._lanes = set()
            self._positions.clear()
            self._under_way.clear()
            if not self._member:
                self._joined += 1
                self._member = f"{self._random.randrange(1000):03}-{self._name}-{self._joined}"
            await asyncio.sleep(self._random.uniform(0, 0.1))
            self._generation, lanes = await self._group.join(self._member)
            self._must_join = False
            self._told_to_join = asyncio.get_running_loop().create_future()
            self._lanes = lanes
            engine.assigned(set(lanes), self._generation)
            if self._random.random() < 0.3:
                await self._throw_away(engine)
            await self._told_to_join

    async def _throw_away(self, engine: Engine) -> None:
        """As Faust does when a fetch met a flow that was stopped."""
        await asyncio.sleep(self._random.uniform(0, 1))
        self._told["fetches thrown away by Faust"] += 1
        self._under_way = deque(one for one in self._under_way if self._random.random() < 0.5)
        await engine.reseek()

    async def heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._session / 6)
            # Who is joining sends none.
            if not self._member or self._must_join or not self._reachable():
                continue
            answer = self._group.heartbeat(self._member, self._generation)
            if answer == "ok":
                continue
            self._must_join = True
            if answer == "unknown":
                self._member = ""
            if self._told_to_join is not None and not self._told_to_join.done():
                self._told_to_join.set_result(None)

    # Fetches.

    async def questions(self) -> None:
        """Which replicas are in sync, and whether they live."""
        while True:
            asked = self._monotonic()
            await asyncio.sleep(self._random.uniform(0.001, 0.05))
            if self._reachable():
                for broker in self._broker.alive():
                    self._replicas.answered(broker, asked, self._broker.in_sync())
            await asyncio.sleep(self._random.uniform(0.1, 0.6))

    async def fetches(self) -> None:
        rest = self._random.choice((0.1, 0.3, 0.8))
        while True:
            await asyncio.sleep(self._random.uniform(0.02, rest))
            wanted = {
                place: offset
                for place, offset in self._positions.items()
                if place[1] in self.ready and place not in self._paused
            }
            if not wanted:
                continue
            asked = self._monotonic()
            await asyncio.sleep(self._random.uniform(0.001, 0.05))
            if self._reachable():
                self._answer(wanted, asked)

    def _answer(self, wanted: Mapping[Place, int], asked: float) -> None:
        most = self._random.choice((2, 20, 500))
        positions, ends = self._positions, self._ends
        answered = [
            place for place, offset in wanted.items() if positions.get(place) == offset
        ]  # else sought meanwhile
        for place in answered:
            offset = positions[place]
            partition = self._broker.partitions[place]
            shown = self._broker.shown(place)
            if offset < shown:
                entries, after = partition.read(place, offset, most)
                entries, positions[place] = [one for one in entries if one.offset < shown], min(after, shown)
                if entries:
                    self._under_way.append((place, self._hand_overs.fetched(place, entries)))
            ends[place] = min(partition.stable, shown), shown
        until = {place: self._replicas.until(place, asked) for place in answered}
        self._hand_overs.asked({place: instant for place, instant in until.items() if instant is not None})
        self._hand_overs.handed_over(
            [(place, position, *ends[place]) for place, position in positions.items() if place in ends]
        )
        if self._under_way and not self._feeding:
            self._feeding = True
            delay = self._random.choice((0.0, 0.0, 0.02, 0.1, 0.5, 2.5))
            asyncio.get_running_loop().call_later(delay, self._feed)

    def _feed(self) -> None:
        """What is under way reaches its lane."""
        self._feeding = False
        while self._under_way:
            place, fetched = self._under_way.popleft()
            if self._random.random() < self._loses:
                self._told["fetches lost on their way"] += 1
            elif self._engine is not None:
                self._engine.feed(place[0], place[1], fetched)
