"""What Prometheus is told of a lane: what is durable, once, whoever owns the lane."""

from __future__ import annotations

from collections import Counter

from streams.metrics import BREACHES, EVENTS
from streams.worker.measures import Measures
from tests.processors.support import START
from tests.worker.support import HOUR, lane, record

LANE = 0


def events() -> float:
    return float(EVENTS.labels(lane=str(LANE))._value.get())


def breaches() -> float:
    return float(BREACHES.labels(policy="first_response")._value.get())


def test_what_is_folded_while_a_commit_is_on_its_way_is_counted_with_its_own_commit() -> None:
    made = lane()
    measures = Measures()
    measures.opened(LANE, Counter(made.fold.counters), 0.0)
    before = events(), breaches()
    made.add(0, [record(0, "LeadCaptured", 0, hand_raise=True)])
    made.work([START + HOUR] * 3)
    first = made.batch()
    # The transaction is being written; meanwhile the lane works on, and the deadline passes.
    made.add(0, [record(1, "LeadCaptured", 1, lead_id="lead-2", event_id="second")])
    made.work([START + 5 * HOUR] * 3)
    measures.committed(LANE, first, 0.0)
    assert (events() - before[0], breaches() - before[1]) == (1, 0)
    measures.committed(LANE, made.batch(), 0.0)
    assert (events() - before[0], breaches() - before[1]) == (2, 1)


def test_what_an_earlier_owner_has_told_is_not_told_again() -> None:
    made = lane()
    measures = Measures()
    measures.opened(LANE, Counter(made.fold.counters), 0.0)
    made.add(0, [record(0, "LeadCaptured", 0, hand_raise=True)])
    made.work([START + 5 * HOUR] * 3)
    measures.committed(LANE, made.batch(), 0.0)
    told = events(), breaches()
    measures = Measures()
    measures.opened(LANE, Counter(made.fold.counters), 0.0)
    measures.committed(LANE, made.batch(), 0.0)
    assert (events(), breaches()) == told
