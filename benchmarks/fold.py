"""`python -m benchmarks.fold`: the fold alone, on one core, without decoding, encoding or a log.

The simulated company's events, all twelve policies; in order, with a tenth of the facts late, and with merges.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import time
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from processors.agreement import DEFAULTS
from processors.erasure import Erased
from processors.facts import Fact, to_fact
from processors.lane import LaneFold
from schemas.catalog import CATALOG
from streams.simulate import leads

START = 1_700_000_000_000
HOUR = 3_600_000
BATCH = 1_000


class Figure(NamedTuple):
    what: str
    events: int
    seconds: float
    states: float
    """Seconds of it spent on packing the states that changed, once a batch."""
    said: int
    """Statements made: transitions and SLA events."""


def facts(count: int, *, late: float = 0.0, merged: float = 0.0) -> list[Fact]:
    """The first `count` simulated events, by arrival. `late`: share received 1 to 48 h after they happened; `merged`:
    share after which the lead is merged into another one.
    """
    random = Random(7)  # a workload
    made = []
    before = "nobody"
    for number, item in enumerate(itertools.islice(leads(seed=1, per_second=1, pace_ms=60_000), count)):
        at = START + item.at
        delay = random.randrange(HOUR, 48 * HOUR) if random.random() < late else 0
        made.append(to_fact(item.name, item.event | {"occurred_at": at}, at + delay))
        if random.random() < merged and item.event["lead_id"] != before:
            made.append(to_fact("LeadMerged", _merge(number, item.event["lead_id"], before, at), at))
        before = item.event["lead_id"]
    return sorted(made, key=lambda fact: fact.received_at)


def _merge(number: int, lead_id: str, into: str, at: int) -> dict[str, object]:
    defaults = {
        field["name"]: field["default"] for field in CATALOG["LeadMerged"].schema["fields"] if "default" in field
    }
    return {
        **defaults, "event_id": f"merge-{number}", "lead_id": lead_id, "into": into, "occurred_at": at + 1,
        "source_system": "simulation",
    }  # fmt: skip


def fold(what: str, work: Sequence[Fact]) -> Figure:
    lane = LaneFold(DEFAULTS, lambda value: value, Erased(b"bench"))
    gc.collect()
    gc.freeze()
    states = 0.0
    said = 0
    began = time.perf_counter()
    for batch in _batches(work):
        lane.fold(batch)
        lane.advance(batch[-1].received_at - 1)
        while (drained := lane.drain()).passed_on:
            said += len(drained.transitions) + len(drained.sla_events)
            lane.fold_foreign(drained.passed_on)
        said += len(drained.transitions) + len(drained.sla_events)
        before = time.perf_counter()
        lane.changed()
        states += time.perf_counter() - before
    return Figure(what, len(work), time.perf_counter() - began, states, said)


def _batches(work: Sequence[Fact]) -> list[Sequence[Fact]]:
    return [work[at : at + BATCH] for at in range(0, len(work), BATCH)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fold", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    options = parser.parse_args()
    table = Table(
        "facts", "events", "events/s", "us/event", "of it states", "statements/event", title="The fold alone, one core"
    )
    for what, late, merged in (
        ("in order", 0.0, 0.0),
        ("a tenth late", 0.1, 0.0),
        ("a tenth late, 2 % merges", 0.1, 0.02),
    ):
        figure = fold(what, facts(options.events, late=late, merged=merged))
        table.add_row(
            what, f"{figure.events:,}", f"{figure.events / figure.seconds:,.0f}",
            f"{figure.seconds / figure.events * 1e6:.1f}", f"{figure.states / figure.events * 1e6:.1f}",
            f"{figure.said / figure.events:.2f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
