"""Plain objects as events of ours: every field of the schema, of its type, and nothing else. No I/O.

The .avsc files are the only statement of the fields; this module reads them once. Messages name field, shape and mend,
never a value: values may be personal data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from processors.facts import RefusedFact, check
from processors.vocabulary import EARLIEST
from schemas.catalog import CATALOG, Contract
from schemas.wire import RESERVED
from streams.importers.times import millis
from streams.topics import CAMPAIGNS, INPUTS

EVENTS: Final[Mapping[str, Contract]] = {
    name: contract for name, contract in CATALOG.items() if {*contract.topics} <= {*INPUTS, CAMPAIGNS}
}
"""What may be published, by record name. Outputs are the worker's alone."""

_LATEST: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last instant that ISO-8601 tools agree on
_LONG: Final = 2**63
_SHOWN: Final = 60

Convert = Callable[[object], object]


class RefusedEvent(ValueError):  # noqa: N818  # what it is
    """An object that is no event of ours; the message names the field, the value's shape and the mend."""


class _Mismatch(ValueError):  # noqa: N818  # becomes a RefusedEvent where the record is known
    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where


def shape(value: object) -> str:
    """What a value looks like, without telling it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "a whole number"
        case float():
            return "a number with a fraction" if math.isfinite(value) else "no finite number"
        case str():
            return f"text of {len(value)} characters" if value else "empty text"
        case list():
            return "a list"
        case _:
            return "an object"


def expected(given: str, known: Mapping[str, object]) -> str:
    """The likely meaning of a misspelt word, or all that is known."""
    close = get_close_matches(given[:_SHOWN], known, n=1)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(sorted(known))}"


def short(word: str) -> str:
    """A name out of a file, fit for a message."""
    return repr(word if len(word) <= _SHOWN else word[:_SHOWN] + "…")


def _is_not(value: object, wanted: str) -> _Mismatch:
    return _Mismatch(f" is {shape(value)}: expected {wanted}")


def time(value: object) -> int:
    """UTC milliseconds of an ISO-8601 text with an offset, or of epoch milliseconds. Raises ValueError."""
    if isinstance(value, str):
        try:
            at = millis(value)
        except ValueError as error:
            raise _Mismatch(f": {error}") from None
    elif isinstance(value, int) and not isinstance(value, bool):
        at = value
    else:
        raise _is_not(value, "an ISO-8601 time with an offset, or epoch milliseconds")
    if at < EARLIEST:
        raise _Mismatch(" is before 1990-01-01: give milliseconds (not seconds) since 1970, or an ISO-8601 time")
    if at > _LATEST:
        raise _Mismatch(" is after the year 9999: give milliseconds (not microseconds) since 1970, or an ISO-8601 time")
    return at


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _is_not(value, "text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _Mismatch(" has half of a surrogate pair: give whole characters") from None
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _is_not(value, "true or false")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _is_not(value, "a whole number")
    if not -_LONG <= value < _LONG:
        raise _Mismatch(" is too large: expected a whole number of 64 bits")
    return value


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
        raise _Mismatch(" is no finite number: expected a number")
    raise _is_not(value, "a number")


_PLAIN: Final[Mapping[str, Convert]] = {
    "string": _text,
    "boolean": _boolean,
    "long": _whole,
    "double": _number,
    "timestamp-millis": time,
}


def _converter(kind: Any) -> Convert:
    """What makes a value of the Avro type `kind`. KeyError, at import, for a type that no event has had so far."""
    if isinstance(kind, str):
        return _PLAIN[kind]
    if isinstance(kind, list):
        (inner,) = (_converter(item) for item in kind if item != "null")
        return lambda value: None if value is None else inner(value)
    match kind["type"]:
        case "enum":
            allowed = dict.fromkeys(symbol for symbol in kind["symbols"] if symbol != RESERVED)

            def symbol(value: object) -> object:
                if isinstance(value, str) and value in allowed:
                    return value
                if value == RESERVED:
                    raise _Mismatch(f" is `{RESERVED}`, which is reserved: expected one of {', '.join(allowed)}")
                raise _is_not(value, f"one of {', '.join(allowed)}")

            return symbol
        case "array":
            item = _converter(kind["items"])

            def items(value: object) -> object:
                if not isinstance(value, list):
                    raise _is_not(value, "a list")
                out = []
                for place, entry in enumerate(value):
                    try:
                        out.append(item(entry))
                    except _Mismatch as error:
                        raise _Mismatch(error.problem, f"[{place}]{error.where}") from None
                return out

            return items
        case "record":
            return _Record(kind)
        case plain:
            return _PLAIN[kind.get("logicalType", plain)]


class _Record:
    """Makes complete records: defaults filled in, unknown fields refused."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._fields = [
            (field["name"], _converter(field["type"]), "default" in field, field.get("default"))
            for field in schema["fields"]
        ]
        self._known = {name: None for name, *_ in self._fields}

    def __call__(self, value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _is_not(value, "an object")
        out: dict[str, Any] = {}
        for name, convert, optional, default in self._fields:
            if name in value:
                try:
                    out[name] = convert(value[name])
                except _Mismatch as error:
                    raise _Mismatch(error.problem, f".{name}{error.where}") from None
            elif optional:
                out[name] = list(default) if isinstance(default, list) else default
            else:
                raise _Mismatch(" is missing: it is mandatory", f".{name}")
        for name in value:
            if name not in self._known:
                raise _Mismatch(f" has no field {short(str(name))}: {expected(str(name), self._known)}")
        return out


_RECORDS: Final[Mapping[str, _Record]] = {name: _Record(contract.schema) for name, contract in EVENTS.items()}


def contract_of(name: object) -> Contract:
    """The contract of what may be published under that name. Raises RefusedEvent."""
    contract = EVENTS.get(name) if isinstance(name, str) else None
    if contract is None:
        if isinstance(name, str) and name:
            raise RefusedEvent(f"type {short(name)} is no event of ours: {expected(name, EVENTS)}")
        raise RefusedEvent(
            f"type is {'missing' if name is None else shape(name)}: expected one of {', '.join(sorted(EVENTS))}"
        )
    return contract


def instant(value: object, name: str) -> int:
    """`time` for a value that stands outside of the record. Raises RefusedEvent."""
    try:
        return time(value)
    except _Mismatch as error:
        raise RefusedEvent(f"{name}{error.problem}") from None


def complete(name: str, given: Mapping[str, object]) -> dict[str, Any]:
    """The complete record of the event `name` that the `given` fields make. Raises RefusedEvent."""
    try:
        return _RECORDS[name](given)
    except _Mismatch as error:
        raise RefusedEvent(f"{name}{error.where}{error.problem}") from None


def meaningful(name: str, event: Mapping[str, Any]) -> None:
    """Refuses a complete event that cannot mean anything. Raises RefusedEvent."""
    if CAMPAIGNS in EVENTS[name].topics:
        for field in ("event_id", "campaign", "source_system"):
            if not event[field]:
                raise RefusedEvent(f"{name}.{field} is empty: give a non-empty string")
        return
    try:
        check(name, event)
    except RefusedFact as error:
        raise RefusedEvent(error.detail) from None
