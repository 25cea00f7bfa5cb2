"""What is published while something breaks: leads that live now, and histories of long ago with everything that can go
wrong in them (merges across lanes, copies, withdrawals, late facts), both at a steady rate.

Deadlines pass in live time, seconds after they start, and in event time, weeks ago.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from processors.facts import RefusedFact
from streams.config import Settings
from streams.importers.shape import RefusedEvent
from streams.publisher import Publisher
from streams.registry import Registry
from streams.simulate import leads
from tests.oracle.calendar import DAY
from tests.oracle.histories import END, History, histories
from tests.oracle.records import Record
from tests.oracle.terms import QUICK

LIVE: Final = "lead-now-"
"""How the ids of leads that live now begin."""
_WEEK: Final = 7 * DAY
_AGO: Final = 45 * DAY
"""How long ago the histories ended, at least: all is due, and nothing of it notifies any more."""
_LIVE_POLICIES: Final[Mapping[str, Any]] = {
    "assignment": {"targets": "2 s"},
    "acceptance": {"targets": "8 s"},
    "first_response": {"targets": {"hot": "3 s", "warm": "6 s", "cold": "9 s"}},
    "owner_response": {"targets": {"hot": "3 s", "warm": "6 s", "cold": "9 s"}},
    "cadence": {"targets": "10 s", "attempts": 3},
    "qualification": {"targets": "10 s"},
    "next_response": {"targets": "4 s"},
    "stage_age": {"targets": {"inquiry": "6 s", "mql": "8 s", "sal": "9 s"}},
    "inactivity": {"targets": {"sal": "5 s", "sql": "8 s", "opportunity": "9 s"}},
}


def agreement_now() -> dict[str, Any]:
    """The version that holds for leads that live now: in force since yesterday."""
    since = datetime.now(UTC) - timedelta(hours=30)
    return {
        **QUICK, "version": "live", "effective_from": since.isoformat(timespec="seconds"), "policies": _LIVE_POLICIES,
        "cooldowns": {"no_budget": "5 s"}, "teams": {"north": {}, "overseas": {}}, "ladder": [50, 100],
    }  # fmt: skip


AGREED_THEN: Final[Mapping[str, Any]] = QUICK
"""The version that the histories are judged by."""


def past(number: int, *, start: int = 0) -> list[Record]:
    """Histories of long ago, without erasures (what a tombstone refuses depends on when it was read), in the order of
    receipt. `start`: the seed.
    """
    told: list[History] = []

    @settings(
        max_examples=number, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @seed(start)
    @given(histories(agreements=[(AGREED_THEN,)]))
    def tell(history: History) -> None:
        told.append(history)

    tell()
    now = round(time.time() * 1000)
    shift = (now - _AGO - END - 10 * DAY) // _WEEK * _WEEK  # whole weeks, so that Mondays stay Mondays
    out = []
    for place, (records, _, _) in enumerate(told):
        if any(record.name == "LeadErased" for record in records):
            continue
        for record in records:
            event = dict(record.event)
            event["lead_id"] = f"then-{place}-{event['lead_id']}"
            if "into" in event:
                event["into"] = f"then-{place}-{event['into']}"
            for field in ("occurred_at", "until", "wake_date"):
                if event.get(field) is not None:
                    event[field] += shift
            out.append(Record(record.name, event, record.received_at + shift))
    return sorted(out, key=lambda record: record.received_at)


class Load:
    """Publishes in a thread until stopped. `history`: how many records of the past a second, while they last."""

    def __init__(
        self,
        settings: Settings,
        then: Sequence[Record],
        *,
        leads_per_second: float = 25,
        history_per_second: float = 80,
    ) -> None:
        self._settings = settings
        self._then = iter(then)
        self._rates = leads_per_second, history_per_second
        self._enough = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.published = 0

    def start(self) -> Load:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Returns when everything published has been taken by the brokers."""
        self._enough.set()
        self._thread.join(150)
        if self._failure is not None:
            raise self._failure
        assert not self._thread.is_alive(), "the load does not end"

    def _run(self) -> None:
        try:
            with Registry(self._settings.registry_url) as registry, Publisher(self._settings, registry) as publisher:
                for name, event, received_at in self._due():
                    try:
                        publisher.publish(name, event, received_at=received_at)
                    except (RefusedFact, RefusedEvent):
                        continue
                    self.published += 1
        except BaseException as error:
            self._failure = error

    def _due(self) -> Iterator[tuple[str, dict[str, Any], int | None]]:
        """Events as their time comes."""
        per_second, history = self._rates
        live = leads(seed=round(time.time()), per_second=per_second, pace_ms=1_000, run=LIVE.removeprefix("lead-"))
        following = next(live)
        begun = time.monotonic()
        told = 0
        while not self._enough.wait(0.01):
            since = time.monotonic() - begun
            while following.at <= since * 1000:
                event = {**following.event, "occurred_at": round(time.time() * 1000)}
                yield following.name, event, None
                following = next(live)
            while told < since * history:
                told += 1
                record = next(self._then, None)
                if record is not None:
                    yield record.name, dict(record.event), record.received_at
