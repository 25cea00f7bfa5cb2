"""An engine on a log in memory whose calls can be held up: what a lane that waits does to the others, and which is kept."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from schemas.wire import HEADER, MAGIC
from streams.agreements.source import Given
from streams.config import Settings, load
from streams.partitioner import lane_of
from streams.topics import INPUTS, LANE_KEY, STATES
from streams.worker.engine import Engine
from streams.worker.handover import NOTHING, Fetched, HandOver, Place
from streams.worker.measures import Measures
from streams.worker.ports import Ports, real
from tests.processors.support import AGREEMENTS
from tests.worker.support import ENCODER, IDS, Rec, decoder, record
from tests.worker.test_restore import Message, Partition

SETTINGS = load(brokers="nowhere:1", erasure_key="key", partitions=2, commit_interval=0.02)


class Log:
    """The committed records of lead-states, by lane, and what holds the lanes up."""

    def __init__(self) -> None:
        self.states: dict[int, list[tuple[bytes, bytes | None]]] = defaultdict(list)
        self.restore_may_go_on: dict[int, threading.Event] = {}
        self.commit_may_go_on: dict[int, threading.Event] = {}
        self.restores: list[int] = []

    def ports(self) -> Ports:
        return Ports(lambda config: Producer(self, config), lambda config: Consumer(self), real().blocking, idle=0.001)


class Producer:
    def __init__(self, log: Log, config: Mapping[str, Any]) -> None:
        self.log, self.lane = log, int(str(config["transactional.id"]).rpartition("-")[2])
        self.batch: list[tuple[bytes, bytes | None]] = []
        self.reports: list[tuple[int, Any]] = []

    def produce(self, topic: str, value: bytes | None, key: bytes | None, partition: int, callback: Any) -> None:
        if topic == STATES:
            assert key is not None
            if callback is not None:
                self.reports.append((len(self.log.states[self.lane]) + len(self.batch), callback))
            self.batch.append((key, value))

    def flush(self, timeout: float) -> int:
        for offset, report in self.reports:
            report(None, Stamped(offset, b"", None))
        self.reports.clear()
        return 0

    def commit_transaction(self, timeout: float) -> None:
        gate = self.log.commit_may_go_on.get(self.lane)
        assert gate is None or gate.wait(30)
        self.log.states[self.lane] += self.batch
        self.batch.clear()

    def poll(self, timeout: float) -> int:
        return 0

    def init_transactions(self, timeout: float) -> None: ...
    def begin_transaction(self) -> None: ...
    def abort_transaction(self, timeout: float) -> None: ...


class Stamped(Message):
    def timestamp(self) -> tuple[int, int]:
        return 2, 1_700_000_000_000


class Consumer(Partition):
    def __init__(self, log: Log) -> None:
        super().__init__([])
        self.log = log

    def assign(self, partitions: Sequence[Any]) -> None:
        (place,) = partitions
        if place.offset < 0:
            self.log.restores.append(place.partition)
        gate = self.log.restore_may_go_on.get(place.partition)
        assert gate is None or gate.wait(30)
        super().__init__(self.log.states[place.partition])
        super().assign(partitions)


class Fetcher:
    """Hands over what a test gives it."""

    def __init__(self) -> None:
        self.ready: frozenset[int] = frozenset()
        self.epochs: dict[Place, int] = {}
        self.handed: dict[Place, int] = defaultdict(int)

    async def seek(self, positions: Mapping[Place, int], epoch: int) -> None:
        for place in positions:
            self.epochs[place] = epoch
            self.handed[place] = 0

    def give(self, engine: Engine, number: int, *offsets: int) -> None:
        place = (INPUTS[0], number)
        self.handed[place] += 1
        engine.feed(*place, Fetched(self.epochs[place], self.handed[place], captured(number, *offsets)))

    def hand_over(self, place: Place) -> HandOver:
        if place not in self.epochs:
            return NOTHING
        return HandOver(self.epochs[place], self.handed[place], at_end=True, certain=True, asked_at=0.0, lag=0)

    def partitions(self, topic: str) -> int:
        return 2

    def tell_offsets(self, positions: Mapping[Place, int]) -> None: ...

    def pause(self, place: Place) -> None: ...
    def resume(self, place: Place) -> None: ...


class Quiet(Measures):
    """Gauges of lanes are the process's; these tests have several engines in one."""

    def lane(self, *_: Any) -> None: ...

    def forget(self, number: int) -> Any:
        return self._told.pop(number)


class NoRegistry:
    def text(self, schema_id: int) -> str | None:
        raise AssertionError(f"asked for {schema_id}")


@asynccontextmanager
async def working(log: Log, settings: Settings = SETTINGS) -> AsyncIterator[tuple[Engine, Fetcher]]:
    engine = Engine(settings, Given(AGREEMENTS), NoRegistry(), ENCODER, decoder(), ports=log.ports(), measures=Quiet())
    engine.consumer = fetcher = Fetcher()
    loop = asyncio.ensure_future(engine.run())
    try:
        yield engine, fetcher
        assert not loop.done()
    finally:
        for gate in (*log.restore_may_go_on.values(), *log.commit_may_go_on.values()):
            gate.set()
        await engine.revoked({0, 1})
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0.005)  # what is waited for tells nobody


def position(engine: Engine, number: int) -> int:
    """As last committed; -1 before a lane's first commit."""
    entry = engine.lanes.get(number)
    return entry.positions.get(INPUTS[0], 0) if entry is not None and entry.positions else -1


