"""Records that the embedded broker dropped before the sink read them end the sink: a store with a hole is not passed on."""

from __future__ import annotations

from typing import Any

import pytest

from streams.config import load
from streams.sink.batch import Partition
from streams.sink.origins import Origin
from streams.sink.sink import LostError, Sink
from tests.sink.support import Schemas

PLACE = ("sla-events", 2)


class Read:
    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset

    def topic(self) -> str:
        return PLACE[0]

    def partition(self) -> int:
        return PLACE[1]

    def error(self) -> None:
        return None

    def __len__(self) -> int:
        return 1


def _sink(*, transactions: bool) -> Any:
    sink: Any = Sink(load(transactions=transactions), Schemas())
    sink._partitions = {PLACE: Partition("sla-events", 2, Origin("x" * 22, 1), {})}
    sink._read = {PLACE: -1}
    return sink


@pytest.mark.parametrize("first", [[1], [0, 1, 2, 4]])
def test_a_hole_ends_the_sink_on_the_embedded_broker(first: list[int]) -> None:
    sink = _sink(transactions=False)
    with pytest.raises(LostError, match=r"sla-events, partition 2: offsets (0 to 0|3 to 3) are gone"):
        sink._take([Read(offset) for offset in first])


def test_markers_of_transactions_are_no_hole() -> None:
    sink = _sink(transactions=True)
    sink._take([Read(0), Read(1), Read(3)])
    assert sink._read == {PLACE: 3}
