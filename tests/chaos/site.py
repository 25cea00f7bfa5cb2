"""The pipeline as it runs in earnest, on processes of its own: three brokers, workers, sink and store, under load.

One `Ground` (brokers, registry) carries one `Site` after the other: each has its own topics, group, database and store.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import uvicorn
import yaml

from streams.config import Settings, load
from streams.embedded.registry import app as registry_app
from streams.store.migrations import Migrator
from streams.topic_admin import ensure_topics
from streams.topics import DEAD_LETTERS, FORWARDS, INPUTS, OUTPUTS, SLA_EVENTS, TRANSITIONS
from tests.chaos import observe
from tests.chaos.judge import Verdict, judge, judge_store
from tests.chaos.load import AGREED_THEN, Load, agreement_now
from tests.chaos.proxy import Proxy
from tests.oracle.records import Record
from tests.real.kafka import KafkaCluster
from tests.store.fixtures import start_store
from tests.support.fold import dated
from tests.support.poll import eventually
from tests.support.processes import Child, accepts, free_port, start
from tests.worker.processes import Worker, environment, read_outputs


class Ground:
    """Brokers and registry. Call it from the main thread."""

    def __init__(self, folder: Path, brokers: int = 3) -> None:
        self.folder = folder
        self.proxies = [Proxy() for _ in range(brokers)]
        self.cluster = KafkaCluster(folder / "kafka", [proxy.port for proxy in self.proxies])
        for proxy, port in zip(self.proxies, self.cluster.behind, strict=True):
            proxy.target = port
        self.brokers = self.cluster.brokers
        self.through_proxies = ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies)
        port = free_port()
        self.registry_url = f"http://127.0.0.1:{port}"
        self._registry = uvicorn.Server(
            uvicorn.Config(registry_app(), host="127.0.0.1", port=port, log_config=None, ws="none")
        )
        threading.Thread(target=self._registry.run, daemon=True).start()
        eventually(lambda: accepts(port))

    def start(self) -> Ground:
        self.cluster.start()
        return self

    def stop(self) -> None:
        self._registry.should_exit = True
        for proxy in self.proxies:
            proxy.close()
        self.cluster.stop()


class Site:
    """A pipeline with a load on it. `disk`: bytes that the store's disk has, where that shall be few."""

    LANES = 6

    def __init__(self, ground: Ground, name: str, *, disk: int | None = None) -> None:
        self.ground = ground
        self.folder = ground.folder / name
        self.folder.mkdir()
        self.store_folder = self.folder / "store"
        self.store_folder.mkdir()
        self._mounted = disk is not None
        if disk is not None:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", str(self.store_folder)]
            subprocess.run(mount, check=True, capture_output=True, timeout=10)
        self.agreements = [dict(AGREED_THEN), agreement_now()]
        agreed = self.folder / "agreement"
        agreed.mkdir()
        for number, version in enumerate(self.agreements):
            (agreed / f"{number}.yaml").write_text(yaml.safe_dump(dated(version)))
        prefix = f"{name}-{uuid.uuid4().hex[:6]}."
        self.store_port = free_port()
        self.settings: Settings = load(
            brokers=ground.brokers, registry_url=ground.registry_url, topic_prefix=prefix, group=f"{prefix}worker",
            sink_group=f"{prefix}sink", erasure_key="a key for tests", agreement=agreed, partitions=self.LANES,
            replication_factor=min(3, len(ground.proxies)), store_url=f"http://127.0.0.1:{self.store_port}",
        )  # fmt: skip
        self.workers: dict[str, Worker] = {}
        self.store: Child | None = None
        self.sink: Child | None = None
        self.load: Load | None = None
        self.watch = observe.Watch(self.settings)

    # What runs.

    def begin(self, then: Sequence[Record], workers: int = 2, *, proxied: int = 0) -> Site:
        """Starts everything. `proxied`: how many of the workers reach the brokers through the proxies only."""
        ensure_topics(self.settings)
        self.start_store()
        Migrator(self.settings).up()
        self.start_sink()
        for number in range(workers):
            self.add_worker(f"worker-{number}", proxied=number < proxied)
        for worker in self.workers.values():
            worker.child.wait_until(worker.lanes, 60)
        self.ready()
        self.watch.start()
        self.load = Load(self.settings, then).start()
        return self

    def start_store(self) -> None:
        self.store, _ = start_store(self.store_folder / "data", self.folder, port=self.store_port)

    def start_sink(self) -> None:
        port_file = self.folder / "sink.json"
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "streams", "sink", "--port-file", str(port_file)]
        self.sink = start(command, self.folder, name="sink", env=environment(self.settings))

    def add_worker(self, name: str, *, proxied: bool = False, source: Path | None = None) -> Worker:
        """`source`: a folder with another version of the source."""
        update = {"brokers": self.ground.through_proxies} if proxied else {}
        worker = Worker(self.settings.model_copy(update=update), self.folder, name, source=source)
        self.workers[name] = worker
        return worker

    def lanes(self) -> dict[str, set[int]]:
        """Which lanes each worker has ready."""
        return {name: set(worker.lanes()) for name, worker in self.workers.items() if worker.child.running}

    def ready(self, timeout: float = 60) -> None:
        """Until the workers have all lanes, each as many as the others."""

        def shared() -> bool:
            owned = self.lanes()
            return sorted(lane for lanes in owned.values() for lane in lanes) == list(range(self.LANES)) and all(
                owned.values()
            )

        eventually(shared, timeout, interval=0.2)

    # What becomes of it.

    def end(self, drain: float = 120) -> Verdict:
        """Ends the load, waits until all of it is done, stops everything and judges."""
        assert self.load is not None
        assert self.sink is not None
        self.watch.loaded = False
        self.load.stop()
        self._drained(drain)
        self.watch.stop()
        for worker in self.workers.values():
            worker.child.stop()
        wanted = self.said()
        eventually(lambda: self.in_store(wanted), drain, interval=0.5)
        outputs = read_outputs(self.settings)
        verdict = judge(observe.inputs(self.settings), outputs, self.agreements)
        held, twice = observe.stored(self.settings)
        judge_store(outputs, held, twice, verdict)
        for letter in outputs["DeadLetter"]:
            if letter["reason"] != "event_id_conflict":
                verdict.wrong += 1
                verdict.say("dead letter", letter["reason"])
        return verdict

    def _drained(self, timeout: float) -> None:
        """Until every lane has durably read its inputs to the end, and nobody has anything more to say."""
        wanted = observe.ends(self.settings, INPUTS)

        def behind() -> dict[str, tuple[int, int]]:
            """Inputs that are not read to their ends: how far they are, and how far it is."""
            at: dict[tuple[str, int], int] = {}
            for worker in self.workers.values():
                if worker.child.running:
                    for number, lane in worker.lanes().items():
                        at |= {(topic, number): offset for topic, offset in lane["positions"].items()}
            return {
                f"{topic}-{number}": (at.get((topic, number), -1), offset)
                for (topic, number), offset in wanted.items()
                if at.get((topic, number), -1) < offset
            }

        try:
            eventually(lambda: not behind(), timeout, interval=0.3)
        except AssertionError:
            lanes = {name: worker.status().get("lanes") for name, worker in self.workers.items()}
            raise AssertionError(f"not read {timeout:g} s after the load: {behind()}; {lanes}") from None
        quiet: list[tuple[float, object]] = []

        def silent() -> bool:
            now = observe.ends(self.settings, (TRANSITIONS, SLA_EVENTS, DEAD_LETTERS, FORWARDS))
            if not quiet or quiet[-1][1] != now:
                quiet[:] = [(time.monotonic(), now)]
            return time.monotonic() - quiet[0][0] >= 5

        eventually(silent, timeout, interval=0.5)

    def said(self) -> dict[tuple[str, int], int]:
        """Up to where the workers have said something."""
        return observe.ends(self.settings, OUTPUTS)

    def in_store(self, wanted: dict[tuple[str, int], int]) -> bool:
        """Whether the store has it up to there."""
        partitions = observe.asked(self.folder / "sink.json").get("partitions", {})
        return all(
            partitions.get(f"{self.settings.topic_prefix}{topic}-{number}", {}).get("position", -1) >= offset
            for (topic, number), offset in wanted.items()
            if offset
        )

    def stop(self) -> None:
        """Ends every process of the site, whatever happened."""
        for child in [*(worker.child for worker in self.workers.values()), self.sink, self.store]:
            if child is not None:
                child.kill()
        if self._mounted:
            subprocess.run(["umount", str(self.store_folder)], check=True, capture_output=True, timeout=10)

    def logged(self, worker: str) -> str:
        return self.workers[worker].child.output()
