"""What a lane holds beyond its last commit is reckoned in bytes, whatever it is that it holds."""

from __future__ import annotations

import pytest

from processors.erasure import Erased
from processors.facts import Fact, to_fact
from processors.lane import LaneFold
from processors.vocabulary import NEVER
from tests.processors.support import AGREEMENTS, HOUR, START, event


def touch(lead_id: str, number: int = 1) -> Fact:
    name = "TouchRecorded"
    return to_fact(name, event(name, number, lead_id=lead_id, event_id=f"t{number}"), START + number * HOUR)


def grown(touches: int) -> bytes:
    """A packed lead."""
    fold = LaneFold(AGREEMENTS, bytes, Erased(b"key"))
    fold.fold([touch("lead", number) for number in range(touches)])
    ((_, record),) = fold.changed()
    assert record is not None
    return record["fold"]


@pytest.mark.parametrize("touches", [1, 100])
def test_a_lead_counts_for_its_size_once_until_it_is_written(touches: int) -> None:
    fold = LaneFold(AGREEMENTS, bytes, Erased(b"key"))
    packed = grown(touches)
    for number in range(3):
        fold.restore(f"lead-{number}", packed, NEVER)
    fold.fold([touch("lead-0", 200)])
    one = fold.pending_bytes
    assert one > len(packed)
    fold.fold([touch("lead-1", 200), touch("lead-2", 200)])
    assert fold.pending_bytes == 3 * one
    before = fold.pending_bytes
    fold.fold([touch("lead-0", 201)])
    assert 0 < fold.pending_bytes - before < 1_000
    fold.changed()
    assert fold.pending_bytes == 0


def test_copies_of_events_of_many_leads_count_too() -> None:
    fold = LaneFold(AGREEMENTS, bytes, Erased(b"key"))
    packed = grown(10)
    for number in range(100):
        fold.restore(f"lead-{number}", packed, NEVER)
    fold.fold([touch(f"lead-{number}", 3) for number in range(100)])
    assert fold.changed() == []
    assert fold.counters["copies"] == 100
    fold.fold([touch(f"lead-{number}", 3) for number in range(100)])
    assert fold.pending_bytes == 0  # they were unpacked already, and stay so: as many as _MOST_LIVE
