"""Which lanes are ours, and what they do: opens and closes them with the group's assignments, feeds them what the driver
fetched, lets them work, commits them.

Everything here runs on the event loop; what blocks (fence, restore, commit, registry) runs in threads. Lanes commit in
parallel and go on folding meanwhile.
"""

from __future__ import annotations

import asyncio
import functools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from confluent_kafka import KafkaException
from faust.types import TP

from processors.erasure import Erased
from processors.lane import LaneFold
from processors.vocabulary import NEVER
from schemas.wire import Decoder, Encoder
from streams.agreements import Source
from streams.config import ClockMode, Settings
from streams.errors import UnavailableError
from streams.registry import Registry
from streams.topics import FORWARDS, READ_BY_LANES, STATES, Topics
from streams.worker import measures, restore
from streams.worker.arrivals import Arrivals, Standing
from streams.worker.commit import FENCED, LaneLog, group_metadata
from streams.worker.driver import NOTHING, Fetched, HandOver, LaneConsumer
from streams.worker.intake import Intake
from streams.worker.lane import Batch, Lane
from streams.worker.skew import BrokerTime

log = structlog.get_logger(__name__)

_REOPEN_AFTER: Final = 1.0
_ABSENT_FOR: Final = 30.0
"""Seconds after which a schema id that the registry did not know is asked for again."""
_BEHIND: Final = 5_000
"""Records of lag from which a lane counts as catching up."""
_BEHIND_INTERVAL: Final = 2.0
"""Seconds between commits of a lane that is catching up: nobody waits for it, and a lead is written once for more of its
events."""
_HEARTBEAT: Final = 30.0
"""Seconds after which an idle lane commits its position: keeps the broker's time known and the lane's clock durable."""


@dataclass
class OpenLane:
    """A lane that is ours, with its log and what the driver knows of its partitions."""

    lane: Lane
    log: LaneLog
    epochs: dict[str, int]
    fetches: dict[str, int] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    commit: asyncio.Task[None] | None = None
    committed_at: float = 0.0
    durable_at: float = 0.0
    """Everything folded until then is durable."""
    positions: dict[str, int] = field(default_factory=dict)
    """As last committed; likewise the clock."""
    clock: int = 0


