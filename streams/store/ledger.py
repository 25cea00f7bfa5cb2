"""Which migrations a database has, and which of them is being applied: the table `migrations` and the lock beside it.

ClickHouse has no locks for clients. Making a table is atomic, so whoever makes `migrations_lock` holds it; the holder
writes into it that it lives, and a lock whose holder has not for a while is taken over. Only one can: the stale table is
renamed to a name that carries its own identity, and a name can be taken once.

On a cluster the lock is a table that every node has whole. It is made, renamed and dropped ON CLUSTER: all nodes carry that out
in one order, so all of them have the same holder.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.errors import BatonError, ConfigurationError
from streams.store.client import INSERT_SETTINGS, Client, failure
from streams.store.cluster import MAKING
from streams.store.layout import Layout

log = structlog.get_logger(__name__)

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS migrations
(
    number UInt32 COMMENT 'Number of the migration',
    name String COMMENT 'Its name',
    checksum String COMMENT 'SHA-256 of its file',
    applied Bool COMMENT 'False: taken back, or not yet done',
    done UInt32 COMMENT 'Statements of an unfinished one that are done',
    failure String COMMENT 'Why it is unfinished',
    changed_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'When'
)
ENGINE = ReplacingMergeTree(changed_at)
ORDER BY number
COMMENT 'Which migrations the database has. Read with FINAL'
"""
_LOCK: Final = "migrations_lock"
_ALREADY_EXISTS: Final = 57
_UNKNOWN_TABLE: Final = 60
BEAT_SECONDS: Final = 3.0
_SURE_SECONDS: Final = 1.0
"""For so long a lock that was seen to be ours is: it takes several beats left out to lose it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of one migration."""

    number: int
    name: str
    checksum: str
    applied: bool
    done: int
    failure: str

    @property
    def unfinished(self) -> bool:
        return not self.applied and (self.done > 0 or bool(self.failure))


class Elapsed:
    """Time since it was made, by whichever clock went further: one stands still while the machine sleeps, one may be set."""

    def __init__(self) -> None:
        self._began = time.monotonic(), time.time()

    @property
    def seconds(self) -> float:
        return max(time.monotonic() - self._began[0], abs(time.time() - self._began[1]))


