"""The simulated leads: the same for a seed, valid, and rich enough for a demonstration of 20 seconds."""

from __future__ import annotations

from collections import Counter
from itertools import islice, takewhile

import pytest

from processors.agreement import Agreement, Agreements
from processors.erasure import Erased
from processors.facts import check, to_fact
from processors.lane import LaneFold
from processors.vocabulary import FORWARD
from schemas.catalog import CATALOG
from schemas.wire import Decoder, Encoder
from streams.demo.run import AGREEMENT, Options
from streams.demo.stream import PACE_MS
from streams.simulate import Simulated, leads

START = 1_800_000_000_000


def first(seconds: float, *, seed: int = 1, per_second: float = Options().per_second) -> list[Simulated]:
    stream = leads(seed=seed, per_second=per_second, pace_ms=PACE_MS)
    return list(takewhile(lambda item: item.at <= seconds * 1000, stream))


def test_a_seed_gives_the_same_leads_and_another_seed_others() -> None:
    assert first(5) == first(5)
    assert first(5) != first(5, seed=2)


def test_events_come_in_the_order_they_fall_due_at_the_rate_asked_for() -> None:
    events = first(60)
    due = [item.at for item in events]
    assert due == sorted(due)
    captured = sum(item.name == "LeadCaptured" for item in events)
    assert 60 * 20 * 0.85 < captured < 60 * 20 * 1.15


def test_ids_are_unique_and_those_of_two_runs_have_none_in_common() -> None:
    ids = {
        run: {item.event["event_id"] for item in islice(leads(seed=1, per_second=20, pace_ms=PACE_MS, run=run), 500)}
        for run in ("a-", "b-")
    }
    assert len(ids["a-"]) == len(ids["b-"]) == 500
    assert not ids["a-"] & ids["b-"]


def test_every_event_is_valid_and_survives_the_wire() -> None:
    ids = {name: number for number, name in enumerate(CATALOG, 1)}
    encoder, decoder = Encoder(ids), Decoder()
    for name, number in ids.items():
        decoder.learn(number, CATALOG[name].text)
    for item in first(60):
        event = {**item.event, "occurred_at": START + item.at}
        check(item.name, event)
        name, decoded = decoder.decode(encoder.encode(item.name, event))
        assert name == item.name
        assert {key: decoded[key] for key in event} == event


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twenty_seconds_show_every_stage_and_clocks_met_and_breached(seed: int) -> None:
    fold = LaneFold(
        Agreements([Agreement.parse(AGREEMENT.read_text(encoding="utf-8"))]), lambda value: value, Erased(b"key")
    )
    reached: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for item in first(20, seed=seed):
        now = START + item.at
        fold.advance(now - 1_500)  # the margin and the delays of a live lane
        refused = fold.fold([to_fact(item.name, {**item.event, "occurred_at": now}, now)])
        assert not refused
    said = fold.drain()
    reached.update(transition["to_stage"] for transition in said.transitions)
    kinds.update(event["kind"] for event in said.sla_events)
    assert {stage for stage in (*FORWARD, "nurture", "recycled", "disqualified") if not reached[stage]} == set()
    assert kinds["met"] > 0
    assert kinds["breached"] > 0
    assert kinds["late_met"] > 0
