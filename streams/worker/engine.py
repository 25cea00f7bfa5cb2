"""Which lanes are ours, and what they do: opens and closes them with the group's assignments, feeds them what the driver
fetched, lets them work, commits them.

Everything here runs on the event loop; what blocks (fence, restore, commit, registry) runs in threads. Lanes commit in
parallel and go on folding meanwhile.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from confluent_kafka import KafkaException

from processors.state import UnreadableState
from processors.vocabulary import NEVER
from schemas.wire import Decoder, Encoder
from streams.agreements import Source
from streams.config import ClockMode, Settings
from streams.topics import FORWARDS, READ_BY_LANES, Topics
from streams.worker import restore
from streams.worker.arrivals import Arrivals, Standing
from streams.worker.commit import FENCED, LaneLog
from streams.worker.handover import NOTHING, Fetched, HandOver, Overdue
from streams.worker.lane import Batch, Lane
from streams.worker.lookups import Lookups, Schemas
from streams.worker.measures import Measures
from streams.worker.opening import Halted, Kept, Opening, failure, place
from streams.worker.ports import Fetcher, Ports, real

log = structlog.get_logger(__name__)

_REOPEN_AFTER: Final = 1.0
_BEHIND: Final = 5_000
"""Records of lag from which a lane counts as catching up."""
_BEHIND_INTERVAL: Final = 2.0
"""Seconds between commits of a lane that is catching up: nobody waits for it, and a lead is written once for more of its
events."""
_HEARTBEAT: Final = 30.0
"""Seconds after which an idle lane commits its position: keeps the broker's time known and the lane's clock durable."""
_LAST_COMMIT: Final = 5.0
"""Seconds that a lane which is taken waits for the commit under way."""


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
    given_up: bool = False
    """No longer ours; a commit under way is waited for no more."""
    seeking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One seek at a time, or the last one asked for would not be the last one done."""
    overdue: Overdue = field(default_factory=Overdue)
    mending: asyncio.Task[None] | None = None
    """Fetches again what was lost on its way."""
    standing: int | None = None
    """Offset of the last LanePosition, while every batch that was made is durable."""


