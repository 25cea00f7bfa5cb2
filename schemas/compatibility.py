"""Whether readers of one version of a record read what writers of another wrote. Pure; may not import anything that moves
bytes. Source: Apache Avro specification 1.11, "Schema Resolution", and what the registries make of it: FULL_TRANSITIVE is
both ways with every earlier version.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

_PROMOTED: Final = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
"""Writer's type -> what a reader may have instead."""


def unreadable(reader: Any, writer: Any, where: str = "") -> Iterator[str]:
    """What of the writer's records the reader cannot read; nothing: it reads them all."""
    if isinstance(writer, list):
        for branch in writer:
            yield from unreadable(reader, branch, where)
        return
    if isinstance(reader, list):
        if all(any(True for _ in unreadable(branch, writer, where)) for branch in reader):
            yield f"{where}: none of the reader's branches takes {_name(writer)}"
        return
    ours, theirs = _name(reader), _name(writer)
    if ours != theirs and ours not in _PROMOTED.get(theirs, ()):
        yield f"{where}: {theirs} cannot be read as {ours}"
        return
    if not isinstance(reader, dict) or not isinstance(writer, dict):
        return
    # Not Avro's rule but ours: another unit would be read as a number a thousand times as large.
    if reader.get("logicalType") != writer.get("logicalType"):
        yield f"{where}: {writer.get('logicalType')} cannot be read as {reader.get('logicalType')}"
    if "name" in reader and reader["name"].rpartition(".")[2] != writer["name"].rpartition(".")[2]:
        yield f"{where}: {writer['name']} cannot be read as {reader['name']}"
        return
    match ours:
        case "record":
            yield from _record(reader, writer, where or reader["name"])
        case "enum":
            unknown = sorted(set(writer["symbols"]) - set(reader["symbols"]))
            if unknown and "default" not in reader:
                yield f"{where}: the reader has no default for {', '.join(unknown)}"
        case "array":
            yield from unreadable(reader["items"], writer["items"], f"{where}[]")
        case "map":
            yield from unreadable(reader["values"], writer["values"], f"{where}{{}}")
        case "fixed" if reader["size"] != writer["size"]:
            yield f"{where}: {writer['size']} bytes cannot be read as {reader['size']}"


def _record(reader: Any, writer: Any, where: str) -> Iterator[str]:
    written = {field["name"]: field["type"] for field in writer["fields"]}
    for field in reader["fields"]:
        place = f"{where}.{field['name']}"
        if field["name"] in written:
            yield from unreadable(field["type"], written[field["name"]], place)
        elif "default" not in field:
            yield f"{place} has no default and is not in the writer's"


def _name(kind: Any) -> str:
    return kind if isinstance(kind, str) else str(kind["type"])


def incompatible(one: Any, other: Any) -> list[str]:
    """What makes two versions of a record unfit for each other, either way."""
    return [*unreadable(one, other), *(f"the other way: {problem}" for problem in unreadable(other, one))]
