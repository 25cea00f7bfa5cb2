"""What every store must do for the unmodified clickhouse-connect: the same tests on the embedded one and on a server."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from streams.config import Settings
from streams.store.client import Client, connect


def another(store: Settings, **options: Any) -> Client:
    host, port = store.store_url.removeprefix("http://").split(":")
    return clickhouse_connect.get_client(
        host=host,
        port=int(port),
        username=store.store_user,
        password=store.store_password.get_secret_value(),
        database=store.store_database,
        **options,
    )


def test_values_come_back_as_they_went(client: Client) -> None:
    client.command(
        "CREATE TABLE kinds (n Int64, s String, d Decimal(18, 4), t DateTime64(3, 'UTC'), o Nullable(String),"
        " a Array(Nullable(Int32)), m Map(String, UInt64), u UUID, b Bool, l LowCardinality(Nullable(String)))"
        " ENGINE = MergeTree ORDER BY n"
    )
    row = [
        -(2**63), "quote ' back \\ line\n\n; DROP TABLE k", Decimal("1.2500"), datetime(2026, 3, 29, 1, 30, tzinfo=UTC), None,
        [1, None], {"k": 2**64 - 1}, uuid.UUID(int=7), True, "low",
    ]  # fmt: skip
    client.insert("kinds", [row, [0, "", Decimal(0), row[3], "x", [], {}, row[7], False, None]])
    rows = client.query("SELECT * FROM kinds ORDER BY n", query_tz="UTC").result_rows
    assert list(rows[0])[:3] == row[:3]
    assert rows[0][3].replace(tzinfo=UTC) == row[3]
    assert list(rows[0])[4:] == row[4:]
    assert rows[1][4:7] == ("x", [], {})
    assert len(rows) == 2


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_every_compression_carries_both_ways(store: Settings, compress: bool | str) -> None:
    with another(store, compress=compress) as client:
        client.command("CREATE TABLE packed (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
        client.insert("packed", [(n, str(n) * 20) for n in range(150_000)], column_names=["n", "s"])
        assert client.query("SELECT count(), sum(n), max(length(s)) FROM packed").result_rows == [
            (150_000, sum(range(150_000)), 120)
        ]
        with client.query_row_block_stream("SELECT * FROM packed ORDER BY n") as blocks:
            rows = [row for block in blocks for row in block]
    assert rows[::50_000] == [(0, "0" * 20), (50_000, "50000" * 20), (100_000, "100000" * 20)]
    assert len(rows) == 150_000


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("String", 'it\'s a \\ "test"\twith\nlines; and a `tick`'),
        ("Array(String)", ["a'b", "c\\", ""]),
        ("Int64", -(2**63)),
        ("Nullable(String)", None),
        ("String", "x" * 200_000),
    ],
)
def test_parameters_are_values_never_text(client: Client, kind: str, value: object) -> None:
    answer = client.query(f"SELECT {{p:{kind}}}", parameters={"p": value})
    assert answer.result_rows == [(value,)]


def test_identifiers_can_be_parameters(client: Client) -> None:
    answer = client.query(
        "SELECT count() FROM {t:Identifier} WHERE {c:Identifier} = 1", parameters={"t": "lanes", "c": "lane"}
    )
    assert answer.result_rows == [(0,)]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT nope", 47),
        ("SELECT * FROM nope", 60),
        ("SELECT * FROM nope.nope", 81),
        ("SELEC 1", 62),
        ("SELECT nope(1)", 46),
        ("SELECT toUInt8('x')", 6),
        ("SELECT 1; SELECT 2", 62),
        ("SELECT throwIf(1)", 395),
    ],
)
def test_errors_carry_clickhouse_codes(client: Client, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query(sql)
    assert caught.value.code == code


def test_an_error_in_mid_stream_reaches_the_client(client: Client) -> None:
    read = 0

    def drain() -> None:
        nonlocal read
        sql = "SELECT throwIf(number = 3000000, 'too far') FROM numbers(4000000)"
        with client.query_row_block_stream(sql, settings={"max_block_size": 65_536}) as blocks:
            for block in blocks:
                read += len(block)

    with pytest.raises(DatabaseError, match="too far"):
        drain()
    assert 0 < read < 3_000_001


def test_a_session_keeps_what_was_set_in_it(store: Settings) -> None:
    with another(store, session_id=uuid.uuid4().hex) as client, another(store, session_id=uuid.uuid4().hex) as other:
        client.command("CREATE TEMPORARY TABLE mine (n Int8) ENGINE = Memory")
        client.insert("mine", [[5]], column_names=["n"], database="")
        assert client.query("SELECT n FROM mine").result_rows == [(5,)]
        client.command("SET max_result_rows = 7")
        assert client.query("SELECT getSetting('max_result_rows')", settings={"max_threads": 1}).result_rows == [(7,)]
        assert client.query("SELECT getSetting('max_result_rows')").result_rows == [(7,)]
        assert other.query("SELECT getSetting('max_result_rows')").result_rows == [(0,)]
        with pytest.raises(DatabaseError):
            other.query("SELECT n FROM mine")


def test_settings_of_a_request_end_with_it(store: Settings) -> None:
    with another(store, session_id=uuid.uuid4().hex) as client:
        sql = "SELECT getSetting('max_block_size')"
        usual = client.query(sql).result_rows
        assert client.query(sql, settings={"max_block_size": 123}).result_rows == [(123,)]
        assert client.query(sql).result_rows == usual


def test_external_tables_come_with_the_query(client: Client) -> None:
    data = ExternalData(file_name="pairs.csv", data=b"1,one\n2,two\n", fmt="CSV", structure=["n UInt8", "w String"])
    data.add_file(file_name="more.tsv", data=b"2\n", types="UInt8")
    answer = client.query("SELECT w FROM pairs WHERE n IN (SELECT _1 FROM more)", external_data=data)
    assert answer.result_rows == [("two",)]


def test_inserts_in_every_way_a_client_has(client: Client) -> None:
    client.command("CREATE TABLE ways (n Int32, s String) ENGINE = MergeTree ORDER BY n")
    client.command("INSERT INTO ways VALUES (1, 'a;b'), (2, 'c')")
    client.command("INSERT INTO ways (s, n) SELECT 'sel', 3")
    client.command("INSERT INTO ways VALUES ({n:Int32}, {s:String})", parameters={"n": 4, "s": "p'q"})
    client.raw_insert("ways", ["n", "s"], b'5,csv\n6,"more\n\nlines"\n', fmt="CSV")
    client.raw_insert("ways", insert_block=b'{"n":7,"s":"json"}\n', fmt="JSONEachRow")
    rows = dict(client.query("SELECT n, s FROM ways ORDER BY n, s").result_rows)
    assert rows == {1: "a;b", 2: "c", 3: "sel", 4: "p'q", 5: "csv", 6: "more\n\nlines", 7: "json"}


def test_data_is_never_taken_for_a_statement(client: Client) -> None:
    client.command("CREATE TABLE keep (s String) ENGINE = MergeTree ORDER BY s")
    client.raw_insert("keep", ["s"], b"one\n\nDROP TABLE keep\n; DROP TABLE keep;\n", fmt="TSV")
    assert ("; DROP TABLE keep;",) in client.query("SELECT s FROM keep").result_rows


def test_a_broken_insert_leaves_nothing(client: Client) -> None:
    client.command("CREATE TABLE whole (n Int32) ENGINE = MergeTree ORDER BY n")
    with pytest.raises(DatabaseError) as caught:
        client.raw_insert("whole", ["n"], b"1\n2\nthree\n", fmt="CSV")
    assert caught.value.code in (6, 27, 117)
    assert client.query("SELECT count() FROM whole").result_rows == [(0,)]


def test_an_insert_that_fails_at_its_end_is_not_acknowledged(client: Client) -> None:
    """All of it is in one block, which the engine writes only once the last byte is there."""
    client.command("CREATE TABLE small (n UInt32, CONSTRAINT below CHECK n < 10) ENGINE = MergeTree ORDER BY n")
    client.insert("small", [[1], [2]], column_names=["n"])
    with pytest.raises(DatabaseError, match=r"Code: 469.*`below`"):
        client.insert("small", [[3], [100]], column_names=["n"])
    client.insert("small", [[4]], column_names=["n"])
    assert client.query("SELECT n FROM small ORDER BY n").result_rows == [(1,), (2,), (4,)]


def test_frames_and_arrow(client: Client) -> None:
    frame = client.query_df("SELECT number AS n, toString(number) AS s FROM numbers(3)")
    assert frame["s"].tolist() == ["0", "1", "2"]
    assert client.query_arrow("SELECT number AS n FROM numbers(4)").column("n").to_pylist() == [0, 1, 2, 3]
    client.command("CREATE TABLE framed (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    client.insert_df("framed", frame)
    assert client.query("SELECT sum(n) FROM framed").result_rows == [(3,)]


def test_the_same_token_is_taken_once(client: Client) -> None:
    client.command(
        "CREATE TABLE once (n Int32) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 10"
    )
    settings = {"async_insert": 0, "insert_deduplicate": 1}
    for token in ("a", "a", "b"):
        client.insert("once", [[1]], column_names=["n"], settings={**settings, "insert_deduplication_token": token})
    assert client.query("SELECT count() FROM once").result_rows == [(2,)]


def test_the_newest_version_holds_whatever_came_when(client: Client) -> None:
    """Older rows that come after a deletion, before and after merges, change nothing."""
    client.command(
        "CREATE TABLE told (k String, v UInt64, d UInt8, s String) ENGINE = ReplacingMergeTree(v, d) ORDER BY k"
    )

    def add(*row: object) -> None:
        client.insert("told", [row], column_names=["k", "v", "d", "s"], settings={"async_insert": 0})

    def holds() -> list[tuple[object, ...]]:
        before = client.query("SELECT k, s FROM told FINAL ORDER BY k").result_rows
        client.command("OPTIMIZE TABLE told FINAL")
        assert client.query("SELECT k, s FROM told FINAL ORDER BY k").result_rows == before
        return list(before)

    add("a", 5, 0, "five")
    add("a", 3, 0, "three, late")
    assert holds() == [("a", "five")]
    add("a", 8, 1, "taken back")
    assert holds() == []
    add("a", 6, 0, "six, late")
    assert holds() == []
    add("a", 9, 0, "stated again")
    add("a", 8, 1, "taken back, once more")
    assert holds() == [("a", "stated again")]


def test_views_and_columns_carry_comments(client: Client) -> None:
    views = client.query(
        "SELECT name, comment FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"
    ).result_rows
    assert {name for name, _ in views} >= {
        "journeys", "kpi_funnel_by_source", "kpi_response_time", "kpi_sla_compliance", "kpi_open_clocks", "kpi_current_stages",
    }  # fmt: skip
    assert all(comment for _, comment in views)
    bare = client.query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = ''"
        " AND NOT endsWith(name, '_at') AND table LIKE 'kpi_%'"
    ).result_rows
    assert {table for table, _ in bare} <= {"kpi_funnel_by_source", "kpi_sla_compliance"}  # "likewise the next six"


def test_connect_says_what_is_wrong(store: Settings) -> None:
    from streams.errors import ConfigurationError

    missing = store.model_copy(update={"store_database": "nowhere"})
    with pytest.raises(ConfigurationError, match="no database nowhere: run `baton migrate`"):
        connect(missing).query("SELECT 1 FROM lanes")
