"""The whole pipeline as one supervised tree: broker and registry (unless given), store, workers, sink.

What `baton demo` and `baton replay` stand on.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2 as httpx
import structlog
from pydantic import SecretStr

from streams.config import ClockMode, Settings, load
from streams.embedded import progress
from streams.embedded.broker import PARTITIONS
from streams.embedded.progress import LogEnds
from streams.embedded.supervisor import Child, Supervisor, signals_interrupt
from streams.errors import BatonError, ConfigurationError
from streams.store.migrations import Migrator
from streams.topic_admin import ensure_topics
from streams.topics import INPUTS, Topics

log = structlog.get_logger(__name__)

_READY: Final = 60.0
"""Seconds that the workers get to join their group and restore their lanes."""


@dataclass
class Plan:
    """What to start. `brokers` and `registry_url` None: the embedded ones."""

    clock: ClockMode
    agreement: Path | None = None
    brokers: str | None = None
    registry_url: str | None = None
    workers: int = 1
    partitions: int | None = None
    topic_prefix: str = ""
    store: Path | None = None
    """Where the store keeps its data; None: a temporary folder."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Further settings, by name."""


@dataclass
class Pipeline:
    """A running pipeline."""

    settings: Settings
    supervisor: Supervisor
    workers: list[Child]
    sink: Child
    store: Child
    lanes: int
    ends: LogEnds
    mourned: set[str] = field(default_factory=set)
    """Workers whose end was told."""

    def worker_status(self) -> list[dict[str, Any]]:
        """/status of each worker that answers."""
        answers = (_status(worker) for worker in self.workers if worker.alive)
        return [answer for answer in answers if answer is not None]

    def sink_status(self) -> dict[str, Any] | None:
        """/status of the sink; None where it does not answer."""
        return _status(self.sink)

    def ready_lanes(self) -> dict[int, Mapping[str, Any]]:
        return progress.ready_lanes(self.worker_status())

    def unfolded(self) -> int:
        """Records of the input topics that are not durably folded."""
        ends = self.ends.inputs()
        lanes = self.ready_lanes()
        # What lanes have passed on to each other meanwhile stands behind those ends.
        return progress.unfolded(ends, lanes) or progress.unfolded(self.ends.forwards(), lanes)

    def unstored(self) -> int | None:
        """Records of the output topics that the store does not hold; None where the sink does not answer."""
        ends = self.ends.stored()  # first: what comes after is not waited for
        status = self.sink_status()
        return None if status is None else progress.unstored(ends, status, Topics(self.settings.topic_prefix))

    def rolled(self) -> bool:
        """What the store holds is in its KPI tables, too."""
        status = self.sink_status()
        return status is not None and bool(status["rolled"])

    def check(self) -> None:
        """Raises BatonError where a process ended without which nothing can go on; tells of a worker that ended."""
        needed = [child for child in self.supervisor.children if child not in self.workers]
        dead = next((child for child in needed if not child.alive), None)
        if dead is None and not any(worker.alive for worker in self.workers):
            dead = self.workers[-1]
        if dead is not None:
            raise BatonError(dead.obituary())
        for worker in self.workers:
            if not worker.alive and worker.name not in self.mourned:
                self.mourned.add(worker.name)
                log.warning("a worker ended, the others carry on", process=worker.name, pid=worker.process.pid)


