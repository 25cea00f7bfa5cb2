"""Taking a lane over: steps 1 to 3 of the commit protocol (commit.py). One attempt; who tries again is the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple, cast

import structlog
from confluent_kafka import KafkaException

from processors.agreement import Agreements
from processors.erasure import Erased
from processors.lane import LaneFold
from processors.state import UnreadableState
from schemas.types import LanePosition
from schemas.wire import Decoder, Encoder, WireError, schema_ids
from streams.config import ClockMode, Settings
from streams.topics import LANE_KEY, READ_BY_LANES, STATES, Topics
from streams.worker import restore
from streams.worker.commit import LaneLog
from streams.worker.intake import Intake
from streams.worker.lane import Lane
from streams.worker.lookups import Lookups
from streams.worker.ports import Ports, once
from streams.worker.skew import BrokerTime

log = structlog.get_logger(__name__)

_TELL_EVERY: Final = 5.0
"""Seconds between lines about a restore that takes long."""


class Halted(Exception):  # noqa: N818  # what the lane is
    """A lane that cannot be opened, because a record of its states is none."""

    def __init__(self, number: int, record: restore.Unreadable, mend: str, more: str = "") -> None:
        super().__init__(
            f"{more}{place(number, record)} cannot be read: {record.detail}; {mend}, then restart the worker: "
            "BatonLaneHalted in the runbook"
        )


def place(number: int, record: restore.Unreadable) -> str:
    """Where a record of the states stands, for people."""
    under = "" if record.schema_id is None else f", schema id {record.schema_id}"
    return f"{STATES} partition {number}, offset {record.offset}{under}"


_MEND: Final = "put the record back or give its key up (a tombstone)"
_MEND_POSITION: Final = "put the record back (it is the lane's position: it must not be given up)"


class Kept(NamedTuple):
    """A lane as it was when the group took it, every batch of it written or still in it."""

    lane: Lane
    position: int
    """Offset of the last LanePosition written."""
    told: Counter[str]
    """See Measures."""


class Opened(NamedTuple):
    lane: Lane
    log: LaneLog
    told: Counter[str]
    position: int | None
    """Of a lane that was kept: see Kept."""


class Opening:
    """How a lane of this worker is opened."""

    def __init__(
        self,
        settings: Settings,
        ports: Ports,
        lookups: Lookups,
        encoder: Encoder,
        decoder: Decoder,
        restoring: Callable[[int, float], None],
    ) -> None:
        self._settings, self._ports, self._lookups = settings, ports, lookups
        self._encoder, self._decoder = encoder, decoder
        self._restoring = restoring
        self._names = [Topics(settings.topic_prefix).name(topic) for topic in READ_BY_LANES]
        self._broker_time = BrokerTime(round(settings.clock_margin * 1000), ports.monotonic)
        self.broker_now = self._broker_time.at

    async def open(
        self, number: int, agreements: Agreements, abandoned: Callable[[], bool], kept: Kept | None
    ) -> Opened | None:
        """None: it was abandoned. Raises KafkaException, Halted, and UnavailableError where the registry does not answer."""
        lane_log = LaneLog(number, self._settings, self._broker_time, self._ports)
        await self._ports.blocking(lane_log.fence())
        if abandoned():
            return None
        if kept is not None and await self._ports.blocking(
            restore.untouched(number, kept.position, self._settings, self._ports)
        ):
            return Opened(kept.lane, lane_log, kept.told, kept.position)
        lane = await self._restore(number, agreements, abandoned)
        return None if lane is None else Opened(lane, lane_log, Counter(lane.fold.counters), None)

    async def _restore(self, number: int, agreements: Agreements, abandoned: Callable[[], bool]) -> Lane | None:
        settings = self._settings
        erased = Erased(settings.erasure_key.get_secret_value().encode())
        fold = LaneFold(agreements, self._state_of, erased, grace_ms=round(settings.grace * 1000))
        if settings.clock is ClockMode.EVENT:
            fold.final_until = fold.buried_until = 0
        progress = self._progress(number)
        found = await self._ports.blocking(
            restore.read(number, settings, self._ports, fold.restore, progress, abandoned)
        )
        if abandoned():
            return None
        if found.unreadable:
            raise Halted(number, found.unreadable[0], _MEND, f"{len(found.unreadable)} such record(s); the first: ")
        # States that nobody has touched since an upgrade stand under the schema of their time. What only records before them
        # stand under, which are not compacted away yet, need not be known any more.
        ids = found.schema_ids
        if len(ids) > 1:
            ids = await self._ports.blocking(once("schemas", schema_ids, fold.restored_values()))
        await self._lookups.require(ids | schema_ids([found.position]))
        if abandoned():
            return None
        await self._ports.blocking(once("order", fold.restored))
        if abandoned():
            return None
        position = None if found.position is None else await self._position(number, found.position)
        intake = Intake(
            self._decoder, self._encoder, self._names, number,
            clock=settings.clock, max_record_bytes=settings.max_record_bytes,
            lanes=settings.partitions,
        )  # fmt: skip
        return Lane(number, fold, intake, self._decoder, self._encoder, position)

    async def _position(self, number: int, value: bytes) -> LanePosition:
        try:
            return cast("LanePosition", self._decoder.decode(value)[1])
        except WireError as error:
            record = await self._ports.blocking(restore.where(number, LANE_KEY, self._settings, self._ports))
            raise Halted(number, record._replace(detail=str(error)), _MEND_POSITION) from None

    def _progress(self, number: int) -> Callable[[float], None]:
        told = self._ports.monotonic()

        def progress(share: float) -> None:
            nonlocal told
            self._restoring(number, share)
            now = self._ports.monotonic()
            if now - told >= _TELL_EVERY:
                told = now
                log.info("lane restoring", lane=number, share=round(share, 3))

        return progress

    def _state_of(self, value: bytes) -> bytes:
        try:
            fold: bytes = self._decoder.decode(value)[1]["fold"]
        except WireError as error:
            raise UnreadableState("a lead's state", error) from None
        return fold


def failure(error: BaseException) -> str:
    """The error's name, without what it may quote."""
    return str(error.args[0].name()) if isinstance(error, KafkaException) else type(error).__name__
