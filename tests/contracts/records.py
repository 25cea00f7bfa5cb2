"""Hypothesis strategies that follow a contract's schema: whatever it allows, the reserved enum symbol excepted."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from schemas.catalog import CATALOG, Contract
from schemas.wire import RESERVED

_LONG = st.integers(-(2**63), 2**63 - 1)
_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": _LONG,
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=30),
    "bytes": st.binary(max_size=60),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an Avro type as stated in an .avsc file."""
    if isinstance(kind, list):
        return st.one_of([values(item) for item in kind])
    if isinstance(kind, str):
        return _PRIMITIVES[kind]
    match kind["type"]:
        case "enum":
            return st.sampled_from([symbol for symbol in kind["symbols"] if symbol != RESERVED])
        case "array":
            return st.lists(values(kind["items"]), max_size=3)
        case "map":
            return st.dictionaries(st.text(max_size=10), values(kind["values"]), max_size=3)
        case "record":
            return st.fixed_dictionaries({field["name"]: values(field["type"]) for field in kind["fields"]})
        case primitive:
            return _PRIMITIVES[primitive]


def records(contract: Contract) -> st.SearchStrategy[dict[str, Any]]:
    """Complete records of a contract."""
    return values(contract.schema)


def touch(**changes: object) -> dict[str, Any]:
    """A TouchRecorded, complete."""
    return {
        "event_id": "e-1", "lead_id": "lead-1", "occurred_at": 1_700_000_000_000, "source_system": "crm",
        "entered_by": "system", "is_test": False, "channel": "call", "direction": "outbound", "origin": "sales",
        "actor": "human", "outcome": "connected", "performed_by": "rep-7", "campaign": None, "message_id": None,
        "collateral_id": None, **changes,
    }  # fmt: skip


TOUCH = CATALOG["TouchRecorded"]
