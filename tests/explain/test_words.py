"""Amounts, times and events in words."""

from __future__ import annotations

from typing import Any

import pytest

from processors.facts import _DETAILS
from processors.vocabulary import DAY, HOUR, POLICIES, RANK
from streams.explain.words import PROMISES, amount, event, local
from tests.explain.support import PERSON

MINUTE = 60_000


@pytest.mark.parametrize(
    ("milliseconds", "working", "words"),
    [
        (0, False, "0 seconds"),
        (1_999, False, "1 second"),
        (MINUTE, True, "1 working minute"),
        (70 * MINUTE, True, "70 working minutes"),
        (2 * HOUR - 1, False, "119 minutes"),
        (2 * HOUR, False, "2 hours"),
        (2 * HOUR + 10 * MINUTE, True, "2 working hours 10 min"),
        (47 * HOUR, False, "47 hours"),
        (2 * DAY, False, "2 days"),
        (2 * DAY + 5 * HOUR, False, "2 days 5 h"),
        (48 * HOUR, True, "48 working hours"),  # a working day has as many hours as its calendar gives it
    ],
)
def test_amounts(milliseconds: int, working: bool, words: str) -> None:
    assert amount(milliseconds, working=working) == words


def test_times_are_the_teams_own() -> None:
    at = 1_793_610_000_000
    assert local(at, "Europe/Amsterdam") == "Mon 2 Nov 2026 10:00"
    assert local(at, "Asia/Kolkata") == "Mon 2 Nov 2026 14:30"
    assert local(at + 5_000, "America/New_York") == "Mon 2 Nov 2026 04:00:05"


def test_every_policy_has_its_words() -> None:
    assert set(PROMISES) == set(POLICIES)


@pytest.mark.parametrize("kind", RANK)
def test_every_event_has_words_of_its_own(kind: str) -> None:
    details: dict[str, Any] = dict.fromkeys(_DETAILS[kind], "word") | {"fields": ["phone"], "hand_raise": True}
    words = event(kind, {**details, "person": PERSON, "reason_text": PERSON["name"]})
    assert kind not in words
    assert not [value for value in PERSON.values() if value in words]
    empty = dict.fromkeys(details) | {"fields": []}
    if kind in ("LeadQualified", "LeadAccepted", "LeadSalesQualified", "LeadResumed", "LeadErased"):
        assert "None" not in event(kind, empty)
