"""`python -m tests.chaos.lag`: a worker comes back to a lag of five million events, with 1 GiB of memory allowed.

Every lead raises its hand; all but one in a hundred are answered within the day, and much happens to them besides, an
event every 19 hours, while no worker ran. The worker must drain the lag without growing, and announce the breaches of
those who were not answered, each once, and no other: most evidence of an answer lies far behind the hand-raise in another
topic. Ends with code 1 where it does not.

What a worker knows of its leads stays in memory, so its memory follows the leads; what is shown is that it does not follow
the lag.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import psutil
import typer
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from rich.console import Console
from rich.progress import track
from rich.table import Table

from schemas.catalog import CATALOG
from schemas.wire import Encoder
from streams.config import Settings, load
from streams.publisher import PARTITIONER
from streams.registry import Registry
from streams.topic_admin import ensure_topics
from streams.topics import INPUTS, SLA_EVENTS, Topics
from tests.chaos import observe
from tests.chaos.site import Ground
from tests.oracle.events import record
from tests.worker.processes import Known, Worker

_HOUR: Final = 3_600_000
_APART: Final = 19 * _HOUR
"""Between two events of a lead; the answer is the second."""
_UNANSWERED: Final = 100
"""One lead in so many."""
_ALLOWED: Final = 1 << 30
_AGREEMENT: Final = """
version: lag-1
effective_from: 2020-01-01T00:00:00Z
policies: {first_response: {targets: 1 d, calendar: 24x7}}
ladder: [100]
"""
_CAPTURED: Final[tuple[str, dict[str, Any]]] = ("LeadCaptured", {"hand_raise": True})
_ANSWER: Final[tuple[str, dict[str, Any]]] = ("TouchRecorded", {"channel": "call", "outcome": "connected"})
_VISIT: Final[tuple[str, dict[str, Any]]] = (
    "TouchRecorded",
    {"channel": "web", "direction": "inbound", "origin": "marketing", "actor": "automated", "outcome": "attempted"},
)
_OTHERS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    _VISIT, ("LeadScored", {"grade": "warm"}), _VISIT, ("OpportunityOpened", {"opportunity_id": "o"}),
    ("OpportunityAmended", {"opportunity_id": "o"}), _VISIT, ("LeadEnriched", {"fields": ["phone"]}),
)  # fmt: skip


def _unanswered(lead: int) -> bool:
    return lead % _UNANSWERED == 0


def _events(leads: int, each: int, start: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every lead's first event, then every lead's second, and so on: always in the order of time."""
    shapes: dict[int, dict[str, Any]] = {}
    for number in range(each):
        for lead in range(leads):
            if number == 0:
                name, fields = _CAPTURED
            elif number == 1:
                name, fields = _VISIT if _unanswered(lead) else _ANSWER
            else:
                name, fields = _OTHERS[number % len(_OTHERS)]
            at = start + number * _APART + lead * _APART // leads
            shape = shapes.get(id(fields))
            if shape is None:
                shape = shapes[id(fields)] = dict(record(name, 0, "", **fields).event)
            yield name, {**shape, "event_id": str(number), "lead_id": f"lead-{lead}", "occurred_at": at}


def _stamp(settings: Settings, kind: str) -> None:
    """How the input topics' records get their times."""
    wanted = {"message.timestamp.type": kind, "retention.ms": "-1"}
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in wanted.items()]
    names = [Topics(settings.topic_prefix).name(topic) for topic in INPUTS]
    admin = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 0})
    resources = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries) for name in names]
    for answer in admin.incremental_alter_configs(resources).values():
        answer.result(20)


def publish(settings: Settings, leads: int, each: int, console: Console) -> None:
    """Straight to the brokers, with the times at which they would have taken them: what is measured is the reading."""
    _stamp(settings, "CreateTime")
    topics = Topics(settings.topic_prefix)
    with Registry(settings.registry_url) as registry:
        encoder = Encoder(registry.ids(topics, list(CATALOG)))
    producer = Producer(
        {
            "bootstrap.servers": settings.brokers, "partitioner": PARTITIONER, "linger.ms": 50, "acks": "all",
            "enable.idempotence": True, "batch.size": 1 << 20, "queue.buffering.max.messages": 500_000, "log_level": 0,
        }
    )  # fmt: skip
    names = {name: topics.name(CATALOG[name].topics[0]) for name in CATALOG if CATALOG[name].topics}
    start = round(time.time() * 1000) - (each + 24) * _APART
    for name, event in track(_events(leads, each, start), "publishing", leads * each, console=console):
        value, key = encoder.encode(name, event), event["lead_id"].encode()
        while True:
            try:
                producer.produce(names[name], value, key, timestamp=event["occurred_at"])
                break
            except BufferError:
                producer.poll(0.1)
    left = producer.flush(120)
    assert left == 0, f"{left} events were not delivered"
    _stamp(settings, "LogAppendTime")


