"""Our own events as JSON Lines: one object a line, `type` = the record's name, the other keys = the schema's fields.

Times are ISO-8601 with an offset, or epoch milliseconds. `received_at`, optional, is the original arrival; `topic`, for
FactWithdrawn, is the topic of the withdrawn event: leads (when absent), touches or opportunities. Fields with a default
may be left out.
"""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from time import time_ns
from typing import IO, Any, Final, NamedTuple, NoReturn, cast

from processors.vocabulary import AHEAD
from streams.errors import InputError
from streams.importers.external_sort import in_order
from streams.importers.shape import RefusedEvent, complete, contract_of, instant, meaningful, shape, short
from streams.importers.source import GZIP_MAGIC, Imported

LONGEST: Final = 1_048_576
"""Bytes of a line; a worker takes no larger record by default."""
_BOM: Final = b"\xef\xbb\xbf"


def now() -> int:
    """This machine's time in UTC milliseconds."""
    return time_ns() // 1_000_000


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise RefusedEvent(f"{short(twice)} stands twice: give each field once")
    return out


def _no_number(word: str) -> NoReturn:
    raise RefusedEvent(f"{word} is no JSON: expected a number, or null")


def parse(line: bytes | str, at: int) -> Imported:
    """The event that one line states, read at `at` (UTC milliseconds). Raises RefusedEvent."""
    if len(line) > LONGEST:
        raise RefusedEvent(f"the line is longer than {LONGEST:,} bytes: expected one object a line, on one line")
    try:
        text = (line if isinstance(line, str) else line.decode()).rstrip("\r\n")
        given = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except RefusedEvent:
        raise
    except UnicodeDecodeError as error:
        raise RefusedEvent(f"byte {error.start + 1} is no UTF-8: save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise RefusedEvent(f"no JSON at column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):  # thousands of digits or of brackets
        raise RefusedEvent(
            "no JSON that can be read: expected an object with type and the fields of that type"
        ) from None
    if not isinstance(given, dict):
        raise RefusedEvent(f"the line is {shape(given)}: expected an object with type and the fields of that type")
    contract = contract_of(given.pop("type", None))
    name = contract.name
    received = given.pop("received_at", None)
    received_at = None if received is None else instant(received, "received_at")
    topic = given.pop("topic", contract.topics[0])
    if topic not in contract.topics:
        raise RefusedEvent(f"topic: {name} belongs on {' or '.join(contract.topics)}")
    event = complete(name, given)
    meaningful(name, event)
    # The worker would refuse it: better told here, with the line.
    if received_at is not None and received_at > at + AHEAD:
        raise RefusedEvent("received_at is more than 24 h ahead of this machine's clock: give when it first arrived")
    if event["occurred_at"] > (at if received_at is None else min(at, received_at)) + AHEAD:
        raise RefusedEvent(f"{name}.occurred_at is more than 24 h after it was received: give when it happened")
    return Imported(name, event, received_at, topic)


class Mark(NamedTuple):
    """How far a file was read: lines, bytes (unpacked), and the SHA-256 of those bytes."""

    lines: int
    size: int
    digest: str


class Lines:
    """The lines of a file, gzipped or not, or of standard input for `-`; each cut off after LONGEST + 1 bytes.

    Iterated once. Raises InputError for what cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 0
        """Of the line handed over last, from 1."""
        self.position = 0
        """Bytes read so far, unpacked."""
        self.size: int | None = None
        """Bytes in all; None where that is unknown."""
        self._digest = sha256()
        self._before = (0, 0, self._digest)

    def mark(self, *, last: bool = True) -> Mark:
        """How far the file was read; `last` False: without the line handed over last."""
        number, position, digest = (self.number, self.position, self._digest) if last else self._before
        return Mark(number, position, digest.hexdigest())

    def __iter__(self) -> Iterator[bytes]:
        """Every line, empty ones included."""
        try:
            with ExitStack() as stack:
                file = self._open(stack)
                while True:
                    before = (self.number, self.position, self._digest.copy())
                    line = rest = self._read(file)
                    while len(rest) > LONGEST and not rest.endswith(b"\n"):
                        rest = self._read(file)
                    if not line:
                        return
                    self._before = before
                    self.number += 1
                    yield line.removeprefix(_BOM) if self.number == 1 else line
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise InputError(
                f"{self.path}: expected a whole gzip file, but the data breaks off after line {self.number}"
            ) from None
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror or error}") from None

    def _open(self, stack: ExitStack) -> IO[bytes]:
        if str(self.path) == "-":
            return sys.stdin.buffer
        file = stack.enter_context(self.path.open("rb"))
        if file.peek(2)[:2] == GZIP_MAGIC:
            return cast("IO[bytes]", stack.enter_context(gzip.open(file, "rb")))
        self.size = self.path.stat().st_size if self.path.is_file() else None
        return file

    def _read(self, file: IO[bytes]) -> bytes:
        piece = file.readline(LONGEST + 1)
        self.position += len(piece)
        self._digest.update(piece)
        return piece


class JsonLines:
    """A file to be replayed: the first line that is no event of ours ends it. received_at when absent: occurred_at."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.skipped: Counter[str] = Counter()
        self.end_of_data = 0

    def events(self) -> Iterator[Imported]:
        return in_order(self._unordered())

    def _unordered(self) -> Iterator[Imported]:
        lines = Lines(self._path)
        started = now()
        for text in lines:
            if not text.strip():
                continue
            try:
                item = parse(text, started)
            except RefusedEvent as error:
                raise InputError(f"{self._path}, line {lines.number}: {error}") from None
            received_at = item.event["occurred_at"] if item.received_at is None else item.received_at
            self.end_of_data = max(self.end_of_data, item.event["occurred_at"], received_at)
            yield item._replace(received_at=received_at)
