"""Records as the store is sent them undecoded: an Avro container, what it holds in SQL, and the INSERT that makes rows of it.

The container comes as a table of the request's own (ClickHouse's "external data") of plain types, from which an INSERT ...
SELECT fills the table: ClickHouse turns a column of texts into LowCardinality many times as fast as it looks up one text
after the other, as it would if it read the container into the table itself. Made of contracts and names of ours alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from processors.rows import Table
from schemas.catalog import CATALOG
from schemas.wire import RESERVED

TOLD: Final = "told"
"""The request's own table."""
_PLACE: Final = (
    ("topic_id", "string"),
    ("partition", "int"),
    ("offset", "long"),
    ("version", "long"),
    ("deleted", "int"),
)
PLACE: Final = tuple(name for name, _ in _PLACE)
"""The last columns of every table of the sink, and the first fields of every record in a container: where it stands."""
_NARROWER: Final = {"cycle": "UInt32", "sequence": "UInt32", "moves": "UInt16"}
"""Columns that do not hold every number of their field: the store must refuse another one, as the client does that has rows."""
_SYNC: Final = b"baton-sink-block"
_MORE: Final = 0x80
_TYPES: Final = {"string": "String", "long": "Int64", "int": "Int32", "boolean": "Bool", "bytes": "String"}


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= _MORE:
        out.append(number & 0x7F | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)


def natural(number: int) -> bytes:
    """A natural number as Avro writes it."""
    return varint(number << 1)


def blob(data: bytes) -> bytes:
    """Bytes, or a text's, likewise."""
    return natural(len(data)) + data


def _sendable(kind: Any) -> Any:
    """The type without the reserved symbol: as an index past the last one it makes the store refuse the record."""
    if isinstance(kind, dict) and kind["type"] == "enum" and kind["symbols"][-1] == RESERVED:
        return {"type": "enum", "name": kind["name"], "symbols": kind["symbols"][:-1]}
    return kind


def _sql(kind: Any) -> str:
    """What ClickHouse reads an Avro type as."""
    if isinstance(kind, str):
        return _TYPES[kind]
    if isinstance(kind, list):  # contracts have no unions but [null, T]
        return f"Nullable({_sql(kind[1])})"
    if kind.get("logicalType") == "timestamp-millis":
        return "DateTime64(3, 'UTC')"
    match kind["type"]:
        case "enum":
            return "String"
        case "array":
            return f"Array({_sql(kind['items'])})"
        case "map":
            return f"Map(String, {_sql(kind['values'])})"
        case "record":
            return f"Tuple({_structure(kind['fields'])})"
    return _sql(kind["type"])


def _structure(fields: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"`{field['name']}` {_sql(field['type'])}" for field in fields)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one table to be made of a container."""

    table: str
    count: int
    sql: str
    structure: str
    """Of the container, as the request's own table."""
    data: bytes

    def __len__(self) -> int:
        return self.count


class Form:
    """How records of one contract become rows of tables."""

    def __init__(
        self, record: str, tables: Sequence[Table], made: Mapping[str, str], unused: Sequence[str] = ()
    ) -> None:
        """`made`: column -> SQL of fields, for columns that are not simply fields; `unused`: fields that no column has."""
        fields = CATALOG[record].schema["fields"]
        placed = [{"name": name, "type": kind} for name, kind in _PLACE]
        self.record = record
        self._structure = _structure([*placed, *(field for field in fields if field["name"] not in unused)])
        self._sql = {  # no data in it
            table.name: f"INSERT INTO {table.name} ({', '.join(f'`{column}`' for column in table.columns)}) "  # noqa: S608
            f"SELECT {', '.join(made.get(column) or _column(column) for column in table.columns)} FROM {TOLD}"
            for table in tables
        }
        known = {*PLACE, *made, *(field["name"] for field in fields)}
        self.fits = all({*table.columns} <= known for table in tables) and not {*PLACE} & {f["name"] for f in fields}
        """Every column is a field, or made of some."""
        schema = {
            "type": "record",
            "name": "Row",
            "fields": [*placed, *({"name": field["name"], "type": _sendable(field["type"])} for field in fields)],
        }
        meta = {b"avro.schema": json.dumps(schema).encode(), b"avro.codec": b"null"}
        self._head = b"".join(
            (
                b"Obj\x01", natural(len(meta)), *(blob(key) + blob(value) for key, value in meta.items()), b"\0", _SYNC,
            )
        )  # fmt: skip

    def block(self, table: str, bodies: Sequence[bytes]) -> Block:
        """`bodies`: each a place and the record's own bytes."""
        size = sum(map(len, bodies))
        data = b"".join((self._head, natural(len(bodies)), natural(size), *bodies, _SYNC))
        return Block(table, len(bodies), self._sql[table], self._structure, data)


def _column(name: str) -> str:
    kind = _NARROWER.get(name)
    return f"`{name}`" if kind is None else f"accurateCast(`{name}`, '{kind}')"
