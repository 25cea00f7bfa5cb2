"""A run: brokers, workers, producers, faults, until all is quiet. What comes of it is what consumers see."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any, Final
from unittest.mock import patch

from pydantic import SecretStr

from schemas.catalog import CATALOG
from schemas.wire import HEADER, MAGIC
from streams.config import Settings
from streams.errors import UnavailableError
from streams.partitioner import lane_of
from streams.topics import DEAD_LETTERS, INPUTS, LANE_KEY, READ_BY_LANES, SLA_EVENTS, STATES, TRANSITIONS
from tests.chaos.judge import Received
from tests.oracle.events import record as event_of
from tests.oracle.histories import START
from tests.oracle.records import Record
from tests.simulation import stories
from tests.simulation.broker import Broker, Place
from tests.simulation.faults import Fault, planned
from tests.simulation.groups import Group
from tests.simulation.loop import CURRENT, Loop, Process, StuckError
from tests.simulation.workers import ENCODER, IDS, Log, Worker, decoder

OUTPUTS: Final = (TRANSITIONS, SLA_EVENTS, DEAD_LETTERS, STATES)
_OTHER: Final = 1_000
"""Added to the id of a contract: the same under an id that workers have to ask for."""
_BEFORE: Final = 2.0
"""Seconds from the start of the workers to the first record."""
_PATIENCE: Final = 150.0
"""Seconds after the last fault and the last record in which all must have come to rest."""


@dataclass
class Outcome:
    """What a run came to."""

    seed: int
    lanes: int = 0
    received: list[Received] = field(default_factory=list)
    """What was sent, as the broker stamped it."""
    outputs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By record name: what a read_committed consumer sees."""
    written: dict[tuple[int, int], int] = field(default_factory=dict)
    """Of sla-events: partition and offset -> the broker's time stamp."""
    told: Counter[str] = field(default_factory=Counter)
    """Faults, and what came of them, by kind."""
    problems: list[str] = field(default_factory=list)
    callbacks: int = 0


