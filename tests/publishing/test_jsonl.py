"""What a line of JSON Lines means, and what a refused one is told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog import CATALOG
from schemas.wire import Decoder, Encoder
from streams.errors import InputError
from streams.importers import open_source
from streams.importers.jsonl import LONGEST, Lines, parse
from streams.importers.shape import EVENTS, RefusedEvent
from tests.publishing.support import NOON, line

DAY = 86_400_000


def refusal(text: str | bytes) -> str:
    with pytest.raises(RefusedEvent) as caught:
        parse(text, NOON)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_line_becomes_a_complete_event() -> None:
    item = parse(line(campaign="spring", hand_raise=True, person={"email": "a@example.org"}), NOON)
    assert item.name == "LeadCaptured"
    assert item.received_at is None
    assert item.event == {
        "event_id": "e1", "lead_id": "l1", "occurred_at": NOON, "source_system": "crm", "entered_by": "system",
        "is_test": False, "source": "web", "campaign": "spring", "channel": None, "landing_page": None,
        "person": {"name": None, "email": "a@example.org", "phone": None}, "account": None, "region": None,
        "hand_raise": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-01-01T12:00:00Z", NOON),
        ("2026-01-01T13:00:00+01:00", NOON),
        ("2026-01-01T06:30:00.250-05:30", NOON + 250),
        (NOON, NOON),
        ("2026-01-01T12:00:00.0019Z", NOON + 1),
    ],
)
def test_times_are_instants(written: object, meant: int) -> None:
    item = parse(line(occurred_at=written, received_at=written), NOON)
    assert (item.event["occurred_at"], item.received_at) == (meant, meant)


def test_a_withdrawal_stands_on_leads_unless_it_says_otherwise() -> None:
    assert parse(line("FactWithdrawn", withdrawn_event_id="x"), NOON).topic == "leads"
    assert parse(line("FactWithdrawn", withdrawn_event_id="x", topic="touches"), NOON).topic == "touches"
    told = refusal(line("FactWithdrawn", withdrawn_event_id="x", topic="campaigns"))
    assert told == "topic: FactWithdrawn belongs on leads or touches or opportunities"


TOUCH = {"channel": "call", "direction": "outbound", "origin": "sales", "actor": "human", "outcome": "connected"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON at column 1: Expecting value"),
        ("[1]", "the line is a list: expected an object with type and the fields of that type"),
        ('{"type": "LeadCaptured"', "no JSON at column 24: Expecting ',' delimiter"),
        ("[" * 100_000, "no JSON that can be read: expected an object with type and the fields of that type"),
        ('{"n": ' + "1" * 5_000 + "}", "no JSON that can be read: expected an object with type and the fields of that type"),
        ('{"type": "LeadCaptured", "type": "LeadErased"}', "'type' stands twice: give each field once"),
        (b'{"type": "\xff"}', "byte 11 is no UTF-8: save the file as UTF-8"),
        (line("LeadCapture"), "type 'LeadCapture' is no event of ours: did you mean LeadCaptured?"),
        (line(campain="x"), "LeadCaptured has no field 'campain': did you mean campaign?"),
        (line(source=...), "LeadCaptured.source is missing: it is mandatory"),
        (line(source=7), "LeadCaptured.source is a whole number: expected text"),
        (line(source=None), "LeadCaptured.source is null: expected text"),
        (line(hand_raise="yes"), "LeadCaptured.hand_raise is text of 3 characters: expected true or false"),
        (line(account="\ud800"), "LeadCaptured.account has half of a surrogate pair: give whole characters"),
        (line(person=[]), "LeadCaptured.person is a list: expected an object"),
        (line(person={"mail": ""}), "LeadCaptured.person has no field 'mail': did you mean email?"),
        (line(person={"email": 1}), "LeadCaptured.person.email is a whole number: expected text"),
        (line("LeadEnriched", fields=["a", 1]), "LeadEnriched.fields[1] is a whole number: expected text"),
        (
            line("TouchRecorded", **TOUCH | {"channel": "fax"}),
            "TouchRecorded.channel is text of 3 characters: "
            "expected one of call, email, sms, meeting, chat, social, web, event, ad",
        ),
        (
            line("TouchRecorded", **TOUCH | {"actor": "unknown"}),
            "TouchRecorded.actor is `unknown`, which is reserved: expected one of human, automated",
        ),
        (
            line(occurred_at="2026-01-01T12:00:00"),
            "LeadCaptured.occurred_at: expected an offset or Z after the time, such as 2026-01-31T09:30:00+01:00",
        ),
        (
            line(occurred_at="yesterday"),
            "LeadCaptured.occurred_at: expected an ISO-8601 time such as 2026-01-31T09:30:00+01:00",
        ),
        (
            line(occurred_at=1.5),
            "LeadCaptured.occurred_at is a number with a fraction: "
            "expected an ISO-8601 time with an offset, or epoch milliseconds",
        ),
        (
            line(occurred_at=True),
            "LeadCaptured.occurred_at is a boolean: expected an ISO-8601 time with an offset, or epoch milliseconds",
        ),
        (
            line(occurred_at=NOON // 1000),
            "LeadCaptured.occurred_at is before 1990-01-01: "
            "give milliseconds (not seconds) since 1970, or an ISO-8601 time",
        ),
        (
            line(occurred_at=NOON * 1000),
            "LeadCaptured.occurred_at is after the year 9999: "
            "give milliseconds (not microseconds) since 1970, or an ISO-8601 time",
        ),
        (
            line(occurred_at="9999-01-01T00:00:00Z"),
            "LeadCaptured.occurred_at is more than 24 h after it was received: give when it happened",
        ),
        (
            line(received_at=NOON // 1000),
            "received_at is before 1990-01-01: give milliseconds (not seconds) since 1970, or an ISO-8601 time",
        ),
        (line("LeadScored", score="9", grade="hot"), "LeadScored.score is text of 1 characters: expected a number"),
        (line("LeadScored", score=10**400, grade="hot"), "LeadScored.score is no finite number: expected a number"),
        (line("LeadScored", score=float("nan"), grade="hot"), "NaN is no JSON: expected a number, or null"),
        (
            line("OpportunityWon", opportunity_id="o", amount_minor=2**63, currency="EUR"),
            "OpportunityWon.amount_minor is too large: expected a whole number of 64 bits",
        ),
        (line("LeadRecycled", reason="other"), "LeadRecycled.reason_text is empty: reason `other` needs the text"),
        (line(lead_id=""), "LeadCaptured.lead_id is empty: give a non-empty string"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_told_with_field_and_mend(text: str | bytes, told: str) -> None:
    assert refusal(text) == told


def test_unlike_words_are_told_what_there_is() -> None:
    assert refusal(line("Purchase")).endswith("expected one of " + ", ".join(sorted(EVENTS)))
    assert refusal(line(type=...)).startswith("type is missing: expected one of CampaignAnnounced, ")


def test_a_message_never_shows_a_value() -> None:
    secret = "jane.doe@example.org"
    for text in (line(hand_raise=secret), line(person=secret), line(occurred_at=secret), line(entered_by=secret)):
        assert secret not in refusal(text)


def test_outputs_are_the_workers_alone() -> None:
    outputs = {
        name for name in CATALOG if CATALOG[name].topics[0] not in ("leads", "touches", "opportunities", "campaigns")
    }
    assert {"LeadTransition", "LeadState", "SlaEvent", "DeadLetter", "LanePosition"} <= outputs
    for name in outputs:
        assert "is no event of ours" in refusal(json.dumps({"type": name}))


def test_what_the_worker_would_refuse_for_its_time_is_told_at_once() -> None:
    assert "received_at is more than 24 h ahead" in refusal(line(received_at=NOON + 2 * DAY))
    assert "more than 24 h after it was received" in refusal(line(received_at=NOON - 2 * DAY))
    assert parse(line(occurred_at=NOON + DAY), NOON).event["occurred_at"] == NOON + DAY


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
ENCODER = Encoder(dict.fromkeys(EVENTS, 1))


@given(st.sampled_from(sorted(EVENTS)), st.data())
def test_a_line_is_either_published_as_it_reads_or_refused(name: str, data: st.DataObject) -> None:
    fields = data.draw(st.dictionaries(st.sampled_from(EVENTS[name].field_names), JSON))
    try:
        item = parse(json.dumps({**json.loads(line(name)), **fields}), NOON)
    except RefusedEvent:
        return
    decoder = Decoder()
    decoder.learn(1, CATALOG[name].text)
    assert decoder.decode(ENCODER.encode(name, item.event)) == (name, item.event)


@given(st.binary())
def test_no_bytes_end_in_anything_but_a_refusal(raw: bytes) -> None:
    with pytest.raises(RefusedEvent):
        parse(raw, NOON)


def numbered(path: Path) -> list[tuple[int, bytes]]:
    lines = Lines(path)
    return [(lines.number, text) for text in lines]


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\ntwo")
    assert numbered(path) == [(1, b"one\r\n"), (2, b"\n"), (3, b"two")]
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    assert numbered(tmp_path / "b.gz") == [(1, b"one\n"), (2, b"two\n")]
    path.write_bytes(b"")
    assert numbered(path) == []


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"type": "' + b"x" * (3 * LONGEST) + b'"}\n' + line().encode())
    (first, long), (second, good) = numbered(path)
    assert (first, second, len(long)) == (1, 2, LONGEST + 1)
    assert refusal(long) == "the line is longer than 1,048,576 bytes: expected one object a line, on one line"
    assert parse(good, NOON).name == "LeadCaptured"


def test_a_mark_tells_whether_a_file_begins_as_it_did(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\ntwo\nthree\n")
    lines = Lines(path)
    walk = iter(lines)
    next(walk)
    after_one = lines.mark()
    next(walk)
    assert lines.mark(last=False) == after_one
    assert (after_one.lines, after_one.size) == (1, 4)
    path.write_bytes(b"One\ntwo\nthree\n")
    other = Lines(path)
    next(iter(other))
    assert other.mark() != after_one


def test_a_cut_gzip_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(f"{line()}\n".encode() * 3)[:-8])
    with pytest.raises(
        InputError, match=r"a\.jsonl\.gz: expected a whole gzip file, but the data breaks off after line 3$"
    ):
        numbered(path)


def test_a_replayed_file_comes_in_the_order_of_arrival(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    rows = [
        line(event_id="late", received_at=NOON + 3),
        line("LeadQualified", event_id="b", occurred_at=NOON),
        line(event_id="a", occurred_at=NOON),
        line(event_id="early", occurred_at=NOON - 5),
    ]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    source = open_source(path)
    got = [(item.event["event_id"], item.received_at) for item in source.events()]
    assert got == [("early", NOON - 5), ("a", NOON), ("b", NOON), ("late", NOON + 3)]
    assert source.end_of_data == NOON + 3


def test_a_replay_ends_at_the_first_line_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{line()}\n{line(source=...)}\n")
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: LeadCaptured\.source is missing"):
        list(open_source(path).events())
    with pytest.raises(InputError, match=r"nothing\.jsonl: no such file"):
        open_source(tmp_path / "nothing.jsonl")
    with pytest.raises(InputError, match=r"b\.txt: cannot tell what this is; name it with --kind xes\|olist\|jsonl"):
        open_source(path.rename(tmp_path / "b.txt"))
