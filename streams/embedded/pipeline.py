"""The whole pipeline as one supervised tree: broker and registry (unless given), store, workers, sink.

What `baton demo` and `baton replay` stand on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2 as httpx
import structlog

from streams.config import ClockMode, Settings, load
from streams.embedded import progress
from streams.embedded.progress import LogEnds
from streams.embedded.supervisor import Child, Supervisor
from streams.errors import BatonError, ConfigurationError
from streams.store.migrations import Migrator
from streams.topic_admin import ensure_topics

log = structlog.get_logger(__name__)

_HIDDEN: Final = frozenset({"store_password"})


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
        return progress.unfolded(self.ends.inputs(), self.ready_lanes())

    def unstored(self) -> int | None:
        """Records of the output topics that the store does not hold; None where the sink does not answer."""
        ends = self.ends.outputs()  # first: what comes after is not waited for
        status = self.sink_status()
        return None if status is None else progress.unstored(ends, status)

    def check(self) -> None:
        """Raises BatonError where a process ended without which nothing can go on."""
        needed = [child for child in self.supervisor.children if child not in self.workers]
        dead = next((child for child in needed if not child.alive), None)
        if dead is None and not any(worker.alive for worker in self.workers):
            dead = self.workers[0]
        if dead is not None:
            raise BatonError(f"{dead.name} ended; {dead.log_file} ends with:\n{dead.tail()}")
        for worker in self.workers:
            if not worker.alive and worker.ready:
                log.warning("a worker ended, the others carry on", process=worker.name, log=str(worker.log_file))
                worker.ready = {}


def _status(child: Child) -> dict[str, Any] | None:
    try:
        answer = httpx.get(f"http://127.0.0.1:{child.ready['port']}/status", timeout=5)
        return answer.json()  # type: ignore[no-any-return]
    except (httpx.HTTPError, ValueError, KeyError):
        return None


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as BATON_* variables, for the children."""
    shown = {
        f"BATON_{key.upper()}": str(value)
        for key, value in settings.model_dump(mode="json").items()
        if value is not None
    }
    shown["BATON_STORE_PASSWORD"] = settings.store_password.get_secret_value()
    return shown


@contextmanager
def running(plan: Plan) -> Iterator[Pipeline]:
    """Starts the pipeline, gives it, and stops it. Raises BatonError where a part does not start."""
    if (plan.brokers is None) != (plan.registry_url is None):
        raise ConfigurationError(
            "--brokers and --registry belong together: give both, or neither for the embedded ones"
        )
    if plan.brokers is None and (plan.workers != 1 or plan.partitions not in (None, 4)):
        raise ConfigurationError("the embedded broker has 4 partitions and holds one worker: give --brokers for more")
    with (
        tempfile.TemporaryDirectory(prefix="baton-", ignore_cleanup_errors=True) as scratch,
        Supervisor(Path(scratch) / "run") as supervisor,
    ):
        brokers, registry_url = plan.brokers, plan.registry_url
        if brokers is None:
            embedded = supervisor.start("embedded", ["embedded"], {})
            brokers, registry_url = embedded.ready["brokers"], embedded.ready["registry_url"]
        data = plan.store or Path(scratch) / "store"
        store = supervisor.start("store", ["store", "--path", str(data), "--port", "0"], {})
        settings = load(
            brokers=brokers, registry_url=registry_url, store_url=f"http://127.0.0.1:{store.ready['port']}",
            topic_prefix=plan.topic_prefix, clock=plan.clock, agreement=plan.agreement, partitions=plan.partitions,
            transactions=plan.brokers is not None, group=f"{plan.topic_prefix}baton-worker",
            sink_group=f"{plan.topic_prefix}baton-sink", metrics_port=0, **plan.overrides,
        )  # fmt: skip
        counts = ensure_topics(settings)
        environment = _environment(settings)
        Migrator(settings).up()
        workers = [
            supervisor.start(f"worker-{number}", ["worker"], environment) for number in range(1, plan.workers + 1)
        ]
        sink = supervisor.start("sink", ["sink"], environment)
        with LogEnds(settings) as ends:
            yield Pipeline(settings, supervisor, workers, sink, store, counts[settings.topic_prefix + "leads"], ends)
