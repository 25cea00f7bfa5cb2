"""Slips of the pen in the protocol, made on purpose: the simulation has to notice every one."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from processors import lead
from streams.topics import INPUTS, STATES
from streams.worker import restore
from streams.worker.commit import LaneLog
from streams.worker.engine import Engine
from streams.worker.handover import Overdue
from streams.worker.lane import Batch, Lane
from streams.worker.opening import Opening
from streams.worker.ports import Ports, Steps, once
from streams.worker.replicas import Replicas
from tests.simulation.store import Store

Mutant = Callable[[pytest.MonkeyPatch], None]


def _in_two(patch: pytest.MonkeyPatch, first: Callable[[Any], bool]) -> None:
    """A batch in two transactions: what `first` says, with the position, before all the rest."""
    right = LaneLog.write

    def wrong(self: LaneLog, batch: Batch) -> Steps[float]:
        *said, position = batch.messages
        for part in ([one for one in said if first(one)], [one for one in said if not first(one)]):
            seconds = yield from right(self, batch._replace(messages=[*part, position]))
        return seconds

    patch.setattr(LaneLog, "write", wrong)


def positions_before_outputs(patch: pytest.MonkeyPatch) -> None:
    _in_two(patch, lambda message: False)


def states_after_positions(patch: pytest.MonkeyPatch) -> None:
    _in_two(patch, lambda message: message.topic != STATES)


def no_fencing(patch: pytest.MonkeyPatch) -> None:
    """Every owner writes under a name of its own."""
    made, right = itertools.count(), LaneLog.__init__

    def wrong(self: LaneLog, number: int, settings: Any, broker_time: Any, ports: Ports) -> None:
        def producer(config: Mapping[str, object]) -> Any:
            return ports.producer({**config, "transactional.id": f"nobody-else-{next(made)}"})

        right(self, number, settings, broker_time, dataclasses.replace(ports, producer=producer))

    patch.setattr(LaneLog, "__init__", wrong)


def clock_before_restore(patch: pytest.MonkeyPatch) -> None:
    """A lane begins with the broker's present time, before it has read what was received meanwhile."""
    right = Opening._restore

    async def wrong(self: Opening, *arguments: Any) -> Lane | None:
        lane = await right(self, *arguments)
        now = self.broker_now(self._ports.monotonic())
        if lane is not None and now is not None:
            for topic in INPUTS:
                lane.clock.handed_over(topic, now)
        return lane

    patch.setattr(Opening, "_restore", wrong)


def no_dedup(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lead, "holds", lambda hashes, identity: False)


def end_before_its_records(patch: pytest.MonkeyPatch) -> None:
    """The end of a partition counts before what was fetched up to it has come."""
    patch.setattr(Engine, "_is_read", staticmethod(lambda known, entry, topic: known.at_end))


def takes_what_is_shown_for_the_end(patch: pytest.MonkeyPatch) -> None:
    """Records that a lost replica still hides are not reckoned with."""
    patch.setattr(Replicas, "until", lambda self, place, asked: asked)


def restores_what_was_aborted(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(restore._CONFIG, "isolation.level", "read_uncommitted")


def restores_before_fencing(patch: pytest.MonkeyPatch) -> None:
    """Who had the lane before may still write while its states are read."""
    made, fence, restored = LaneLog.__init__, LaneLog.fence, Opening._restore
    logs: dict[int, LaneLog] = {}

    def remembered(self: LaneLog, number: int, *arguments: Any) -> None:
        made(self, number, *arguments)
        logs[number] = self

    def nothing(self: LaneLog) -> Steps[None]:
        yield "restore"

    async def wrong(self: Opening, number: int, *arguments: Any) -> Lane | None:
        own = logs[number]
        lane = await restored(self, number, *arguments)
        await self._ports.blocking(fence(own))
        return lane

    patch.setattr(LaneLog, "__init__", remembered)
    patch.setattr(LaneLog, "fence", nothing)
    patch.setattr(Opening, "_restore", wrong)
    patch.setattr(restore, "untouched", lambda *_: once("look", bool))


def keeps_without_asking(patch: pytest.MonkeyPatch) -> None:
    """A lane that comes back is taken for untouched."""

    patch.setattr(restore, "untouched", lambda *_: once("look", bool, True))


def goes_on_after_a_failure(patch: pytest.MonkeyPatch) -> None:
    """A batch that failed is forgotten, and the lane lives on."""

    async def wrong(self: Engine, number: int, error: BaseException) -> None:
        return

    patch.setattr(Engine, "_lost", wrong)


def takes_what_was_asked_before_a_seek(patch: pytest.MonkeyPatch) -> None:
    right = Engine.feed

    def wrong(self: Engine, topic: str, number: int, fetched: Any) -> None:
        entry = self.lanes.get(number)
        if entry is not None:
            # Its number would tell as well.
            fetched = dataclasses.replace(fetched, epoch=entry.epochs[topic], number=entry.fetches[topic] + 1)
        right(self, topic, number, fetched)

    patch.setattr(Engine, "feed", wrong)


def takes_what_comes_after_a_gap(patch: pytest.MonkeyPatch) -> None:
    """A fetch that was lost on its way to the lane is not missed."""
    right = Engine.feed

    def wrong(self: Engine, topic: str, number: int, fetched: Any) -> None:
        entry = self.lanes.get(number)
        counted = fetched.number if entry is None else entry.fetches.get(topic, 0) + 1
        right(self, topic, number, dataclasses.replace(fetched, number=counted))

    patch.setattr(Engine, "feed", wrong)


def misses_no_fetch(patch: pytest.MonkeyPatch) -> None:
    """A fetch that was lost, and that no later one betrays, is waited for for ever."""
    patch.setattr(Overdue, "look", lambda *_: False)


def a_failed_insert_is_taken_for_done(patch: pytest.MonkeyPatch) -> None:
    right = Store.insert

    async def wrong(self: Store, name: str, rows: Any, token: str) -> None:
        with contextlib.suppress(OSError):
            await right(self, name, rows, token)

    patch.setattr(Store, "insert", wrong)


MUTANTS: Final[Mapping[Mutant, int]] = {
    positions_before_outputs: 0,
    states_after_positions: 1,
    no_fencing: 15,
    clock_before_restore: 145,
    takes_what_is_shown_for_the_end: 488,
    no_dedup: 0,
    end_before_its_records: 9,
    restores_what_was_aborted: 8,
    restores_before_fencing: 507,
    keeps_without_asking: 78,
    goes_on_after_a_failure: 1,
    takes_what_was_asked_before_a_seek: 16,
    takes_what_comes_after_a_gap: 29,
    misses_no_fetch: 93,
    a_failed_insert_is_taken_for_done: 43,
}
"""Each with the first seed that found it, which is tried first: the search is short while nothing else has changed."""
