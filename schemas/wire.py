"""Confluent wire format: a zero byte, the schema id as a big-endian int32, the Avro binary body.

Source: Confluent Schema Registry documentation, "Wire format". Any Confluent-compatible serializer can publish here.
Looking up an unknown schema id is I/O and therefore the caller's: ask `schema_ids` and `knows`, fetch, `learn`, then `decode`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from io import BytesIO
from struct import Struct
from struct import error as struct_error
from typing import Any, Final

from fastavro import schemaless_reader, schemaless_writer
from fastavro.read import SchemaResolutionError

from schemas.catalog import CATALOG
from schemas.compiled import compiled
from schemas.compiled_reader import ODD, Read, reader
from schemas.writers import RESERVED, WireError, Writer, judge, null_field

__all__ = ["HEADER", "MAGIC", "RESERVED", "Decoder", "Encoder", "UnknownSchema", "WireError", "schema_id", "schema_ids"]

MAGIC: Final = 0
HEADER: Final = Struct(">bI")


_FIELD: Final = re.compile(r"(?:on field|no default for) ([A-Za-z_]\w*)$")
"""Where fastavro's messages name the field. The rest of them may quote the data and is never told."""


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
        self._known = {
            name: (HEADER.pack(MAGIC, number), compiled(CATALOG[name].schema), CATALOG[name].parsed)
            for name, number in ids.items()
        }

    def encode(self, name: str, record: Mapping[str, object]) -> bytes:
        """Header and body of `record`; a field left out gets its default.

        Raises KeyError for a name without id, ValueError for a record of another shape.
        """
        header, encode, parsed = self._known[name]
        try:
            return header + encode(record)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, struct_error):
            return self._checked(name, header, parsed, record)

    @staticmethod
    def _checked(name: str, header: bytes, parsed: Any, record: Mapping[str, object]) -> bytes:
        """The slow way, of a record that is not complete, or wrong: fills in defaults, names what is wrong."""
        buffer = BytesIO()
        buffer.write(header)
        try:
            schemaless_writer(buffer, parsed, record)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            field = _FIELD.search(str(error))
            where = f"{name}.{field[1]}" if field else f"{name}: a field"
            raise ValueError(f"{where} is missing or has a value of another type than the contract's") from None
        return buffer.getvalue()


class Decoder:
    """Decodes values by their writers' schemas into records of ours: complete, times as UTC milliseconds."""

    def __init__(self) -> None:
        self._writers: dict[int, Writer | WireError] = {}
        self._ours: dict[bytes, tuple[str, Read]] = {}
        """Header -> record name and its reader, of schemas that are ours to the letter."""

    def learn(self, schema_id: int, text: str | None) -> WireError | None:
        """The writer schema of an id; None: the registry knows no such id. Returns what decoding by it will raise."""
        header = HEADER.pack(MAGIC, schema_id)
        try:
            writer = judge(schema_id, text)
        except WireError as error:
            self._ours.pop(header, None)
            self._writers[schema_id] = error
            return error
        # Never without: another thread may be at decoding by it.
        self._writers[schema_id] = writer
        if writer.reader is None:
            self._ours[header] = writer.contract.name, reader(writer.contract.name)
        else:
            self._ours.pop(header, None)
        return None

    def forget(self, schema_id: int) -> None:
        """Lets an id be looked up anew: it may have been registered since."""
        self._writers.pop(schema_id, None)
        self._ours.pop(HEADER.pack(MAGIC, schema_id), None)

    def knows(self, schema_id: int) -> bool:
        return schema_id in self._writers

    def decode(self, value: bytes) -> tuple[str, dict[str, Any]]:
        """(record name, record). Raises WireError, or UnknownSchema where `learn` has to come first."""
        ours = self._ours.get(value[:5])
        if ours is not None:
            try:
                read, end = ours[1](value, 5)
            except ODD:
                pass  # the slow way tells what is wrong, if anything is
            else:
                if end == len(value):
                    return ours[0], read
        if len(value) < HEADER.size:
            raise WireError("undecodable", f"{len(value)} bytes are too few for the Confluent header of 5")
        if value[0] != MAGIC:
            raise WireError("unknown_magic_byte", f"first byte is {value[0]}, not 0: use a Confluent serializer")
        number = int.from_bytes(value[1:5], "big")
        writer = self._writers.get(number)
        if writer is None:
            raise UnknownSchema(number)
        if isinstance(writer, WireError):
            # One object raised again and again would gather tracebacks.
            raise WireError(writer.reason, writer.detail, number)
        buffer = BytesIO(value)
        buffer.seek(HEADER.size)
        name = writer.contract.name
        try:
            record: dict[str, Any] = schemaless_reader(buffer, writer.schema, writer.reader)
        except WireError:
            raise
        except SchemaResolutionError:
            raise _unresolved(writer, value, number) from None
        except (EOFError, ValueError, LookupError, TypeError, OverflowError, MemoryError) as error:
            # The message of a decoding error may quote the data: its type is told, never its text.
            detail = f"{name}: the body does not follow schema {number} ({type(error).__name__})"
            raise WireError("undecodable", detail, number) from None
        if buffer.tell() != len(value):
            raise WireError("undecodable", f"{name}: {len(value) - buffer.tell()} bytes after its end", number)
        return name, record


def _unresolved(writer: Writer, value: bytes, number: int) -> WireError:
    """Why a record that its own schema allows is none of ours."""
    buffer = BytesIO(value)
    buffer.seek(HEADER.size)
    name = writer.contract.name
    try:
        field = null_field(writer.contract, schemaless_reader(buffer, writer.schema, None))
    except WireError as error:
        return error
    except (EOFError, ValueError, LookupError, TypeError, OverflowError, MemoryError) as error:
        return WireError(
            "undecodable", f"{name}: the body does not follow schema {number} ({type(error).__name__})", number
        )
    if field is not None:
        return WireError("missing_field", f"{name}.{field} is null: publish it", number)
    return WireError("incompatible_schema", f"{name}: a record of schema {number} cannot be read as ours", number)
