"""ClickHouse's HTTP interface, byte by byte: what JDBC, Node and curl rely on. Against the embedded store alone."""

from __future__ import annotations

import gzip
import json
import re
import struct

import lz4.frame
import pytest
import zstandard

from streams.store.framing import Unpacker, pack
from tests.store.raw import send


def test_ping(embedded_store_url: str) -> None:
    assert send(embedded_store_url, method="GET").body == b"Ok.\n"


def test_headers_of_an_answer(embedded_store_url: str) -> None:
    reply = send(embedded_store_url, "SELECT 1 AS n FORMAT JSON", query_id="mine")
    assert reply.status == 200
    assert reply.headers["x-clickhouse-format"] == "JSON"
    assert reply.headers["x-clickhouse-query-id"] == "mine"
    assert reply.headers["x-clickhouse-timezone"]
    assert reply.headers["content-type"].startswith("application/json")
    assert json.loads(reply.headers["x-clickhouse-summary"])["result_rows"] == "1"
    assert json.loads(reply.body)["data"] == [{"n": 1}]


@pytest.mark.parametrize(
    ("headers", "fields", "body"),
    [
        ({}, {}, b"1\t2\n"),
        ({"X-ClickHouse-Format": "CSV"}, {}, b"1,2\n"),
        ({"X-ClickHouse-Format": "CSV"}, {"default_format": "JSONEachRow"}, b'{"a":1,"b":2}\n'),
        ({}, {"default_format": "TabSeparatedWithNames"}, b"a\tb\n1\t2\n"),
        ({}, {"default_format": "CSV", "wait_end_of_query": "1"}, b"1,2\n"),
    ],
)
def test_default_format(embedded_store_url: str, headers: dict[str, str], fields: dict[str, str], body: bytes) -> None:
    assert send(embedded_store_url, "SELECT 1 AS a, 2 AS b", headers=headers, fields=fields).body == body


def test_the_query_may_stand_in_url_body_or_both(embedded_store_url: str) -> None:
    assert send(embedded_store_url, body=b"SELECT 3").body == b"3\n"
    assert send(embedded_store_url, "SELECT 3 +", body=b"4").body == b"7\n"
    empty = send(embedded_store_url, body=b"  ")
    assert (empty.status, empty.code) == (400, 62)


def test_database_by_header_and_field(embedded_store_url: str) -> None:
    sql = "SELECT currentDatabase()"
    assert send(embedded_store_url, sql).body == b"baton\n"
    assert send(embedded_store_url, sql, headers={"X-ClickHouse-Database": "system"}).body == b"system\n"
    assert send(embedded_store_url, sql, database="system").body == b"system\n"
    assert send(embedded_store_url, sql, database="nowhere").code == 81


def test_block_framing_both_ways(embedded_store_url: str) -> None:
    send(embedded_store_url, "CREATE OR REPLACE TABLE framed (n UInt64) ENGINE = Memory")
    rows = b"".join(b"%d\n" % n for n in range(300_000))
    for sent in (pack(rows), _block(0x02, rows[:-7]) + _zstd(rows[-7:])):
        send(embedded_store_url, "TRUNCATE TABLE framed")
        assert send(embedded_store_url, "INSERT INTO framed FORMAT TSV", body=sent, decompress="1").status == 200
        reply = send(embedded_store_url, "SELECT n FROM framed ORDER BY n", compress="1")
        unpacker = Unpacker()
        assert unpacker.feed(reply.body) + unpacker.finish() == rows
    assert send(embedded_store_url, "SELECT 1 FORMAT JSONCompact", compress="1").body[16] == 0x82


def _checksummed(block: bytes) -> bytes:
    from clickhouse_cityhash.cityhash import CityHash128

    digest = CityHash128(block)
    return struct.pack("<QQ", digest >> 64, digest & (2**64 - 1)) + block


def _block(method: int, data: bytes) -> bytes:
    return _checksummed(struct.pack("<BII", method, len(data) + 9, len(data)) + data)


def _zstd(data: bytes) -> bytes:
    packed = zstandard.ZstdCompressor().compress(data)
    return _checksummed(struct.pack("<BII", 0x90, len(packed) + 9, len(data)) + packed)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda framed: framed[:40] + bytes([framed[40] ^ 1]) + framed[41:], 40),
        (lambda framed: framed[:-1], 271),
        (lambda framed: framed[:17] + b"\xff\xff\xff\xff" + framed[21:], 134),
    ],
)
def test_damaged_frames_are_refused(embedded_store_url: str, damage: object, code: int) -> None:
    send(embedded_store_url, "CREATE OR REPLACE TABLE damaged (n UInt64) ENGINE = Memory")
    assert callable(damage)
    body = damage(pack(b"1\n" * 5_000))
    assert send(embedded_store_url, "INSERT INTO damaged FORMAT TSV", body=body, decompress="1").code == code
    assert send(embedded_store_url, "SELECT count() FROM damaged").body == b"0\n"


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd", "deflate"])
def test_content_encodings(embedded_store_url: str, encoding: str) -> None:
    import zlib

    packers = {"gzip": gzip.compress, "lz4": lz4.frame.compress, "zstd": zstandard.compress, "deflate": zlib.compress}
    openers = {"gzip": gzip.decompress, "lz4": lz4.frame.decompress, "deflate": zlib.decompress}
    openers["zstd"] = lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)
    parts = packers[encoding](b"SELECT number ") + packers[encoding](b"FROM numbers(100000)")
    reply = send(
        embedded_store_url, body=parts, enable_http_compression="1",
        headers={"Content-Encoding": encoding, "Accept-Encoding": encoding},
    )  # fmt: skip
    assert reply.headers["content-encoding"] == encoding
    assert openers[encoding](reply.body) == b"".join(b"%d\n" % n for n in range(100_000))
    cut = send(
        embedded_store_url, body=packers[encoding](b"SELECT 1" * 100)[:-6], headers={"Content-Encoding": encoding}
    )
    assert cut.code == 271
    assert send(embedded_store_url, body=b"x", headers={"Content-Encoding": "br"}).code == 89


