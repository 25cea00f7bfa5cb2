"""The embedded store's pure parts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.store.encodings import decoder, encoder
from streams.store.faults import Fault
from streams.store.framing import Unpacker, pack
from streams.store.statements import output_format, split_insert


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(at)]


@given(st.binary(max_size=5_000), st.lists(st.integers(0, 10_000), max_size=6))
def test_frames_come_back_however_they_are_cut(data: bytes, places: list[int]) -> None:
    unpacker = Unpacker()
    assert b"".join(map(unpacker.feed, cut(pack(data), places))) + unpacker.finish() == data


@given(
    st.sampled_from(["gzip", "deflate", "lz4", "zstd"]),
    st.lists(st.binary(max_size=2_000), max_size=4),
    st.lists(st.integers(0, 10_000), max_size=6),
    st.booleans(),
)
def test_encodings_come_back_however_they_are_cut(
    name: str, parts: list[bytes], places: list[int], framed: bool
) -> None:
    """Each part a frame of its own, as clients send them."""
    sent = b""
    for part in parts:
        transform, chosen = encoder(name, wanted=True, framed=False)
        assert chosen == name
        sent += transform.feed(pack(part) if framed else part) + transform.finish()
    receiver = decoder(name, framed=framed)
    assert b"".join(map(receiver.feed, cut(sent, places))) + receiver.finish() == b"".join(parts)


def test_a_client_that_refuses_an_encoding_does_not_get_it() -> None:
    assert encoder("lz4;q=0, gzip", wanted=True, framed=False)[1] == "gzip"
    assert encoder("br", wanted=True, framed=False)[1] is None


@pytest.mark.parametrize(
    ("text", "sql", "form", "data"),
    [
        (b"INSERT INTO t VALUES (1)", "INSERT INTO t ", "Values", b" (1)"),
        (b"/* VALUES */ insert into `a`.`b` (`format`) FORMAT Native\n\x00", "/* VALUES */ insert into `a`.`b` (`format`) ",
         "Native", b"\x00"),
        (b"INSERT INTO TABLE format FORMAT CSV\r\n1", "INSERT INTO TABLE format ", "CSV", b"1"),
        (b"INSERT INTO db.values SETTINGS a = 'FORMAT x' VALUES (1)", "INSERT INTO db.values SETTINGS a = 'FORMAT x' ",
         "Values", b" (1)"),
        (b"INSERT INTO t -- VALUES\n FORMAT TSV 1\t2", "INSERT INTO t -- VALUES\n ", "TSV", b"1\t2"),
        (b"INSERT INTO t (a, b) FORMAT RowBinary", "INSERT INTO t (a, b) ", "RowBinary", b""),
    ],
)  # fmt: skip
def test_an_insert_is_split_from_its_data(text: bytes, sql: str, form: str, data: bytes) -> None:
    head = split_insert(text, complete=True)
    assert head is not None
    assert (head.sql, head.form, text[head.data_from :]) == (sql, form, data)


@pytest.mark.parametrize(
    "text", [b"INSERT INTO t SELECT 1", b"INSERT INTO t (a) (SELECT 1 FROM values)", b"INSERT INTO t"]
)
def test_an_insert_without_data(text: bytes) -> None:
    assert split_insert(text, complete=True) is None


def test_a_head_that_may_go_on_is_waited_for() -> None:
    assert split_insert(b"INSERT INTO t FORMAT Native", complete=False) is None
    with pytest.raises(Fault):
        split_insert(b"INSERT INTO FUNCTION file('x') VALUES (1)", complete=True)


@pytest.mark.parametrize(
    ("sql", "form"),
    [
        ("SELECT 1 FORMAT JSON", "JSON"),
        ("select 1 format CSV settings max_threads = 1;", "CSV"),
        ("SELECT format('x', 1)", None),
        ("SELECT 'FORMAT JSON'", None),
        ("SELECT 1 -- FORMAT JSON", None),
    ],
)
def test_output_format(sql: str, form: str | None) -> None:
    assert output_format(sql) == form
