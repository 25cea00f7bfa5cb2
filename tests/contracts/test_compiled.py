"""The compiled encoder writes what fastavro writes, byte by byte, for every contract."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import CATALOG
from schemas.compiled import compiled

LONGS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-200, 200), st.integers(10**12, 2 * 10**12))


def values(kind: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, list):
        return st.one_of(*map(values, kind))
    match kind if isinstance(kind, str) else kind["type"]:
        case "null":
            return st.none()
        case "string":
            return st.text(max_size=200)
        case "long":
            return LONGS
        case "int":
            return st.integers(-(2**31), 2**31 - 1)
        case "boolean":
            return st.booleans()
        case "bytes":
            return st.binary(max_size=300)
        case "double":
            return st.floats(allow_nan=False)
        case "enum":
            return st.sampled_from(kind["symbols"])
        case "array":
            return st.lists(values(kind["items"]), max_size=4)
        case "map":
            return st.dictionaries(st.text(max_size=20), values(kind["values"]), max_size=4)
        case _:
            return st.fixed_dictionaries({field["name"]: values(field["type"]) for field in kind["fields"]})


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_the_same_bytes_as_fastavro(name: str) -> None:
    encode = compiled(CATALOG[name].schema)

    @settings(max_examples=60, deadline=None)
    @given(values(CATALOG[name].schema))
    def check(record: dict[str, Any]) -> None:
        buffer = BytesIO()
        schemaless_writer(buffer, CATALOG[name].parsed, record)
        assert encode(record) == buffer.getvalue()

    check()


@pytest.mark.parametrize(
    ("field", "value"),
    [("cycle", 2**63), ("cycle", "one"), ("implied", None), ("lead_id", None), ("change", "unheard")],
)
def test_a_wrong_value_is_never_encoded(field: str, value: object) -> None:
    schema = CATALOG["LeadTransition"].schema
    plain = {"string": "x", "int": 1, "long": 1, "boolean": True}
    record = {
        item["name"]: plain.get(item["type"]) if isinstance(item["type"], str) else None for item in schema["fields"]
    }
    record |= {"change": "stated", "entered_at": 1, "emitted_at": 1}
    assert compiled(schema)(record)
    with pytest.raises((ValueError, TypeError, AttributeError, KeyError, OverflowError)):
        compiled(schema)(record | {field: value})