def drain(settings: Settings, folder: Path, total: int) -> list[tuple[float, int, int]]:
    """(seconds, lag, bytes of memory) every second until the lag is gone."""
    wanted = observe.ends(settings, INPUTS)
    worker = Worker(settings, folder)
    samples = []
    try:
        process = psutil.Process(worker.child.pid)
        began = time.monotonic()
        lag = total
        while lag:
            time.sleep(1)
            assert worker.child.running, worker.child.output(20)
            assert time.monotonic() - began < 3_600, f"{lag} events are still unread after an hour"
            lanes = worker.lanes()
            lag = sum(
                offset - (lanes[lane]["positions"].get(topic, 0) if lane in lanes else 0)
                for (topic, lane), offset in wanted.items()
            )
            samples.append((time.monotonic() - began, lag, process.memory_info().rss))
    finally:
        worker.child.stop()
    return samples


def alerts(settings: Settings) -> dict[str, int]:
    """How often the breach of each lead was announced."""
    known = Known(settings)
    found: dict[str, int] = {}

    def take(message: Any) -> None:
        _, body = known.decode(message.value())
        if body["kind"] in ("rung", "breached", "breach_retracted"):
            found[body["lead_id"]] = found.get(body["lead_id"], 0) + 1

    observe.read_all(settings, (SLA_EVENTS,), take, "read_committed", patience=600)
    return found


def main(
    events: Annotated[int, typer.Option(help="How large the lag is.")] = 5_000_000,
    leads: Annotated[int, typer.Option(help="How many leads they are about.")] = 20_000,
) -> None:
    """Lets a lag grow, then a worker drain it, and shows its memory on the way."""
    console = Console()
    each = events // leads
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")  # as docs/operations.md advises where memory is short
    with tempfile.TemporaryDirectory(prefix="baton-lag-") as scratch:
        folder = Path(scratch)
        agreement = folder / "agreement.yaml"
        agreement.write_text(_AGREEMENT)
        ground = Ground(folder, brokers=1)
        try:
            ground.start()
            settings = load(
                brokers=ground.brokers, registry_url=ground.registry_url, erasure_key="a key for tests",
                agreement=agreement, partitions=4,
            )  # fmt: skip
            ensure_topics(settings)
            began = time.monotonic()
            publish(settings, leads, each, console)
            console.print(f"{leads * each:,} events published in {time.monotonic() - began:.0f} s")
            samples = drain(settings, folder, leads * each)
            told = alerts(settings)
        finally:
            ground.stop()
    table = Table(title=f"{platform.machine()}, {os.cpu_count()} cores")
    for name in ("seconds", "lag", "memory, MiB"):
        table.add_column(name, justify="right")
    for second, lag, memory in samples[:: max(1, len(samples) // 12)] + samples[-1:]:
        table.add_row(f"{second:.0f}", f"{lag:,}", f"{memory / 2**20:.0f}")
    console.print(table)
    expected = {f"lead-{lead}": 1 for lead in range(leads) if _unanswered(lead)}
    false = sum(count for lead, count in told.items() if lead not in expected)
    missing = len(expected.keys() - told.keys())
    again = sum(count - 1 for lead, count in told.items() if lead in expected)
    peak = max(memory for _, _, memory in samples)
    console.print(
        f"{leads * each:,} events of {leads:,} leads in {samples[-1][0]:.0f} s: "
        f"{leads * each / samples[-1][0]:,.0f} a second; peak {peak / 2**20:.0f} MiB of {_ALLOWED / 2**20:.0f}; "
        f"breaches {len(expected):,}, false {false}, missing {missing}, twice {again}"
    )
    sys.exit(0 if peak <= _ALLOWED and not (false or missing or again) else 1)


if __name__ == "__main__":
    typer.run(main)
