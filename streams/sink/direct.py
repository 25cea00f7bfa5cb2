"""Records that become rows as they stand, without being decoded: their Avro bytes are what the store is sent.

A table whose columns are the record's own fields (and the record's place) needs nothing of this process but that place,
written in Avro before each body, in a container that ClickHouse reads as its format Avro. That is a tenth of the work of
decoding and encoding anew. The store reads the fields by name and leaves out those the table has not.

What is not plain goes the other way, through batch.Reader: records under a schema that is not ours to the letter, other
tables, ids of unusual length; and, when the store refuses a block, all of the block, so that a record that cannot be read
is found and set aside. Both ways make the same rows; tests/sink compares them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from processors import rows
from processors.rows import Table
from processors.vocabulary import NEVER
from schemas.catalog import CATALOG
from schemas.wire import HEADER, RESERVED, Decoder, WireError
from schemas.writers import judge
from streams.errors import UnavailableError
from streams.sink.batch import Message, Partition, Schemas
from streams.topics import SLA_EVENTS, TRANSITIONS

Taken = tuple[Partition, Sequence[Message]]

_STATED: Final = {
    TRANSITIONS: ("LeadTransition", rows.TRANSITIONS, ("retracted",), None),
    SLA_EVENTS: ("SlaEvent", rows.INSTANCES, ("retracted", "moved"), rows.SLA_EVENTS),
}
"""Bare topic -> the record on it, the table of what holds, the kinds (third field) that take a row away there, and the table of
all that was told."""
_FORMS: Final = (
    ("topic_id", "string"),
    ("partition", "int"),
    ("offset", "long"),
    ("version", "long"),
    ("deleted", "int"),
)
PLACE: Final = tuple(name for name, _ in _FORMS)
"""The last columns of every table of the sink: where the record stands."""
_SYNC: Final = b"baton-sink-block"
_GROUP: Final = 64
"""The lowest 6 bits of an offset stand in the first byte of its varint; the rest changes once in so many records."""
_LOWEST: Final = [bytes([bits << 1 | 0x80]) for bits in range(_GROUP)]
_MORE: Final = 0x80


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one table as an Avro container."""

    table: str
    columns: tuple[str, ...]
    count: int
    data: bytes

    def __len__(self) -> int:
        return self.count


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= _MORE:
        out.append(number & 0x7F | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)


def _long(number: int) -> bytes:
    """A natural number as Avro writes it."""
    return _varint(number << 1)


def _bytes(data: bytes) -> bytes:
    return _long(len(data)) + data


def _sendable(kind: Any) -> Any:
    """The type without the reserved symbol: as an index past the last one it makes the store refuse the record."""
    if isinstance(kind, dict) and kind["type"] == "enum" and kind["symbols"][-1] == RESERVED:
        return {"type": "enum", "name": kind["name"], "symbols": kind["symbols"][:-1]}
    return kind


class _Shape:
    """How the records of one topic become a block."""

    def __init__(self, record: str, holding: Table, deleted: Iterable[str], trail: Table | None) -> None:
        contract = CATALOG[record]
        fields = contract.schema["fields"]
        self.record = record
        self.holding = holding.name
        self.trail = None if trail is None else trail.name
        self.columns = {table.name: table.columns for table in (holding, trail) if table is not None}
        identity, lead, kind = (field["type"] for field in fields[:3])
        self.plain = (
            all({*columns} - {*PLACE} <= {field["name"] for field in fields} for columns in self.columns.values())
            and not {*PLACE} & {field["name"] for field in fields}
            and identity == lead == "string"
            and isinstance(kind, dict)
            and kind["type"] == "enum"
        )
        """The columns are fields, and the places where this module looks are what it takes them for."""
        self.deleted = {2 * kind["symbols"].index(word) for word in deleted} if self.plain else set()
        schema = {
            "type": "record",
            "name": "Row",
            "fields": [
                *({"name": name, "type": form} for name, form in _FORMS),
                *({"name": field["name"], "type": _sendable(field["type"])} for field in fields),
            ],
        }
        meta = {b"avro.schema": json.dumps(schema).encode(), b"avro.codec": b"null"}
        self.head = b"".join(
            (
                b"Obj\x01", _long(len(meta)), *(_bytes(key) + _bytes(value) for key, value in meta.items()), b"\0", _SYNC,
            )
        )  # fmt: skip

    def block(self, table: str, bodies: Sequence[bytes]) -> Block:
        body = b"".join(bodies)
        data = b"".join((self.head, _long(len(bodies)), _long(len(body)), body, _SYNC))
        return Block(table, self.columns[table], len(bodies), data)


