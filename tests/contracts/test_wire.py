"""The wire format: whatever a contract allows survives it, whatever is broken is told by its reason."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import CATALOG
from schemas.wire import Decoder, Encoder, UnknownSchema, WireError, schema_id, schema_ids
from schemas.writers import judge
from tests.contracts.records import TOUCH, records, touch

_IDS = {name: number for number, name in enumerate(CATALOG, start=100_000)}
_TOUCH_ID = _IDS["TouchRecorded"]
_ENCODER = Encoder(_IDS)


def _decoder() -> Decoder:
    decoder = Decoder()
    for name, number in _IDS.items():
        decoder.learn(number, CATALOG[name].text)
    return decoder


_DECODER = _decoder()


def _refusal(value: bytes, decoder: Decoder = _DECODER) -> WireError:
    with pytest.raises(WireError) as caught:
        decoder.decode(value)
    return caught.value


def _body(**changes: bytes) -> bytes:
    """A framed TouchRecorded with the binary form of some fields replaced."""
    text = {"event_id": b"\x02e", "lead_id": b"\x02l", "source_system": b"\x02s", "performed_by": b"\x02\x02p"}
    plain = dict.fromkeys(TOUCH.field_names, b"\x00") | text | changes
    return struct.pack(">bI", 0, _TOUCH_ID) + b"".join(plain[name] for name in TOUCH.field_names)


@pytest.mark.parametrize("name", CATALOG)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_a_contract_allows_survives_the_wire(name: str, data: st.DataObject) -> None:
    record = data.draw(records(CATALOG[name]))
    assert _DECODER.decode(_ENCODER.encode(name, record)) == (name, record)


@pytest.mark.parametrize("name", CATALOG)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_value_cut_short_or_with_more_at_its_end_is_undecodable(name: str, data: st.DataObject) -> None:
    value = _ENCODER.encode(name, data.draw(records(CATALOG[name])))
    assert _refusal(value + b"\x00").reason == "undecodable"
    assert _refusal(value[: data.draw(st.integers(5, len(value) - 1))]).reason == "undecodable"


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=200), number=st.sampled_from(list(_IDS.values())))
def test_any_bytes_are_a_record_or_a_refusal(body: bytes, number: int) -> None:
    value = struct.pack(">bI", 0, number) + body
    try:
        name, record = _DECODER.decode(value)
    except WireError:
        error = _refusal(value)
        assert error.reason in ("undecodable", "unknown_enum_value")
        assert error.schema_id == number
    else:
        assert set(record) == set(CATALOG[name].field_names)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_flipped_byte_never_escapes_as_another_error(data: st.DataObject) -> None:
    value = bytearray(_ENCODER.encode("TouchRecorded", touch()))
    value[data.draw(st.integers(5, len(value) - 1))] = data.draw(st.integers(0, 255))
    try:
        name, record = _DECODER.decode(bytes(value))
    except WireError:
        return
    assert name == "TouchRecorded"
    assert set(record) == set(TOUCH.field_names)
    assert record["channel"] in ("call", "email", "sms", "meeting", "chat", "social", "web", "event", "ad")


def test_the_header_is_a_zero_byte_and_the_id_in_network_order() -> None:
    assert _ENCODER.encode("TouchRecorded", touch())[:5] == bytes([0]) + _TOUCH_ID.to_bytes(4, "big")
    assert schema_id(b"\x00\xff\xff\xff\xff") == 2**32 - 1


def test_times_are_plain_milliseconds() -> None:
    _, record = _DECODER.decode(_ENCODER.encode("TouchRecorded", touch(occurred_at=253_402_300_800_000)))
    assert record["occurred_at"] == 253_402_300_800_000


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00\x00\x00\x01"])
def test_too_short_for_a_header(value: bytes) -> None:
    assert _refusal(value).reason == "undecodable"
    assert schema_id(value) is None


@pytest.mark.parametrize("first", [1, 0x7B, 255])
def test_unknown_magic_byte(first: int) -> None:
    value = bytes([first]) + _ENCODER.encode("TouchRecorded", touch())[1:]
    error = _refusal(value)
    assert (error.reason, error.schema_id) == ("unknown_magic_byte", None)
    assert str(first) in error.detail
    assert schema_id(value) is None


def test_an_id_has_to_be_learnt_first() -> None:
    decoder, value = Decoder(), _ENCODER.encode("TouchRecorded", touch())
    with pytest.raises(UnknownSchema) as caught:
        decoder.decode(value)
    assert caught.value.schema_id == _TOUCH_ID
    assert not decoder.knows(_TOUCH_ID)
    decoder.learn(_TOUCH_ID, TOUCH.text)
    assert decoder.knows(_TOUCH_ID)
    assert decoder.decode(value) == ("TouchRecorded", touch())


def test_unknown_schema_id_until_it_is_registered() -> None:
    decoder, value = Decoder(), _ENCODER.encode("TouchRecorded", touch())
    decoder.learn(_TOUCH_ID, None)
    error = _refusal(value, decoder)
    assert (error.reason, error.schema_id) == ("unknown_schema_id", _TOUCH_ID)
    decoder.forget(_TOUCH_ID)
    assert not decoder.knows(_TOUCH_ID)
    decoder.learn(_TOUCH_ID, TOUCH.text)
    assert decoder.decode(value)[1] == touch()


def test_the_ids_in_a_batch_can_be_peeked_at() -> None:
    values = [
        b"\x00\x00\x00\x00\x07x",
        None,
        b"",
        b"\x01\x00\x00\x00\x08",
        b"\x00\x00\x00\x00\x07y",
        b"\x00\x00\x00\x01\x00",
    ]
    assert schema_ids(values) == {7, 256}


@pytest.mark.parametrize("index", [b"\x01", b"\x03", b"\x14", b"\x80\x94\xeb\xdc\x03"], ids=["-1", "-2", "10", "5e8"])
def test_an_enum_index_out_of_range_names_the_field(index: bytes) -> None:
    error = _refusal(_body(channel=index))
    assert error.reason == "unknown_enum_value"
    assert error.schema_id == _TOUCH_ID
    assert "TouchRecorded.channel" in error.detail


def test_the_reserved_symbol_is_refused() -> None:
    error = _refusal(_ENCODER.encode("TouchRecorded", touch(outcome="unknown")))
    assert error.reason == "unknown_enum_value"
    assert "TouchRecorded.outcome" in error.detail


def test_a_string_may_say_unknown() -> None:
    assert (
        _DECODER.decode(_ENCODER.encode("TouchRecorded", touch(performed_by="unknown")))[1]["performed_by"] == "unknown"
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"lead_id": b"\x02\xff"},
        {"lead_id": b"\x01"},
        {"lead_id": b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"},
        {"performed_by": b"\x04"},
    ],
    ids=["no UTF-8", "negative length", "endless length", "no such union branch"],
)
def test_a_broken_body_is_undecodable_and_its_data_is_not_told(broken: dict[str, bytes]) -> None:
    assert _DECODER.decode(_body())[1]["performed_by"] == "p"
    error = _refusal(_body(**broken))
    assert error.reason == "undecodable"
    assert error.detail.startswith("TouchRecorded: the body does not follow schema")


def test_refusals_do_not_pile_up() -> None:
    decoder, value = Decoder(), _ENCODER.encode("TouchRecorded", touch())
    decoder.learn(_TOUCH_ID, None)
    first, second = _refusal(value, decoder), _refusal(value, decoder)
    assert first is not second


def test_what_has_a_default_may_be_left_out_when_writing() -> None:
    given_fields = {field["name"] for field in TOUCH.schema["fields"] if "default" not in field}
    short = {name: value for name, value in touch().items() if name in given_fields}
    assert _DECODER.decode(_ENCODER.encode("TouchRecorded", short))[1] == touch(performed_by=None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"occurred_at": "2026-01-01"}, "occurred_at"),
        ({"event_id": 5}, "event_id"),
        ({"performed_by": 4915112345678}, "performed_by"),
        ({"occurred_at": 2**63}, None),
        ({"channel": "carrier pigeon"}, None),
    ],
)
def test_a_record_of_another_shape_is_not_encoded_and_not_quoted(changes: dict[str, Any], field: str | None) -> None:
    with pytest.raises(ValueError, match=r"TouchRecorded.* is missing or has a value of another type") as caught:
        _ENCODER.encode("TouchRecorded", touch(**changes))
    (value,) = changes.values()
    assert str(value) not in str(caught.value)
    assert field is None or f"TouchRecorded.{field} " in str(caught.value)


def test_a_mandatory_field_left_out_is_not_encoded() -> None:
    record = touch()
    del record["lead_id"]
    with pytest.raises(ValueError, match=r"TouchRecorded\.lead_id is missing"):
        _ENCODER.encode("TouchRecorded", record)


def test_only_registered_records_are_encoded() -> None:
    with pytest.raises(KeyError):
        Encoder({"LeadCaptured": 1}).encode("TouchRecorded", touch())


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "3", "null", '{"type":"record"}', json.dumps({"type": "nope"})]
)
def test_a_text_that_is_no_schema_is_a_refusal(text: str) -> None:
    decoder = Decoder()
    decoder.learn(_TOUCH_ID, text)
    assert _refusal(_ENCODER.encode("TouchRecorded", touch()), decoder).reason == "incompatible_schema"


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        ["null", "string"],
        {"type": "record", "name": "Touch", "fields": []},
        {"type": "array", "items": "int"},
    ],
    ids=["primitive", "union", "another name", "array"],
)
def test_another_type_is_an_unknown_record(schema: Any) -> None:
    decoder = Decoder()
    decoder.learn(_TOUCH_ID, json.dumps(schema))
    assert _refusal(_ENCODER.encode("TouchRecorded", touch()), decoder).reason == "unknown_record"


def test_a_schema_that_is_learnt_anew_is_known_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be at decoding by it."""
    decoder, value = _decoder(), _ENCODER.encode("TouchRecorded", touch())
    meanwhile: list[tuple[str, dict[str, Any]]] = []

    def judging(schema_id: int, text: str | None) -> Any:
        meanwhile.append(decoder.decode(value))
        return judge(schema_id, text)

    monkeypatch.setattr("schemas.wire.judge", judging)
    assert decoder.learn(_TOUCH_ID, CATALOG["TouchRecorded"].text) is None
    assert meanwhile == [("TouchRecorded", touch())]
