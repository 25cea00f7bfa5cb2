"""The embedded ClickHouse engine: opens a path, makes connections. The only module that imports chdb.

One engine per process. Connections are cheap (0.15 ms); each has its own settings, current database and temporary tables
and runs one query at a time. The engine knows a single user; what that user may do is limited by static grants: no table
function or table engine that reaches files, other servers or the network, whoever asks.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import chdb

from streams.errors import BatonError, ConfigurationError

READ_ONLY: Final = "READ_ONLY"
CONTROL: Final = "CONTROL"
UNPARSED: Final = "UNKNOWN"

_ENGINES: Final = (
    "MergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "Memory",
    "Null",
    "Set",
    "Join",
    "Buffer",
    "Merge",
    "Dictionary",
    "Atomic",
)
_CONFIG: Final = """<clickhouse>
  <users_config>users.xml</users_config>
  <access_control_improvements><table_engines_require_grant>true</table_engines_require_grant></access_control_improvements>
  <logger><level>none</level></logger>
</clickhouse>
"""
_USERS: Final = f"""<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password></password>
    <networks><ip>::/0</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
    <grants>
      <query>GRANT SHOW, SELECT, INSERT, ALTER, CREATE, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, CHECK, KILL QUERY, SYSTEM,
        dictGet, MOVE PARTITION BETWEEN SHARDS ON *.*</query>
      <query>GRANT {", ".join(f"TABLE ENGINE ON {engine}" for engine in _ENGINES)}</query>
    </grants>
  </default></users>
</clickhouse>
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """What the engine's parser says of a query text."""

    kind: str
    """READ_ONLY, MUTATING, MUTATING_GLOBAL, CONTROL, or UNKNOWN where it does not parse."""
    count: int


@dataclass(frozen=True, slots=True)
class Result:
    data: bytes
    rows: int
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int


_FAILURES: Final = """
SELECT '' AS name, value, 0 AS code, '' AS text FROM system.events WHERE event = 'FailedInsertQuery'
UNION ALL
SELECT name, value, code, last_error_message FROM system.errors
"""


class Connection:
    """One of many; not thread-safe. Raises the engine's exceptions: their text begins with or contains `Code: N.`

    `committing`: raises what an insert failed of that came to its end within.
    """

    def __init__(self, path: str, committing: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        self._handle: Any = chdb.connect(path)
        self._committing = committing

    def run(self, sql: str) -> None:
        self._handle.query(sql, "Null")

    def query(self, sql: str, form: str, parameters: Mapping[str, str] | None = None) -> Result:
        answer = self._handle.query(sql, form, params=dict(parameters or {}))
        return Result(
            bytes(answer.bytes()),
            int(answer.rows_read()),
            int(answer.storage_rows_read()),
            int(answer.storage_bytes_read()),
            int(answer.rows_written()),
            int(answer.bytes_written()),
        )

    def stream(self, sql: str, form: str, parameters: Mapping[str, str]) -> Generator[bytes, None, None]:
        """Chunks of the answer; empty for no rows. Close the iterator, or the connection stays busy."""
        answer = self._handle.send_query(sql, form, params=dict(parameters))
        try:
            for chunk in answer:
                yield bytes(chunk.bytes())
        finally:
            answer.close()

    def insert(self, sql: str, form: str, chunks: Iterator[bytes]) -> tuple[int, int]:
        """(rows, bytes) written, once all of `chunks` is; nothing where they raise. `sql` without FORMAT and data."""
        inserter = self._handle.send_insert(sql, form)
        try:
            for chunk in chunks:
                inserter.append(chunk)
            with self._committing():
                done = inserter.finish()
        except BaseException:
            inserter.cancel()
            raise
        return int(done.rows_written), int(done.bytes_written)

    def parse(self, sql: str) -> Statement:
        found = self._handle._conn.classify_query(sql)
        return Statement(found["query_class"].name, int(found["statement_count"]))

    def close(self) -> None:
        self._handle.close()


class Engine:
    """The engine on `path`. Raises BatonError where it cannot be opened."""

    def __init__(self, path: Path, database: str) -> None:
        path = path.resolve()
        if set("?&#") & set(str(path)):
            raise ConfigurationError(f"{path}: the engine takes ?, & and # in a path for its own: name it without them")
        path.mkdir(parents=True, exist_ok=True)
        (path / "users.xml").write_text(_USERS, encoding="utf-8")
        config = path / "config.xml"
        config.write_text(_CONFIG.replace("users.xml", escape(str(path / "users.xml"))), encoding="utf-8")
        self._path = str(path)
        try:
            self._root = Connection(f"{path}?config-file={config}")
            # The engine's own `default` is an overlay over the file system.
            self._root.run(f"CREATE DATABASE IF NOT EXISTS `{database}` ENGINE = Atomic")
        except Exception as error:
            text = re.sub(r"\s+", " ", str(error))[:300]
            raise BatonError(f"{path}: the engine cannot open it: {text}") from error
        self._lock = threading.Lock()
        self._commits = threading.Lock()
        self.database = database
        self.version = self._scalar("SELECT version()")
        self.timezone = self._scalar("SELECT timezone()")
        self.host = self._scalar("SELECT hostName()")

    def _scalar(self, sql: str) -> str:
        return self._root.query(sql, "TabSeparatedRaw").data.decode().strip()

    def connection(self) -> Connection:
        return Connection(self._path, self._committing)

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """The engine says "written" of a last block that it could not write, and knows better by its counters alone.

        Of a full disk, a violated constraint, a failing materialized view. An insert that fails in another thread
        meanwhile takes this one down with it: better said once too often, for it can be repeated.
        """
        with self._commits:
            before = self._failures()
            yield
            after = self._failures()
        if after[""] != before[""]:
            raise RuntimeError(
                next(
                    (f"Code: {code}. DB::Exception: {text}. ({name})"
                     for name, (value, code, text) in after.items() if name and value != before.get(name, (0,))[0]),
                    "Code: 1002. DB::Exception: the insert failed. (UNKNOWN_EXCEPTION)",
                )
            )  # fmt: skip

    def _failures(self) -> dict[str, tuple[int, int, str]]:
        """Name of an error -> (how often, code, its last text); under "" how many inserts have failed."""
        with self._lock:
            answer = self._root.query(_FAILURES, "JSONCompactEachRow").data
        rows = (json.loads(line) for line in answer.splitlines())
        return {"": (0, 0, "")} | {name: (int(value), int(code), text) for name, value, code, text in rows}

    def cancel(self, tag: str) -> None:
        """Asks the queries whose setting log_comment is `tag` to stop."""
        with self._lock:
            self._root.query("KILL QUERY WHERE Settings['log_comment'] = {tag:String} ASYNC", "Null", {"tag": tag})

    def cancel_all(self) -> None:
        """Asks every running query to stop."""
        with self._lock:
            self._root.query("KILL QUERY WHERE 1 ASYNC", "Null")

    def close(self) -> None:
        self._root.close()
