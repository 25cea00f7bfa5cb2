"""State written by one version is read by the next and by the one before: what is said stays what the oracle says.

The next version is this one with a field more at the end of everything that is packed; the one before is this one without
the fields at the end that have their defaults. Lanes crash and are restored on the way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from processors import merging, outputs
from processors.facts import Fact, to_fact
from processors.state import (
    Instance,
    Journey,
    Memory,
    Snapshot,
    State,
    Transition,
    UnreadableState,
    Withdrawal,
    pack,
    pack_fact,
    packed_size,
    unpack,
    unpack_fact,
    unpack_snapshot,
)
from tests.oracle.histories import History, histories
from tests.oracle.test_against_fold import excepted, expected, told
from tests.oracle.walk import tell as oracle
from tests.processors.support import START, event

SOME = settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)


def newer(value: Any) -> Any:
    """As the next version packs it."""
    if isinstance(value, msgspec.Struct):
        return [*(newer(getattr(value, name)) for name in value.__struct_fields__), {"of": "the next version"}]
    if isinstance(value, dict):
        return {key: newer(item) for key, item in value.items()}
    return [newer(item) for item in value] if isinstance(value, list | tuple) else value


def older(value: Any) -> Any:
    """As a version packed it that did not have the last fields yet."""
    if isinstance(value, msgspec.Struct):
        kept = [getattr(value, name) for name in value.__struct_fields__]
        for default in reversed(value.__struct_defaults__):
            made = default.factory() if hasattr(default, "factory") else default
            if kept[-1] != made:
                break
            kept.pop()
        return [older(item) for item in kept]
    if isinstance(value, dict):
        return {key: older(item) for key, item in value.items()}
    return [older(item) for item in value] if isinstance(value, list | tuple) else value


def packed_by(version: Callable[[Any], Any]) -> Callable[[Any], bytes]:
    return lambda value: msgspec.msgpack.encode(version(value))


def in_turn(random: Random) -> Callable[[Any], bytes]:
    """Neighbours side by side: now the one writes, now the other."""
    return lambda value: packed_by(random.choice([newer, older, lambda same: same]))(value)


PACKED: tuple[Any, ...] = (Fact, Transition, Instance, Journey, State, Withdrawal, Memory, Snapshot)


@pytest.mark.parametrize("kind", PACKED)
def test_whatever_is_packed_is_packed_by_place(kind: Any) -> None:
    assert kind.__struct_config__.array_like
    assert not kind.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize(
    "writer",
    [lambda _: packed_by(newer), lambda _: packed_by(older), in_turn],
    ids=["the next", "the one before", "both in turn"],
)
def test_what_is_said_is_the_same_whoever_wrote_the_state(
    writer: Callable[[Random], Callable[[Any], bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    @SOME
    @given(histories(), st.integers(0, 2**32))
    def tell(history: History, seed: int) -> None:
        records, versions, now = history
        if excepted(records):
            return
        right = expected(oracle(records, versions, now=now))
        write = writer(Random(seed))

        def counted(value: Any) -> bytes:
            nonlocal written
            written += 1
            return write(value)

        monkeypatch.setattr(outputs, "pack", counted)
        monkeypatch.setattr(merging, "pack_snapshot", counted)
        assert told(history, oracle(records, versions, now=now), Random(seed)) == right

    tell()
    assert written > 1_000


def test_an_older_fact_gets_the_defaults_and_a_newer_ones_field_is_ignored() -> None:
    fact = to_fact("LeadCaptured", event("LeadCaptured", 0, "e"), START)
    assert older(fact) != newer(fact)[:-1]  # there is something to leave out
    for version in (newer, older):
        assert unpack_fact(msgspec.msgpack.encode(version(fact))) == fact
    assert unpack_fact(pack_fact(fact)) == fact


@pytest.mark.parametrize("read", [unpack, unpack_fact, unpack_snapshot])
@pytest.mark.parametrize("packed", [b"", b"\xc1", b"\x91", msgspec.msgpack.encode(["Ann"] * 40), b"\x80"])
def test_what_cannot_be_read_is_told_with_the_mend_and_no_data(read: Callable[[bytes], Any], packed: bytes) -> None:
    with pytest.raises(
        UnreadableState, match=r"cannot be read by fold version .* upgrade one version at a time"
    ) as caught:
        read(packed)
    assert "Ann" not in str(caught.value)


def test_fields_are_only_ever_appended() -> None:
    """packed_fields.json has them as they were released: a field put in between would be read as its neighbour."""
    released = json.loads((Path(__file__).parent / "packed_fields.json").read_text())
    assert set(released) == {kind.__name__ for kind in PACKED}
    for kind in PACKED:
        names = released[kind.__name__]
        assert list(kind.__struct_fields__[: len(names)]) == names, kind.__name__
        added = len(kind.__struct_fields__) - len(names)
        assert len(kind.__struct_defaults__) >= added, f"{kind.__name__}: what is appended needs a default"


def test_an_empty_memory_is_no_error() -> None:
    assert unpack(pack(Memory())) == Memory()
    assert unpack(b"\x90") == Memory()


def test_a_state_is_read_compressed_or_not() -> None:
    """The version before wrote it plain."""
    memory = Memory(seen=bytes(1_000))
    packed = pack(memory)
    assert len(packed) < 100
    assert unpack(packed) == unpack(msgspec.msgpack.encode(memory)) == memory
    assert packed_size(packed) == packed_size(msgspec.msgpack.encode(memory)) == len(msgspec.msgpack.encode(memory))


@pytest.mark.parametrize("damage", [b"\x01", b"\x01\x10\x00\x00\x00", b"\x01\xff\xff\xff\xff\x00"])
def test_a_state_that_was_compressed_and_is_damaged_says_so(damage: bytes) -> None:
    with pytest.raises(UnreadableState, match="a lead's state cannot be read by fold version"):
        unpack(damage)