def test_an_answer_is_not_compressed_unless_asked(embedded_store_url: str) -> None:
    reply = send(embedded_store_url, "SELECT 1", headers={"Accept-Encoding": "gzip"})
    assert ("content-encoding" not in reply.headers, reply.body) == (True, b"1\n")


def test_the_exception_block_of_a_broken_stream(embedded_store_url: str) -> None:
    reply = send(embedded_store_url, "SELECT throwIf(number = 2000000, 'far out') FROM numbers(3000000)")
    tag = reply.headers["x-clickhouse-exception-tag"]
    assert reply.status == 200
    end = re.search(
        rb"\r\n__exception__\r\n%b\r\n(Code: 395\. .*?\n)(\d+) %b\r\n__exception__\r\n\Z"
        % (tag.encode(), tag.encode()),
        reply.body,
        re.DOTALL,
    )
    assert end is not None
    assert int(end.group(2)) == len(end.group(1))


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT nope", 404, 47),
        ("SELECT * FROM nope", 404, 60),
        ("SELEC 1", 400, 62),
        ("SELECT sleepEachRow(1) FROM numbers(5) SETTINGS max_execution_time = 1, max_block_size = 1", 408, 159),
    ],
)
def test_statuses(embedded_store_url: str, sql: str, status: int, code: int) -> None:
    reply = send(embedded_store_url, sql)
    assert (reply.status, reply.code) == (status, code)
    assert re.match(rf"Code: {code}\. DB::Exception: .*\(version \S+ \(embedded\)\)\n\Z", reply.text, re.DOTALL)


def test_a_get_changes_nothing(embedded_store_url: str) -> None:
    assert send(embedded_store_url, "SELECT 1", method="GET").body == b"1\n"
    for sql in ("CREATE TABLE made (n Int8) ENGINE = Memory", "INSERT INTO lanes VALUES", "SYSTEM DROP MARK CACHE"):
        assert send(embedded_store_url, sql, method="GET").code == 164, sql


def test_sessions_are_exclusive_and_expire(embedded_store_url: str) -> None:
    import threading

    from tests.support.poll import eventually

    slow = threading.Thread(
        target=send, args=(embedded_store_url, "SELECT sleep(2) FORMAT JSON"), kwargs={"session_id": "busy"}
    )
    slow.start()
    sleeping = "SELECT countIf(query LIKE '%sleep(2)%' AND query NOT LIKE '%LIKE%') FROM system.processes"
    eventually(lambda: send(embedded_store_url, sleeping).body == b"1\n", interval=0.02)
    assert send(embedded_store_url, "SELECT 1", session_id="busy").code == 373
    slow.join()
    assert send(embedded_store_url, "SELECT 1", session_id="busy").body == b"1\n"
    assert send(embedded_store_url, "SELECT 1", session_id="unknown", session_check="1").code == 372
    send(embedded_store_url, "SELECT 1", session_id="short", session_timeout="1")
    eventually(
        lambda: (
            send(embedded_store_url, "SELECT 1", session_id="short", session_timeout="1", session_check="1").code == 372
        ),
        interval=1.1,
    )
    assert send(embedded_store_url, "SELECT 1", session_id="x", session_timeout="soon").code == 374


def test_a_stream_that_nobody_reads_gives_its_session_back(embedded_store_url: str) -> None:
    import socket
    from urllib.parse import urlsplit

    from tests.support.poll import eventually

    address = urlsplit(embedded_store_url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as client:
        sql = b"SELECT number FROM numbers(1000000000)"
        client.sendall(
            b"POST /?session_id=left HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (len(sql), sql)
        )
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    eventually(lambda: send(embedded_store_url, "SELECT 1", session_id="left").status == 200)


def test_a_query_that_nobody_waits_for_is_stopped(embedded_store_url: str) -> None:
    import socket
    from urllib.parse import urlsplit

    from tests.support.poll import eventually

    running = "SELECT countIf(query LIKE '%numbers(77)%' AND query NOT LIKE '%LIKE%') FROM system.processes"
    address = urlsplit(embedded_store_url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as client:
        sql = b"SELECT sleepEachRow(1) FROM numbers(77) SETTINGS max_block_size = 1 FORMAT JSON"
        client.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (len(sql), sql))
        eventually(lambda: send(embedded_store_url, running).body == b"1\n")
    eventually(lambda: send(embedded_store_url, running).body == b"0\n")
