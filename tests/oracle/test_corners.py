"""Histories that once told fold and oracle apart, at their shortest: each in many processing orders."""

from __future__ import annotations

from collections.abc import Sequence
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


@pytest.mark.parametrize(
    "records",
    [MERGED_AGAIN_AFTER_ERASURE, TWO_MERGES_UNDER_ONE_ID],
    ids=["merged again after erasure", "two merges under one id"],
)
def test_a_corner_is_told_alike_in_any_order(records: Sequence[Record]) -> None:
    history = (list(records), [PLAIN], START + 400 * HOUR)
    stories = tell(history[0], history[1], now=history[2])
    right = expected(stories)
    assert told(history, stories, None) == right
    for seed in range(20):
        assert told(history, stories, Random(seed)) == right
