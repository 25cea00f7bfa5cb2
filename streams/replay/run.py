"""Publishes files in the order of their arrival, marks the end of input, waits until everything has come through.

Wall time decides nothing: the lanes run on event time, and the end of input advances their clocks to the end of the data.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from processors.facts import RefusedFact
from streams.embedded.broker import MOST_RECORDS
from streams.embedded.pipeline import Pipeline
from streams.errors import BatonError, InputError
from streams.importers import Source, open_source
from streams.publisher import Publisher
from streams.registry import Registry

log = structlog.get_logger(__name__)

_CHECK_EVERY: Final = 2_000
_MOST_BEHIND: Final = MOST_RECORDS // 10
AFTER_UNTIL: Final = "(received after --until)"
_STALLED: Final = 120.0
"""Seconds without any progress after which a replay gives up."""


@dataclass
class Job:
    """What to replay. `rate`: events/s, None: as fast as it goes.

    `until`: UTC milliseconds, None: the end of the data; what was received later is left out.
    """

    paths: Sequence[Path]
    kind: str | None = None
    mapping: Path | None = None
    until: int | None = None
    rate: float | None = None


@dataclass
class Played:
    """What was published, and how long all of it took until the last row stood in the store."""

    published: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    until: int = 0
    seconds: float = 0.0


def play(pipeline: Pipeline, job: Job, progress: Callable[[str, int], None]) -> Played:
    """Runs the job on a started pipeline. `progress(phase, count)`. Raises BatonError, InputError."""
    sources = [open_source(path, job.kind, job.mapping) for path in job.paths]
    played = Played()
    started = time.monotonic()
    settings = pipeline.settings
    with Registry(settings.registry_url) as registry, Publisher(settings, registry) as publisher:
        try:
            for source in sources:
                _publish(pipeline, publisher, source, job, played, progress, started)
            publisher.flush()
        except BatonError as error:
            with contextlib.suppress(BatonError):
                publisher.flush(10)
            raise type(error)(f"{error} ({publisher.delivered} events were published before)") from None
        played.until = max(source.end_of_data for source in sources) if job.until is None else job.until
        publisher.end_of_input(played.until)
    _drain(pipeline, played, progress)
    played.seconds = time.monotonic() - started
    return played


def _publish(
    pipeline: Pipeline,
    publisher: Publisher,
    source: Source,
    job: Job,
    played: Played,
    progress: Callable[[str, int], None],
    started: float,
) -> None:
    embedded = not pipeline.settings.transactions
    for item in source.events():
        if job.until is not None and item.received_at is not None and item.received_at > job.until:
            played.skipped[AFTER_UNTIL] += 1
            continue
        try:
            publisher.publish(item.name, item.event, received_at=item.received_at, topic=item.topic)
        except RefusedFact as error:
            raise InputError(f"{item.name} {item.event['event_id']}: {error}") from None
        played.published += 1
        if job.rate is not None and played.published % 50 == 0:
            ahead = played.published / job.rate - (time.monotonic() - started)
            if ahead > 0:
                publisher.flush()
                time.sleep(ahead)
        if played.published % _CHECK_EVERY == 0:
            progress("published", played.published)
            pipeline.check()
            if embedded:
                publisher.flush()
                _wait_for_room(pipeline)
    played.skipped += source.skipped


def _wait_for_room(pipeline: Pipeline) -> None:
    """The embedded broker forgets what lies too far back: neither worker nor sink may fall behind."""

    def too_much() -> int:
        return max(0, _unstored(pipeline) - _MOST_BEHIND) + max(0, pipeline.unfolded() - 2 * _MOST_BEHIND)

    _until_none(pipeline, too_much, "the worker and the sink to keep up")


def _unstored(pipeline: Pipeline) -> int:
    unstored = pipeline.unstored()
    return sys.maxsize if unstored is None else unstored


def _until_none(pipeline: Pipeline, left: Callable[[], int], what: str) -> None:
    """Polls until nothing is left. Given up where it has not become less for `_STALLED` seconds."""
    least = sys.maxsize
    moved = time.monotonic()
    while now := left():
        pipeline.check()
        if now < least:
            least, moved = now, time.monotonic()
        elif time.monotonic() - moved > _STALLED:
            raise BatonError(
                f"waited for {what}: {now} were left and nothing moved for {_STALLED:.0f} s; "
                f"logs: {pipeline.supervisor.run_dir}"
            )
        time.sleep(0.1)


def _drain(pipeline: Pipeline, played: Played, progress: Callable[[str, int], None]) -> None:
    """Complete: every lane has durably folded all and reached `until`, and the store holds all that was written by then."""

    def unfinished() -> int:
        unfolded = pipeline.unfolded()
        progress("to fold", unfolded)
        lanes = pipeline.ready_lanes()
        return unfolded + pipeline.lanes - sum(int(lane["clock"]) >= played.until for lane in lanes.values())

    def to_store() -> int:
        unstored = _unstored(pipeline)
        progress("to store", unstored)
        return unstored

    _until_none(pipeline, unfinished, "the lanes to reach the end of the data")
    _until_none(pipeline, to_store, "the store to hold everything")
    while not pipeline.rolled():  # however long that takes: the store works at it
        pipeline.check()
        time.sleep(0.1)