def _status(child: Child) -> dict[str, Any] | None:
    try:
        answer = httpx.get(f"http://127.0.0.1:{child.ready['port']}/status", timeout=5)
        return answer.json()  # type: ignore[no-any-return]
    except (httpx.HTTPError, ValueError):
        return None


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as BATON_* variables, for the children."""
    shown = {}
    for key, value in settings:
        if isinstance(value, SecretStr):
            shown[f"BATON_{key.upper()}"] = value.get_secret_value()
        elif value is not None:
            shown[f"BATON_{key.upper()}"] = str(value)
    return shown


@contextmanager
def _run_folder() -> Iterator[Path]:
    """A temporary folder. What the processes said stays where a failure's message names it."""
    folder = Path(tempfile.mkdtemp(prefix="baton-"))
    try:
        yield folder
    except Exception as error:
        keep = "run" if str(folder) in str(error) or not isinstance(error, BatonError) else None
        for entry in folder.iterdir():
            if entry.name != keep:
                shutil.rmtree(entry, ignore_errors=True)
        if keep is None:
            folder.rmdir()
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _settings(plan: Plan, **addresses: str | None) -> Settings:
    # What runs here for itself alone has a key of its own, unless one is given.
    overrides = {"erasure_key": secrets.token_hex(32)} if not load().erasure_key.get_secret_value() else {}
    return load(
        topic_prefix=plan.topic_prefix, clock=plan.clock, agreement=plan.agreement, partitions=plan.partitions,
        transactions=plan.brokers is not None, group=f"{plan.topic_prefix}baton-worker",
        sink_group=f"{plan.topic_prefix}baton-sink", metrics_port=0, bind="127.0.0.1", **addresses,
        **{**overrides, **plan.overrides},
    )  # fmt: skip


@contextmanager
def running(plan: Plan) -> Iterator[Pipeline]:
    """Starts the pipeline, gives it when its lanes are ready, and stops it. Main thread only: it takes the signals.

    Raises BatonError where a part does not start.
    """
    if (plan.brokers is None) != (plan.registry_url is None):
        raise ConfigurationError(
            "--brokers and --registry belong together: give both, or neither for the embedded ones"
        )
    if plan.brokers is None and (plan.workers != 1 or plan.partitions not in (None, PARTITIONS)):
        raise ConfigurationError(
            f"the embedded broker has {PARTITIONS} partitions and holds one worker: give --brokers for more"
        )
    _settings(plan, brokers=plan.brokers, registry_url=plan.registry_url)  # a wrong one is told before anything starts
    with signals_interrupt(), _run_folder() as folder, Supervisor(folder / "run") as supervisor:
        data = (plan.store or folder / "store").absolute()
        store = supervisor.start("store", ["store", "--path", str(data), "--port", "0"], {})
        brokers, registry_url = plan.brokers, plan.registry_url
        if brokers is None:
            embedded = supervisor.start("embedded", ["embedded"], {})
            supervisor.wait_ready(embedded)
            brokers, registry_url = embedded.ready["brokers"], embedded.ready["registry_url"]
        supervisor.wait_ready(store)
        settings = _settings(
            plan, brokers=brokers, registry_url=registry_url, store_url=f"http://127.0.0.1:{store.ready['port']}"
        )  # fmt: skip
        lanes = ensure_topics(settings)[Topics(settings.topic_prefix).name(INPUTS[0])]
        temporary = folder / "tmp"
        temporary.mkdir()
        environment = {**_environment(settings), "TMPDIR": str(temporary)}
        workers = [
            supervisor.start(f"worker-{number}", ["worker"], environment) for number in range(1, plan.workers + 1)
        ]
        Migrator(settings).up()
        sink = supervisor.start("sink", ["sink"], environment)
        supervisor.wait_ready(*workers, sink)
        with LogEnds(settings) as ends:
            pipeline = Pipeline(settings, supervisor, workers, sink, store, lanes, ends)
            _wait_for_lanes(pipeline)
            yield pipeline


def _wait_for_lanes(pipeline: Pipeline) -> None:
    deadline = time.monotonic() + _READY
    while len(pipeline.ready_lanes()) < pipeline.lanes:
        pipeline.check()
        if time.monotonic() > deadline:
            raise BatonError(
                f"{len(pipeline.ready_lanes())} of {pipeline.lanes} lanes are ready after {_READY:.0f} s; "
                f"{pipeline.workers[0].ending()}"
            )
        time.sleep(0.05)
