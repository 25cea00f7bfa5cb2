"""One lead id under everything: the lead is closed before its state outgrows a record, and its lane goes on."""

from __future__ import annotations

import pytest

from processors import lane as lanes
from processors import lead as leads
from processors.erasure import Erased
from processors.lane import LaneFold
from processors.state import packed_size
from tests.processors.support import AGREEMENTS, LEAD, START, Told, fact

MOST = 8_000


def a_large_lead() -> LaneFold:
    """As written, and restored by the next owner."""
    made = LaneFold(AGREEMENTS, lambda value: value, Erased(b"key"))
    made.fold([fact("LeadScored", hours / 10) for hours in range(100)])
    [(_, record)] = made.changed()
    assert record is not None
    assert packed_size(record["fold"]) > MOST > len(record["fold"])
    again = LaneFold(AGREEMENTS, lambda value: value, Erased(b"key"))
    again.restore(LEAD, record["fold"], record["next_deadline"])
    again.restored()
    return again


def test_further_events_of_too_large_a_lead_are_refused_and_other_leads_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_MOST_BYTES", MOST)
    made = a_large_lead()
    facts = [fact("LeadScored", 20), fact("LeadCaptured", 20, lead_id="lead-2")]
    assert [(item.fact, item.reason) for item in made.fold(facts)] == [(facts[0], "lead_too_large")]
    assert [name for name, _ in made.changed()] == ["lead-2"]
    assert made.counters["refused.lead_too_large"] == 1


def test_it_is_too_large_for_the_owner_who_wrote_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_MOST_BYTES", MOST)
    monkeypatch.setattr(lanes, "_MOST_LIVE", 0)
    made = LaneFold(AGREEMENTS, lambda value: value, Erased(b"key"))
    made.fold([fact("LeadScored", hours / 10) for hours in range(100)])
    made.changed()
    assert [item.reason for item in made.fold([fact("LeadScored", 20)])] == ["lead_too_large"]


def test_too_large_a_lead_can_be_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_MOST_BYTES", MOST)
    made = a_large_lead()
    assert made.fold([fact("LeadErasureRequested", 20), fact("LeadErased", 21)]) == []
    made.advance(START + 22 * 3_600_000)
    assert made.look(LEAD).stage == "erased"


def test_what_is_kept_of_an_erased_leads_later_events_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leads, "_MOST_REFUSED", 80)
    told = Told().take([fact("LeadErased", 0)]).fire(1)
    told.take([fact("LeadScored", 2 + number) for number in range(50)])
    assert len(told.memory.refused) == 80
    assert told.memory.refused_erased == 50
    assert [outcome.refused[0][0] for outcome in told.outcomes[1:]] == ["refused_erased"] * 50
