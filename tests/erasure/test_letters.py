"""What is set aside of an erased lead holds nothing of the person, whatever was wrong with it."""

from __future__ import annotations

from typing import Any

from processors.agreement import Agreement, Agreements
from processors.erasure import Erased
from processors.lane import LaneFold
from schemas.wire import Decoder
from streams.config import ClockMode
from streams.topics import READ_BY_LANES
from streams.worker.intake import Intake
from streams.worker.lane import Lane
from tests.worker.support import ENCODER, HOUR, Read, Rec, decoder, record

PERSON = {"name": "Ann Example", "email": "ann@example.com", "phone": None}
AGREEMENT = "version: v\neffective_from: 2000-01-01T00:00:00Z\nsources: [website]\npolicies: {}\n"


def lane() -> Lane:
    known: Decoder = decoder()
    agreements = Agreements([Agreement.parse(AGREEMENT)])
    fold = LaneFold(agreements, lambda value: known.decode(value)[1]["fold"], Erased(b"key"))
    intake = Intake(known, ENCODER, READ_BY_LANES, 0, clock=ClockMode.BROKER, max_record_bytes=10_000)
    return Lane(0, fold, intake, known, ENCODER, None)


def captured(offset: int, hours: float, **fields: Any) -> Rec:
    return record(offset, "LeadCaptured", hours, event_id=f"c{offset}", person=PERSON, **fields)


def broken(offset: int, hours: float, **fields: Any) -> Rec:
    rec = captured(offset, hours, **fields)
    assert rec.value is not None
    return Rec(rec.offset, rec.timestamp, rec.key, rec.value[:-1], rec.headers)


def letters(read: Read, *records: Rec) -> list[dict[str, Any]]:
    read.lane.add(0, records)
    done = records[-1].timestamp + HOUR
    read.lane.work([done, done, done, 0])
    read.commit()
    return [letter for letter in read.letters if letter["offset"] in [rec.offset for rec in records]]


def test_letters_of_an_erased_lead_hold_nothing_of_the_person() -> None:
    read = Read(lane())
    [before] = letters(read, captured(0, 0, source="website"), broken(1, 1))
    assert before["reason"] == "undecodable"
    assert b"Ann" in before["value"]  # of this one only the retention of the topic makes an end
    erased = record(2, "LeadErased", 2, event_id="gone")
    # In the batch of the LeadErased, and long after it.
    for first in (3, 10):
        found = letters(
            read,
            *([erased] if first == 3 else []),
            captured(first, first, source="website"),
            captured(first + 1, first, source="nowhere"),
            broken(first + 2, first),
            captured(first + 3, first, source="website", occurred_at=1),
            captured(first + 4, first, source="nowhere", lead_id="other"),
        )
        reasons = {letter["offset"]: letter["reason"] for letter in found}
        assert reasons == {
            first: "refused_erased",
            first + 1: "unknown_source",
            first + 2: "undecodable",
            first + 3: "occurred_at_out_of_range",
            first + 4: "unknown_source",
        }
        for letter in found:
            mine = letter["lead_id"] == "lead-1"
            assert (b"Ann" not in (letter["value"] or b"")) == mine, letter["reason"]
            assert (letter["value"] is None) == (mine and letter["offset"] in (first + 2, first + 3))


def test_the_lead_is_known_again_after_a_restart() -> None:
    read = Read(lane())
    letters(read, captured(0, 0, source="website"), record(1, "LeadErased", 1, event_id="gone"))
    fold = read.lane.fold
    assert fold.is_erased("lead-1")
    assert not fold.is_erased("other")
    anew = lane().fold
    [name] = fold._packed
    anew.restore(name, b"", 2**63 - 1)
    assert anew.is_erased("lead-1")