@cache
def _nobody(lanes: int) -> tuple[str, ...]:
    """A lead of each lane that nothing happens to."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < lanes:
        found.setdefault(lane_of(f"nobody-{number}".encode(), lanes), f"nobody-{number}")
        number += 1
    return tuple(found[lane] for lane in range(lanes))


@cache
def _settings() -> Settings:
    return Settings(
        group="simulated", session_timeout=2, transaction_timeout=5, commit_interval=0.4, erasure_key=SecretStr("key")
    )


class World:
    """`prepare` may break things on purpose before anything runs."""

    def __init__(
        self, seed: int, say: Callable[[str], None] | None = None, prepare: Callable[[World], None] | None = None
    ) -> None:
        self.random = random = Random(seed)
        self.loop = Loop()
        self._began = self.loop.now
        self._say = say
        self.lanes = random.choice((1, 2, 3, 4))
        self.outcome = Outcome(seed, self.lanes)
        self.told = self.outcome.told
        self.settings = _settings().model_copy(
            update={"partitions": self.lanes, "max_lane_queue": random.choice((100, 20_000))}
        )
        base = START - int((self._began + _BEFORE) * 1000)
        self.broker = Broker(self.loop, random, base, self.told)
        for topic in (*READ_BY_LANES, *OUTPUTS):
            self.broker.create(topic, self.lanes)
        self.group = Group(self.loop, self.lanes, self.settings.session_timeout, self.told)
        self.broker.members = self.group.knows
        self.workers: list[Worker] = []
        self._made = 0
        self._unknown = frozenset(name for name in CATALOG if random.random() < 0.2)
        """Events that are written under ids that workers have to ask for."""
        self._queues: dict[Place, deque[Record]] = defaultdict(deque)
        self._stalled: dict[str, float] = {}
        self._registry_away = 0.0
        self._waiting: list[Fault] = []
        self._quiet_at = 0.0
        """When all faults are over."""
        self._end: int | None = None
        """The broker's time that every lane's clock has to reach."""
        self._nudges = 0
        self._finished = False
        if prepare is not None:
            prepare(self)

    def run(self) -> Outcome:
        log = Log(self.told, None if self._say is None else self._tell)
        with ExitStack() as stack:
            for module in ("engine", "opening", "lookups"):
                stack.enter_context(patch(f"streams.worker.{module}.log", log))
            self._plan()
            try:
                self.loop.run(lambda: self._finished, self._quiet_at + _PATIENCE)
            except StuckError as error:
                self.outcome.problems.append(f"{error}: {self._why()}")
            finally:
                self.outcome.callbacks = self.loop.handled
                self.loop.close()
        self._read_outputs()
        return self.outcome

    def _tell(self, line: str) -> None:
        if self._say is not None:
            self._say(f"{self.loop.now - self._began:9.3f}  {line}")

    def later(self, delay: float, call: Callable[..., Any], *arguments: Any) -> None:
        """Done by the world, whoever dies."""
        token = CURRENT.set(None)
        self.loop.call_later(delay, call, *arguments)
        CURRENT.reset(token)

    def _plan(self) -> None:
        random = self.random
        for _ in range(random.choice((1, 2, 2, 3))):
            self.later(random.choice((0, 0, 0, random.uniform(0, 20))), self.start_worker)
        records = stories.told(random)
        last = 0.0
        for record in records:
            last = max(last, self.broker.at(record.received_at) - self._began)
            topic = random.choice(CATALOG[record.name].topics)
            place = topic, lane_of(record.lead.encode(), self.lanes)
            self.later(self.broker.at(record.received_at) - self._began, self._send, place, record)
        faults = planned(random, last + 3)
        for fault in faults:
            if fault.step is None:
                self.later(fault.at, self._due, fault)
            else:
                self.later(fault.at, self._waiting.append, fault)
        self._quiet_at = self._began + max([last, *(fault.at + fault.lasts for fault in faults)]) + 4
        self.later(self._quiet_at - self._began, self._waiting.clear)
        self.later(self._quiet_at - self._began + 0.5, self._come_to_rest)

    # -- what is sent --------------------------------------------------------------------------------------------------

    def _send(self, place: Place, record: Record) -> None:
        self._queues[place].append(record)
        self._append(place)

    def _append(self, place: Place) -> None:
        """In the order in which they were sent, as soon as the broker takes it."""
        queue = self._queues[place]
        while queue:
            wait = max(self._stalled.get(place[0], 0.0), self.broker.unreachable_until) - self.loop.now
            if wait > 0:
                self.later(wait + 0.01, self._append, place)
                return
            record = queue.popleft()
            value = ENCODER.encode(record.name, record.event)
            if record.name in self._unknown:
                value = HEADER.pack(MAGIC, IDS[record.name] + _OTHER) + value[HEADER.size :]
            for _ in range(1 + (self.random.random() < 0.03)):
                entry = self.broker.append(place, record.lead.encode(), value)
                self.outcome.received.append(Received(Record(record.name, record.event, entry.timestamp), place[1]))

    def text(self, schema_id: int) -> str | None:
        """The registry."""
        if self.loop.now < self._registry_away:
            self.told["registry asked while away"] += 1
            raise UnavailableError("schema registry: it is away")
        return CATALOG[list(CATALOG)[schema_id - _OTHER - 1]].text if schema_id > _OTHER else None

    # -- workers and what hits them ------------------------------------------------------------------------------------

    def start_worker(self) -> None:
        process = Process(f"w{self._made}")
        self._made += 1
        worker = Worker(process, self.loop, self.random, self.broker, self._hit, self._broke)
        self.workers.append(worker)
        worker.start(self.settings, self.group, self, self.told)

    def _broke(self, how: str) -> None:
        self.outcome.problems.append(f"a worker broke down: {how}")

    def _hit(self, step: str, worker: Worker) -> None:
        if self._say is not None:
            self._tell(f"{worker.process.name:4} {step}")
        for fault in self._waiting:
            if fault.step == step:
                self._waiting.remove(fault)
                self.told[f"{fault.kind} at {step}"] += 1
                self._strike(fault, worker)
                return

    def _due(self, fault: Fault) -> None:
        self.told[fault.kind] += 1
        self._strike(fault, self.workers[fault.worker % len(self.workers)] if self.workers else None)

    def _strike(self, fault: Fault, worker: Worker | None) -> None:
        until = self.loop.now + fault.lasts
        if self._say is not None:
            self._tell(f"**** {fault.kind} {worker.process.name if worker else ''} for {fault.lasts} s")
        match fault.kind:
            case "kill" | "leave" if worker:
                if fault.kind == "leave":
                    self.group.leave(worker.fetcher.membership()[1])
                worker.process.alive = False
                self.workers.remove(worker)
                self.later(fault.lasts, self.start_worker)
            case "stop" if worker:
                worker.process.stopped = True
                self.later(fault.lasts, self.loop.resume, worker.process)
            case "cut off" if worker:
                worker.cut_off_until = until
            case "slow" if worker:
                worker.slow_until = until
            case "shake":
                self.group.shake()
            case "coordinator":
                self.broker.away_until = until
            case "brokers":
                self.broker.unreachable_until = until
            case "registry":
                self._registry_away = until
            case "compact":
                for number in range(self.lanes):
                    self.broker.compact((STATES, number))
            case "stall":
                self._stalled[self.random.choice(INPUTS)] = until

    # -- the end -------------------------------------------------------------------------------------------------------

    def _positions(self) -> list[dict[str, Any] | None]:
        """By lane: its last durable LanePosition."""
        known = decoder()
        found: list[dict[str, Any] | None] = []
        for number in range(self.lanes):
            entries, _ = self.broker.partitions[STATES, number].read((STATES, number), 0, 10**9)
            latest = next((entry for entry in reversed(entries) if entry.key == LANE_KEY), None)
            found.append(None if latest is None or latest.value is None else known.decode(latest.value)[1])
        return found

    def _come_to_rest(self) -> None:
        """Once every lane has made durable all that was sent, and its clock has passed the end of it."""
        if self._end is None:
            self._end = self.broker.now() + 3_000
        behind = False
        for number, position in enumerate(self._positions()):
            if position is None or position["clock"] < self._end:
                behind = True
                self._nudge(number)
            elif not all(self._is_read(topic, number, position["positions"]) for topic in READ_BY_LANES):
                behind = True
        self._finished = not behind
        self.later(1.0, self._come_to_rest)

    def _is_read(self, topic: str, number: int, positions: dict[str, int]) -> bool:
        partition = self.broker.partitions[topic, number]
        left, _ = partition.read((topic, number), positions[topic], 10**9)
        return partition.stable == partition.end and not left

    def _nudge(self, number: int) -> None:
        """Something that says nothing, so that the lane has something to write."""
        self._nudges += 1
        lead_id = _nobody(self.lanes)[number]
        record = event_of("LeadScored", self.broker.now(), f"nudge-{self._nudges}", lead=lead_id)
        self._send((INPUTS[0], number), record)

    def _why(self) -> str:
        open_lanes = {worker.process.name: sorted(worker.engine.lanes) for worker in self.workers}
        return f"end {self._end}, lanes {open_lanes}, {self._positions()}"

    def _read_outputs(self) -> None:
        known = decoder()
        outputs: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("LeadTransition", "SlaEvent", "DeadLetter", "LeadState", "LanePosition")
        }
        for topic in OUTPUTS:
            for number in range(self.lanes):
                entries, _ = self.broker.partitions[topic, number].read((topic, number), 0, 10**9)
                for entry in entries:
                    if topic == SLA_EVENTS:
                        self.outcome.written[number, entry.offset] = entry.timestamp
                    if entry.value is not None:
                        name, body = known.decode(entry.value)
                        outputs[name].append({**body, "_partition": number, "_offset": entry.offset})
        self.outcome.outputs = outputs