class Engine:
    """The owner of a worker's lanes. `run` is the lane loop."""

    def __init__(
        self, settings: Settings, agreed: Source, registry: Registry, encoder: Encoder, decoder: Decoder
    ) -> None:
        self._settings = settings
        self._agreed = agreed
        self._agreements = agreed.current
        self._registry = registry
        self._encoder = encoder
        self._decoder = decoder
        self._topics = Topics(settings.topic_prefix)
        self._names = [self._topics.name(topic) for topic in READ_BY_LANES]
        self._index = {name: index for index, name in enumerate(self._names)}
        self._broker_time = BrokerTime(round(settings.clock_margin * 1000))
        self._pool = ThreadPoolExecutor(64, thread_name_prefix="lane")
        self._generation = -1
        self._assigned: set[int] = set()
        self._opening: dict[int, asyncio.Task[None]] = {}
        self._absent: dict[int, float] = {}
        self._resolving: asyncio.Task[None] | None = None
        self._arrivals = Arrivals()
        self.lanes: dict[int, OpenLane] = {}
        self.consumer: LaneConsumer | None = None
        self.most_pending = max(20_000, settings.max_lane_queue)
        """Records a lane may have folded beyond its last commit before it stops to wait for the commit."""

    async def _blocking(self, call: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, functools.partial(call, *arguments))

    def _agree(self) -> None:
        """From here on the latest versions hold. What was pinned stays pinned: versions are only ever added."""
        agreements = self._agreed.current
        if agreements is self._agreements:
            return
        self._agreements = agreements
        log.info("agreement versions", versions=[item.version for item in agreements])
        for entry in self.lanes.values():
            entry.lane.fold.agreements = agreements

    # Ownership: called by the driver.

    def assigned(self, lanes: set[int], generation: int) -> None:
        """The group gave us these lanes (all of ours: assignments are whole)."""
        self._generation = generation
        self._assigned = lanes
        log.info("lanes assigned", lanes=sorted(lanes), generation=generation)
        for number in sorted(lanes):
            self._open(number, generation)

    async def revoked(self, lanes: set[int]) -> None:
        """The group takes these lanes: they are dropped as they are. What was not committed, the next owner does anew."""
        self._assigned = set()
        self._generation = -1
        for task in self._opening.values():
            task.cancel()
        self._opening.clear()
        for number in lanes & self.lanes.keys():
            await self._drop(number, abort=True)
        if lanes:
            log.info("lanes revoked", lanes=sorted(lanes))

    async def reseek(self) -> None:
        """Faust threw away what it had fetched: fetch it again from where each lane stands."""
        for number in list(self.lanes):
            await self._seek(number)

    def _open(self, number: int, generation: int, after: float = 0.0) -> None:
        task = asyncio.ensure_future(self._open_lane(number, generation, after))
        self._opening[number] = task
        task.add_done_callback(lambda done: self._opened(number, done))

    def _opened(self, number: int, task: asyncio.Task[None]) -> None:
        if self._opening.get(number) is task:
            del self._opening[number]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("lane cannot be opened", lane=number, error=type(error).__name__, exc_info=error)

    async def _open_lane(self, number: int, generation: int, after: float) -> None:
        """Steps 1 to 3 of the commit protocol."""
        if after:
            await asyncio.sleep(after)
        started = time.monotonic()
        erased = Erased(self._settings.erasure_key.get_secret_value().encode())
        fold = LaneFold(self._agreements, self._state_of, erased, grace_ms=round(self._settings.grace * 1000))
        if self._settings.clock is ClockMode.EVENT:
            fold.final_until = fold.buried_until = 0
        lane_log = LaneLog(number, self._settings, self._broker_time)
        try:
            await self._blocking(lane_log.fence)
            restored = await self._blocking(
                restore.read, number, self._settings, fold.restore, lambda: generation != self._generation
            )
            # States that nobody has touched since an upgrade stand under the schema of their time.
            await self._learn(restored.schema_ids)
            position = None if restored.position is None else self._decoder.decode(restored.position)[1]
        except Exception as error:  # whatever it was: what is durable is right, and a lane is never left unopened
            shown = error.args[0].name() if isinstance(error, KafkaException) else f"{type(error).__name__}: {error}"
            log.warning("lane not opened, trying again", lane=number, error=shown)
            if generation == self._generation:
                self._open(number, generation, _REOPEN_AFTER)
            return
        if generation != self._generation or number not in self._assigned:
            return
        fold.restored()
        intake = Intake(
            self._decoder, self._encoder, self._names, number,
            clock=self._settings.clock, max_record_bytes=self._settings.max_record_bytes,
            lanes=self._settings.partitions,
        )  # fmt: skip
        lane = Lane(number, fold, intake, self._decoder, self._encoder, position)  # type: ignore[arg-type]
        measures.opened(number, lane)
        # The first commit claims the lane and tells the broker's time.
        lane.dirty = True
        self.lanes[number] = OpenLane(lane, lane_log, {}, committed_at=time.monotonic())
        await self._seek(number)
        if generation != self._generation:
            return
        self._set_ready()
        seconds = time.monotonic() - started
        measures.RESTORE_SECONDS.observe(seconds)
        log.info("lane ready", lane=number, leads=len(fold), clock=lane.clock.now, seconds=round(seconds, 3))

    async def _learn(self, schema_ids: set[int]) -> None:
        """Learns the schemas of states. Raises UnavailableError, and WireError for one that states cannot be read by."""
        for schema_id in schema_ids:
            if self._decoder.knows(schema_id):
                continue
            text = await self._blocking(self._registry.text, schema_id)
            if text is None:
                raise UnavailableError(
                    f"schema registry {self._settings.registry_url}: it does not know schema {schema_id}, under which "
                    f"{self._topics.name(STATES)} holds states; give it back its schemas"
                )
            problem = self._decoder.learn(schema_id, text)
            if problem is not None:
                self._decoder.forget(schema_id)
                raise problem

    def _state_of(self, value: bytes) -> bytes:
        fold: bytes = self._decoder.decode(value)[1]["fold"]
        return fold

    async def _seek(self, number: int) -> None:
        entry = self.lanes.get(number)
        if entry is None or self.consumer is None:
            return
        positions = {TP(name, number): entry.lane.next[index] for name, index in self._index.items()}
        epochs = await self.consumer.lane_thread.seek_lane(positions)
        entry.epochs = {topic: epochs[topic, number] for topic in self._names}
        entry.fetches = dict.fromkeys(self._names, 0)

    def _set_ready(self) -> None:
        if self.consumer is not None:
            self.consumer.ready = frozenset(number for number, entry in self.lanes.items() if entry.epochs)
        measures.LANES_OWNED.set(len(self.lanes))

    async def _drop(self, number: int, *, abort: bool) -> None:
        entry = self.lanes.pop(number, None)
        if entry is None:
            return
        self._set_ready()
        measures.forget(number)
        if self.consumer is not None:
            for topic in entry.paused:
                self.consumer.on_buffer_drop(TP(topic, number))
        if entry.commit is not None:
            await asyncio.wait([entry.commit], timeout=5)
        if abort:
            await self._blocking(entry.log.close)

    async def _lost(self, number: int, error: BaseException) -> None:
        """A lane whose log failed is dropped on the spot and restored from what is durable, if it is still ours.

        Fenced, somebody else has it: taking it back at once would steal it from its rightful owner, so the group's
        next assignment is waited for, long enough that it must have come.
        """
        name = error.args[0].name() if isinstance(error, KafkaException) else type(error).__name__
        log.warning("lane lost", lane=number, error=name)
        measures.LANES_LOST.labels(error=name).inc()
        await self._drop(number, abort=False)
        generation = self._generation
        if generation >= 0 and number in self._assigned and number not in self._opening:
            self._open(number, generation, 2 * self._settings.session_timeout if name in FENCED else _REOPEN_AFTER)

    # The way of a batch.

    def feed(self, topic: str, number: int, fetched: Fetched) -> None:
        """A fetch of one partition, from the driver. What was fetched before the lane's last seek is dropped."""
        entry = self.lanes.get(number)
        if entry is None or entry.epochs.get(topic) != fetched.epoch:
            return
        entry.fetches[topic] += 1
        index = self._index[topic]
        entry.lane.add(index, fetched.records)
        if topic not in entry.paused and entry.lane.queues[index].full(self._settings.max_lane_queue):
            entry.paused.add(topic)
            assert_consumer(self.consumer).on_buffer_full(TP(topic, number))

    def _ends(self, number: int, entry: OpenLane) -> list[int | None]:
        """By topic: what Lane.work wants to know of the partition's end."""
        hand_overs = assert_consumer(self.consumer).lane_thread.hand_overs
        ends: list[int | None] = []
        for topic in self._names:
            known = hand_overs.get((topic, number), NOTHING)
            if not self._is_read(known, entry, topic):
                ends.append(None)
            elif self._settings.clock is ClockMode.EVENT or not known.certain:
                ends.append(0)
            else:
                ends.append(self._broker_time.at(known.asked_at) or 0)
        return ends

    @staticmethod
    def _is_read(known: HandOver, entry: OpenLane, topic: str) -> bool:
        """Whether the partition is read to its end, and all of it is in the lane's queue."""
        return known.at_end and known.epoch == entry.epochs[topic] and known.fetches == entry.fetches[topic]

    def _look_for_arrivals(self) -> None:
        """In a replay: lets become final what nothing can come before any more. Only who has every lane can tell."""
        consumer = self.consumer
        if self._settings.clock is not ClockMode.EVENT or consumer is None or not self._assigned:
            return
        if len(self._assigned) != consumer.lane_thread.partitions(self._names[0]):
            # Of several workers none can: nothing becomes final, and who was erased is a tombstone by the lane's own clock.
            for entry in self.lanes.values():
                entry.lane.fold.buried_until = NEVER
            return
        if self.lanes.keys() != self._assigned:
            return
        standings = {}
        forwards = self._topics.name(FORWARDS)
        now = time.monotonic()
        for number, entry in self.lanes.items():
            known = consumer.lane_thread.hand_overs.get((forwards, number), NOTHING)
            queued = entry.lane.queues[self._index[forwards]].records
            # A transaction that is still open may hide what its lane holds to be written.
            read = entry.epochs and known.certain and self._is_read(known, entry, forwards) and not queued
            clean = entry.commit is None and not entry.lane.dirty and bool(entry.positions)
            standings[number] = Standing(
                entry.clock, known.asked_at if read else 0.0, now if clean else entry.durable_at
            )
        until = self._arrivals.look(now, standings)
        for entry in self.lanes.values():
            entry.lane.fold.final_until = entry.lane.fold.buried_until = until

    async def run(self) -> None:
        """The lane loop. Returns never; an exception that leaves it ends the worker."""
        measured = 0.0
        while True:
            busy = 0
            for number, entry in list(self.lanes.items()):
                if not entry.epochs or self.lanes.get(number) is not entry:
                    continue
                busy += self._work(number, entry)
                self._resume(number, entry)
                self._maybe_commit(number, entry)
                await asyncio.sleep(0)
            self._look_for_arrivals()
            now = time.monotonic()
            if now - measured >= 1.0:
                measured = now
                self._agree()
                self._measure()
            await asyncio.sleep(0 if busy else 0.01)

    def _work(self, number: int, entry: OpenLane) -> int:
        lane = entry.lane
        if lane.uncommitted > self.most_pending:
            return 0
        if self._waits_for_schemas(lane):
            return 0
        started = time.monotonic()
        done = lane.work(self._ends(number, entry))
        if done:
            measures.BATCH_SECONDS.observe(time.monotonic() - started)
        return done

    def _waits_for_schemas(self, lane: Lane) -> bool:
        now = time.monotonic()
        for number, since in list(self._absent.items()):
            if now - since > _ABSENT_FOR:
                del self._absent[number]
                self._decoder.forget(number)
        unknown = lane.unknown_schemas()
        if unknown and self._resolving is None:
            self._resolving = asyncio.ensure_future(self._resolve(unknown))
        return bool(unknown)

    async def _resolve(self, ids: set[int]) -> None:
        """Fetches writer schemas. An outage blocks the lanes that need them, for as long as it lasts, and nothing else."""
        try:
            for number in ids:
                text = await self._blocking(self._registry.text, number)
                self._decoder.learn(number, text)
                if text is None:
                    self._absent[number] = time.monotonic()
        except UnavailableError as error:
            log.warning("schema lookup failed, trying again", error=str(error))
            await asyncio.sleep(_REOPEN_AFTER)
        finally:
            self._resolving = None

    def _resume(self, number: int, entry: OpenLane) -> None:
        for topic in list(entry.paused):
            if entry.lane.queues[self._index[topic]].has_room(self._settings.max_lane_queue):
                entry.paused.discard(topic)
                assert_consumer(self.consumer).on_buffer_drop(TP(topic, number))

    def _maybe_commit(self, number: int, entry: OpenLane) -> None:
        if entry.commit is not None:
            return
        since = time.monotonic() - entry.committed_at
        claims = not entry.positions
        interval = self._settings.commit_interval
        if since >= interval and sum(self._lag(number, entry).values()) > _BEHIND:
            interval = max(interval, _BEHIND_INTERVAL)
        if claims or (entry.lane.dirty and since >= interval) or since >= _HEARTBEAT:
            made_at = time.monotonic()
            batch = entry.lane.batch()
            entry.commit = asyncio.ensure_future(self._commit(number, entry, batch, made_at))

    async def _commit(self, number: int, entry: OpenLane, batch: Batch, made_at: float) -> None:
        try:
            metadata = None
            if self._settings.transactions:
                generation, member = assert_consumer(self.consumer).lane_thread.membership()
                metadata = group_metadata(self._settings.group, generation, member, self._settings.group_instance_id)
            seconds = await self._blocking(entry.log.write, batch, metadata)
        except Exception as error:  # whatever it was, what is durable is right: the lane starts from there
            entry.commit = None
            if self.lanes.get(number) is entry:
                await self._lost(number, error)
            return
        entry.positions, entry.clock = batch.positions, batch.clock
        entry.committed_at = time.monotonic()
        entry.durable_at = made_at
        entry.commit = None
        measures.committed(number, batch, seconds)

    # What is shown.

    def _hand_over(self, topic: str, number: int) -> HandOver:
        if self.consumer is None:
            return NOTHING
        return self.consumer.lane_thread.hand_overs.get((topic, number), NOTHING)

    def _lag(self, number: int, entry: OpenLane) -> dict[str, int]:
        return {
            topic: self._hand_over(self._names[index], number).lag + len(entry.lane.queues[index].records)
            for index, topic in enumerate(READ_BY_LANES)
        }

    def _measure(self) -> None:
        now = self._broker_time.at(time.monotonic())
        for number, entry in self.lanes.items():
            measures.lane(number, entry.lane, self._lag(number, entry), now)

    def status(self) -> dict[str, Any]:
        """For /status; called from another thread."""
        lanes = {
            str(number): {
                "state": "ready",
                "clock": entry.clock,
                "positions": dict(entry.positions),
                "lag": self._lag(number, entry),
                "queued": entry.lane.queued(),
                "counters": dict(entry.lane.fold.counters),
            }
            for number, entry in list(self.lanes.items())
        }
        lanes |= {str(number): {"state": "restoring"} for number in list(self._opening) if str(number) not in lanes}
        ready = self._generation >= 0 and set(self.lanes) == self._assigned
        return {"role": "worker", "ready": ready, "generation": self._generation, "lanes": lanes}


def assert_consumer(consumer: LaneConsumer | None) -> LaneConsumer:
    """The consumer, which Faust has made before any lane is fed."""
    if consumer is None:
        raise RuntimeError("the driver has not started")
    return consumer
