"""Histories that once told fold and oracle apart, at their shortest: each in many processing orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from tests.oracle.calendar import HOUR, MINUTE
from tests.oracle.events import record
from tests.oracle.histories import START
from tests.oracle.records import Record
from tests.oracle.test_against_fold import expected, told
from tests.oracle.test_oracle import PLAIN
from tests.oracle.walk import tell


def _record(name: str, hours: float, event_id: str, *, late: float = 0.0, **fields: Any) -> Record:
    at = START + round(hours * HOUR)
    return record(name, at, event_id, received=at + round(late * HOUR), **fields)


BRISK: Mapping[str, Any] = {
    **PLAIN,
    "policies": {**PLAIN["policies"], "stage_age": {"targets": {"inquiry": "4 h", "mql": "2 d"}}},
}

MERGED_AGAIN_AFTER_ERASURE = (
    _record("LeadMerged", 0, "x4", lead="b", into="a"),
    _record("LeadNurtured", 0.1, "b0", lead="b", wake_date=START + 8 * HOUR + MINUTE),
    _record("LeadErased", 14, "b1", lead="a"),
    _record("LeadMerged", 14.1, "m2", late=10, lead="b", into="a"),
    _record("LeadMerged", 86, "m7", lead="a", into="b"),
    _record("TouchRecorded", 86.5, "m8", lead="a"),
)
"""The loser is united a second time with what is by then a tombstone; what came before stays as it was judged."""

TWO_MERGES_UNDER_ONE_ID = (
    _record("LeadQualified", 0, "q1", lead="b"),
    _record("OpportunityOpened", 0, "q2", lead="c"),
    _record("LeadMerged", 1, "m", lead="b", into="a"),
    _record("LeadMerged", 1, "m", lead="c", into="a"),
    _record("TouchRecorded", 30, "t", lead="a"),
)
"""Identity is the lead's, the source's and the event's: these are two, and each moves the survivor."""

REFUSED_ON_TWO_WAYS = (
    _record("LeadErased", 8, "b0", lead="d"),
    _record("LeadMerged", 87, "x6", lead="a", into="d"),
    _record("LeadMerged", 199.5, "m17", lead="c", into="d"),
    _record("TouchRecorded", 376.6, "m30", lead="a"),
    _record("LeadMerged", 376.5, "b29", late=60, lead="a", into="c"),
)
"""Which merge of `a` counts is known late: its touch comes to the tombstone by way of `c` and straight; one is called back."""

A_CLOCK_THAT_TWO_MERGES_BRING = (
    _record("LeadCaptured", 0.25, "x1", lead="a"),
    _record("LeadMerged", 14, "x0", lead="a", into="b"),
    _record("TouchRecorded", 96.5, "m3", lead="a"),
    _record("TouchRecorded", 107, "m4", lead="a"),
    _record("OpportunityOpened", 107.51, "x7", lead="b", opportunity_id="o"),
    _record("OpportunityWon", 107.52, "m6", lead="b", opportunity_id="o"),
    _record("LeadMerged", 141.75, "m11", late=60, lead="a", into="b"),
    _record("OpportunityWon", 299, "m31", late=1, lead="b", opportunity_id="o"),
    _record("LeadErased", 338, "m36", lead="a"),
    _record("LeadMerged", 338.01, "x38", lead="a", into="b"),
)
"""Where `m11` is known before `x0`, both have passed on the first clock of `a` until one is called back."""

TWO_BODIES_OF_A_DISPUTED_WITHDRAWAL = (
    _record("OpportunityWon", 24, "b1", lead="b", opportunity_id="o"),
    _record("FactWithdrawn", 124, "w13", lead="b", withdrawn_event_id="b1"),
    _record("FactWithdrawn", 124.9, "w13", late=0.1, lead="b", withdrawn_event_id="b1"),
    _record("LeadErased", 133.5, "z17", lead="b"),
)
"""What it names is folded away between the two; still it is disputed once."""

FOLDED_AWAY_BEFORE_THE_TOMBSTONE = (
    _record("LeadMerged", 48, "b3", lead="a", into="b"),
    _record("LeadErased", 169.1, "m9", lead="b"),
    _record("LeadRecycled", 169.2, "m10", late=30, lead="a"),
    _record("LeadSalesQualified", 217.2, "m17", lead="a"),
    _record("LeadPaused", 289.2, "m13", lead="a"),
    _record("FactWithdrawn", 289.1, "w23", late=0.1, lead="a", withdrawn_event_id="m17"),
)
"""A lane that waits for others keeps an erased lead's facts; what came after the erasure stays refused as such."""

A_BREACH_TOLD_BEFORE_THE_LEAD_MOVED_ON = (
    _record("LeadCaptured", 24.5, "m2", lead="a", hand_raise=True),
    _record("LeadNurtured", 183, "b21", lead="a"),
    _record("LeadMerged", 374, "m28", lead="c", into="b"),
    _record("LeadMerged", 391, "b33", late=2, lead="a", into="c"),
)
"""Where `m28` is known last, `c` takes the clock back as it passes it on; that its breach has been told goes with it."""

DATED_AHEAD_OF_THE_CLOCK = (
    _record("LeadCaptured", 590, "c", lead="a"),
    _record("LeadNurtured", 591, "n", lead="a", wake_date=START + 605 * HOUR),
    _record("TouchRecorded", 610, "t", lead="b"),
)
"""It is hour 600 on the lane: what it reads ahead of that, of another lead, wakes nobody."""

RARE = (236, 1172)
"""Orders in which the clock that two merges bring went wrong; two in 1,500 do."""


@pytest.mark.parametrize(
    "records",
    [
        MERGED_AGAIN_AFTER_ERASURE,
        TWO_MERGES_UNDER_ONE_ID,
        REFUSED_ON_TWO_WAYS,
        A_CLOCK_THAT_TWO_MERGES_BRING,
        TWO_BODIES_OF_A_DISPUTED_WITHDRAWAL,
        FOLDED_AWAY_BEFORE_THE_TOMBSTONE,
        A_BREACH_TOLD_BEFORE_THE_LEAD_MOVED_ON,
        DATED_AHEAD_OF_THE_CLOCK,
    ],
    ids=[
        "merged again after erasure",
        "two merges under one id",
        "refused on two ways",
        "a clock that two merges bring",
        "two bodies of a disputed withdrawal",
        "folded away before the tombstone",
        "a breach told before the lead moved on",
        "dated ahead of the clock",
    ],
)
def test_a_corner_is_told_alike_in_any_order(records: Sequence[Record]) -> None:
    history = (list(records), [BRISK], START + 600 * HOUR)
    stories = tell(history[0], history[1], now=history[2])
    right = expected(stories)
    assert told(history, stories, None) == right
    for seed in (*range(100), *RARE):
        assert told(history, stories, Random(seed)) == right
