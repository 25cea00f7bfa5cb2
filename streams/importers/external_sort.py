"""Sorts what does not fit into memory: sorted runs in temporary files, merged. Nothing is left behind, whatever happens.

The files have no name from the start (or lose it at once), in the folder that TMPDIR names: a killed process leaves none.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from operator import itemgetter
from typing import IO, Final

import msgspec

from processors.facts import RANK
from streams.errors import BatonError
from streams.importers.source import Imported

_MEMORY: Final = 32 * 1024 * 1024
_OVERHEAD: Final = 380
"""Bytes that the interpreter adds to one held event: two tuples, key, headers; measured with tracemalloc."""
_FAN_IN: Final = 64
"""Runs merged at once: bounds open files to this times the levels of merging, which are log64 of the runs."""

Entry = tuple[tuple[int, int, str], bytes]
"""(order, packed event)."""
_order = itemgetter(0)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Imported).decode


def _entry(item: Imported) -> Entry:
    key = (item.received_at or 0, RANK.get(item.name, -1), item.event["event_id"])
    return key, _encode(item)


def _spill(run: Iterable[Entry]) -> IO[bytes]:
    with ExitStack() as undo:
        file = undo.enter_context(tempfile.TemporaryFile(prefix="baton-sort-"))
        for _, packed in run:
            file.write(len(packed).to_bytes(4, "big"))
            file.write(packed)
        file.seek(0)
        undo.pop_all()
        return file


def _read(file: IO[bytes]) -> Iterator[Entry]:
    while size := file.read(4):
        packed = file.read(int.from_bytes(size, "big"))
        item = _decode(packed)
        yield (item.received_at or 0, RANK.get(item.name, -1), item.event["event_id"]), packed


class _Runs:
    """Temporary files by level: a full level is merged into one file of the next, so each event is copied log times."""

    def __init__(self, fan_in: int) -> None:
        self._fan_in = fan_in
        self._levels: list[list[IO[bytes]]] = []

    def add(self, held: list[Entry]) -> None:
        try:
            self._put(0, _spill(held))
        except OSError as error:
            raise BatonError(
                f"temporary folder {tempfile.gettempdir()}: {error.strerror}; free room there, or name another in TMPDIR"
            ) from None

    def _put(self, level: int, file: IO[bytes]) -> None:
        if level == len(self._levels):
            self._levels.append([])
        files = self._levels[level]
        files.append(file)
        if len(files) >= self._fan_in:
            merged = _spill(heapq.merge(*map(_read, files), key=_order))
            for done in files:
                done.close()
            files.clear()
            self._put(level + 1, merged)

    def merged(self, held: list[Entry]) -> Iterator[Entry]:
        oldest_first = [file for files in reversed(self._levels) for file in files]
        return heapq.merge(*map(_read, oldest_first), held, key=_order)

    def close(self) -> None:
        for files in self._levels:
            for file in files:
                file.close()


def in_order(items: Iterable[Imported], memory: int = _MEMORY, fan_in: int = _FAN_IN) -> Iterator[Imported]:
    """`items` by (received_at, rank, event_id), holding about `memory` bytes of them at once.

    Raises BatonError where the temporary folder has no room, and whatever `items` raises.
    """
    runs = _Runs(fan_in)
    try:
        held: list[Entry] = []
        size = 0
        for item in items:
            entry = _entry(item)
            held.append(entry)
            size += len(entry[1]) + _OVERHEAD
            if size >= memory:
                held.sort(key=_order)
                runs.add(held)
                held = []
                size = 0
        held.sort(key=_order)
        for _, packed in runs.merged(held):
            yield _decode(packed)
    finally:
        runs.close()
