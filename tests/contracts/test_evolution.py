"""Producers with another version of a contract, or with another toolchain: read as ours or refused by reason."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import CATALOG, Contract, parse
from schemas.wire import Decoder, WireError
from tests.contracts.records import TOUCH, records, touch

_ID = 7
Schema = dict[str, Any]


def _changed(change: Callable[[Schema], object], contract: Contract = TOUCH) -> Schema:
    schema = copy.deepcopy(dict(contract.schema))
    change(schema)
    return schema


def _field(schema: Schema, name: str) -> Schema:
    found: Schema = next(field for field in schema["fields"] if field["name"] == name)
    return found


def _framed(schema: Schema, record: dict[str, Any]) -> bytes:
    out = BytesIO()
    out.write(b"\x00\x00\x00\x00\x07")
    schemaless_writer(out, parse(schema), record)
    return out.getvalue()


def _read(schema: Schema, record: dict[str, Any], more: bytes = b"") -> tuple[str, dict[str, Any]]:
    decoder = Decoder()
    decoder.learn(_ID, json.dumps(schema))
    return decoder.decode(_framed(schema, record) + more)


def _refusal(schema: Schema, record: dict[str, Any], more: bytes = b"") -> WireError:
    with pytest.raises(WireError) as caught:
        _read(schema, record, more)
    assert caught.value.schema_id == _ID
    return caught.value


_EXTRA = {"name": "mood", "type": ["null", "string"], "default": None}


@pytest.mark.parametrize("name", CATALOG)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_newer_producers_optional_field_is_dropped(name: str, data: st.DataObject) -> None:
    contract = CATALOG[name]
    schema = _changed(lambda s: s["fields"].insert(data.draw(st.integers(0, len(s["fields"]))), _EXTRA), contract)
    record = data.draw(records(contract))
    assert _read(schema, {**record, "mood": data.draw(st.none() | st.text(max_size=5))}) == (name, record)


@pytest.mark.parametrize("name", CATALOG)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_an_older_producers_record_gets_the_defaults(name: str, data: st.DataObject) -> None:
    contract = CATALOG[name]
    defaults = {field["name"]: field["default"] for field in contract.schema["fields"] if "default" in field}

    def without_defaults(schema: Schema) -> None:
        schema["fields"] = [field for field in schema["fields"] if field["name"] not in defaults]

    record = data.draw(records(contract))
    assert _read(_changed(without_defaults, contract), record) == (name, {**record, **defaults})


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (contract.name, field["name"])
        for contract in CATALOG.values()
        for field in contract.schema["fields"]
        if "default" not in field
    ],
)
def test_a_producer_without_a_mandatory_field_is_refused_by_its_name(name: str, field: str) -> None:
    def without(schema: Schema) -> None:
        schema["fields"].remove(_field(schema, field))

    decoder = Decoder()
    decoder.learn(_ID, json.dumps(_changed(without, CATALOG[name])))
    with pytest.raises(WireError) as caught:
        decoder.decode(b"\x00\x00\x00\x00\x07")
    assert (caught.value.reason, caught.value.schema_id) == ("missing_field", _ID)
    assert f"{name}.{field} " in caught.value.detail


def test_null_in_a_mandatory_field_is_a_missing_field_record_by_record() -> None:
    schema = _changed(lambda s: _field(s, "lead_id").update(type=["null", "string"]))
    assert _read(schema, touch()) == ("TouchRecorded", touch())
    error = _refusal(schema, touch(lead_id=None))
    assert error.reason == "missing_field"
    assert "TouchRecorded.lead_id " in error.detail


def test_a_newer_enum_symbol_is_refused_and_the_others_are_read() -> None:
    schema = _changed(lambda s: _field(s, "channel")["type"]["symbols"].insert(0, "fax"))
    assert _read(schema, touch(channel="ad")) == ("TouchRecorded", touch(channel="ad"))
    error = _refusal(schema, touch(channel="fax"))
    assert error.reason == "unknown_enum_value"
    assert "TouchRecorded.channel " in error.detail
    assert "fax" not in error.detail


def test_an_enum_of_another_order_is_read_by_symbol() -> None:
    schema = _changed(lambda s: _field(s, "outcome")["type"]["symbols"].reverse())
    for outcome in ("attempted", "connected", "replied", "bounced", "no_answer"):
        assert _read(schema, touch(outcome=outcome))[1]["outcome"] == outcome


def test_a_field_we_do_not_know_may_hold_what_it_likes() -> None:
    kind = {"type": "enum", "name": "Weather", "symbols": ["sun", "unknown"]}
    schema = _changed(lambda s: s["fields"].append({"name": "weather", "type": kind}))
    assert _read(schema, {**touch(), "weather": "unknown"}) == ("TouchRecorded", touch())


def test_a_type_defined_once_and_named_after_is_read() -> None:
    def twice(schema: Schema) -> None:
        schema["fields"].insert(0, {"name": "first_channel", "type": _field(schema, "channel")["type"]})
        _field(schema, "channel")["type"] = "TouchChannel"

    schema = _changed(twice)
    assert _read(schema, {**touch(), "first_channel": "web"}) == ("TouchRecorded", touch())
    assert _refusal(schema, {**touch(channel="unknown"), "first_channel": "web"}).reason == "unknown_enum_value"


def test_an_integer_that_avro_promotes_is_read() -> None:
    schema = _changed(lambda s: _field(s, "occurred_at").update(type="int"))
    assert _read(schema, touch(occurred_at=5)) == ("TouchRecorded", touch(occurred_at=5))


def test_a_producer_may_have_a_namespace_of_its_own() -> None:
    assert _read(_changed(lambda s: s.update(namespace="com.example.crm")), touch()) == ("TouchRecorded", touch())
    moved = _changed(lambda s: s.update(name="com.example.crm.TouchRecorded"))
    assert _read(moved, touch()) == ("TouchRecorded", touch())


def test_what_java_adds_to_a_schema_changes_nothing() -> None:
    text = TOUCH.text.replace('"string"', '{"type":"string","avro.java.string":"String"}')
    assert text != TOUCH.text
    assert _read(json.loads(text), touch()) == ("TouchRecorded", touch())


@pytest.mark.parametrize("kind", ["string", "boolean", {"type": "array", "items": "long"}])
def test_another_type_is_an_incompatible_schema(kind: Any) -> None:
    schema = _changed(lambda s: _field(s, "occurred_at").update(type=kind))
    value: Any = {"string": "2026-01-01", "boolean": True}.get(kind, [1]) if isinstance(kind, str) else [1]
    error = _refusal(schema, touch(occurred_at=value))
    assert error.reason == "incompatible_schema"
    assert "2026" not in error.detail


def test_an_enum_of_another_name_is_an_incompatible_schema() -> None:
    schema = _changed(lambda s: _field(s, "channel")["type"].update(name="Medium"))
    assert _refusal(schema, touch()).reason == "incompatible_schema"


@pytest.mark.parametrize("logical", ["timestamp-micros", "timestamp-nanos", "local-timestamp-millis"])
def test_a_time_in_another_unit_is_refused_not_misread(logical: str) -> None:
    schema = _changed(lambda s: _field(s, "occurred_at").update(type={"type": "long", "logicalType": logical}))
    error = _refusal(schema, touch())
    assert error.reason == "incompatible_schema"
    assert "TouchRecorded.occurred_at " in error.detail
    assert "timestamp-millis" in error.detail


def test_a_time_without_logical_type_is_taken_for_milliseconds() -> None:
    assert _read(_changed(lambda s: _field(s, "occurred_at").update(type="long")), touch())[1] == touch()


_LINK = {"type": "record", "name": "Link", "fields": [{"name": "next", "type": ["null", "Link"]}]}


def test_data_nested_without_end_cannot_exhaust_the_stack() -> None:
    schema = _changed(lambda s: s["fields"].append({"name": "links", "type": ["null", _LINK], "default": None}))
    error = _refusal(schema, {**touch(), "links": {"next": None}})
    assert error.reason == "incompatible_schema"
    assert "contains itself" in error.detail


@pytest.mark.parametrize(
    "items",
    ["null", {"type": "fixed", "name": "Nothing", "size": 0}, {"type": "record", "name": "Empty", "fields": []}],
    ids=["null", "fixed", "record"],
)
@pytest.mark.timeout(20)
def test_a_list_of_nothing_cannot_hold_the_reader(items: Any) -> None:
    """Eight bytes would announce 2**62 items that take no space."""
    schema = _changed(lambda s: s["fields"].append({"name": "void", "type": {"type": "array", "items": items}}))
    error = _refusal(schema, {**touch(), "void": []})
    assert error.reason == "incompatible_schema"
    assert "take no space" in error.detail
