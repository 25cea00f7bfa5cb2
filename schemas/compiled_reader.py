"""Compiles a contract into a Python function that reads its records' bodies (Apache Avro 1.11, "Binary Encoding").

For records under our own schema to the letter: nothing has to be resolved, and what is generated here knows every field. It
answers in half of fastavro's time, or not at all: of whatever is unusual it raises one of ODD, and fastavro, which stays the
reference, says what it is. May not import anything that moves bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from struct import Struct
from struct import error as struct_error
from typing import Any, Final

from schemas.catalog import CATALOG
from schemas.writers import RESERVED

Read = Callable[[bytes, int], tuple[dict[str, Any], int]]
"""(value, where the body begins) -> (record, where it ends: past the value's end where that is too short)."""


class Unusual(Exception):  # noqa: N818  # no error yet
    """No writer of ours writes so."""


ODD: Final = (Unusual, IndexError, KeyError, ValueError, OverflowError, MemoryError, struct_error)
_LAST_SHIFT: Final = 63


def _more(data: bytes, number: int, at: int) -> tuple[int, int]:
    """The rest of a varint whose first byte, 128 or more, was `number`; still zig-zag."""
    number &= 127
    shift = 7
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            if shift == _LAST_SHIFT and byte > 1:
                raise Unusual
            return number, at
        shift += 7
        if shift > _LAST_SHIFT:
            raise Unusual


def _length(data: bytes, number: int, at: int) -> tuple[int, int]:
    """Likewise of a length or a count, whatever its first byte: twice itself. What is negative is unusual."""
    if number > 127:
        number, at = _more(data, number, at)
    if number & 1:
        raise Unusual
    return number, at


class _Compiler:
    """Writes a few lines a field; nested records become functions of their own."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {
            "more": _more, "length": _length, "Unusual": Unusual, "double": Struct("<d").unpack_from
        }  # fmt: skip
        self._serial = 0

    def _name(self, stem: str, value: Any = None) -> str:
        self._serial += 1
        name = f"{stem}{self._serial}"
        if value is not None:
            self.names[name] = value
        return name

    def lines(self, kind: Any, into: str) -> list[str]:
        """Python that reads a value of Avro type `kind` at `p` of `b` into the variable `into`, and moves `p` behind it."""
        if isinstance(kind, list):
            if len(kind) != 2 or kind[0] != "null":
                raise NotImplementedError("contracts have no unions but [null, T]")
            return [
                "n = b[p]", "p += 1", "if n == 0:", f"    {into} = None", "elif n == 2:",
                *(f"    {line}" for line in self.lines(kind[1], into)), "else:", "    raise Unusual",
            ]  # fmt: skip
        name = kind if isinstance(kind, str) else kind["type"]
        size = ["n = b[p]", "p += 1", "if n & 129:", "    n, p = length(b, n, p)"]
        match name:
            case "string" | "bytes":
                text = ".decode()" if name == "string" else ""
                return [*size, "e = p + (n >> 1)", f"{into} = b[p:e]{text}", "p = e"]
            case "long" | "int":
                return ["n = b[p]", "p += 1", "if n > 127:", "    n, p = more(b, n, p)", f"{into} = n >> 1 ^ -(n & 1)"]
            case "boolean":
                return ["n = b[p]", "p += 1", "if n > 1:", "    raise Unusual", f"{into} = n == 1"]
            case "double":
                return [f"{into}, = double(b, p)", "p += 8"]
            case "enum":
                # Of one byte: others are left to fastavro.
                symbols = {2 * place: name for place, name in enumerate(kind["symbols"][:64]) if name != RESERVED}
                return [f"{into} = {self._name('enum', symbols)}[b[p]]", "p += 1"]
            case "record":
                return [f"{into}, p = {self._name('record', self.record(kind))}(b, p)"]
            case "array":
                item = self._name("i")
                return self._blocks(size, into, "[]", self.lines(kind["items"], item), f"{into}.append({item})")
            case "map":
                key, item = self._name("k"), self._name("i")
                read = [*self.lines("string", key), *self.lines(kind["values"], item)]
                return self._blocks(size, into, "{}", read, f"{into}[{key}] = {item}")
        raise NotImplementedError(f"contracts have no {name}")

    def _blocks(self, size: list[str], into: str, empty: str, read: list[str], keep: str) -> list[str]:
        return [
            f"{into} = {empty}", "while True:", *(f"    {line}" for line in size), "    if n == 0:", "        break",
            f"    for {self._name('_')} in range(n >> 1):", *(f"        {line}" for line in [*read, keep]),
        ]  # fmt: skip

    def record(self, schema: Mapping[str, Any]) -> Read:
        fields = [(field["name"], self._name("v"), field["type"]) for field in schema["fields"]]
        body = [line for _, into, kind in fields for line in self.lines(kind, into)]
        answer = ", ".join(f"{name!r}: {into}" for name, into, _ in fields)
        source = "\n    ".join(["def read(b, p):", *body, f"return {{{answer}}}, p"])
        scope: dict[str, Any] = {}
        # The source is made of the contract alone: field names that Avro restricts to identifiers, and numbers.
        exec(source, self.names, scope)  # noqa: S102
        return scope["read"]  # type: ignore[no-any-return]


@cache
def reader(name: str) -> Read:
    """Of the contract of that name."""
    return _Compiler().record(CATALOG[name].schema)
