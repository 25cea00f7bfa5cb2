"""HTTP content encodings, in pieces of any size: gzip, deflate, lz4, zstd. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

import lz4.frame
import zstandard

from streams.store.faults import CANNOT_DECOMPRESS, UNKNOWN_COMPRESSION_METHOD, Fault
from streams.store.framing import Unpacker, pack


class Transform(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Identity:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Frames:
    """Decoder of any number of frames one after another: clients send each block as a frame of its own."""

    def __init__(self, new: Callable[[], Any]) -> None:
        self._new = new
        self._current: Any = None

    def feed(self, data: bytes) -> bytes:
        out = []
        try:
            while data:
                if self._current is None:
                    self._current = self._new()
                out.append(self._current.decompress(data))
                if not self._current.eof:
                    break
                data = self._current.unused_data or b""
                self._current = None
        except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError):
            raise Fault(*CANNOT_DECOMPRESS, "the body does not follow its Content-Encoding") from None
        return b"".join(out)

    def finish(self) -> bytes:
        if self._current is not None:
            raise Fault(*CANNOT_DECOMPRESS, "the body ends before its Content-Encoding does")
        return b""


_DECODERS: Final[dict[str, Callable[[], Transform]]] = {
    "": Identity,
    "identity": Identity,
    "gzip": lambda: _Frames(lambda: zlib.decompressobj(wbits=31)),
    "deflate": lambda: _Frames(zlib.decompressobj),
    "lz4": lambda: _Frames(lz4.frame.LZ4FrameDecompressor),
    "zstd": lambda: _Frames(lambda: zstandard.ZstdDecompressor().decompressobj()),
}


def decoder(encoding: str, *, framed: bool) -> Transform:
    """For a request body. `framed`: block framing inside the content encoding."""
    make = _DECODERS.get(encoding.strip().lower())
    if make is None:
        raise Fault(*UNKNOWN_COMPRESSION_METHOD, f"Unknown content encoding {encoding}: use gzip, deflate, lz4 or zstd")
    return _Chain(make(), Unpacker()) if framed else make()


class _Chain:
    def __init__(self, first: Transform, second: Transform) -> None:
        self._first, self._second = first, second

    def feed(self, data: bytes) -> bytes:
        return self._second.feed(self._first.feed(data))

    def finish(self) -> bytes:
        return self._second.feed(self._first.finish()) + self._second.finish()


class _Framed:
    def feed(self, data: bytes) -> bytes:
        return pack(data)

    def finish(self) -> bytes:
        return b""


class _Compressor:
    def __init__(self, feed: Callable[[bytes], bytes], finish: Callable[[], bytes], begin: bytes = b"") -> None:
        self._feed, self._finish, self._begin = feed, finish, begin

    def feed(self, data: bytes) -> bytes:
        begin, self._begin = self._begin, b""
        return begin + self._feed(data)

    def finish(self) -> bytes:
        return self._begin + self._finish()


def _lz4() -> Transform:
    frame = lz4.frame.LZ4FrameCompressor()
    return _Compressor(frame.compress, frame.flush, frame.begin())


def _zstd() -> Transform:
    frame = zstandard.ZstdCompressor(level=1).compressobj()
    return _Compressor(frame.compress, frame.flush)


def _zlib(wbits: int) -> Transform:
    frame = zlib.compressobj(1, wbits=wbits)
    return _Compressor(frame.compress, frame.flush)


_ENCODERS: Final[dict[str, Callable[[], Transform]]] = {
    "lz4": _lz4,
    "zstd": _zstd,
    "gzip": lambda: _zlib(31),
    "deflate": lambda: _zlib(15),
}
"""In the order of preference where a client accepts several."""


def encoder(accepted: str, *, wanted: bool, framed: bool) -> tuple[Transform, str | None]:
    """For an answer: (transform, Content-Encoding). `accepted`: Accept-Encoding; `wanted`: enable_http_compression."""
    if framed:
        return _Framed(), None
    if wanted:
        offers = {
            offer.split(";")[0].strip().lower() for offer in accepted.split(",") if "q=0" not in offer.split(";")[1:]
        }
        for name, make in _ENCODERS.items():
            if name in offers:
                return make(), name
    return Identity(), None
