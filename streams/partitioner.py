"""Which lane a key belongs to: murmur2 over the key, as the Java client and librdkafka's `murmur2_random` have it. No I/O.

Source: Apache Kafka, org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey.
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final

_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def _murmur2(data: bytes) -> int:
    length = len(data)
    words = length >> 2
    found = 0x9747B28C ^ length
    for word in unpack_from(f"<{words}I", data):
        word = word * _M & _MASK
        found = found * _M & _MASK ^ (word ^ word >> 24) * _M & _MASK
    rest = data[words << 2 :]
    if rest:
        found = (found ^ int.from_bytes(rest, "little")) * _M & _MASK
    found = (found ^ found >> 13) * _M & _MASK
    return found ^ found >> 15


def lane_of(key: bytes, lanes: int) -> int:
    """The partition of `key` on a topic of that many."""
    return (_murmur2(key) & 0x7FFFFFFF) % lanes