def captured(lane: int, *offsets: int) -> list[Rec]:
    """One event of a lead of its own each."""
    return [record(offset, "LeadCaptured", 0, lead_id=_lead(lane, offset), event_id="1") for offset in offsets]


def _lead(lane: int, offset: int) -> str:
    names = (f"lead-{offset}-{suffix}" for suffix in itertools.count())
    return next(name for name in names if lane_of(name.encode(), SETTINGS.partitions) == lane)


def test_a_lane_that_is_ready_works_while_another_restores() -> None:
    log = Log()
    log.restore_may_go_on[0] = threading.Event()

    async def scene() -> None:
        async with working(log) as (engine, fetcher):
            engine.assigned({0, 1}, 1)
            await until(lambda: 1 in engine.lanes)
            fetcher.give(engine, 1, 0, 1)
            await until(lambda: position(engine, 1) == 2)
            assert engine.status()["lanes"]["0"] == {"state": "restoring", "restored": 0.0}
            assert not engine.status()["ready"]
            log.restore_may_go_on[0].set()
            await until(lambda: engine.status()["ready"])

    asyncio.run(scene())


def test_a_lane_whose_commit_hangs_stops_at_its_bound_and_holds_nobody_up() -> None:
    log = Log()
    settings = SETTINGS.model_copy(update={"max_pending_bytes": 65_536})

    async def scene() -> None:
        async with working(log, settings) as (engine, fetcher):
            engine.assigned({0, 1}, 1)
            await until(lambda: position(engine, 0) >= 0 and position(engine, 1) >= 0)
            log.commit_may_go_on[0] = threading.Event()
            hung = engine.lanes[0].lane
            for offset in range(0, 1_000, 10):
                for number in (0, 1):
                    fetcher.give(engine, number, *range(offset, offset + 10))
                await asyncio.sleep(0.002)
            await until(lambda: position(engine, 1) == 1_000)
            # Its share, and what one call more folds of it: here ten records at a time, or a few times that.
            assert 32_768 < hung.fold.pending_bytes < 2 * 32_768
            waiting = hung.queued()
            assert waiting > 500
            await until(lambda: engine.lanes[1].commit is None and not engine.lanes[1].lane.dirty)
            assert hung.queued() == waiting
            assert position(engine, 0) == 0
            log.commit_may_go_on[0].set()
            await until(lambda: position(engine, 0) == 1_000)

    asyncio.run(scene())


def test_a_lane_that_comes_back_is_kept_unless_somebody_had_it() -> None:
    log = Log()

    async def scene() -> None:
        async with working(log) as (engine, fetcher):
            engine.assigned({0, 1}, 1)
            await until(lambda: engine.status()["ready"])
            for number in (0, 1):
                fetcher.give(engine, number, 0, 1, 2)
            await until(lambda: position(engine, 0) == position(engine, 1) == 3)
            await until(lambda: all(entry.commit is None for entry in engine.lanes.values()))
            before = {number: entry.lane for number, entry in engine.lanes.items()}
            log.restores.clear()
            await engine.revoked({0, 1})
            # Another worker has lane 1 and commits, though it folds nothing.
            async with working(log) as (other, _):
                other.assigned({1}, 1)
                await until(lambda: position(other, 1) == 3)
            assert log.restores == [1]
            engine.assigned({0, 1}, 2)
            await until(lambda: engine.status()["ready"])
            assert log.restores == [1, 1]
            assert engine.lanes[0].lane is before[0]
            assert engine.lanes[1].lane is not before[1]
            for number in (0, 1):
                assert len(engine.lanes[number].lane.fold) == 3
                fetcher.give(engine, number, 1, 2, 3)
            await until(lambda: position(engine, 0) == position(engine, 1) == 4)

    asyncio.run(scene())


def test_a_lane_with_a_record_that_is_no_state_is_halted_alone_until_it_is_mended() -> None:
    log = Log()

    async def scene() -> None:
        async with working(log) as (engine, fetcher):
            log.states[0] += [(b"lead-a", b"{}"), (b"lead-a", b"[]")]
            engine.assigned({0, 1}, 1)
            await until(lambda: 1 in engine.lanes and 0 in engine._halted)
            fetcher.give(engine, 1, 0, 1)
            await until(lambda: position(engine, 1) == 2)
            shown = engine.status()["lanes"]["0"]
            assert shown["state"] == "halted"
            assert "lead-states partition 0, offset 1 cannot be read: it has no Confluent header; put" in shown["cause"]
            assert log.restores.count(0) == 1
            log.states[0].append((b"lead-a", None))
            await engine.revoked({0, 1})
            engine.assigned({0, 1}, 2)
            await until(lambda: engine.status()["ready"])
            await until(lambda: position(engine, 0) == 0)
            await engine.revoked({0, 1})
            good = log.states[0][-1]
            log.states[0].append((LANE_KEY, HEADER.pack(MAGIC, IDS["LanePosition"]) + b"\xff"))
            engine.assigned({0, 1}, 3)
            await until(lambda: 1 in engine.lanes and 0 in engine._halted)
            damaged = f"partition 0, offset {len(log.states[0]) - 1}, schema id {IDS['LanePosition']} cannot be read"
            assert damaged in engine.status()["lanes"]["0"]["cause"]
            await engine.revoked({0, 1})
            log.states[0].append(good)
            engine.assigned({0, 1}, 4)
            await until(lambda: engine.status()["ready"])

    asyncio.run(scene())
