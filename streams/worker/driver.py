"""The Faust side of fetching: a transport `lanes://` whose message is the whole fetch of one partition.

Faust costs about 100 us a message whatever is in it; a message that is a batch makes that nothing. Its own bookkeeping of
offsets is wrong on a log with transaction markers (it counts the live record into the gap), so Faust commits nothing: the
lanes' transactions do. What is overridden, and why, stands at each method.

Faust runs aiokafka in a thread of its own. What is known about a partition's end is therefore taken in that thread,
together with the hand-over: read from the main thread it would say "end" while a batch is still on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final, Protocol

import aiokafka
import structlog
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest
from faust.exceptions import ConsumerNotStarted
from faust.serializers.schemas import Schema
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as stock
from faust.types import TP, ConsumerMessage
from mode import Service

from streams.worker.handover import NOTHING, Fetched, HandOver, HandOvers, Place
from streams.worker.ports import Fetcher
from streams.worker.replicas import Replicas

log = structlog.get_logger(__name__)

SCHEME: Final = "lanes"
_STAY_EVERY: Final = 1.0
_ASK_EVERY: Final = 0.5
_ANSWERS_WITHIN: Final = 1.0
_TELL_EVERY: Final = 5.0
"""Seconds between the group's offsets, and for which one of them is tried."""


class LaneOwner(Protocol):
    """Who opens and closes lanes; found as `lane_owner` on the app."""

    consumer: Fetcher | None
    """Set before anything is assigned."""

    def assigned(self, lanes: set[int], generation: int) -> None: ...
    async def revoked(self, lanes: set[int]) -> None: ...
    async def reseek(self) -> None: ...


class LaneThread(stock.AIOKafkaConsumerThread):
    """aiokafka's consumer in its thread; keeps the hand-overs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hand_overs = HandOvers()
        self._replicas = Replicas()
        self._telling: Future[None] | None = None
        self._asking: asyncio.Future[None] | None = None

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Faust would read uncommitted records, wait 1.5 s for a fetch, and split lanes by a round-robin assignor."""
        conf = self.app.conf
        self._assignor = RangePartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=stock.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[RangePartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=None,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=100,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            isolation_level="read_committed",
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
        )

    def _watch_fetches(self, fetcher: Any) -> None:
        """Notes when each fetch was sent: its answer speaks of the log at no earlier time."""
        if getattr(fetcher, "watched_by_lanes", False):
            return
        stock_request = fetcher._proc_fetch_request

        async def request(assignment: Any, node_id: int, request: Any) -> Any:
            asked = time.monotonic()
            states = {
                (topic, partition): assignment.state_value(aiokafka.TopicPartition(topic, partition))
                for topic, partitions in request.topics
                for partition, *_ in partitions
            }
            # aiokafka stamps a partition's state when the answer holds it without an error, and reads the stamp nowhere.
            for state in states.values():
                state.timestamp = None
            answer = await stock_request(assignment, node_id, request)
            if assignment.active:
                until = {key: self._replicas.until(key, asked) for key, state in states.items() if state.timestamp}
                self.hand_overs.asked({key: instant for key, instant in until.items() if instant is not None})
            return answer

        fetcher._proc_fetch_request = request
        fetcher.watched_by_lanes = True
        self._asking = asyncio.ensure_future(self._ask_brokers())

    async def _ask_brokers(self) -> None:
        """Asks again and again which replicas are in sync, and whether they live."""
        while True:
            consumer = self._ensure_consumer()
            topics = sorted({tp.topic for tp in consumer.assignment()})
            brokers = self._replicas.brokers() or {broker.nodeId for broker in consumer._client.cluster.brokers()}
            if topics:
                await asyncio.gather(*(self._ask(consumer._client, broker, topics) for broker in brokers))
            await asyncio.sleep(_ASK_EVERY)

    async def _ask(self, client: Any, broker: int, topics: list[str]) -> None:
        asked = time.monotonic()
        request = MetadataRequest(topics, allow_auto_topic_creation=False)
        with contextlib.suppress(KafkaError, OSError, asyncio.TimeoutError):
            answer = await asyncio.wait_for(client.send(broker, request), _ANSWERS_WITHIN)
            in_sync = {
                (topic, partition): frozenset(isr)
                for _, topic, *_, partitions in answer.topics
                for _, partition, _, _, isr, *_ in partitions
            }
            self._replicas.answered(broker, asked, in_sync)

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: Any = None, max_records: Any = None
    ) -> Any:
        self._watch_fetches(consumer._fetcher)
        fetched = await super()._fetch_records(consumer, active_partitions, timeout=timeout, max_records=None)
        out = {tp: self.hand_overs.fetched((tp.topic, tp.partition), records) for tp, records in fetched.items()}
        standing = []
        subscription = consumer._subscription.subscription
        if subscription is not None and subscription.assignment is not None:
            assignment = subscription.assignment
            for tp in assignment.tps:
                state = assignment.state_value(tp)
                if not state.has_valid_position or state.highwater is None:
                    continue
                stable = state.lso if state.lso is not None and state.lso >= 0 else state.highwater
                standing.append(((tp.topic, tp.partition), state.position, stable, state.highwater))
        self.hand_overs.handed_over(standing)
        return out

    async def seek(self, positions: Mapping[Place, int], epoch: int) -> None:
        """See ports.Fetcher."""
        await self.call_thread(self._seek, self._ensure_consumer(), positions, epoch)

    async def _seek(self, consumer: Any, positions: Mapping[Place, int], epoch: int) -> None:
        for place, offset in positions.items():
            consumer.seek(aiokafka.TopicPartition(*place), offset)
        self.hand_overs.sought(positions, epoch)

    def partitions(self, topic: str) -> int:
        """How many the topic has, as far as this consumer knows."""
        return len(self._consumer.partitions_for_topic(topic) or ())

    def stay(self) -> None:
        """Says that this member lives. aiokafka leaves the group when nothing was fetched for max_poll_interval, and does not
        come back before something is: without it a worker whose lanes all take long to restore would be left with none.
        """
        self._consumer._subscription._last_fetch_ended = time.monotonic()

    def tell_offsets(self, positions: Mapping[Place, int]) -> None:
        """See ports.Fetcher. Beside what this thread is asked otherwise: nothing waits for it."""
        if self._telling is None or self._telling.done():
            self._telling = asyncio.run_coroutine_threadsafe(self._tell_offsets(positions), self.thread_loop)

    async def _tell_offsets(self, positions: Mapping[Place, int]) -> None:
        with contextlib.suppress(KafkaError, asyncio.TimeoutError, ConsumerNotStarted):
            consumer = self._ensure_consumer()
            assigned = consumer.assignment()
            offsets = {aiokafka.TopicPartition(*place): offset for place, offset in positions.items() if offset}
            offsets = {place: offset for place, offset in offsets.items() if place in assigned}
            if offsets:
                await asyncio.wait_for(consumer.commit(offsets), _TELL_EVERY)
            await asyncio.sleep(_TELL_EVERY)

    async def on_thread_stop(self) -> None:
        for task in (self._telling, self._asking):
            if task is not None:
                task.cancel()
        await super().on_thread_stop()


