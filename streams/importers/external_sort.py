"""Sorts what does not fit into memory: sorted runs in temporary files, merged. Nothing is left behind, whatever happens."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Final

import msgspec

from processors.facts import RANK
from streams.importers.source import Imported

_RUN: Final = 100_000
_FAN_IN: Final = 64
"""Runs merged at once: bounds open files."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Imported).decode


def _order(item: Imported) -> tuple[int, int, str]:
    return (item.received_at or 0, RANK.get(item.name, -1), item.event["event_id"])


def _spill(run: Iterable[Imported]) -> IO[bytes]:
    file = tempfile.TemporaryFile(prefix="baton-sort-")  # noqa: SIM115  # closed by the caller; has no name to remove
    for item in run:
        packed = _encode(item)
        file.write(len(packed).to_bytes(4, "big"))
        file.write(packed)
    file.seek(0)
    return file


def _read(file: IO[bytes]) -> Iterator[Imported]:
    while size := file.read(4):
        yield _decode(file.read(int.from_bytes(size, "big")))


def in_order(items: Iterable[Imported], run: int = _RUN) -> Iterator[Imported]:
    """`items` by (received_at, rank, event_id), holding at most about `run` of them in memory."""
    files: list[IO[bytes]] = []
    try:
        held: list[Imported] = []
        for item in items:
            held.append(item)
            if len(held) >= run:
                held.sort(key=_order)
                files.append(_spill(held))
                held = []
                if len(files) >= _FAN_IN:
                    merged = _spill(heapq.merge(*map(_read, files), key=_order))
                    for file in files:
                        file.close()
                    files[:] = [merged]
        held.sort(key=_order)
        yield from heapq.merge(*map(_read, files), held, key=_order)
    finally:
        for file in files:
            file.close()
