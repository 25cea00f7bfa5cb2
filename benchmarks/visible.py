"""`python -m benchmarks.visible`: from the moment an event is published to the answers of KPI views that count it: one that
adds what has changed since the last rollup, and one that is of the last rollup.

Each event is a new lead; the k-th lead counts as visible when the view first answers k or more. So the figures hold the
view's own time and the pause before the next question.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import platform
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from streams.config import Latency, Settings, load
from streams.embedded.supervisor import Supervisor
from streams.publisher import Publisher
from streams.registry import Registry
from streams.store.client import connect
from streams.store.migrations import Migrator
from streams.topic_admin import ensure_topics
from tests.real.apicurio import ApicurioServer
from tests.real.kafka import KafkaServer
from tests.worker.processes import Worker, environment

_PATIENCE = 120.0
_QUESTIONS = {
    "kpi_current_stages": ("SELECT sum(leads) FROM kpi_current_stages", 0.2),
    "kpi_response_time": ("SELECT sum(raised) FROM kpi_response_time", 1.0),
}
"""View -> what it is asked, and seconds from an answer to the next question: more of them would be what is measured."""


@dataclass
class Seen:
    latency: Latency
    wanted_per_second: int
    published_per_second: float
    events: int
    seconds: dict[str, tuple[float, float]]
    """View -> from publishing to the answer that counts it, p50 and p99."""
    cpu_seconds: float
    """Of worker, sink and store, for all of it."""


def measure(settings: Settings, latency: Latency, rate: int, seconds: float, folder: Path) -> Seen:
    folder.mkdir()
    settings = load(
        brokers=settings.brokers, registry_url=settings.registry_url, erasure_key="bench", latency=latency,
        topic_prefix=f"{folder.name}.", group=folder.name, sink_group=f"{folder.name}.sink",
    )  # fmt: skip
    ensure_topics(settings)
    with Supervisor(folder / "run") as supervisor:
        store = supervisor.start("store", ["store", "--path", str(folder / "store"), "--port", "0"], {})
        supervisor.wait_ready(store)
        settings = settings.model_copy(update={"store_url": f"http://127.0.0.1:{store.ready['port']}"})
        Migrator(settings).up()
        worker = Worker(settings, folder)
        sink = supervisor.start("sink", ["sink"], environment(settings))
        supervisor.wait_ready(sink)
        try:
            processes = [psutil.Process(pid) for pid in (worker.child.pid, sink.process.pid, store.process.pid)]
            return _measure(settings, latency, rate, seconds, processes)
        finally:
            worker.child.stop()


def _measure(settings: Settings, latency: Latency, rate: int, seconds: float, processes: list[psutil.Process]) -> Seen:
    published: list[float] = []
    answers: dict[str, list[tuple[int, float]]] = {view: [(0, 0.0)] for view in _QUESTIONS}
    over = threading.Event()

    def ask(view: str) -> None:
        with connect(settings) as client:
            question, pause = _QUESTIONS[view]
            while not over.is_set():
                count = int(client.query(question).result_rows[0][0])
                answers[view].append((count, time.monotonic()))
                over.wait(pause)

    with Registry(settings.registry_url) as registry, Publisher(settings, registry) as publisher:
        asking = [threading.Thread(target=ask, args=(view,)) for view in _QUESTIONS]
        for thread in asking:
            thread.start()
        _publish(publisher, published, 1, rate, 0)
        _wait(answers, len(published))  # worker and sink have their partitions
        warm = len(published)
        used = sum(sum(process.cpu_times()[:2]) for process in processes)
        _publish(publisher, published, int(rate * seconds), rate, warm)
        _wait(answers, len(published))
        used = sum(sum(process.cpu_times()[:2]) for process in processes) - used
        over.set()
        for thread in asking:
            thread.join()
    waited = {}
    for view, told in answers.items():
        took = sorted(
            told[bisect.bisect_left(told, (number, 0.0))][1] - at
            for number, at in enumerate(published[warm:], warm + 1)
        )
        waited[view] = (took[len(took) // 2], took[int(len(took) * 0.99)])
    count = len(published) - warm
    return Seen(latency, rate, count / (published[-1] - published[warm]), count, waited, used)


def _publish(publisher: Publisher, published: list[float], count: int, rate: int, done: int) -> None:
    began = time.monotonic()
    for number in range(count):
        ahead = began + number / rate - time.monotonic()
        if ahead > 0.001:
            time.sleep(ahead)
        lead = f"lead-{done + number}"
        now = int(time.time() * 1000)
        publisher.publish(
            "LeadCaptured",
            {
                "event_id": f"{lead}-1", "lead_id": lead, "occurred_at": now, "source_system": "bench",
                "source": "website", "hand_raise": True,
            },
        )  # fmt: skip
        published.append(time.monotonic())
    publisher.flush()


def _wait(answers: dict[str, list[tuple[int, float]]], wanted: int) -> None:
    until = time.monotonic() + _PATIENCE
    while (least := min(told[-1][0] for told in answers.values())) < wanted:
        if time.monotonic() > until:
            raise SystemExit(f"after {_PATIENCE:.0f} s a view counts {least} of {wanted} leads")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.visible", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[1_000, 20_000], help="events a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    found: list[Seen] = []
    with tempfile.TemporaryDirectory(prefix="baton-visible-") as scratch:
        folder = Path(scratch)
        kafka, registry = KafkaServer(folder / "kafka"), ApicurioServer(folder / "apicurio")
        try:
            kafka.start()
            registry.start()
            settings = load(brokers=kafka.brokers, registry_url=registry.url, erasure_key="bench")
            for number, (rate, latency) in enumerate((rate, latency) for rate in options.rates for latency in Latency):
                found.append(measure(settings, latency, rate, options.seconds, folder / f"v{number}"))
        finally:
            registry.stop()
            kafka.stop()
    table = Table(
        "latency",
        "wanted/s",
        "published/s",
        "events",
        *(f"{view}, p50 and p99 s" for view in _QUESTIONS),
        "CPU s",
        title="Published to visible",
    )
    for seen in found:
        table.add_row(
            seen.latency, f"{seen.wanted_per_second:,}", f"{seen.published_per_second:,.0f}", f"{seen.events:,}",
            *(f"{p50:.2f}  {p99:.2f}" for p50, p99 in seen.seconds.values()), f"{seen.cpu_seconds:.1f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    console.print(
        f"{os.cpu_count()} cores shared by all of it; Python {platform.python_version()}; {platform.platform()}"
    )
    print(json.dumps([asdict(seen) for seen in found]))


if __name__ == "__main__":
    main()