class Engine:
    """The owner of a worker's lanes. `run` is the lane loop."""

    def __init__(
        self,
        settings: Settings,
        agreed: Source,
        registry: Schemas,
        encoder: Encoder,
        decoder: Decoder,
        *,
        ports: Ports | None = None,
        measures: Measures | None = None,
    ) -> None:
        self._settings = settings
        self._agreed = agreed
        self._agreements = agreed.current
        self._ports = real() if ports is None else ports
        self._measures = Measures() if measures is None else measures
        self._lookups = Lookups(registry, decoder, self._ports)
        self._opening_of = Opening(settings, self._ports, self._lookups, encoder, decoder, self._restoring)
        self._broker_now = self._opening_of.broker_now
        self._topics = Topics(settings.topic_prefix)
        self._names = [self._topics.name(topic) for topic in READ_BY_LANES]
        self._index = {name: index for index, name in enumerate(self._names)}
        self._generation = -1
        self._assigned: set[int] = set()
        self._opening: dict[int, asyncio.Task[None]] = {}
        self._restored: dict[int, float] = {}
        """Lanes that are being opened -> the share of their states that is read."""
        self._kept: dict[int, Kept] = {}
        """Lanes of the last assignment, until the next one says whose they are."""
        self._halted: dict[int, str] = {}
        """Lanes that wait for another version, and why."""
        self._arrivals = Arrivals()
        self._seeks = 0
        """Made so far: the epochs of what was fetched."""
        self.lanes: dict[int, OpenLane] = {}
        self.consumer: Fetcher | None = None
        self.most_pending = settings.max_pending_bytes
        """Of LaneFold.pending_bytes, all lanes together: a lane that has had its share stops to wait for its commit."""

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
        self._kept = {number: kept for number, kept in self._kept.items() if number in lanes}
        self._halted.clear()
        self._measures.halted(0)
        for number in sorted(lanes):
            self._open(number, generation)

    async def revoked(self, lanes: set[int]) -> None:
        """The group takes these lanes: what was not committed, the next owner does anew. Until that is known to be another
        worker, they are kept.
        """
        self._assigned = set()
        self._generation = -1
        for task in self._opening.values():
            task.cancel()
        self._opening.clear()
        # All at once: where the brokers answer none of them, the group would not wait for one after the other.
        await asyncio.gather(*(self._drop(number, abort=True) for number in sorted(lanes & self.lanes.keys())))
        if lanes:
            log.info("lanes revoked", lanes=sorted(lanes))

    async def reseek(self) -> None:
        """Faust threw away what it had fetched: fetch it again from where each lane stands."""
        await asyncio.gather(*(self._fetch_again(number, entry) for number, entry in self.lanes.items()))

    async def _fetch_again(self, number: int, entry: OpenLane) -> None:
        try:
            await self._seek(number, entry)
        except Exception as error:
            if self.lanes.get(number) is entry:
                await self._lost(number, error)

    def _open(self, number: int, generation: int, after: float = 0.0) -> None:
        task = asyncio.ensure_future(self._open_lane(number, generation, after))
        self._opening[number] = task
        task.add_done_callback(lambda done: self._opened(number, done))

    def _opened(self, number: int, task: asyncio.Task[None]) -> None:
        if self._opening.get(number) is task:
            del self._opening[number]
            self._restored.pop(number, None)

    async def _open_lane(self, number: int, generation: int, after: float) -> None:
        """Opens the lane, in as many attempts as it takes while the group's assignment stands."""
        await asyncio.sleep(after)
        while not self._gone(number, generation):
            try:
                await self._try_to_open(number, generation)
                return
            except Halted as error:
                self._halted_by(number, str(error))
                return
            except Exception as error:  # whatever it was: what is durable is right, and a lane is never left unopened
                shown = failure(error) if isinstance(error, KafkaException) else f"{failure(error)}: {error}"
                log.warning("lane not opened, trying again", lane=number, error=shown)
            await asyncio.sleep(_REOPEN_AFTER)

    async def _try_to_open(self, number: int, generation: int) -> None:
        started = self._ports.monotonic()
        opened = await self._opening_of.open(
            number, self._agreements, lambda: self._gone(number, generation), self._kept.pop(number, None)
        )
        if opened is None or self._gone(number, generation):
            return
        lane = opened.lane
        lane.fold.agreements = self._agreements
        # The first commit claims the lane and tells the broker's time.
        lane.dirty = True
        entry = OpenLane(lane, opened.log, {}, committed_at=self._ports.monotonic(), standing=opened.position)
        await self._seek(number, entry)
        if self._gone(number, generation):
            return
        seconds = self._ports.monotonic() - started
        self._measures.opened(number, opened.told, seconds)
        self.lanes[number] = entry
        self._set_ready()
        log.info(
            "lane ready", lane=number, leads=len(lane.fold), clock=lane.clock.now, kept=opened.position is not None,
            seconds=round(seconds, 3),
        )  # fmt: skip

    def _gone(self, number: int, generation: int) -> bool:
        return generation != self._generation or number not in self._assigned

    def _restoring(self, number: int, share: float) -> None:
        self._restored[number] = share
        self._measures.restoring(number, share)

    async def _seek(self, number: int, entry: OpenLane) -> None:
        async with entry.seeking:
            positions = {(name, number): entry.lane.next[index] for name, index in self._index.items()}
            self._seeks += 1
            # Before it is done: its first fetch may come before the answer.
            entry.epochs = dict.fromkeys(self._names, self._seeks)
            entry.fetches = dict.fromkeys(self._names, 0)
            await assert_consumer(self.consumer).seek(positions, self._seeks)

    def _set_ready(self) -> None:
        if self.consumer is not None:
            self.consumer.ready = frozenset(self.lanes)
        self._measures.owned(len(self.lanes))

    async def _drop(self, number: int, *, abort: bool) -> None:
        entry = self.lanes.pop(number, None)
        if entry is None:
            return
        self._set_ready()
        for topic in entry.paused:
            assert_consumer(self.consumer).resume((topic, number))
        entry.paused.clear()
        if entry.commit is not None:
            await asyncio.wait([entry.commit], timeout=_LAST_COMMIT)
        entry.given_up = True
        told = self._measures.forget(number)
        # What a batch took out of a lane and may not be durable, only a restore knows.
        if abort and self._settings.transactions and entry.standing is not None:
            self._kept[number] = Kept(entry.lane, entry.standing, told)
        if abort:
            await self._ports.blocking(entry.log.close())

    async def _lost(self, number: int, error: BaseException) -> None:
        """A lane whose log failed is dropped on the spot and restored from what is durable, if it is still ours.

        Fenced, somebody else has it: taking it back at once would steal it from its rightful owner, so the group's
        next assignment is waited for, long enough that it must have come.
        """
        name = failure(error)
        log.warning("lane lost", lane=number, error=name)
        self._measures.lost(name)
        await self._drop(number, abort=False)
        generation = self._generation
        if generation >= 0 and number in self._assigned and number not in self._opening:
            self._open(number, generation, 2 * self._settings.session_timeout if name in FENCED else _REOPEN_AFTER)

    # The way of a batch.

    def feed(self, topic: str, number: int, fetched: Fetched) -> None:
        """A fetch of one partition, from the driver. What was fetched before the lane's last seek is dropped. What comes
        after a fetch that was lost on its way is dropped as well, and all is fetched again: a lane takes no gap.
        """
        entry = self.lanes.get(number)
        if entry is None or entry.epochs.get(topic) != fetched.epoch:
            return
        if fetched.number != entry.fetches[topic] + 1:
            self._mend(number, entry, topic)
            return
        entry.fetches[topic] += 1
        index = self._index[topic]
        entry.lane.add(index, fetched.records)
        if topic not in entry.paused and entry.lane.queues[index].full(self._settings.max_lane_queue):
            entry.paused.add(topic)
            assert_consumer(self.consumer).pause((topic, number))

    def _mend(self, number: int, entry: OpenLane, topic: str) -> None:
        if entry.mending is not None and not entry.mending.done():
            return
        log.warning("fetch lost on its way, fetching again", lane=number, topic=topic)
        entry.mending = asyncio.ensure_future(self._fetch_again(number, entry))

    def _look_for_lost(self, now: float) -> None:
        """Fetches that were handed over and have not come."""
        for number, entry in self.lanes.items():
            for topic in self._names:
                known = self._hand_over(topic, number)
                came = entry.fetches[topic] if known.epoch == entry.epochs[topic] else known.fetches
                if entry.overdue.look(topic, known, came, now):
                    self._mend(number, entry, topic)

    def _ends(self, number: int, entry: OpenLane) -> list[int | None]:
        """By topic: what Lane.work wants to know of the partition's end."""
        hand_over = assert_consumer(self.consumer).hand_over
        ends: list[int | None] = []
        for topic in self._names:
            known = hand_over((topic, number))
            if not self._is_read(known, entry, topic):
                ends.append(None)
            elif self._settings.clock is ClockMode.EVENT or not known.certain:
                ends.append(0)
            else:
                ends.append(self._broker_now(known.asked_at) or 0)
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
        if len(self._assigned) != consumer.partitions(self._names[0]):
            # Of several workers none can: nothing becomes final, and who was erased is a tombstone by the lane's own clock.
            for entry in self.lanes.values():
                entry.lane.fold.buried_until = NEVER
            return
        if self.lanes.keys() != self._assigned:
            return
        standings = {}
        forwards = self._topics.name(FORWARDS)
        now = self._ports.monotonic()
        for number, entry in self.lanes.items():
            known = consumer.hand_over((forwards, number))
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

    async def _halt(self, number: int, error: UnreadableState) -> None:
        """Something of the lane cannot be read: nothing may be put in its place, so the lane stands still until the group
        assigns it anew, to this version or another. What was folded since its last commit is forgotten; other lanes go on.
        """
        generation = self._generation
        self._measures.lost(type(error).__name__)
        self._halted_by(number, str(error))
        await self._drop(number, abort=False)
        if error.lead_id is not None and not self._gone(number, generation):
            self._opening[number] = task = asyncio.ensure_future(self._find(number, error, error.lead_id))
            task.add_done_callback(lambda done: self._opened(number, done))

    def _halted_by(self, number: int, cause: str) -> None:
        log.error("lane halted", lane=number, error=cause)
        self._halted[number] = cause
        self._measures.halted(len(self._halted))

    async def _find(self, number: int, error: UnreadableState, lead_id: str) -> None:
        """Tells where the record stands that halted the lane."""
        try:
            steps = restore.where(number, lead_id.encode(), self._settings, self._ports)
            self._halted_by(number, f"{place(number, await self._ports.blocking(steps))}: {error}")
        except KafkaException as failed:
            log.warning("record not found", lane=number, error=failure(failed))

    async def run(self) -> None:
        """The lane loop. Returns never; an exception that leaves it ends the worker."""
        measured = 0.0
        while True:
            busy = 0
            for number, entry in list(self.lanes.items()):
                if self.lanes.get(number) is not entry:
                    continue
                try:
                    busy += self._work(number, entry)
                except UnreadableState as error:
                    await self._halt(number, error)
                    continue
                self._resume(number, entry)
                self._maybe_commit(number, entry)
                await asyncio.sleep(0)
            self._look_for_arrivals()
            now = self._ports.monotonic()
            if now - measured >= 1.0:
                measured = now
                self._agree()
                self._look_for_lost(now)
                self._measure()
                self._tell_offsets()
            await asyncio.sleep(0 if busy else self._ports.idle)

    def _work(self, number: int, entry: OpenLane) -> int:
        lane = entry.lane
        if self._is_full(lane):
            return 0
        if self._lookups.lacks(lane.unknown_schemas()):
            return 0
        started = self._ports.monotonic()
        done = lane.work(self._ends(number, entry))
        if done:
            self._measures.folded(self._ports.monotonic() - started)
        return done

    def _is_full(self, lane: Lane) -> bool:
        """Whether the lane has folded as much beyond its last commit as it may hold."""
        return lane.fold.pending_bytes * len(self.lanes) > self.most_pending

    def _resume(self, number: int, entry: OpenLane) -> None:
        for topic in list(entry.paused):
            if entry.lane.queues[self._index[topic]].has_room(self._settings.max_lane_queue):
                entry.paused.discard(topic)
                assert_consumer(self.consumer).resume((topic, number))

    def _maybe_commit(self, number: int, entry: OpenLane) -> None:
        if entry.commit is not None:
            return
        since = self._ports.monotonic() - entry.committed_at
        claims = not entry.positions
        interval = self._settings.commit_interval
        if since >= interval and sum(self._lag(number, entry).values()) > _BEHIND:
            interval = max(interval, _BEHIND_INTERVAL)
        if self._is_full(entry.lane):
            interval = 0.0
        if claims or (entry.lane.dirty and since >= interval) or since >= _HEARTBEAT:
            made_at = self._ports.monotonic()
            batch = entry.lane.batch()
            entry.standing = None
            entry.commit = asyncio.ensure_future(self._commit(number, entry, batch, made_at))

    async def _commit(self, number: int, entry: OpenLane, batch: Batch, made_at: float) -> None:
        try:
            seconds = await self._ports.blocking(entry.log.write(batch))
        except Exception as error:  # whatever it was, what is durable is right: the lane starts from there
            if self.lanes.get(number) is entry:
                entry.commit = None
                await self._lost(number, error)
            return
        if entry.given_up:
            return  # whoever has the lane now tells of it
        entry.positions, entry.clock = batch.positions, batch.told_until
        entry.committed_at = self._ports.monotonic()
        if batch.whole:
            entry.durable_at = made_at
        entry.commit = None
        entry.standing = entry.log.last_position
        self._measures.committed(number, batch, seconds)

    # What is shown.

    def _tell_offsets(self) -> None:
        if self._settings.transactions and self.consumer is not None:
            self.consumer.tell_offsets(
                {
                    (self._topics.name(topic), number): offset
                    for number, entry in self.lanes.items()
                    for topic, offset in entry.positions.items()
                }
            )

    def _hand_over(self, topic: str, number: int) -> HandOver:
        return NOTHING if self.consumer is None else self.consumer.hand_over((topic, number))

    def _lag(self, number: int, entry: OpenLane) -> dict[str, int]:
        return {
            topic: self._hand_over(self._names[index], number).lag + len(entry.lane.queues[index].records)
            for index, topic in enumerate(READ_BY_LANES)
        }

    def _measure(self) -> None:
        now = self._broker_now(self._ports.monotonic())
        for number, entry in self.lanes.items():
            self._measures.lane(number, entry.lane, self._lag(number, entry), now)

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
        lanes |= {
            str(number): {"state": "restoring", "restored": round(self._restored.get(number, 0.0), 3)}
            for number in list(self._opening)
            if str(number) not in lanes
        }
        lanes |= {str(number): {"state": "halted", "cause": cause} for number, cause in list(self._halted.items())}
        ready = self._generation >= 0 and set(self.lanes) == self._assigned
        return {"role": "worker", "ready": ready, "generation": self._generation, "lanes": lanes}


def assert_consumer(consumer: Fetcher | None) -> Fetcher:
    """The fetcher, which Faust has made before any lane is opened."""
    if consumer is None:
        raise RuntimeError("the driver has not started")
    return consumer
