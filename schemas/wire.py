"""Confluent wire format: a zero byte, the schema id as a big-endian int32, the Avro binary body.

Source: Confluent Schema Registry documentation, "Wire format". Any Confluent-compatible serializer can publish here.
Looking up an unknown schema id is I/O and therefore the caller's: ask `schema_ids` and `knows`, fetch, `learn`, then `decode`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from io import BytesIO
from struct import Struct
from typing import Any, Final

from fastavro import schemaless_reader, schemaless_writer
from fastavro.schema import SchemaParseException

from schemas.catalog import CATALOG, Contract, parse

MAGIC: Final = 0
HEADER: Final = Struct(">bI")
RESERVED: Final = "unknown"
"""The enum symbol that a newer producer's symbol reads as."""


class WireError(ValueError):
    """Bytes that cannot become a record of ours. `reason`: a closed word; `detail`: what is wrong and the mend.

    Reasons: undecodable, unknown_magic_byte, unknown_schema_id, unknown_record, missing_field, unknown_enum_value,
    incompatible_schema.
    """

    def __init__(self, reason: str, detail: str, schema_id: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.schema_id = schema_id


class UnknownSchema(LookupError):  # noqa: N818  # not an error yet: the caller looks the id up and tries again
    """The schema id has not been learnt."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"schema id {schema_id} has not been looked up")
        self.schema_id = schema_id


def schema_id(value: bytes | None) -> int | None:
    """The schema id in the header; None where there is no such header."""
    if value is None or len(value) < HEADER.size or value[0] != MAGIC:
        return None
    return int.from_bytes(value[1:5], "big")


def schema_ids(values: Iterable[bytes | None]) -> set[int]:
    """The schema ids in the headers of `values`: what has to be learnt before these can be decoded."""
    found = {value[1:5] for value in values if value is not None and len(value) >= HEADER.size and value[0] == MAGIC}
    return {int.from_bytes(part, "big") for part in found}


class Encoder:
    """Encodes records of our contracts. `ids`: record name -> registered schema id."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._known = {name: (HEADER.pack(MAGIC, number), CATALOG[name].parsed) for name, number in ids.items()}

    def encode(self, name: str, record: Mapping[str, object]) -> bytes:
        """Header and body of a complete record. Raises KeyError for a name without id, ValueError for a wrong shape."""
        header, parsed = self._known[name]
        buffer = BytesIO()
        buffer.write(header)
        schemaless_writer(buffer, parsed, record)
        return buffer.getvalue()


class _Reader:
    """How the records of one writer schema are read."""

    __slots__ = ("contract", "enums", "failure", "reader", "writer")

    def __init__(self, contract: Contract | None, writer: Any, failure: tuple[str, str] | None) -> None:
        self.contract = contract
        self.writer = writer
        # Resolution is work per record: skipped where the writer's schema is ours.
        self.reader = None if contract is None or writer == contract.parsed else contract.parsed
        self.enums = () if contract is None else _enum_fields(contract)
        self.failure = failure


def _enum_fields(contract: Contract) -> tuple[str, ...]:
    found = []
    for field in contract.schema["fields"]:
        kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
        if any(isinstance(kind, dict) and kind.get("type") == "enum" for kind in kinds):
            found.append(field["name"])
    return tuple(found)


def _missing_fields(contract: Contract, writer: Mapping[str, Any]) -> list[str]:
    written = {field["name"] for field in writer.get("fields", ())}
    return [
        field["name"] for field in contract.schema["fields"] if field["name"] not in written and "default" not in field
    ]


class Decoder:
    """Decodes values by their writers' schemas into records of ours: complete, times as UTC milliseconds."""

    def __init__(self) -> None:
        self._readers: dict[int, _Reader] = {}

    def learn(self, schema_id: int, text: str | None) -> None:
        """The writer schema of an id; None: the registry knows no such id."""
        self._readers[schema_id] = self._reader(schema_id, text)

    def forget(self, schema_id: int) -> None:
        """Lets an id be looked up anew: it may have been registered since."""
        self._readers.pop(schema_id, None)

    def knows(self, schema_id: int) -> bool:
        return schema_id in self._readers

    @staticmethod
    def _reader(schema_id: int, text: str | None) -> _Reader:
        if text is None:
            return _Reader(None, None, ("unknown_schema_id", f"the registry has no schema {schema_id}: register it"))
        try:
            stated = json.loads(text)
            writer = parse(stated)
        except (ValueError, SchemaParseException, KeyError, TypeError) as error:
            return _Reader(None, None, ("incompatible_schema", f"schema {schema_id} is no Avro schema: {error}"))
        if not isinstance(stated, dict) or stated.get("type") != "record":
            return _Reader(None, None, ("unknown_record", f"schema {schema_id} is no record"))
        name = str(stated.get("name", ""))
        contract = CATALOG.get(name.rpartition(".")[2])
        if contract is None:
            return _Reader(None, None, ("unknown_record", f"record {name} is none of ours: upgrade, or mend its name"))
        missing = _missing_fields(contract, stated)
        if missing:
            detail = f"{contract.name}.{missing[0]} is missing from writer schema {schema_id}: publish it"
            return _Reader(contract, writer, ("missing_field", detail))
        return _Reader(contract, writer, None)

    def decode(self, value: bytes) -> tuple[str, dict[str, Any]]:
        """(record name, record). Raises WireError, or UnknownSchema where `learn` has to come first."""
        if len(value) < HEADER.size:
            raise WireError("undecodable", f"{len(value)} bytes are too few for the Confluent header of 5")
        if value[0] != MAGIC:
            raise WireError("unknown_magic_byte", f"first byte is {value[0]}, not 0: use a Confluent serializer")
        number = int.from_bytes(value[1:5], "big")
        reader = self._readers.get(number)
        if reader is None:
            raise UnknownSchema(number)
        if reader.failure is not None:
            raise WireError(*reader.failure, number)
        contract = reader.contract
        if contract is None:  # a failure always says why
            raise UnknownSchema(number)
        buffer = BytesIO(value)
        buffer.seek(HEADER.size)
        try:
            record = schemaless_reader(buffer, reader.writer, reader.reader)
        except (EOFError, ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError) as error:
            raise self._broken(contract, number, error) from None
        if buffer.tell() != len(value):
            raise WireError("undecodable", f"{contract.name}: {len(value) - buffer.tell()} bytes after its end", number)
        for field in reader.enums:
            if record[field] == RESERVED:
                raise WireError(
                    "unknown_enum_value", f"{contract.name}.{field} has a symbol this version does not know", number
                )
        return contract.name, record

    @staticmethod
    def _broken(contract: Contract, number: int, error: Exception) -> WireError:
        # The message of a decoding error may quote the data: its type is told, never its text.
        kind = type(error).__name__
        if kind == "SchemaResolutionError":
            return WireError("incompatible_schema", f"{contract.name}: schema {number} cannot be read as ours", number)
        return WireError("undecodable", f"{contract.name}: the body does not follow schema {number} ({kind})", number)
