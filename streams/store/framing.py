"""ClickHouse's own block framing, which JDBC speaks: `compress=1` for answers, `decompress=1` for requests. No I/O.

A block: CityHash128 of the rest (16 bytes, the high half first), method (1 byte), size of header and compressed data
(uint32), size of the data (uint32), compressed data; little-endian. Source: ClickHouse,
src/Compression/CompressedReadBufferBase.cpp; the hash is CityHash v1.0.2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from streams.store.faults import (
    CANNOT_DECOMPRESS,
    CHECKSUM_DOESNT_MATCH,
    TOO_LARGE_SIZE_COMPRESSED,
    UNKNOWN_COMPRESSION_METHOD,
    Fault,
)

_NONE: Final = 0x02
_LZ4: Final = 0x82
_ZSTD: Final = 0x90
_CHECKSUM: Final = struct.Struct("<QQ")
_HEADER: Final = struct.Struct("<BII")
_BLOCK: Final = 1 << 20
_LARGEST: Final = 1 << 30


def _checksum(block: bytes) -> bytes:
    digest = CityHash128(block)
    return _CHECKSUM.pack(digest >> 64, digest & (2**64 - 1))


def pack(data: bytes) -> bytes:
    """`data` as LZ4 blocks of at most 1 MiB each."""
    blocks = []
    for start in range(0, len(data), _BLOCK):
        raw = data[start : start + _BLOCK]
        compressed = lz4.block.compress(raw, store_size=False)
        block = _HEADER.pack(_LZ4, len(compressed) + _HEADER.size, len(raw)) + compressed
        blocks.append(_checksum(block) + block)
    return b"".join(blocks)


class Unpacker:
    """Takes framed bytes in pieces of any size, gives the data of the blocks that are complete."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        self._rest += data
        return b"".join(self._blocks())

    def finish(self) -> bytes:
        if self._rest:
            raise Fault(
                *CANNOT_DECOMPRESS, f"the body ends inside a compressed block, after {len(self._rest)} bytes of it"
            )
        return b""

    def _blocks(self) -> Iterator[bytes]:
        rest, start, head = self._rest, 0, _CHECKSUM.size
        while len(rest) - start >= head + _HEADER.size:
            method, size, length = _HEADER.unpack_from(rest, start + head)
            if size < _HEADER.size or size > _LARGEST or length > _LARGEST:
                raise Fault(
                    *TOO_LARGE_SIZE_COMPRESSED, f"a compressed block of {size} bytes for {length}: data is damaged"
                )
            end = start + head + size
            if len(rest) < end:
                break
            block = rest[start + head : end]
            if _checksum(block) != rest[start : start + head]:
                raise Fault(*CHECKSUM_DOESNT_MATCH, "Checksum doesn't match: corrupted data")
            yield _decompress(method, block[_HEADER.size :], length)
            start = end
        self._rest = rest[start:]


def _decompress(method: int, data: bytes, length: int) -> bytes:
    try:
        if method == _LZ4:
            return bytes(lz4.block.decompress(data, uncompressed_size=length))
        if method == _ZSTD:
            return zstandard.ZstdDecompressor().decompress(data, max_output_size=length)
    except (lz4.block.LZ4BlockError, zstandard.ZstdError):
        raise Fault(*CANNOT_DECOMPRESS, "a compressed block is damaged") from None
    if method == _NONE:
        return data
    raise Fault(*UNKNOWN_COMPRESSION_METHOD, f"Unknown compression method in a block: 0x{method:02x}")
