"""What the schema of a writer means to a reader of our contracts: judged once per schema id, not per record.

May not import anything that moves bytes. Source of the rules: Apache Avro specification, "Schema Resolution".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from fastavro.schema import SchemaParseException, to_parsing_canonical_form

from schemas.catalog import CATALOG, Contract, parse

RESERVED: Final = "unknown"
"""The enum symbol that a newer producer's symbol reads as; no producer may send it."""


class WireError(ValueError):
    """Bytes that cannot become a record of ours. `reason`: a closed word; `detail`: what is wrong and the mend.

    Reasons: undecodable, unknown_magic_byte, unknown_schema_id, unknown_record, missing_field, unknown_enum_value,
    incompatible_schema. `detail` names fields and ids, it never quotes the data.
    """

    def __init__(self, reason: str, detail: str, schema_id: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.schema_id = schema_id


@dataclass(frozen=True, slots=True)
class Writer:
    """How the records under one schema id are read."""

    contract: Contract
    schema: Any
    """The writer's schema, prepared for fastavro."""
    reader: Any | None
    """Ours; None where the two read the same, which spares resolving every record."""


class _Symbols(dict[int, str]):
    """Symbols of an enum by index, in place of fastavro's list: a list takes -2 for the last but one."""

    __slots__ = ("schema_id", "where")

    def __init__(self, known: Mapping[int, str], where: str, schema_id: int) -> None:
        super().__init__(known)
        self.where = where
        self.schema_id = schema_id

    def __missing__(self, index: int) -> NoReturn:
        raise WireError(
            "unknown_enum_value", f"{self.where} has a symbol this version does not know: upgrade it", self.schema_id
        )


def judge(schema_id: int, text: str | None) -> Writer:
    """Raises WireError where no record under this id can be read. `text` None: the registry knows no such id."""
    if text is None:
        raise WireError("unknown_schema_id", f"the registry has no schema {schema_id}: register it", schema_id)
    try:
        stated = json.loads(text)
        parsed = parse(stated)
        canonical = to_parsing_canonical_form(parsed)
    except (ValueError, SchemaParseException, LookupError, TypeError, AttributeError, RecursionError) as error:
        detail = f"schema {schema_id} is no Avro schema ({type(error).__name__})"
        raise WireError("incompatible_schema", detail, schema_id) from None
    if not isinstance(stated, dict) or stated.get("type") != "record":
        raise WireError("unknown_record", f"schema {schema_id} is no record", schema_id)
    # Avro matches records by their unqualified name: a producer may have a namespace of its own.
    name = str(stated["name"])
    contract = CATALOG.get(name.rpartition(".")[2])
    if contract is None:
        detail = f"record {name} is none of ours: upgrade, or mend its name"
        raise WireError("unknown_record", detail, schema_id)
    named: dict[str, Any] = {}
    for reason, detail in _problems(contract, stated, parsed, named):
        raise WireError(reason, detail, schema_id)
    prepared = _prepare(parsed, named, contract.name, _enums(contract.parsed), schema_id)
    return Writer(contract, prepared, None if canonical == contract.canonical else contract.parsed)


def null_field(contract: Contract, record: Mapping[str, Any]) -> str | None:
    """The first field of `record`, read by its writer's schema alone, that is null and must not be."""
    for field in contract.schema["fields"]:
        nullable = field["type"] == "null" or (isinstance(field["type"], list) and "null" in field["type"])
        if not nullable and record.get(field["name"], 0) is None:
            return str(field["name"])
    return None


def _problems(
    contract: Contract, stated: Mapping[str, Any], parsed: Any, named: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """(reason, detail) of each thing that makes every record of the writer unreadable. `named`: see `_hazard`."""
    written = {field["name"]: field["type"] for field in stated["fields"]}
    for field in contract.schema["fields"]:
        name = field["name"]
        if name not in written:
            if "default" not in field:
                yield "missing_field", f"{contract.name}.{name} is missing from the writer's schema: publish it"
        elif not _logical_types(written[name]) <= _logical_types(field["type"]):
            # The number would be taken for another one a thousand times as large.
            ours = " or ".join(sorted(_logical_types(field["type"]))) or "none"
            yield "incompatible_schema", f"{contract.name}.{name} has another logical type than ours: {ours}"
    if hazard := _hazard(parsed, named):
        yield "incompatible_schema", f"{contract.name}: the writer's schema {hazard}, which is not read"


def _logical_types(kind: Any) -> set[str]:
    if isinstance(kind, list):
        return {name for item in kind for name in _logical_types(item)}
    return (
        {kind["logicalType"]}
        if isinstance(kind, dict) and kind.get("type") == "long" and "logicalType" in kind
        else set()
    )


def _hazard(kind: Any, named: dict[str, Any], inside: tuple[str, ...] = ()) -> str | None:
    """What would let a few bytes exhaust the stack or hold the reader for ever; fastavro limits neither.

    Fills `named` with the types it meets: a name is defined where it is first met.
    """
    if isinstance(kind, list):
        return next((found for item in kind if (found := _hazard(item, named, inside))), None)
    if isinstance(kind, str):
        return "contains itself" if kind in inside else None
    if "name" in kind:
        named[kind["name"]] = kind
    match kind["type"]:
        case "array":
            found = _hazard(kind["items"], named, inside)
            return found or ("has an array whose items take no space" if _sizeless(kind["items"], named) else None)
        case "map":
            return _hazard(kind["values"], named, inside)
        case "record":
            return _hazard([field["type"] for field in kind["fields"]], named, (*inside, kind["name"]))
        case _:
            return None


def _sizeless(kind: Any, named: Mapping[str, Any]) -> bool:
    """Whether values of the type are empty in the binary form. Not for types that contain themselves."""
    if isinstance(kind, list):
        return False
    if isinstance(kind, str):
        return kind == "null" or (kind in named and _sizeless(named[kind], named))
    match kind["type"]:
        case "fixed":
            return bool(kind["size"] == 0)
        case "record":
            return all(_sizeless(field["type"], named) for field in kind["fields"])
        case other:
            return bool(other == "null")


def _enums(kind: Any) -> dict[str, list[str]]:
    """Symbols of the enums in a parsed schema of ours, by unqualified name."""
    if isinstance(kind, list):
        return {name: symbols for item in kind for name, symbols in _enums(item).items()}
    if not isinstance(kind, dict):
        return {}
    if kind["type"] == "enum":
        return {kind["name"].rpartition(".")[2]: kind["symbols"]}
    parts = [field["type"] for field in kind.get("fields", ())] + [
        kind[key] for key in ("items", "values") if key in kind
    ]
    return _enums(parts)


def _prepare(kind: Any, named: Mapping[str, Any], where: str, enums: Mapping[str, list[str]], schema_id: int) -> Any:
    """The same parsed schema with guarded enums, and definitions in place of names."""
    if isinstance(kind, list):
        return [_prepare(item, named, where, enums, schema_id) for item in kind]
    if isinstance(kind, str):
        return _prepare(named[kind], named, where, enums, schema_id) if kind in named else kind
    match kind["type"]:
        case "enum":
            ours = enums.get(kind["name"].rpartition(".")[2])
            if ours is None:
                return kind
            known = {n: word for n, word in enumerate(kind["symbols"]) if word in ours and word != RESERVED}
            return {**kind, "symbols": _Symbols(known, where, schema_id)}
        case "record":
            fields = [
                {**field, "type": _prepare(field["type"], named, f"{where}.{field['name']}", enums, schema_id)}
                for field in kind["fields"]
            ]
            return {**kind, "fields": fields}
        case "array":
            return {**kind, "items": _prepare(kind["items"], named, where, enums, schema_id)}
        case "map":
            return {**kind, "values": _prepare(kind["values"], named, where, enums, schema_id)}
        case _:
            return kind
