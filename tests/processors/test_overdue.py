"""The count of broken promises that are still open: what the alert on unworked leads rests on."""

from __future__ import annotations

from processors.erasure import Erased
from processors.lane import LaneFold
from tests.processors.support import AGREEMENTS, HOUR, START, fact


def _fold() -> LaneFold:
    return LaneFold(AGREEMENTS, lambda value: value, Erased(b""), grace_ms=0)


def test_a_lead_is_overdue_from_the_breach_to_the_answer() -> None:
    fold = _fold()
    fold.fold([fact("LeadCaptured", 0, hand_raise=True)])
    fold.advance(START + 3 * HOUR)
    assert fold.counters["overdue"] == 0
    fold.advance(START + 5 * HOUR)
    assert fold.counters["overdue"] == 1
    fold.advance(START + 9 * HOUR)
    fold.fold([fact("TouchRecorded", 8, received=9, outcome="bounced")])
    assert fold.counters["overdue"] == 1
    answer = fact("TouchRecorded", 10, outcome="connected")
    fold.fold([answer])
    assert fold.counters["overdue"] == 0
    fold.fold([fact("TouchRecorded", 10, outcome="connected")])
    assert fold.counters["overdue"] == 0


def test_an_answer_in_time_that_comes_late_takes_the_lead_off() -> None:
    fold = _fold()
    fold.fold([fact("LeadCaptured", 0, hand_raise=True)])
    fold.advance(START + 5 * HOUR)
    fold.fold([fact("TouchRecorded", 1, received=6, outcome="connected")])
    assert fold.counters["overdue"] == 0


def test_an_answer_taken_back_puts_the_lead_on_again() -> None:
    fold = _fold()
    fold.fold([fact("LeadCaptured", 0, hand_raise=True)])
    fold.advance(START + 5 * HOUR)
    fold.fold([fact("TouchRecorded", 6, event_id="t", outcome="connected")])
    assert fold.counters["overdue"] == 0
    fold.fold([fact("FactWithdrawn", 7, withdrawn_event_id="t")])
    fold.advance(START + 8 * HOUR)
    assert fold.counters["overdue"] == 1


def test_what_ends_a_clock_takes_the_lead_off() -> None:
    fold = _fold()
    fold.fold([fact("LeadCaptured", 0, hand_raise=True)])
    fold.advance(START + 5 * HOUR)
    fold.fold([fact("LeadDisqualified", 6)])
    assert fold.counters["overdue"] == 0


def test_test_traffic_counts_for_nothing() -> None:
    fold = _fold()
    fold.fold([fact("LeadCaptured", 0, hand_raise=True, is_test=True)])
    fold.advance(START + 5 * HOUR)
    assert fold.counters["overdue"] == 0
    assert fold.counters["breaches.first_response"] == 0
    assert fold.counters["sla.breached"] == 1
