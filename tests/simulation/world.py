"""A run: brokers, workers, a sink, who publishes, and faults, until all is quiet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from random import Random
from typing import Any, Final
from unittest.mock import patch

from pydantic import SecretStr

from processors.agreement import Agreements
from streams.config import ClockMode, Settings
from streams.topics import INPUTS, READ_BY_LANES, STATES
from streams.worker.lane import Lane
from tests.oracle.calendar import DAY
from tests.oracle.histories import START
from tests.simulation import stories
from tests.simulation.broker import Broker
from tests.simulation.faults import Fault, planned
from tests.simulation.groups import Group
from tests.simulation.loop import CURRENT, Loop, Process, StuckError
from tests.simulation.outcome import OUTPUTS, Outcome, committed, position
from tests.simulation.store import Sink, Store
from tests.simulation.upstream import Upstream
from tests.simulation.workers import Log, Worker
from tests.support.fold import agreed

_BEFORE: Final = 2.0
"""Seconds from the start of the workers to the first record."""
_LATER: Final = 200 * DAY
"""Milliseconds by which a replay comes after what it tells."""
_PATIENCE: Final = 150.0
"""Seconds after the last fault and the last record in which all must have come to rest."""


@cache
def _settings() -> Settings:
    return Settings(
        group="simulated", session_timeout=2, transaction_timeout=5, commit_interval=0.4,
        erasure_key=SecretStr("key"),
    )  # fmt: skip


_AGREED: Final[dict[tuple[str, ...], Agreements]] = {}


def _agreements(versions: Sequence[Mapping[str, Any]]) -> Agreements:
    names = tuple(version["version"] for version in versions)
    if names not in _AGREED:
        _AGREED[names] = agreed(versions)
    return _AGREED[names]


class World:
    """`say` is told everything that happens."""

    def __init__(self, seed: int, say: Callable[[str], None] | None = None) -> None:
        self._random = random = Random(seed)
        self._loop = Loop()
        self._began = self._loop.now
        self._at_once = random.choice((3, 5_000))
        """Records that a lane folds at once."""
        self._say = say
        self._lanes = random.choice((1, 2, 3, 4))
        self._story = stories.told(random)
        self._outcome = Outcome(seed, self._lanes, self._story)
        self._told = self._outcome.told
        self._settings = _settings().model_copy(
            update={
                "partitions": self._lanes,
                "max_lane_queue": random.choice((2, 20_000)),
                "clock": ClockMode.EVENT if self._story.replay else ClockMode.BROKER,
            }
        )
        base = START - int((self._began + _BEFORE) * 1000) + (_LATER if self._story.replay else 0)
        self._broker = Broker(self._loop, random, base, self._told)
        for topic in (*READ_BY_LANES, *OUTPUTS):
            self._broker.create(topic, self._lanes)
        self._group = Group(self._loop, self._lanes, self._settings.session_timeout, self._told)
        self._upstream = Upstream(self._broker, random, self._lanes, self._later, self._told, replay=self._story.replay)
        self._workers: list[Worker] = []
        self._store = Store(self._loop, random, self._told)
        self._sink: tuple[Sink, Process] | None = None
        self._made = 0
        self._waiting: list[Fault] = []
        self._quiet_at = 0.0
        """When all faults are over."""
        self._end: int | None = None
        """The broker's time that every lane's clock has to reach."""
        self._finished = False

    def run(self) -> Outcome:
        log = Log(self._told, None if self._say is None else self._tell)
        with ExitStack() as stack:
            for module in ("engine", "opening", "lookups"):
                stack.enter_context(patch(f"streams.worker.{module}.log", log))
            stack.enter_context(patch.object(Lane, "MOST_AT_ONCE", self._at_once))
            self._plan()
            try:
                self._loop.run(lambda: self._finished, self._quiet_at + _PATIENCE)
            except StuckError as error:
                self._outcome.problems.append(f"{error}: {self._why()}")
            finally:
                self._outcome.callbacks = self._loop.handled
                self._loop.close()
                self._outcome.problems += [f"a task failed unheard: {one}" for one in self._loop.unheard]
        self._outcome.received, self._outcome.strays = self._upstream.received, self._upstream.strays
        self._outcome.stored = self._store.stored()
        self._outcome.read(self._broker)
        for topic in INPUTS:
            for number in range(self._lanes):
                self._told["input partitions without a record"] += not committed(self._broker, topic, number)
        return self._outcome

    def _tell(self, line: str) -> None:
        if self._say is not None:
            self._say(f"{self._loop.now - self._began:9.3f}  {line}")

    def _later(self, delay: float, call: Callable[..., Any], *arguments: Any) -> None:
        """Done by the world, whoever dies."""
        token = CURRENT.set(None)
        self._loop.call_later(delay, call, *arguments)
        CURRENT.reset(token)

    def _plan(self) -> None:
        random = self._random
        for _ in range(random.choice((1, 2, 2, 3))):
            self._later(random.choice((0, 0, 0, random.uniform(0, 20))), self._start_worker)
        self._later(random.uniform(0, 10), self._start_sink)
        last = _BEFORE
        for at, record in self._story.sent:
            last = _BEFORE + at
            self._later(last, self._upstream.send, record)
        if self._story.replay:
            self._told["replays"] += 1
            self._later(last, self._upstream.end, self._story.end)
        faults = planned(random, last + 3)
        for fault in faults:
            if fault.step is None:
                self._later(fault.at, self._due, fault)
            else:
                self._later(fault.at, self._waiting.append, fault)
        self._quiet_at = self._began + max([last, *(fault.at + fault.lasts for fault in faults)]) + 4
        self._later(self._quiet_at - self._began, self._waiting.clear)
        self._later(self._quiet_at - self._began + 0.5, self._come_to_rest)

    # Processes, and what hits them.

    def _process(self, kind: str) -> Process:
        self._made += 1
        return Process(f"{kind}{self._made}")

    def _start_worker(self) -> None:
        worker = Worker(self._process("w"), self._loop, self._random, self._broker, self._hit, self._broke)
        self._workers.append(worker)
        self._told["workers, each with a clock of its own"] += 1
        worker.start(self._settings, _agreements(self._story.versions), self._group, self._upstream, self._told)

    def _start_sink(self) -> None:
        process = self._process("s")
        sink = Sink(process.name, self._broker, self._store, self._random, self._lanes, self._told)
        self._sink = sink, process
        self._loop.start(process, sink.run())

    def _broke(self, how: str) -> None:
        self._outcome.problems.append(f"a worker broke down: {how}")

    def _hit(self, step: str, worker: Worker) -> None:
        if self._say is not None:
            self._tell(f"{worker.process.name:4} {step}")
        for fault in self._waiting:
            if fault.step == step:
                self._waiting.remove(fault)
                self._told[f"{fault.kind} at {step}"] += 1
                self._strike(fault, worker)
                return

    def _due(self, fault: Fault) -> None:
        self._told[fault.kind] += 1
        self._strike(fault, self._workers[fault.worker % len(self._workers)] if self._workers else None)

    def _strike(self, fault: Fault, worker: Worker | None) -> None:
        until = self._loop.now + fault.lasts
        if self._say is not None:
            self._tell(f"**** {fault.kind} {worker.process.name if worker else ''} for {fault.lasts} s")
        match fault.kind:
            case "kill" | "leave" if worker:
                if fault.kind == "leave":
                    self._group.leave(worker.fetcher.member)
                worker.process.alive = False
                self._workers.remove(worker)
                self._later(fault.lasts, self._start_worker)
            case "stop" if worker:
                worker.process.stopped = True
                self._later(fault.lasts, self._loop.resume, worker.process)
            case "cut off" if worker:
                worker.cut_off_until = until
            case "slow" if worker:
                worker.slow_until = until
            case "shake":
                self._group.shake()
            case "coordinator":
                self._broker.away_until = until
            case "brokers":
                self._broker.unreachable_until = until
            case "replica":
                self._broker.hold(INPUTS, fault.lasts)
            case "registry":
                self._upstream.away_until = until
            case "compact":
                for number in range(self._lanes):
                    self._broker.compact((STATES, number))
            case "stall":
                self._upstream.stall(until)
            case _:
                self._strike_store(fault, until)

    def _strike_store(self, fault: Fault, until: float) -> None:
        match fault.kind:
            case "store away":
                self._store.away_until = until
            case "store slow":
                self._store.slow_until = until
            case "sink killed" if self._sink is not None:
                self._sink[1].alive = False
                self._sink = None
                self._later(fault.lasts, self._start_sink)
            case "sink taken over" if self._sink is not None:
                sink, process = self._sink
                sink.revoked = process.stopped = True
                self._later(fault.lasts, self._loop.resume, process)
                self._start_sink()

    # The end.

    def _come_to_rest(self) -> None:
        """Once every lane has made durable all that was sent, its clock has passed the end of it, and the store has it."""
        if self._end is None:
            self._end = self._story.end if self._story.replay else max(self._story.end, self._broker.now()) + 3_000
        behind = False
        for number in range(self._lanes):
            found = position(self._broker, number)
            if found is None or found["clock"] < self._end:
                behind = True
                if not self._story.replay:
                    self._upstream.nudge(number)
            elif not all(self._is_read(topic, number, found["positions"]) for topic in READ_BY_LANES):
                behind = True
        self._finished = not behind and self._store.is_current(self._broker, self._lanes)
        self._later(1.0, self._come_to_rest)

    def _is_read(self, topic: str, number: int, positions: dict[str, int]) -> bool:
        partition = self._broker.partitions[topic, number]
        return partition.stable == partition.end and not committed(self._broker, topic, number, positions[topic])

    def _why(self) -> str:
        lanes = {worker.process.name: sorted(worker.engine.lanes) for worker in self._workers}
        durable = [position(self._broker, number) for number in range(self._lanes)]
        return f"end {self._end}, lanes {lanes}, durable {durable}"
