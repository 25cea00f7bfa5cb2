"""Feeds the simulated leads into the pipeline as they fall due, from a thread of its own."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from streams.config import Settings
from streams.publisher import Publisher
from streams.registry import Registry
from streams.simulate import leads

PACE_MS: Final = 150.0
"""Milliseconds that stand for a working minute: a day of sales in little more than a minute."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A lead that was just captured, for measuring how long it takes until it can be seen. Monotonic seconds."""

    lead_id: str
    sent_at: float


class Feeder:
    """A context manager: leaving it ends the stream. A failure of the thread is raised by `check`."""

    def __init__(self, settings: Settings, *, seed: int, per_second: float, distinct: bool) -> None:
        """`distinct`: the leads are others than those of any earlier run, for a store that is kept."""
        self._settings = settings
        self._seed = seed
        self._per_second = per_second
        self._distinct = distinct
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)
        self.published = 0
        self.latest: Probe | None = None

    def _run(self) -> None:
        try:
            self._feed()
        except Exception as error:  # told by check() in the thread that can act on it
            self._failure = error

    def _feed(self) -> None:
        started_at = time.time_ns() // 1_000_000
        started = time.monotonic()
        run = f"{started_at // 1000:x}-" if self._distinct else ""
        stream = leads(seed=self._seed, per_second=self._per_second, pace_ms=PACE_MS, run=run)
        with Publisher(self._settings, Registry(self._settings.registry_url)) as publisher:
            for due, name, event in stream:
                if self._ended.wait(max(0.0, started + due / 1000 - time.monotonic())):
                    break
                event["occurred_at"] = started_at + due
                publisher.publish(name, event)
                self.published += 1
                if name == "LeadCaptured":
                    self.latest = Probe(event["lead_id"], time.monotonic())

    def check(self) -> None:
        """Raises what ended the stream before its time."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ends the stream; everything published by then is delivered. Raises what went wrong."""
        self._ended.set()
        self._thread.join(15)
        self.check()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(1)
