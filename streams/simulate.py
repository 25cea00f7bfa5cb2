"""A stream of leads as a company might have them: sources, hand-raises, answers in time, late or never, deals.

Pure: a seed gives the same leads for ever. Times are milliseconds from the start of the stream.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from random import Random
from typing import Any, Final, NamedTuple

from schemas.catalog import CATALOG

_SOURCES: Final = (("website", 40), ("paid_search", 25), ("referral", 15), ("event", 12), ("partner", 8))
_TEAMS: Final = (("north", ("rep-anders", "rep-berg")), ("south", ("rep-costa", "rep-diaz", "rep-esteve")))
_LOSSES: Final = ("no_need", "no_budget", "bad_timing", "competitor")


class Simulated(NamedTuple):
    """One event, due `at` milliseconds after the start; occurred_at has to be set by the caller."""

    at: int
    name: str
    event: dict[str, Any]


def _event(lead_id: str, number: int, name: str, **fields: Any) -> dict[str, Any]:
    defaults = {field["name"]: field["default"] for field in CATALOG[name].schema["fields"] if "default" in field}
    return {
        **defaults,
        "event_id": f"{lead_id}-{number}",
        "lead_id": lead_id,
        "occurred_at": 0,
        "source_system": "simulation",
        **fields,
    }


def _lead(random: Random, deal_id: str, start: int, pace: float) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The events of one lead. `pace`: milliseconds that stand for a working minute."""
    at = float(start)
    source = random.choices([name for name, _ in _SOURCES], [weight for _, weight in _SOURCES])[0]
    raised = random.random() < 0.6
    grade = random.choices(("hot", "warm", "cold"), (2, 5, 3))[0]
    yield int(at), "LeadCaptured", {"source": source, "hand_raise": raised, "campaign": f"{source}-autumn"}
    at += pace * random.uniform(0.1, 1)
    yield int(at), "LeadScored", {"grade": grade, "score": round(random.uniform(0, 100), 1)}
    if not raised and random.random() < 0.45:
        late = int(at + pace * 20)
        if random.random() < 0.4:
            yield late, "LeadNurtured", {}
        else:
            yield late, "LeadDisqualified", {"reason": "no_fit"}
        return
    at += pace * random.uniform(0.1, 2)
    yield int(at), "LeadQualified", {"definition": "q4"}
    team, owners = random.choice(_TEAMS)
    yield int(at + pace * 0.5), "LeadAssigned", {"owner": random.choice(owners), "team": team}
    if random.random() < 0.12:
        return  # nobody ever answers
    answered = at + pace * random.lognormvariate(1.2 if grade == "hot" else 1.8, 0.9)
    outcome = random.choices(("connected", "no_answer", "replied"), (5, 3, 2))[0]
    touch = {"channel": random.choice(("call", "email")), "direction": "outbound", "origin": "sales", "actor": "human"}
    yield int(answered), "TouchRecorded", {**touch, "outcome": outcome}
    at = answered + pace * random.uniform(1, 10)
    if random.random() < 0.25:
        yield int(at), "LeadRejected", {"reason": random.choice(("below_threshold", "not_target", "wrong_route"))}
        return
    yield int(at), "LeadAccepted", {}
    at += pace * random.uniform(5, 30)
    if random.random() < 0.3:
        yield int(at), "LeadRecycled", {"reason": random.choice(_LOSSES)}
        return
    yield int(at), "LeadSalesQualified", {}
    at += pace * random.uniform(5, 30)
    deal = {"opportunity_id": deal_id}
    money = {"amount_minor": random.randrange(2_000, 80_000) * 100, "currency": "EUR"}
    yield int(at), "OpportunityOpened", {**deal, **money, "source": source}
    at += pace * random.uniform(10, 60)
    if random.random() < 0.35:
        yield int(at), "OpportunityWon", {**deal, **money}
    else:
        yield int(at), "OpportunityLost", {**deal, "reason": random.choice(_LOSSES)}


def leads(*, seed: int, per_second: float, pace_ms: float, run: str = "") -> Iterator[Simulated]:
    """An endless stream in the order of `at`: about `per_second` new leads a second.

    `pace_ms`: how many milliseconds stand for a working minute of the people in it. `run` stands in every id, so that
    two runs are different leads.
    """
    random = Random(seed)  # noqa: S311  # a simulation
    due: list[tuple[int, int, str, dict[str, Any]]] = []
    serial = number = 0
    born = 0.0
    while True:
        number += 1
        born += random.expovariate(per_second) * 1000
        while due and due[0][0] <= born:
            at, _, name, event = heapq.heappop(due)
            yield Simulated(at, name, event)
        story = _lead(random, f"deal-{run}{number:07d}", int(born), pace_ms)
        for place, (at, name, fields) in enumerate(story, 1):
            serial += 1
            heapq.heappush(due, (at, serial, name, _event(f"lead-{run}{number:07d}", place, name, **fields)))