class Direct:
    """Takes out of a batch what can go as it is. Raises UnavailableError where the registry does not answer."""

    def __init__(self, schemas: Schemas, most_rows: int) -> None:
        self._schemas = schemas
        self._most = most_rows
        self._shapes = {topic: shape for topic, given in _STATED.items() if (shape := _Shape(*given)).plain}
        self._records: dict[bytes, str] = {}
        """Header of a value -> the record, where its schema is ours to the letter."""
        self._judged: set[bytes] = set()
        self._decoder = Decoder()

    def split(self, taken: Iterable[Taken]) -> tuple[list[tuple[list[Block], list[Taken]]], list[Taken]]:
        """(by topic its blocks and what they were made of; what has to be read). All that was told comes first: what the store
        cannot read is in that block, if in any."""
        bodies: dict[str, dict[str, list[bytes]]] = {}
        origins: dict[str, list[Taken]] = {}
        rest: list[Taken] = []
        for partition, messages in taken:
            shape = self._shapes.get(partition.topic)
            found = None if shape is None else self._bodies(shape, partition, messages)
            if found is None:
                rest.append((partition, messages))
                continue
            for table, of_table in found.items():
                bodies.setdefault(partition.topic, {}).setdefault(table, []).extend(of_table)
            origins.setdefault(partition.topic, []).append((partition, messages))
        blocks = []
        for topic, by_table in bodies.items():
            if max(map(len, by_table.values())) > self._most:  # more than one insert: simpler to read, and rare
                rest += origins[topic]
                continue
            shape = self._shapes[topic]
            made = [shape.block(table, of_table) for table, of_table in by_table.items() if of_table]
            if made:
                blocks.append((made, origins[topic]))
        return blocks, rest

    def _is_ours(self, header: bytes, record: str) -> bool:
        if header not in self._judged and header[:1] == b"\0" and len(header) == HEADER.size:
            number = HEADER.unpack(header)[1]
            text = self._schemas.text(number)
            if text is None:
                raise UnavailableError(f"schema registry: it does not know schema {number} of an output topic")
            self._judged.add(header)
            try:
                writer = judge(number, text)
            except WireError:
                return False
            self._decoder.learn(number, text)
            if writer.reader is None:
                self._records[header] = writer.contract.name
        return self._records.get(header) == record

    def _bodies(
        self, shape: _Shape, partition: Partition, messages: Sequence[Message]
    ) -> dict[str, list[bytes]] | None:
        """By table, one body for each row in the order of offsets: all that was told, and of what holds the newest under each
        id. None: has to be read."""
        origin = partition.origin
        after = partition.held.get(shape.holding, -1)
        told_after = NEVER if shape.trail is None else partition.held.get(shape.trail, -1)
        told: list[bytes] = []
        before = _bytes(origin.topic_id.encode()) + _long(partition.number)
        generation = rows.At(origin.topic_id, origin.generation, 0, 0).version
        newest: dict[bytes, bytes] = {}
        group = -1
        offset_rest = version_rest = header = b""
        last: bytes | None = None
        if generation >> 63:
            return None  # past what an Avro long can hold
        for message in messages:
            value = message.value()
            offset = message.offset()
            if value is None or (offset <= after and offset <= told_after):
                continue
            last = value
            if value[:5] != header:
                header = value[:5]
                if not self._is_ours(header, shape.record):
                    return None
            try:
                # The identity and the lead, each a length and so many bytes; then the number of the kind.
                end = 6 + (value[5] >> 1)
                at = end + 1 + (value[end] >> 1)
                if value[5] & 0x81 or value[end] & 0x81:
                    if value[5] & 0x81 or value[end] & 1 or value[end + 1] & _MORE:
                        return None
                    at = end + 2 + ((value[end + 1] << 7 | value[end] & 0x7F) >> 1)
                kind = value[at]
            except IndexError:
                return None
            if offset // _GROUP != group:
                group = offset // _GROUP
                offset_rest, version_rest = _varint(group), _varint((generation | offset) // _GROUP)
            lowest = _LOWEST[offset % _GROUP]
            stated = b"".join((before, lowest, offset_rest, lowest, version_rest, b"\0", value[5:]))
            if offset > told_after:
                told.append(stated)
            if offset <= after:
                continue
            identity = value[5:at]  # and the lead: the sort key of what holds
            newest.pop(identity, None)  # so that the newest stands at its own place in the order
            if kind in shape.deleted:
                stated = b"".join((before, lowest, offset_rest, lowest, version_rest, b"\2", value[5:]))
            newest[identity] = stated
        if last is not None:
            # Bytes too many in a body shift all that follows, and the store fails on that; but for the last one.
            try:
                self._decoder.decode(last)
            except WireError:
                return None
        holding = {shape.holding: list(newest.values())}
        return holding if shape.trail is None else {shape.trail: told, **holding}
