"""A simulated worker: the production engine on simulated ports, in a process that can be hit."""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial
from random import Random
from typing import Any, Final, Protocol

from processors.agreement import Agreements
from schemas.catalog import CATALOG
from schemas.wire import Decoder, Encoder
from streams.agreements import Given
from streams.config import Settings
from streams.topics import READ_BY_LANES
from streams.worker.engine import Engine
from streams.worker.lane import Batch, Lane
from streams.worker.lookups import Schemas
from streams.worker.measures import Measures
from streams.worker.ports import Ports, Steps, T
from tests.simulation.broker import Broker
from tests.simulation.clients import Consumer, Producer
from tests.simulation.fetching import Fetcher
from tests.simulation.groups import Group
from tests.simulation.loop import CURRENT, Loop, Process

IDS: Final = {name: number for number, name in enumerate(CATALOG, 1)}
ENCODER: Final = Encoder(IDS)


@cache
def _known() -> Decoder:
    made = Decoder()
    for name, number in IDS.items():
        made.learn(number, CATALOG[name].text)
    return made


def decoder() -> Decoder:
    """One that knows every contract under IDS, and is nobody else's."""
    made = Decoder()
    made._writers.update(_known()._writers)
    return made


class Silent(Measures):
    """Tells Prometheus nothing; keeps what was told of a lane."""

    def __init__(self, told: Counter[str]) -> None:
        super().__init__()
        self._counts = told

    def owned(self, lanes: int) -> None: ...

    def restoring(self, number: int, share: float) -> None: ...

    def opened(self, number: int, told: Counter[str], seconds: float) -> None:
        self._told[number] = Counter(told)

    def folded(self, seconds: float) -> None: ...

    def halted(self, lanes: int) -> None: ...

    def lost(self, error: str) -> None:
        self._counts[f"lanes lost: {error}"] += 1

    def committed(self, number: int, batch: Batch, seconds: float) -> None:
        self._counts["commits"] += 1
        before, self._told[number] = self._told[number], Counter(batch.counters)
        back = [key for key, count in before.items() if key != "overdue" and count > batch.counters.get(key, 0)]
        if back:
            raise AssertionError(f"counters go back, so some would be told twice: {back}")

    def lane(self, number: int, lane: Lane, lag: dict[str, int], broker_now: int | None) -> None: ...

    def forget(self, number: int) -> Counter[str]:
        return self._told.pop(number)


class Log:
    """In place of the workers' logs: counted where it matters, shown where it is wanted."""

    def __init__(self, told: Counter[str], say: Callable[[str], None] | None) -> None:
        self._told, self._say = told, say

    def _line(self, event: str, **named: Any) -> None:
        if event == "lane ready":
            self._told["lanes kept over a rebalance" if named["kept"] else "lanes restored"] += 1
        if self._say is not None:
            process = CURRENT.get()
            shown = " ".join(f"{name}={value}" for name, value in named.items())
            self._say(f"{process.name if process else '':4} {event}: {shown}")

    info = warning = error = exception = _line


class Hit(Protocol):
    """Told of each step that a worker has done; may stop or kill it."""

    def __call__(self, step: str, worker: Worker) -> None: ...


@dataclass(eq=False)
class Worker:
    process: Process
    loop: Loop
    random: Random
    broker: Broker
    hit: Hit
    broke: Callable[[str], None]
    cut_off_until: float = 0.0
    slow_until: float = 0.0

    def start(
        self, settings: Settings, agreements: Agreements, group: Group, registry: Schemas, told: Counter[str]
    ) -> None:
        random = self.random
        self._slowest = random.choice((0.01, 0.01, 0.01, 0.5))
        # A worker's clock begins anywhere and runs a little too fast or slow.
        offset, rate = random.uniform(0, 1e6), 1 + random.uniform(-2e-4, 2e-4)

        def monotonic() -> float:
            return offset + self.loop.now * rate

        ports = Ports(
            producer=partial(Producer, self.broker, random, settings.partitions, self.reachable),
            consumer=partial(Consumer, self.broker, random, self.reachable),
            blocking=self._blocking,
            monotonic=monotonic,
            idle=random.choice((0.1, 0.2, 0.4)),
        )
        self.fetcher = Fetcher(
            self.process.name, self.broker, group, random, READ_BY_LANES, monotonic, self.reachable,
            settings.session_timeout, told,
        )  # fmt: skip
        self.engine = Engine(
            settings, Given(agreements), registry, ENCODER, decoder(), ports=ports, measures=Silent(told)
        )
        self.engine.consumer = self.fetcher
        self.engine.most_pending = random.choice((10_000, settings.max_pending_bytes))
        for life in (
            self.engine.run(),
            self.fetcher.run(self.engine),
            self.fetcher.heartbeats(),
            self.fetcher.questions(),
            self.fetcher.fetches(),
        ):
            self.loop.start(self.process, self._guarded(life))

    def reachable(self) -> bool:
        """Whether brokers can be reached from here."""
        return self.loop.now >= max(self.broker.unreachable_until, self.cut_off_until)

    async def _guarded(self, life: Awaitable[None]) -> None:
        """What ends a worker in production ends it here."""
        try:
            await life
        except Exception as error:
            self.broke("".join(traceback.format_exception(error)))
            self.process.alive = False

    def _blocking(self, steps: Steps[T]) -> Awaitable[T]:
        """ports.Blocking: a thread that may be hit between any two steps."""
        future: asyncio.Future[T] = self.loop.create_future()

        def latency() -> float:
            slow = self.loop.now < self.slow_until
            return self.random.uniform(0.1, 1.5) if slow else self.random.uniform(0.0005, self._slowest)

        def step() -> None:
            try:
                name = next(steps)
            except StopIteration as done:
                if not future.done():
                    future.set_result(done.value)
            except Exception as error:
                if not future.done():
                    future.set_exception(error)
            else:
                self.hit(name, self)
                self.loop.call_later(latency(), step)

        self.loop.call_later(latency(), step)
        return future
