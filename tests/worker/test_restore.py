"""What a restore makes of a partition, record by record, and whether it finds a lane untouched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from processors.erasure import Erased
from processors.lane import LaneFold
from processors.vocabulary import NEVER
from schemas.compiled import compiled
from schemas.wire import HEADER, MAGIC
from streams.config import Settings, load
from streams.topics import LANE_KEY
from streams.worker import restore
from streams.worker.ports import Ports, finish, real
from tests.processors.support import AGREEMENTS

_long = compiled({"type": "record", "name": "R", "fields": [{"name": "first", "type": "long"}]})
SETTINGS: Settings = load(brokers="nowhere:1")


def state(deadline: int, body: bytes = b"body", schema: int = 7) -> bytes:
    return HEADER.pack(MAGIC, schema) + _long({"first": deadline}) + body


@dataclass
class Message:
    at: int
    name: bytes
    content: bytes | None

    def error(self) -> None:
        return None

    def key(self) -> bytes:
        return self.name

    def value(self) -> bytes | None:
        return self.content

    def offset(self) -> int:
        return self.at


class End:
    def error(self) -> KafkaError:
        return KafkaError(KafkaError._PARTITION_EOF)


class Partition:
    """A reader of a partition that holds `records`; hands out three at a time."""

    def __init__(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        self.messages = [Message(offset, *record) for offset, record in enumerate(records)]
        self.at = 0

    def assign(self, partitions: Sequence[Any]) -> None:
        self.at = max(0, partitions[0].offset)

    def consume(self, most: int, timeout: float) -> Sequence[Any]:
        found = self.messages[self.at : self.at + 3]
        self.at += len(found)
        return found or [End()]

    def get_watermark_offsets(self, partition: Any, timeout: float) -> tuple[int, int]:
        return 0, len(self.messages)

    def close(self) -> None: ...


def ports(records: Sequence[tuple[bytes, bytes | None]]) -> Ports:
    return Ports(real().producer, lambda config: Partition(records), real().blocking)


def unpacked(value: bytes) -> bytes:
    """As if a state were nothing but its record; seen by whoever asks for it."""
    raise AssertionError(f"decoded: {len(value)} bytes")


def read(records: Sequence[tuple[bytes, bytes | None]]) -> tuple[restore.Found, LaneFold, list[float]]:
    fold = LaneFold(AGREEMENTS, unpacked, Erased(b"key"))
    shares: list[float] = []
    found = finish(restore.read(0, SETTINGS, ports(records), fold.restore, shares.append, lambda: False))
    fold.restored()
    return found, fold, shares


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=20))
def test_the_deadline_is_read_without_the_rest(deadline: int, rest: bytes) -> None:
    assert restore.first_long(state(deadline, rest)) == deadline


def test_the_latest_record_of_a_lead_counts_and_none_is_decoded() -> None:
    found, fold, shares = read(
        [
            (b"a", state(50)), (b"b", state(40)), (b"c", state(30)), (LANE_KEY, b"then"), (b"a", state(70)),
            (b"c", None), (b"d", state(60)), (b"b", state(NEVER)), (LANE_KEY, b"\0\0\0\0\x09now"),
        ]
    )  # fmt: skip
    assert len(fold) == 3
    assert fold.open_deadlines == 2  # a and d; b has none any more
    assert fold.next_deadline == 60
    assert found == restore.Found(b"\0\0\0\0\x09now", {7}, [])
    assert shares == pytest.approx([3 / 9, 6 / 9, 1])


@pytest.mark.parametrize(
    ("value", "schema", "detail"),
    [
        (b"{}", None, "no Confluent header"),
        (state(1, schema=5)[: HEADER.size], 5, "ends within its first field"),
        (HEADER.pack(MAGIC, 7) + b"\xff" * 40, 7, "ends within its first field"),
    ],
)
def test_what_is_no_state_is_named_by_its_offset_until_it_is_replaced(
    value: bytes, schema: int | None, detail: str
) -> None:
    records = [(b"a", state(1)), (b"b", state(2)), (b"b", value)]
    found, _, _ = read(records)
    (unreadable,) = found.unreadable
    assert (unreadable.offset, unreadable.schema_id) == (2, schema)
    assert detail in unreadable.detail
    assert read([*records, (b"b", state(3))])[0].unreadable == []
    assert read([*records, (b"b", None)])[0].unreadable == []


def test_an_abandoned_restore_ends_at_the_next_batch() -> None:
    fold = LaneFold(AGREEMENTS, unpacked, Erased(b"key"))
    records = [(b"lead-%d" % number, state(number)) for number in range(30)]
    asked = iter([False, True])
    finish(restore.read(0, SETTINGS, ports(records), fold.restore, lambda share: None, lambda: next(asked)))
    assert len(fold) == 3


def test_a_lane_is_untouched_only_while_nothing_stands_behind_its_position() -> None:
    records = [(b"a", state(1)), (LANE_KEY, b"ours")]
    assert finish(restore.untouched(0, 1, SETTINGS, ports(records)))
    assert not finish(restore.untouched(0, 1, SETTINGS, ports([*records, (b"a", state(2)), (LANE_KEY, b"theirs")])))
