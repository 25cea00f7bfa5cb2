"""Bad input ends as a dead letter with reason, bytes and coordinates; what stands around it is unharmed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from processors.facts import to_fact
from schemas.catalog import CATALOG
from streams.config import ClockMode
from streams.topics import END_OF_INPUT_KEY, INPUTS, RECEIVED_AT_HEADER
from tests.processors.support import START
from tests.worker.support import ENCODER, HOUR, IDS, Read, Rec, complete, lane, record

GOOD = record(0, "LeadCaptured", 0, event_id="good", lead_id="good")
CAPTURED = record(1, "LeadCaptured", 0)


def with_value(value: bytes | None) -> Rec:
    return Rec(1, START, b"lead-1", value)


def dated(occurred_at: int) -> Rec:
    body = complete("LeadCaptured", 0) | {"occurred_at": occurred_at}
    return with_value(ENCODER.encode("LeadCaptured", body))


def changed(**fields: object) -> Rec:
    return with_value(ENCODER.encode("LeadCaptured", complete("LeadCaptured", 0) | fields))


assert CAPTURED.value is not None
BODY = CAPTURED.value[5:]
UNKNOWN_GRADE = ENCODER.encode("LeadScored", complete("LeadScored", 0) | {"grade": "unknown"})


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda: with_value(CAPTURED.value[:-3]), "undecodable"),
        (lambda: with_value(b"\0\0"), "undecodable"),
        (lambda: with_value(CAPTURED.value + b"\0"), "undecodable"),
        (lambda: with_value(b"\x07" + CAPTURED.value[1:]), "unknown_magic_byte"),
        (lambda: with_value(struct.pack(">bI", 0, 999) + BODY), "unknown_schema_id"),
        (lambda: with_value(None), "null_value"),
        (lambda: Rec(1, START, None, CAPTURED.value), "null_key"),
        (lambda: Rec(1, START, b"lead-2", CAPTURED.value), "key_mismatch"),
        (lambda: with_value(ENCODER.encode("TouchRecorded", complete("TouchRecorded", 0))), "wrong_topic"),
        (lambda: with_value(UNKNOWN_GRADE), "unknown_enum_value"),
        (lambda: changed(source=""), "missing_field"),
        (lambda: changed(landing_page="x" * 2_000_000), "too_large"),
        (lambda: dated(253_370_764_800_000), "occurred_at_out_of_range"),  # the year 9999
        (lambda: dated(START // 1000), "occurred_at_out_of_range"),  # seconds taken for milliseconds
        (lambda: dated(START + 25 * HOUR), "occurred_at_out_of_range"),
        (lambda: Rec(1, START, END_OF_INPUT_KEY, None), "unexpected_end_of_input"),
    ],
)  # fmt: skip
def test_bad_input_becomes_a_dead_letter(bad: Callable[[], Rec], reason: str) -> None:
    made = lane()
    made._decoder.learn(999, None)
    read = Read(made)
    rec = bad()
    after = record(2, "LeadCaptured", 1, event_id="after", lead_id="after")
    made.add(0, [GOOD, rec, after])
    made.work([START + HOUR] * 3)
    read.commit()
    assert [item["lead_id"] for item in read.transitions] == ["good", "after"]
    [letter] = read.letters
    assert letter["reason"] == reason
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("leads", 0, 1)
    assert (letter["key"], letter["value"], letter["timestamp"]) == (rec.key, rec.value, START)
    assert made.fold.counters[f"dead_letters.{reason}"] == 1


OPPORTUNITY: dict[str, Any] = {"opportunity_id": "o-1", "source": "website"}
MEANINGLESS: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("LeadRejected", {"reason": "because"}, "unknown_reason", "reason is not one of"),
    ("LeadRejected", {"reason": ""}, "missing_field", "reason is empty"),
    ("LeadRejected", {"reason": "no_budget"}, "unknown_reason", "reason is not one of"),
    ("LeadRecycled", {"reason": "duplicate"}, "unknown_reason", "reason is not one of"),
    ("LeadDisqualified", {"reason": "other"}, "missing_field", "reason_text is empty"),
    ("OpportunityLost", {"opportunity_id": "o-1", "reason": "because"}, "unknown_reason", "reason is not one of"),
    (
        "OpportunityStageChanged",
        {"opportunity_id": "o-1", "stage_status": "unknown"},
        "unknown_enum_value",
        "stage_status",
    ),
    (
        "OpportunityStageChanged",
        {"opportunity_id": "o-1", "stage_status": "lost", "reason": "because"},
        "unknown_reason",
        "reason is not one of",
    ),
    ("OpportunityOpened", OPPORTUNITY | {"opportunity_id": ""}, "missing_field", "opportunity_id is empty"),
    ("OpportunityOpened", OPPORTUNITY | {"amount_minor": -1, "currency": "EUR"}, "invalid_value", "amount_minor"),
    ("OpportunityOpened", OPPORTUNITY | {"amount_minor": 10**16, "currency": "EUR"}, "invalid_value", "amount_minor"),
    ("OpportunityOpened", OPPORTUNITY | {"amount_minor": 1}, "invalid_value", "currency must be"),
    ("OpportunityOpened", OPPORTUNITY | {"amount_minor": 1, "currency": "eur"}, "invalid_value", "currency must be"),
    ("OpportunityOpened", OPPORTUNITY | {"owner": "lead-1"}, "invalid_value", "owner is the lead itself"),
    ("LeadAssigned", {"owner": "lead-1"}, "invalid_value", "owner is the lead itself"),
    ("LeadAssigned", {"owner": ""}, "missing_field", "owner is empty"),
    ("LeadAssigned", {"team": "x" * 513}, "invalid_value", "team has 513 characters"),
    ("LeadMerged", {"into": "lead-1"}, "invalid_value", "into is the lead itself"),
    ("LeadMerged", {"into": "\0lane"}, "invalid_value", "into starts with a NUL"),
    ("LeadMerged", {"into": "erased:0011"}, "invalid_value", "into starts with"),
    ("LeadCaptured", {"lead_id": "erased:0011"}, "invalid_value", "lead_id starts with"),
    ("LeadCaptured", {"lead_id": "\0lane"}, "invalid_value", "lead_id starts with"),
    ("LeadCaptured", {"source_system": ""}, "missing_field", "source_system is empty"),
    ("LeadEnriched", {"fields": ["phone"] * 101}, "invalid_value", "fields has 101 names"),
    ("LeadNurtured", {"wake_date": 2**62}, "invalid_value", "wake_date is after the year 9999"),
    ("LeadPaused", {"reason": "holiday", "until": 2**62}, "invalid_value", "until is after the year 9999"),
    ("FactWithdrawn", {"withdrawn_event_id": ""}, "missing_field", "withdrawn_event_id is empty"),
)


@pytest.mark.parametrize(("kind", "fields", "reason", "told"), MEANINGLESS)
def test_an_event_without_meaning_is_refused_with_field_and_mend_and_its_bytes_are_kept(
    kind: str, fields: dict[str, Any], reason: str, told: str
) -> None:
    made = lane()
    read = Read(made)
    rec = record(0, kind, 0, **fields)
    topic = INPUTS.index(CATALOG[kind].topics[0])
    made.add(topic, [rec])
    made.work([START + HOUR] * 3)
    read.commit()
    [letter] = read.letters
    assert (letter["reason"], letter["value"], letter["topic"]) == (reason, rec.value, INPUTS[topic])
    assert told in letter["detail"]
    assert f"{kind}." in letter["detail"]
    assert made.fold.counters["events"] == 0


def test_the_largest_sums_and_farthest_dates_are_taken() -> None:
    made = lane()
    made.add(2, [record(0, "OpportunityOpened", 0, **OPPORTUNITY, amount_minor=10**15, currency="EUR")])
    made.add(0, [record(0, "LeadNurtured", 0, wake_date=253_402_300_799_999)])
    made.work([START + HOUR] * 3)
    assert made.fold.counters["events"] == 2


def test_a_dead_letter_tells_field_and_mend_and_no_personal_data() -> None:
    person = {"name": "Somebody", "email": "somebody@example.org", "phone": None}
    made = lane()
    read = Read(made)
    made.add(0, [Rec(0, START, b"lead-1", changed(source="", person=person).value, (("trace", b"t"),))])
    made.work([START] * 3)
    read.commit()
    letter = read.letters[0]
    assert "LeadCaptured.source" in letter["detail"]
    assert "Somebody" not in letter["detail"]
    assert letter["headers"] == [{"key": "trace", "value": b"t"}]
    assert letter["schema_id"] == IDS["LeadCaptured"]


def test_the_import_header_counts_only_where_it_is_earlier() -> None:
    for header, expected in ((START - HOUR, START - HOUR), (START + HOUR, START)):
        made = lane(ClockMode.EVENT)
        rec = Rec(0, START, CAPTURED.key, CAPTURED.value, ((RECEIVED_AT_HEADER, str(header).encode()),))
        made.add(0, [rec])
        made.work([0] * 3)
        assert made.clock.reached["leads"] == expected


def test_a_schema_id_that_was_not_looked_up_yet_is_asked_for_before_anything_is_folded() -> None:
    made = lane()
    made.add(0, [GOOD, with_value(struct.pack(">bI", 0, 777) + BODY)])
    assert made.unknown_schemas() == {777}
    made._decoder.learn(777, None)
    assert made.unknown_schemas() == set()


def test_the_same_id_with_another_body_is_a_dead_letter_with_its_bytes() -> None:
    made = lane()
    read = Read(made)
    first = record(0, "LeadCaptured", 0, event_id="same", source="website")
    other = record(1, "LeadCaptured", 0, event_id="same", source="referral", received=1)
    made.add(0, [first, other])
    made.work([START + HOUR] * 3)
    read.commit()
    assert [letter["reason"] for letter in read.letters] == ["event_id_conflict"]
    assert read.letters[0]["value"] == other.value
    assert [item["source"] for item in read.transitions] == ["website"]


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_bodies_received_at_one_instant_the_one_with_the_smaller_hash_counts(swapped: bool) -> None:
    bodies = {source: complete("LeadCaptured", 0, event_id="same", source=source) for source in ("website", "referral")}
    hashes = {source: to_fact("LeadCaptured", body, START).body for source, body in bodies.items()}
    smaller = min(hashes, key=lambda source: hashes[source])
    made = lane()
    read = Read(made)
    for offset, source in enumerate(sorted(bodies, reverse=swapped)):
        made.add(0, [Rec(offset, START, b"lead-1", ENCODER.encode("LeadCaptured", bodies[source]))])
        made.work([START + HOUR] * 3)
    read.commit()
    assert [letter["reason"] for letter in read.letters] == ["event_id_conflict"]
    assert made.fold.look("lead-1").source == smaller


def test_a_copy_changes_nothing_and_is_counted() -> None:
    made = lane()
    read = Read(made)
    made.add(0, [record(0, "LeadCaptured", 0), record(1, "LeadCaptured", 0, received=5)])
    made.work([START + 9 * HOUR] * 3)
    read.commit()
    assert len(read.transitions) == 1
    assert (made.fold.counters["events"], made.fold.counters["copies"]) == (2, 1)
