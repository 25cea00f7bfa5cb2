"""The external sort: the same order as a sort in memory, little memory, and nothing left behind."""

from __future__ import annotations

import os
import random
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.facts import RANK
from streams.errors import BatonError, InputError
from streams.importers import Imported
from streams.importers.external_sort import in_order
from tests.publishing.support import imported


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go in this test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def open_files(folder: Path) -> int:
    """Files of `folder` that this process holds open, those without a name included."""
    found = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{number}").startswith(str(folder))
        except FileNotFoundError:  # the listing's own
            continue
    return found


def shuffled(count: int) -> list[Imported]:
    items = [imported(number // 3, f"e{number:06}", note="x" * (number % 50)) for number in range(count)]
    random.Random(7).shuffle(items)
    return items


def test_runs_on_disk_give_the_order_of_a_sort_in_memory(folder: Path) -> None:
    items = shuffled(2_000)
    most = 0

    def watched() -> Iterator[Imported]:
        nonlocal most
        for item in items:
            most = max(most, open_files(folder))
            yield item

    out = list(in_order(watched(), memory=4_000, fan_in=4))
    assert out == sorted(items, key=lambda item: (item.received_at, item.event["event_id"]))
    assert 4 <= most <= 4 * 5  # many runs were written; a level holds at most fan_in of them
    assert open_files(folder) == 0
    assert list(folder.iterdir()) == []


NAMES = ["LeadCaptured", "CampaignAnnounced", "TouchRecorded", "LeadErased"]
ITEMS = st.builds(imported, st.integers(0, 3), st.text("ab", max_size=2), name=st.sampled_from(NAMES))


@given(st.lists(ITEMS), st.integers(1, 2_000), st.integers(2, 4))
def test_any_items_come_out_in_order_whatever_the_memory(items: list[Imported], memory: int, fan_in: int) -> None:
    def order(item: Imported) -> tuple[int, int, str]:
        return (item.received_at or 0, RANK.get(item.name, -1), item.event["event_id"])

    assert list(in_order(items, memory, fan_in)) == sorted(items, key=order)


def test_an_input_that_breaks_leaves_nothing(folder: Path) -> None:
    def broken() -> Iterator[Imported]:
        yield from shuffled(500)
        assert open_files(folder) > 0
        raise InputError("line 501")

    with pytest.raises(InputError, match="line 501"):
        list(in_order(broken(), memory=2_000, fan_in=3))
    assert open_files(folder) == 0
    assert list(folder.iterdir()) == []


def test_a_reader_that_stops_early_leaves_nothing(folder: Path) -> None:
    walk = iter(in_order(shuffled(500), memory=2_000))
    assert next(walk).event["event_id"] == "e000000"
    assert open_files(folder) > 1
    walk.close()  # type: ignore[attr-defined]
    assert open_files(folder) == 0
    assert list(folder.iterdir()) == []


def test_a_write_that_fails_leaves_nothing_and_tells_where(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def watched() -> Iterator[Imported]:
        yield from shuffled(200)
        assert open_files(folder) > 0
        monkeypatch.setattr(tempfile, "tempdir", str(folder / "gone"))
        yield from shuffled(200)

    with pytest.raises(
        BatonError, match=r"temporary folder .*gone: No such file or directory; free room there, or name"
    ):
        list(in_order(watched(), memory=2_000))
    assert open_files(folder) == 0


def test_memory_does_not_grow_with_the_input(folder: Path) -> None:
    def many(count: int) -> Iterator[Imported]:
        for number in range(count):
            yield imported(-number, f"e{number}", note=f"{number}" + "x" * 500)

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            for _ in in_order(many(count), memory=1_000_000):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(5_000), peak(40_000)  # 4 MB and 32 MB of events
    assert small < 4_000_000
    assert large < 4_000_000
