"""Publishes files in the order of their arrival, marks the end of input, waits until everything has come through.

Wall time decides nothing: the lanes run on event time, and the end of input advances their clocks to the end of the data.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, TopicPartition

from streams.embedded.broker import MOST_RECORDS
from streams.embedded.pipeline import Pipeline
from streams.errors import BatonError
from streams.importers import Source, open_source
from streams.publisher import Publisher
from streams.registry import Registry
from streams.topics import OUTPUTS, Topics

log = structlog.get_logger(__name__)

_CHECK_EVERY: Final = 5_000
_STALLED: Final = 120.0
"""Seconds without any progress after which a replay gives up."""


@dataclass
class Job:
    """What to replay. `until`: UTC milliseconds, None: the end of the data; `rate`: events/s, None: as fast as it goes."""

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
    with Publisher(pipeline.settings, Registry(pipeline.settings.registry_url)) as publisher:
        try:
            for source in sources:
                _publish(pipeline, publisher, source, job, played, progress, started)
            publisher.flush()
        except BatonError as error:
            raise type(error)(f"{error} ({publisher.delivered} events were published before)") from None
        played.until = job.until or max(source.end_of_data for source in sources)
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
        publisher.publish(item.name, item.event, received_at=item.received_at, topic=item.topic)
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
    most = MOST_RECORDS // 10
    _until(pipeline, lambda: _lag(pipeline) < most and _sink_lag(pipeline) < most, "the embedded broker's room")


def _lag(pipeline: Pipeline) -> int:
    statuses = pipeline.worker_status()
    lanes = [lane for status in statuses for lane in status["lanes"].values() if lane["state"] == "ready"]
    if len(lanes) < pipeline.lanes:
        return 2**63
    return sum(sum(lane["lag"].values()) for lane in lanes)


def _sink_lag(pipeline: Pipeline) -> int:
    behind = _behind(pipeline)
    return 2**63 if behind is None else behind


def _behind(pipeline: Pipeline) -> int | None:
    """Records of the output topics that are durable and not yet in the store; None: the sink does not answer."""
    status = pipeline.sink_status()
    if status is None:
        return None
    ends = _ends(pipeline)
    stored = status["partitions"]
    return sum(max(0, end - stored.get(name, {}).get("position", 0)) for name, end in ends.items())


def _ends(pipeline: Pipeline) -> dict[str, int]:
    """Last stable offset of every partition of the output topics, as TOPIC-PARTITION without prefix."""
    settings = pipeline.settings
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": "baton-replay",
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )
    try:
        topics = Topics(settings.topic_prefix)
        found: dict[str, int] = {}
        for topic in OUTPUTS:
            name = topics.name(topic)
            for number in consumer.list_topics(name, timeout=10).topics[name].partitions:
                _, end = consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)
                found[f"{topic}-{number}"] = end
        return found
    finally:
        consumer.close()


def _until(pipeline: Pipeline, done: Callable[[], bool], what: str) -> None:
    """Polls until done. A replay on which nothing moves for two minutes is given up, with what it waited for."""
    seen: Any = None
    moved = time.monotonic()
    while not done():
        pipeline.check()
        state = (pipeline.worker_status(), pipeline.sink_status())
        if state != seen:
            seen, moved = state, time.monotonic()
        elif time.monotonic() - moved > _STALLED:
            raise BatonError(
                f"nothing has moved for {_STALLED:.0f} s while waiting for {what}: {pipeline.supervisor.run_dir}"
            )
        time.sleep(0.1)


def _drain(pipeline: Pipeline, played: Played, progress: Callable[[str, int], None]) -> None:
    """Complete: every lane has durably reached `until`, and the store holds all that was written by then."""

    def folded() -> bool:
        lanes = {}
        for status in pipeline.worker_status():
            lanes.update({key: lane for key, lane in status["lanes"].items() if lane["state"] == "ready"})
        done = sum(lane["clock"] >= played.until for lane in lanes.values())
        progress("lanes done", done)
        return done == pipeline.lanes

    _until(pipeline, folded, "the lanes to reach the end of the data")
    _until(pipeline, lambda: _behind(pipeline) == 0, "the store to hold everything")
