"""Runs the demonstration: the pipeline, the stream of leads, and a look at the store every half second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streams.config import ClockMode
from streams.demo.snapshot import Snapshot, figures, is_visible, latest_breaches, rank, verdicts
from streams.demo.stream import Feeder, Probe
from streams.embedded.pipeline import Pipeline, Plan
from streams.errors import BatonError
from streams.store.client import Client, connect

AGREEMENT: Final = Path(__file__).with_name("agreement.yaml")
"""Targets of seconds, so that clocks are met and breached while one looks."""

_TICK: Final = 0.05
_LOOK: Final = 0.5
"""Seconds between two looks at the store."""
_PROBE: Final = 1.0
_DRAIN: Final = 15.0
_RATES: Final = 60


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` None: until interrupted. `per_second`: new leads a second."""

    seconds: float | None = None
    per_second: float = 20.0
    seed: int = 1
    store: Path | None = None


def plan(options: Options) -> Plan:
    return Plan(clock=ClockMode.BROKER, agreement=AGREEMENT, store=options.store)


class Demo:
    """One run on a started pipeline. `snapshot` is what was seen last, also after an interruption."""

    def __init__(self, pipeline: Pipeline, options: Options) -> None:
        self._pipeline = pipeline
        self._options = options
        self.snapshot = Snapshot()
        self._rates: deque[float] = deque(maxlen=_RATES)
        self._latencies: list[float] = []
        self._probe: Probe | None = None
        self._asked_at = 0.0

    def run(self, show: Callable[[Snapshot], None]) -> None:
        """Until the time is up and everything published stands in the store. `show` gets what each look found."""
        client = connect(self._pipeline.settings)
        try:
            settings = self._pipeline.settings
            options = self._options
            with Feeder(
                settings, seed=options.seed, per_second=options.per_second, distinct=options.store is not None
            ) as feeder:
                started = time.monotonic()
                self._watch(client, feeder, started, show)
                feeder.stop()
                lasted = time.monotonic() - started
                self._drain()
                self._look(client, feeder, lasted, show)
        finally:
            client.close()

    def _watch(self, client: Client, feeder: Feeder, started: float, show: Callable[[Snapshot], None]) -> None:
        look_at = second = started
        published = 0
        while True:
            now = time.monotonic()
            if self._options.seconds is not None and now - started >= self._options.seconds:
                return
            if now - second >= 1.0:
                self._rates.append((feeder.published - published) / (now - second))
                published, second = feeder.published, now
            if now >= look_at:
                feeder.check()
                self._pipeline.check()
                self._look(client, feeder, now - started, show)
                look_at = max(look_at + _LOOK, time.monotonic() + _LOOK / 2)
            self._measure_latency(client, feeder)
            time.sleep(_TICK)

    def _measure_latency(self, client: Client, feeder: Feeder) -> None:
        """One captured lead at a time is looked for until it can be seen."""
        now = time.monotonic()
        if self._probe is None:
            latest = feeder.latest
            if latest is not None and now - latest.sent_at < _TICK * 2 and now - self._asked_at >= _PROBE:
                self._probe, self._asked_at = latest, now
        elif is_visible(client, self._probe.lead_id):
            self._latencies.append((time.monotonic() - self._probe.sent_at) * 1000)
            self._probe = None

    def _look(self, client: Client, feeder: Feeder, elapsed: float, show: Callable[[Snapshot], None]) -> None:
        self.snapshot = Snapshot(
            elapsed=elapsed,
            published=feeder.published,
            rate_now=self._rates[-1] if self._rates else 0.0,
            rates=tuple(self._rates),
            figures=figures(client),
            breaches=tuple(latest_breaches(client)),
            latencies_ms=tuple(self._latencies),
        )
        show(self.snapshot)

    def _drain(self) -> None:
        """Waits until the worker has folded and the store holds all that was published."""
        deadline = time.monotonic() + _DRAIN
        while self._pipeline.unfolded() or self._pipeline.unstored() != 0:
            self._pipeline.check()
            if time.monotonic() > deadline:
                raise BatonError(f"what was published had not come through {_DRAIN:.0f} s after the stream ended")
            time.sleep(0.1)


def summary(snapshot: Snapshot, seed: int) -> dict[str, Any]:
    """What `--json` prints."""
    counts = verdicts(snapshot)
    found = dict(snapshot.figures)
    latencies = snapshot.latencies_ms
    return {
        **found,
        "published": snapshot.published,
        "breached": sum(counts.get(verdict, 0) for verdict in ("breached_open", "late_met", "breached_ended")),
        "met": counts.get("met", 0),
        "open": counts.get("open", 0),
        "latency_ms": {
            "n": len(latencies),
            **{
                key: round(value) if (value := rank(latencies, p)) is not None else None
                for key, p in (("p50", 0.5), ("p90", 0.9))
            },
        },
        "seed": seed,
        "seconds": round(snapshot.elapsed, 3),
        "events_per_second": round(snapshot.published / snapshot.elapsed, 1) if snapshot.elapsed else 0,
    }
