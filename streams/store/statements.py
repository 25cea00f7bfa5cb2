"""Just enough of ClickHouse's lexical grammar to split an INSERT from its data, to find a FORMAT clause, and to lay out our own
migrations for a cluster (layout.py). No I/O.

What a statement may do is never judged here but by the engine's own parser (guard.py): a lexer can be fooled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from streams.store.faults import NOT_IMPLEMENTED, Fault

_TOKEN: Final = re.compile(
    rb"""
    (?P<space> \s+ | --[^\n]*\n? | \#[!\ ][^\n]*\n? | /\*.*?\*/ )
    | (?P<quoted> '(?:\\.|''|[^'\\])*' | `(?:\\.|``|[^`\\])*` | "(?:\\.|""|[^"\\])*" | \$(\w*)\$.*?\$\3\$ )
    | (?P<word> [A-Za-z_]\w* )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_FORMAT_NAME: Final = re.compile(rb"\s+([A-Za-z]\w*)[ \t\f]*(?:\r?\n|\r)?")
_INSERT: Final = re.compile(rb"\A(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*INSERT\b", re.IGNORECASE | re.DOTALL)
LARGEST_HEAD: Final = 1 << 20
"""Bytes within which an INSERT's data must begin."""


@dataclass(frozen=True, slots=True)
class InsertHead:
    """INSERT with data: `sql` up to its FORMAT or VALUES clause, the data's format, where the data begins."""

    sql: str
    form: str
    data_from: int


def is_insert(text: bytes) -> bool:
    return _INSERT.match(text) is not None


def tokens(text: bytes) -> Iterator[tuple[str, bytes, int, int]]:
    """(kind, text, start, end) of what is neither space nor comment."""
    for match in _TOKEN.finditer(text):
        kind = next(name for name in ("space", "quoted", "word", "other") if match[name] is not None)
        if kind != "space":
            yield kind, match.group(), match.start(), match.end()


def split_insert(text: bytes, *, complete: bool) -> InsertHead | None:
    """The head of an INSERT that carries data; None: an INSERT ... SELECT, or (unless `complete`) too little of the text.

    Raises Fault for the forms of INSERT that the embedded store has not.
    """
    depth = 0
    naming = False
    last_word = b""
    for kind, written, start, end in tokens(text):
        token = written.upper()
        if token == b"(":
            depth += 1
        elif token == b")":
            depth -= 1
        if depth or kind != "word":
            naming = naming and token == b"."
            if token == b".":
                naming = True
            continue
        if naming and token == b"FUNCTION" and last_word in (b"INTO", b"TABLE"):
            raise Fault(*NOT_IMPLEMENTED, "INSERT INTO FUNCTION writes outside the store: insert into a table")
        if naming:  # the table's own name, whatever it is
            naming = token == b"TABLE" and last_word == b"INTO"
        elif token == b"INTO":
            naming = True
        elif token == b"INFILE" and last_word == b"FROM":
            raise Fault(*NOT_IMPLEMENTED, "INSERT FROM INFILE reads the server's files: send the data instead")
        elif token in (b"SELECT", b"WITH"):
            return None
        elif token == b"VALUES":
            return InsertHead(text[:start].decode(), "Values", end)
        elif token == b"FORMAT":
            named = _FORMAT_NAME.match(text, end)
            if named is None or (named.end() == len(text) and not complete):
                return None
            return InsertHead(text[:start].decode(), named.group(1).decode(), named.end())
        last_word = token
    return None


def output_format(text: str) -> str | None:
    """The name in a trailing FORMAT clause; None where there is none. For headers: the engine reads the clause itself."""
    words = [token for kind, token, _, _ in tokens(text.encode()) if kind == "word"]
    for place in range(len(words) - 2, -1, -1):
        if words[place].upper() == b"FORMAT":
            return words[place + 1].decode()
        if words[place].upper() in (b"FROM", b"SELECT", b"WHERE"):
            return None
    return None
