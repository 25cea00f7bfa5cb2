"""Our own events as JSON Lines: one object a line, `type` = the record's name, the other keys = the schema's fields.

Times are ISO-8601 with an offset, or epoch milliseconds. `received_at`, optional, is the original arrival; `topic`,
for FactWithdrawn, one of the input topics (leads when absent). Fields with a default may be left out.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from processors.facts import RefusedFact, check
from schemas.catalog import CATALOG, Contract
from schemas.wire import RESERVED
from streams.errors import InputError
from streams.importers.external_sort import in_order
from streams.importers.source import Imported
from streams.importers.times import millis

_LONGEST: Final = 1_048_576


class RefusedLine(ValueError):  # noqa: N818  # what it is
    """A line that is no event of ours; the message names the field, the value's shape and the mend."""


def _shape(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return f"text of {len(value)} characters"
        case list():
            return "a list"
        case _:
            return "an object"


def _time(value: object, where: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return millis(value)
        except ValueError as error:
            raise RefusedLine(f"{where}: {error}") from None
    raise RefusedLine(f"{where} is {_shape(value)}: expected an ISO-8601 time with an offset, or epoch milliseconds")


def _value(kind: Any, value: object, where: str) -> object:
    """`value` as the Avro type `kind` wants it. Raises RefusedLine."""
    if isinstance(kind, list):
        if value is None and "null" in kind:
            return None
        return _value(next(item for item in kind if item != "null"), value, where)
    name = kind if isinstance(kind, str) else kind["type"]
    if isinstance(kind, dict) and kind.get("logicalType") == "timestamp-millis":
        return _time(value, where)
    match name:
        case "string" if isinstance(value, str):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "long" | "int" if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
            return value
        case "double" if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        case "enum":
            allowed = [symbol for symbol in kind["symbols"] if symbol != RESERVED]
            if isinstance(value, str) and value in allowed:
                return value
            raise RefusedLine(f"{where} is {_shape(value)}: expected one of {', '.join(allowed)}")
        case "array" if isinstance(value, list):
            return [_value(kind["items"], item, f"{where}[{place}]") for place, item in enumerate(value)]
        case "record" if isinstance(value, dict):
            return _fields(kind["fields"], value, where)
    expected = {"string": "text", "long": "a whole number", "int": "a whole number", "double": "a number"}
    raise RefusedLine(f"{where} is {_shape(value)}: expected {expected.get(name, 'a ' + name)}")


def _fields(fields: list[Any], given: Mapping[str, object], where: str) -> dict[str, Any]:
    known = {field["name"] for field in fields}
    for key in given:
        if key not in known:
            raise RefusedLine(f"{where}.{key} is no field of {where}: expected {', '.join(sorted(known))}")
    out: dict[str, Any] = {}
    for field in fields:
        name = field["name"]
        if name in given:
            out[name] = _value(field["type"], given[name], f"{where}.{name}")
        elif "default" in field:
            out[name] = field["default"]
        else:
            raise RefusedLine(f"{where}.{name} is missing: it is mandatory")
    return out


def complete(contract: Contract, given: Mapping[str, object]) -> dict[str, Any]:
    """The complete event that `given` fields make. Raises RefusedLine."""
    event = _fields(contract.schema["fields"], given, contract.name)
    if "lead_id" in event:
        try:
            check(contract.name, event)
        except RefusedFact as error:
            raise RefusedLine(error.detail) from None
    return event


def parse(line: str) -> Imported:
    """The event that one line states. Raises RefusedLine."""
    try:
        given = json.loads(line)
    except ValueError as error:
        raise RefusedLine(f"no JSON: {error}") from None
    if not isinstance(given, dict):
        raise RefusedLine(f"{_shape(given)}: expected an object with type and the fields of that type")
    name = given.pop("type", None)
    contract = CATALOG.get(name) if isinstance(name, str) else None
    if contract is None or not contract.is_event:
        names = ", ".join(item.name for item in CATALOG.values() if item.is_event)
        raise RefusedLine(f"type is {'missing' if name is None else 'unknown'}: expected one of {names}")
    received = given.pop("received_at", None)
    received_at = None if received is None else _time(received, "received_at")
    topic = given.pop("topic", contract.topics[0])
    if topic not in contract.topics:
        raise RefusedLine(f"topic: {contract.name} belongs on {' or '.join(contract.topics)}")
    return Imported(contract.name, complete(contract, given), received_at, topic)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number, text) of a file, or of standard input for `-`; empty lines are passed over. Raises InputError."""
    try:
        file: IO[bytes] = sys.stdin.buffer if str(path) == "-" else path.open("rb")
        with file:
            for number, raw in enumerate(file, 1):
                if raw.strip():
                    try:
                        yield number, raw.decode()
                    except UnicodeDecodeError:
                        yield number, "\N{REPLACEMENT CHARACTER}"
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


class JsonLines:
    """A file to be replayed: the first line that is no event of ours ends it. received_at when absent: occurred_at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.skipped: Counter[str] = Counter()
        self.end_of_data = 0

    def events(self) -> Iterator[Imported]:
        return in_order(self._unordered())

    def _unordered(self) -> Iterator[Imported]:
        for number, text in lines(self._path):
            try:
                item = parse(text)
            except RefusedLine as error:
                raise InputError(f"{self._path}, line {number}: {error}") from None
            received_at = item.event["occurred_at"] if item.received_at is None else item.received_at
            self.end_of_data = max(self.end_of_data, item.event["occurred_at"], received_at)
            yield item._replace(received_at=received_at)