class _NeverRead(dict[Any, Any]):
    """In place of Faust's memory of offsets read: it drops what lies before them, and so the first fetch after a lane was
    sought back. Epochs and the lanes' own positions tell what was read.
    """

    def __missing__(self, tp: Any) -> None:
        return None

    def __setitem__(self, tp: Any, offset: Any) -> None:
        return


class LaneConsumer(stock.Consumer):
    """Faust's consumer, whose message is a batch and whose offsets are the lanes' own business."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NeverRead()
        self.ready: frozenset[int] = frozenset()
        """Lanes that are restored: nothing is fetched for others."""
        self.owner: LaneOwner = self.app.lane_owner
        self.owner.consumer = self

    # Of ports.Fetcher, beside `ready`:

    async def seek(self, positions: Mapping[Place, int], epoch: int) -> None:
        await self._thread.seek(positions, epoch)

    def hand_over(self, place: Place) -> HandOver:
        return self._thread.hand_overs.known.get(place, NOTHING)  # type: ignore[no-any-return]

    def tell_offsets(self, positions: Mapping[Place, int]) -> None:
        self._thread.tell_offsets(positions)

    def partitions(self, topic: str) -> int:
        return self._thread.partitions(topic)  # type: ignore[no-any-return]

    def pause(self, place: Place) -> None:
        self.on_buffer_full(TP(*place))

    def resume(self, place: Place) -> None:
        self.on_buffer_drop(TP(*place))

    @Service.task
    async def _stay(self) -> None:
        """As long as the event loop runs, whatever the group does."""
        while not self.should_stop:
            await self.sleep(_STAY_EVERY)
            self._thread.stay()

    def _new_consumer_thread(self) -> LaneThread:
        return LaneThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        """Fetches for restored lanes only. aiokafka takes an empty set for "every partition"."""
        wanted = {tp for tp in (active_partitions or ()) if tp.partition in self.ready}
        if not wanted:
            await asyncio.sleep(0.05)
            return {}
        fetched = await super()._getmany(wanted, 0.1)
        return {tp: [batch] for tp, batch in fetched.items()}

    def _to_message(self, tp: Any, record: Fetched) -> ConsumerMessage:
        last = record.records[-1]
        return ConsumerMessage(
            last.topic, last.partition, last.offset, last.timestamp / 1000.0, last.timestamp_type, (), None, record, None, 0, 0,
            tp, generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Batches leave gaps between the offsets that Faust sees; tracking them would only grow a list."""

    def _new_offset(self, tp: Any) -> int | None:
        """Faust's acknowledgements move its buffers on and nothing else."""
        acked = self._acked[tp]
        if not acked:
            return None
        last: int = acked[-1]
        acked.clear()
        self._acked_index[tp].clear()
        return last + 1

    async def _commit(self, offsets: Any) -> bool:
        """What Faust knows are the batches it handed on, not what the lanes committed: see tell_offsets."""
        return True

    async def perform_seek(self) -> None:
        """Faust seeks to committed offsets after a rebalance and when a fetch met a stopped flow; ours are the lanes'."""
        await self.owner.reseek()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Lanes are closed first; then nothing can be waited for that only a lane would have done."""
        await self.owner.revoked({tp.partition for tp in revoked})
        self._unacked_messages.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """Lanes are opened as tasks, so that the rebalance itself takes milliseconds."""
        await super().on_partitions_assigned(assigned, generation_id)
        self.owner.assigned({tp.partition for tp in assigned}, generation_id)

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Faust's stall detector compares clocks of two kinds and cries wolf; lag and clock age are measured instead."""


class LaneTransport(stock.Transport):
    Consumer = LaneConsumer


class BatchSchema(Schema):
    """Decodes nothing: what could be raised inside Faust would end a stream."""

    def compile(self, app: Any, **kwargs: Any) -> Any:
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return create_event(None, message.value, {}, message)

        return decode


def register() -> None:
    """Makes the scheme `lanes://` known to Faust."""
    TRANSPORTS.aliases[SCHEME] = f"{__name__}:LaneTransport"
