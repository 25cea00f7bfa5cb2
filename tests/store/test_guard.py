"""Safe defaults of the embedded store: who may do what, and what nobody may do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.errors import ConfigurationError
from streams.store.guard import Users
from streams.store.server import StoreServer
from tests.store.fixtures import start_store
from tests.store.raw import send

SECRET = "kept-from-everybody"


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("outside") / "secret.csv"
    file.write_text(f"{SECRET}\n")
    return file


DOORS = [
    "SELECT * FROM file('{0}', 'CSV', 's String')",
    "SELECT file('{0}')",
    "SELECT `f\\x69le`('{0}')",
    "SELECT \"file\"('{0}')",
    "SELECT file /* */ ('{0}') FORMAT Parquet",
    "SELECT 1 WHERE file('{0}') != ''",
    "WITH (SELECT file('{0}')) AS s SELECT s FORMAT JSON",
    "DESCRIBE file('{0}') FORMAT Null",
    "EXPLAIN SELECT file('{0}')",
    "SELECT * FROM default.`{0}`",
    "SELECT * FROM `{0}`",
    "SELECT * FROM url('file://{0}', 'CSV', 's String')",
    "SELECT * FROM url('http://127.0.0.1:9/', 'CSV', 's String')",
    "SELECT * FROM executable('cat {0}', 'CSV', 's String')",
    "SELECT * FROM filesystem('{0}')",
    "SELECT * FROM s3('http://127.0.0.1:9/bucket/{0}')",
    "SELECT * FROM remote('127.0.0.1:9', system.one)",
    "SELECT * FROM mysql('127.0.0.1:9', 'd', 't', 'u', 'p')",
    "SELECT * FROM sqlite('{0}', 't')",
    "SELECT * FROM Python(secret)",
    "SELECT * FROM (SELECT * FROM merge('default', '.*'))",
    "SELECT 1 INTO OUTFILE '{0}.out'",
    "EXPLAIN SELECT 1 INTO OUTFILE '{0}.out'",
    "SHOW TABLES INTO OUTFILE '{0}.out'",
]
OWNERS_DOORS = [
    "INSERT INTO FUNCTION file('{0}.out', 'CSV', 's String') VALUES ('x')",
    "INSERT INTO TABLE FUNCTION file('{0}.out') SELECT 1",
    "INSERT INTO lanes FROM INFILE '{0}' FORMAT CSV",
    "CREATE TABLE doors (s String) ENGINE = File(CSV, '{0}')",
    "CREATE TABLE doors (s String) ENGINE = URL('http://127.0.0.1:9/', CSV)",
    "CREATE TABLE doors (s String) ENGINE = Executable('cat {0}', CSV)",
    "CREATE TABLE doors ENGINE = MergeTree ORDER BY s AS SELECT file('{0}') AS s",
    "CREATE DATABASE doors ENGINE = Filesystem('/')",
    "CREATE VIEW doors AS SELECT file('{0}') AS s",
    "CREATE DICTIONARY doors (s UInt64) PRIMARY KEY s SOURCE(FILE(PATH '{0}' FORMAT 'CSV')) LAYOUT(FLAT()) LIFETIME(0)",
    "ATTACH TABLE doors FROM '{0}' (s String) ENGINE = MergeTree ORDER BY s",
    "BACKUP TABLE system.one TO File('{0}.out')",
    "SET dialect = 'prql'",
    "CREATE USER mallory",
    "GRANT ALL ON *.* TO default",
]


@pytest.mark.parametrize("user", ["default", "reader"])
@pytest.mark.parametrize("door", DOORS)
def test_nobody_gets_out_of_the_store(embedded_store_url: str, secret: Path, user: str, door: str) -> None:
    reply = send(embedded_store_url, door.format(secret), user=user)
    assert reply.status >= 400 or SECRET not in reply.text
    assert (reply.status >= 400) or "merge" in door
    assert SECRET not in reply.text
    assert not secret.with_name(secret.name + ".out").exists()


@pytest.mark.parametrize("door", OWNERS_DOORS)
def test_not_even_its_owner(embedded_store_url: str, secret: Path, door: str) -> None:
    reply = send(embedded_store_url, door.format(secret))
    assert reply.status >= 400, reply.text
    assert secret.exists()
    assert not secret.with_name(secret.name + ".out").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO lanes (lane) VALUES (9)",
        "INSERT INTO lanes (lane) SELECT 9",
        "CREATE TABLE made (n Int8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE made (n Int8)",
        "DROP DATABASE baton",
        "ALTER TABLE lanes DELETE WHERE 1",
        "OPTIMIZE TABLE lanes",
        "SYSTEM SHUTDOWN",
        "KILL QUERY WHERE 1",
        "SET readonly = 0",
        "SET max_execution_time = 0",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1; DROP DATABASE baton",
    ],
)
def test_a_reader_only_reads(embedded_store_url: str, sql: str) -> None:
    assert send(embedded_store_url, sql, user="reader").status >= 400


def test_a_reader_reads(embedded_store_url: str) -> None:
    for sql in (
        "SELECT 1",
        "SHOW DATABASES",
        "DESCRIBE system.one",
        "EXPLAIN SELECT 1",
        "WITH 1 AS n SELECT n",
        "USE system",
    ):
        assert send(embedded_store_url, sql, user="reader").status == 200, sql
    limits = send(embedded_store_url, "SELECT getSetting('max_execution_time')", user="reader", max_execution_time="0")
    assert limits.body == b"60\n"


def test_a_readers_settings(embedded_store_url: str) -> None:
    def code(**fields: str) -> int:
        return send(embedded_store_url, "SELECT 1", user="reader", fields=fields).code

    assert code(max_block_size="100", output_format_json_quote_64bit_integers="0", session_timezone="UTC") == 0
    assert code(readonly="2") == 0
    assert code(readonly="0") == 164
    assert code(allow_introspection_functions="1") == 164
    assert code(max_memory_usage="0") == 164


def test_words_that_look_like_doors_are_none(embedded_store_url: str) -> None:
    send(embedded_store_url, "CREATE OR REPLACE TABLE outfile (file String, url String) ENGINE = Memory")
    assert (
        send(embedded_store_url, "INSERT INTO outfile VALUES ('SELECT file(1) INTO OUTFILE', 'a\\\\b')").status == 200
    )
    reply = send(
        embedded_store_url, "SELECT file, url FROM outfile WHERE file LIKE '%INTO OUTFILE%' AND url != 'http\\\\'"
    )
    assert reply.text == "SELECT file(1) INTO OUTFILE\ta\\\\b\n"
    send(embedded_store_url, "DROP TABLE outfile")


def test_web_pages_are_refused(embedded_store_url: str) -> None:
    port = embedded_store_url.rpartition(":")[2]
    assert send(embedded_store_url, "SELECT 1", headers={"Origin": "https://example.org"}).code == 497
    assert send(embedded_store_url, "SELECT 1", headers={"Host": f"rebound.example.org:{port}"}).code == 497
    assert send(embedded_store_url, "SELECT 1", headers={"Host": f"localhost:{port}"}).status == 200


def test_odd_parameters_are_refused(embedded_store_url: str) -> None:
    assert send(embedded_store_url, "SELECT 1", fields={"x = 1, readonly": "0"}).code == 36
    assert send(embedded_store_url, "SELECT 1", nonsense="1").code == 115
    assert send(embedded_store_url, "SELECT 1", dialect="prql").code == 164


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("locked")
    env = {"BATON_STORE_PASSWORD": "own-er", "BATON_STORE_READER_PASSWORD": "rea:der"}
    child, url = start_store(folder / "data", folder, env=env)
    yield url
    child.stop()


def test_passwords(locked: str) -> None:
    import base64

    def basic(pair: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    assert send(locked, "SELECT 1").code == 516
    assert send(locked, "SELECT 1", user="default", password="wrong").status == 403
    assert send(locked, "SELECT 1", user="reader").code == 516
    assert send(locked, "SELECT 1", user="nobody").code == 516
    assert send(locked, "SELECT 1", headers={"Authorization": "Basic ???"}).code == 516
    assert send(locked, "SELECT 1", user="default", password="own-er").status == 200
    assert (
        send(locked, "SELECT 1", headers={"X-ClickHouse-User": "default", "X-ClickHouse-Key": "own-er"}).status == 200
    )
    assert send(locked, "SELECT 1", headers=basic("reader:rea:der")).status == 200
    assert send(locked, "CREATE TABLE t (n Int8) ENGINE = Memory", headers=basic("reader:rea:der")).code == 164


def test_a_reader_without_password_is_shut_out_once_there_is_one() -> None:
    from streams.store.faults import Fault

    users = Users(owner_password="set")
    with pytest.raises(Fault):
        users.authenticate("reader", "")
    assert Users().authenticate("reader", "") == "reader"


def test_no_open_store_on_the_network(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="set a password"):
        StoreServer(tmp_path, host="0.0.0.0")  # noqa: S104