class Ledger:
    """Of one database. `where`: its address, for errors. `cluster`: that it is laid out on. Raises BatonError."""

    def __init__(self, client: Client, where: str, cluster: str | None = None) -> None:
        self._client = client
        self._where = where
        self._layout = Layout(cluster, client.database, [_TABLE]) if cluster else None
        self._on = self._layout.on if self._layout else ""
        self._held = ""
        """Identity of the lock while it is ours."""
        self._seen = Elapsed()
        """Since it was seen to be ours."""

    def make(self) -> None:
        for sql in [_TABLE] if self._layout is None else self._layout.render(_TABLE):
            self._command(sql)

    def entries(self) -> dict[int, Entry]:
        """By number; empty where there is no ledger yet. Raises ConfigurationError where the database has the other layout."""
        made = self._query(
            "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'migrations'"
        )
        if not made:
            return {}
        if (made[0][0] == "Distributed") != (self._layout is not None):
            laid_out = "one node: unset" if self._layout else "a cluster: set"
            raise ConfigurationError(
                f"store {self._where}, database {self._client.database}, is laid out for {laid_out} BATON_STORE_CLUSTER"
            )
        rows = self._query("SELECT number, name, checksum, applied, done, failure FROM migrations FINAL")
        return {row[0]: Entry(*row) for row in rows}

    def write(self, entry: Entry) -> None:
        names = ["number", "name", "checksum", "applied", "done", "failure"]
        row = [getattr(entry, name) for name in names]
        self._run(lambda: self._client.insert("migrations", [row], column_names=names, settings=INSERT_SETTINGS))

    def _query(self, sql: str, **parameters: Any) -> list[Any]:
        return self._run(lambda: self._client.query(sql, parameters=parameters).result_rows)  # type: ignore[no-any-return]

    def _command(self, sql: str) -> None:
        self._run(lambda: self._client.command(sql, settings=MAKING))

    def _run(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ClickHouseError as error:
            raise failure(self._where, error) from error

    # --- the lock ----------------------------------------------------------------------------------------------------

    @contextmanager
    def locked(self, patience: float, stale_after: float) -> Iterator[None]:
        """Alone among those who lock. Raises BatonError where another one holds the lock for longer than `patience`."""
        until = time.monotonic() + patience
        told = False
        while not self._take():
            holder, silent, identity = self._holder()
            if identity and silent > stale_after:
                self._take_away(holder, silent, identity)
                continue
            if time.monotonic() > until:
                raise BatonError(
                    f"store {self._where}: another migration runs ({holder}, seen {silent:.0f} s ago): "
                    "wait for it and run `baton migrate` again"
                )
            if not told and holder:
                log.info("waiting for another migration", holder=holder)
                told = True
            time.sleep(random.uniform(0.05, 0.3))  # noqa: S311  # so that those who wait do not ask all at once
        stop = threading.Event()
        beat = threading.Thread(target=self._beat, args=(stop,), daemon=True)
        beat.start()
        try:
            yield
        finally:
            stop.set()
            beat.join()
            self._release()

    def _take(self) -> bool:
        holder = f"{socket.gethostname()}, process {os.getpid()}".replace("'", "").replace("\\", "")
        engine = "MergeTree" if self._layout is None else self._layout.on_every_node("MergeTree")
        try:
            self._client.command(
                f"CREATE TABLE {_LOCK}{self._on} (at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = {engine} ORDER BY at "
                f"COMMENT '{holder}'",
                settings=MAKING,
            )
        except ClickHouseError as error:
            if getattr(error, "code", None) == _ALREADY_EXISTS:
                return False
            raise failure(self._where, error) from error
        self._sign()
        self._held = self._holder()[2]
        self._seen = Elapsed()
        return True

    def require_lock(self) -> None:
        """Raises BatonError where it was taken away: this process stood still for too long."""
        if self._seen.seconds < _SURE_SECONDS:
            return
        seen = Elapsed()
        if self._holder()[2] != self._held:
            raise BatonError(f"store {self._where}: another migration took over: run `baton migrate` again")
        self._seen = seen

    def _sign(self) -> None:
        # The store's clock tells the time, so that those of other machines need not agree.
        self._client.command(f"INSERT INTO {_LOCK} SELECT now64(3)")

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(BEAT_SECONDS):
            try:
                self._sign()
            except ClickHouseError as error:
                log.warning("the migration lock was not renewed", cause=str(failure(self._where, error)))

    def _holder(self) -> tuple[str, float, str]:
        """(who, seconds since it was heard of, identity of the lock); empty where nobody holds it."""
        found = self._query(
            "SELECT comment, toString(uuid), date_diff('millisecond', metadata_modification_time, now64(3)) / 1000"
            " FROM system.tables WHERE database = currentDatabase() AND name = {lock:String}",
            lock=_LOCK,
        )
        if not found:
            return "", 0.0, ""
        holder, identity, made = found[0]
        try:
            answer = self._client.query(
                "SELECT count(), date_diff('millisecond', max(at), now64(3)) / 1000 FROM {lock:Identifier}",
                parameters={"lock": _LOCK},
            )
        except ClickHouseError as error:
            if getattr(error, "code", None) == _UNKNOWN_TABLE:
                return "", 0.0, ""
            raise failure(self._where, error) from error
        count, signed = answer.result_rows[0]
        return holder, signed if count else made, identity

    def _take_away(self, holder: str, silent: float, identity: str) -> None:
        log.warning("the lock of a migration that died is taken over", holder=holder, silent_seconds=round(silent))
        try:
            self._client.command(f"RENAME TABLE {_LOCK} TO `{_LOCK}_of_{identity}`{self._on}", settings=MAKING)
        except ClickHouseError as error:
            if getattr(error, "code", None) not in (_ALREADY_EXISTS, _UNKNOWN_TABLE):
                raise failure(self._where, error) from error

    def _release(self) -> None:
        gone = self._query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {lock:String})",
            lock=f"{_LOCK}_of_",
        )
        ours = (_LOCK,) if self._holder()[2] == self._held else ()
        for name in (*(name for (name,) in gone), *ours):
            self._command(f"DROP TABLE IF EXISTS `{name}`{self._on} SYNC")
