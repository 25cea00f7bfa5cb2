"""`python -m benchmarks.restore`: how fast a worker that starts takes over lanes with many leads.

States as the fold makes them of the simulated company's leads, each many times over under ids of its own, are put on a
real Kafka; then workers are started, and watched until every lane is ready.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import psutil
from confluent_kafka import Producer
from rich.console import Console
from rich.progress import track

from processors.agreement import DEFAULTS
from processors.erasure import Erased
from processors.facts import to_fact
from processors.lane import LaneFold
from schemas.catalog import CATALOG
from schemas.wire import Encoder
from streams.config import Settings, load
from streams.publisher import PARTITIONER
from streams.registry import Registry
from streams.simulate import leads
from streams.topic_admin import ensure_topics
from streams.topics import STATES, Topics
from tests.real.apicurio import ApicurioServer
from tests.real.kafka import KafkaServer
from tests.support.poll import eventually
from tests.worker.processes import Worker

START = 1_700_000_000_000
PARTITIONS = 4
TEMPLATES = 500
_PLACEHOLDER = str(UUID(int=0))


class Figure(NamedTuple):
    """`opening`: seconds from the first lane's assignment until the last was ready; `whole`: since the processes began; `cpu`:
    seconds that the workers' processes took for the opening.
    """

    leads: int
    bytes_each: float
    opening: float
    whole: float
    cpu: float
    peak_mb: float
    idle_mb: float
    """Of workers without leads."""


def states(encoder: Encoder) -> list[bytes]:
    """Records of leads with a past, under one id that can be written over: it is as long as any."""
    grouped: dict[str, list[tuple[str, dict[str, object], int]]] = {}
    for item in itertools.islice(leads(seed=1, per_second=1, pace_ms=60_000), 40_000):
        grouped.setdefault(item.event["lead_id"], []).append((item.name, dict(item.event), START + item.at))
    values = []
    for story in itertools.islice(grouped.values(), TEMPLATES):
        fold = LaneFold(DEFAULTS, lambda value: value, Erased(b"bench"))
        fold.fold(
            [to_fact(name, event | {"lead_id": _PLACEHOLDER, "occurred_at": at}, at) for name, event, at in story]
        )
        fold.advance(story[-1][2])
        fold.drain()
        [(_, record)] = fold.changed()
        if record is None:
            raise SystemExit("a lead of the simulated company has no state")
        values.append(encoder.encode("LeadState", record))
    return values


def records(values: list[bytes], count: int) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of `count` leads."""
    placeholder = _PLACEHOLDER.encode()
    for number, value in zip(range(count), itertools.cycle(values), strict=False):  # one of them has no end
        key = str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)).encode()
        yield key, value.replace(placeholder, key)


def fill(settings: Settings, values: list[bytes], count: int, console: Console) -> None:
    producer = Producer(
        {"bootstrap.servers": settings.brokers, "compression.type": "lz4", "linger.ms": 50, "partitioner": PARTITIONER}
    )
    topic = Topics(settings.topic_prefix).name(STATES)
    for key, value in track(records(values, count), "states", total=count, console=console, transient=True):
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(60):
        raise SystemExit("the broker did not take all states within a minute")


def opened(settings: Settings, folder: Path, count: int) -> tuple[float, float, float, float]:
    """(opening, whole, cpu, peak) of `count` workers at once: see Figure."""
    began = time.monotonic()
    workers = [Worker(settings, folder, f"restore-{number}") for number in range(count)]
    processes = [psutil.Process(worker.child.pid) for worker in workers]
    assigned = before = used = peak = 0.0

    def ready() -> bool:
        nonlocal assigned, before, used, peak
        used = sum(sum(process.cpu_times()[:2]) for process in processes)
        peak = max(peak, sum(process.memory_info().rss for process in processes) / 1e6)
        statuses = [worker.status() for worker in workers]
        if not assigned and any(status.get("lanes") for status in statuses):
            assigned, before = time.monotonic(), used
        lanes = sum(len(status.get("lanes", ())) for status in statuses)
        return all(status.get("ready") for status in statuses) and lanes == PARTITIONS

    try:
        eventually(ready, 900, interval=0.05)
        done = time.monotonic()
    finally:
        for worker in workers:
            worker.child.stop()
    return done - assigned, done - began, used - before, peak


def measure(count: int, workers: int, console: Console) -> Figure:
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as scratch:
        folder = Path(scratch)
        kafka, registry = KafkaServer(folder / "kafka"), ApicurioServer(folder / "apicurio")
        try:
            kafka.start()
            registry.start()
            settings = load(
                brokers=kafka.brokers, registry_url=registry.url, topic_prefix="bench.", group="bench.worker",
                partitions=PARTITIONS, erasure_key="bench",
            )  # fmt: skip
            ensure_topics(settings)
            *_, idle = opened(settings, folder, workers)
            with Registry(settings.registry_url) as known:
                values = states(Encoder(known.ids(Topics(settings.topic_prefix), list(CATALOG))))
            fill(settings, values, count, console)
            opening, whole, cpu, peak = opened(settings, folder, workers)
        finally:
            registry.stop()
            kafka.stop()
    return Figure(count, sum(map(len, values)) / len(values), opening, whole, cpu, peak, idle)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restore", description=__doc__)
    parser.add_argument("--leads", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    console = Console()
    figure = measure(options.leads, options.workers, console)
    console.print(
        f"{figure.leads:,} leads of {figure.bytes_each:.0f} bytes on {PARTITIONS} lanes,"
        f" {options.workers} worker(s): ready {figure.opening:.1f} s after"
        f" the assignment, {figure.leads / figure.opening:,.0f} leads/s at {figure.cpu / figure.leads * 1e6:.1f} us CPU each;"
        f" {figure.whole:.1f} s after the start."
        f" Peak {figure.peak_mb:,.0f} MB, {figure.idle_mb:,.0f} MB of it without leads:"
        f" {(figure.peak_mb - figure.idle_mb) / figure.leads * 1e6:,.0f} bytes a lead."
    )


if __name__ == "__main__":
    main()
