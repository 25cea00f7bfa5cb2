"""The compiled reader reads what fastavro reads, for every contract, and leaves to it whatever is damaged."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import CATALOG
from schemas.compiled_reader import ODD, reader
from schemas.wire import HEADER, MAGIC, Decoder, UnknownSchema, WireError
from tests.contracts.test_compiled import values

ID = 7


def decoder(name: str, *, compiled: bool) -> Decoder:
    made = Decoder()
    assert made.learn(ID, CATALOG[name].text) is None
    assert made._ours
    if not compiled:
        made._ours.clear()
    return made


def said(of: Decoder, value: bytes) -> str:
    try:
        return repr(of.decode(value))
    except WireError as error:
        return f"{error.reason}: {error}"


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_the_same_as_fastavro_of_good_and_of_damaged_bytes(name: str) -> None:
    fast, slow = decoder(name, compiled=True), decoder(name, compiled=False)

    @settings(max_examples=80, deadline=None)
    @given(values(CATALOG[name].schema), st.data())
    def check(record: dict[str, Any], data: st.DataObject) -> None:
        buffer = BytesIO()
        buffer.write(HEADER.pack(MAGIC, ID))
        schemaless_writer(buffer, CATALOG[name].parsed, record)
        value = buffer.getvalue()
        assert said(fast, value) == said(slow, value)
        place = data.draw(st.integers(HEADER.size, len(value)))
        other = data.draw(st.binary(min_size=1, max_size=3))
        for damaged in (value[:place], value + other, value[:place] + other + value[place + len(other) :]):
            assert said(fast, damaged) == said(slow, damaged)

    check()


def test_what_a_worker_is_sent_goes_the_short_way() -> None:
    """Else the test above would compare fastavro with itself."""
    event = {
        field["name"]: [] if isinstance(field["type"], dict) and field["type"]["type"] == "array" else None
        for field in CATALOG["LeadCaptured"].schema["fields"]
    } | {
        "event_id": "é1", "lead_id": "l" * 300, "occurred_at": 1_700_000_000_000, "source_system": "crm",
        "entered_by": "person",
        "is_test": True, "source": "web",
    }  # fmt: skip
    event["hand_raise"] = False
    buffer = BytesIO()
    schemaless_writer(buffer, CATALOG["LeadCaptured"].parsed, event)
    body = buffer.getvalue()
    record, end = reader("LeadCaptured")(body, 0)
    assert (record, end) == (event, len(body))
    assert list(record) == [field["name"] for field in CATALOG["LeadCaptured"].schema["fields"]]


@pytest.mark.parametrize(
    "body",
    [
        b"\x01",  # a negative length
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # more than 64 bits
        b"\x02\xff",  # no UTF-8
        b"",
    ],
)
def test_what_is_unusual_is_left_to_fastavro(body: bytes) -> None:
    with pytest.raises(ODD):
        reader("LeadCaptured")(body, 0)


def test_an_id_that_is_forgotten_or_lost_is_not_read_the_short_way() -> None:
    of = decoder("LeadCaptured", compiled=True)
    value = HEADER.pack(MAGIC, ID) + b"anything"
    of.forget(ID)
    with pytest.raises(UnknownSchema):
        of.decode(value)
    assert of.learn(ID, CATALOG["LeadCaptured"].text) is None
    assert of.learn(ID, None) is not None
    assert said(of, value).startswith("unknown_schema_id")
    assert not of._ours
