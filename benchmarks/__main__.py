"""`make bench`: the worker beside an idiomatic Faust agent with the same fold, and the sink beside a bare insert.

Everything runs on this machine in one go, on a real Kafka: figures of one run may be compared with each other, those of
different runs or machines may not.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from confluent_kafka.admin import NewTopic
from rich.console import Console
from rich.table import Table

from benchmarks import sink as sink_bench
from schemas.catalog import CATALOG
from streams.config import ClockMode, Settings, load
from streams.embedded.supervisor import Supervisor
from streams.publisher import Publisher
from streams.registry import Registry
from streams.simulate import leads
from streams.topic_admin import ensure_topics, wait_for_brokers
from streams.topics import Topics
from tests.real.apicurio import ApicurioServer
from tests.real.kafka import KafkaServer
from tests.support.processes import start
from tests.worker.processes import Worker

START = 1_700_000_000_000
PARTITIONS = 4
_PATIENCE = 60.0


@dataclass
class Figure:
    """Events through one process, from the first to the last that was seen."""

    what: str
    events: int
    seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def per_second(self) -> float:
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / self.events * 1e6


def load_topics(settings: Settings, count: int) -> None:
    """Publishes `count` simulated events: a company with a lead a second, whose people work in real minutes."""
    with Registry(settings.registry_url) as registry, Publisher(settings, registry) as publisher:
        for item in itertools.islice(leads(seed=1, per_second=1, pace_ms=60_000), count):
            at = START + item.at
            publisher.publish(item.name, item.event | {"occurred_at": at}, received_at=at)


def watch(what: str, pid: int, folded: Callable[[], int], wanted: int, limit: float) -> Figure:
    """Measures from the first event folded until `wanted` are, or `limit` seconds have passed."""
    process = psutil.Process(pid)
    asked = time.monotonic()
    while not (first := folded()):
        if time.monotonic() - asked > _PATIENCE:
            raise SystemExit(f"{what}: nothing was folded within {_PATIENCE:.0f} s")
        time.sleep(0.02)
    began, cpu = time.monotonic(), sum(process.cpu_times()[:2])
    peak = 0
    while True:
        time.sleep(0.1)
        now, seconds = folded(), time.monotonic() - began
        peak = max(peak, process.memory_info().rss)
        if now >= wanted or seconds > limit:
            used = sum(process.cpu_times()[:2]) - cpu
            return Figure(what, now - first, seconds, used, peak / 1e6)


def lanes(settings: Settings, count: int, folder: Path) -> Figure:
    worker = Worker(settings, folder)
    try:

        def folded() -> int:
            return sum(sum(lane["positions"].values()) for lane in worker.lanes().values())

        return watch("Baton worker (lanes, exactly-once)", worker.child.pid, folded, count, 300)
    finally:
        worker.child.stop()


def idiomatic(settings: Settings, count: int, folder: Path, seconds: float) -> Figure:
    with Registry(settings.registry_url) as registry:
        ids = registry.ids(Topics(settings.topic_prefix), list(CATALOG))
    schemas = folder / "schemas.json"
    schemas.write_text(json.dumps({"ids": ids, "texts": {number: CATALOG[name].text for name, number in ids.items()}}))
    names = [f"{settings.topic_prefix}idiomatic-{kind}" for kind in ("transitions", "sla")]
    admin = wait_for_brokers(settings)  # must outlive the futures
    created = admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
    for name in names:
        created[name].result(20)
    counts = folder / "count"
    command = [sys.executable, "-m", "benchmarks.idiomatic", settings.brokers, settings.topic_prefix]
    child = start([*command, str(schemas), str(counts)], folder, name="idiomatic", cwd=Path(__file__).parent.parent)
    try:

        def folded() -> int:
            if not child.running:
                raise SystemExit(f"the idiomatic agent ended:\n{child.output(20)}")
            text = counts.read_text() if counts.exists() else ""
            return int(text or 0)

        return watch("idiomatic Faust agent with a Table", child.pid, folded, count, seconds)
    finally:
        child.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--idiomatic-seconds", type=float, default=15.0, help="how long the slower one is watched")
    options = parser.parse_args()
    console = Console()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as scratch:
        folder = Path(scratch)
        kafka, registry = KafkaServer(folder / "kafka"), ApicurioServer(folder / "apicurio")
        try:
            kafka.start()
            registry.start()
            settings = load(
                brokers=kafka.brokers, registry_url=registry.url, topic_prefix="bench.", group="bench.worker",
                partitions=PARTITIONS, clock=ClockMode.EVENT, erasure_key="bench",
            )  # fmt: skip
            ensure_topics(settings)
            load_topics(settings, options.events)
            figures.append(lanes(settings, options.events, folder))
            figures.append(idiomatic(settings, options.events, folder, options.idiomatic_seconds))
            with Supervisor(folder / "run") as supervisor:
                sunk = [
                    sink_bench.compare(settings, supervisor, folder, interval)
                    for interval in (0.0, settings.rollup_interval)
                ]
        finally:
            registry.stop()
            kafka.stop()
    table = Table("process", "events", "seconds", "events/s", "CPU us/event", "peak MB", title="One process, 4 lanes")
    for figure in figures:
        table.add_row(
            figure.what, f"{figure.events:,}", f"{figure.seconds:.1f}", f"{figure.per_second:,.0f}",
            f"{figure.cpu_us:.1f}", f"{figure.peak_mb:.0f}",
        )  # fmt: skip
    console.print(table)
    console.print(f"lanes / idiomatic: {figures[0].per_second / figures[1].per_second:.1f} x the throughput, "
                  f"{figures[1].cpu_us / figures[0].cpu_us:.1f} x less CPU an event")  # fmt: skip
    for one in sunk:
        sink_bench.show(one, console)
    console.print(
        f"{os.cpu_count()} cores shared by all of it; Python {platform.python_version()}; {platform.platform()}"
    )
    print(json.dumps({"figures": [asdict(figure) for figure in figures], "sink": [asdict(one) for one in sunk]}))


if __name__ == "__main__":
    main()
