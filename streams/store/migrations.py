"""Migrations of the store: numbered SQL files, applied in order, remembered with their checksums.

Files: deploy/clickhouse/migrations/NNNN_name.up.sql and .down.sql. A file is applied statement by statement; each can run
again, so a migration that was cut off is simply applied again. One that was applied and then edited is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.config import Settings
from streams.errors import BatonError
from streams.store.client import INSERT_SETTINGS, Client, connect, failure

log = structlog.get_logger(__name__)

_NAME: Final = re.compile(r"(\d{4})_(\w+)\.up\.sql")
_END: Final = re.compile(r";[ \t]*(?:\n|\Z)")
_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS migrations
(
    number UInt32 COMMENT 'Number of the migration',
    name String COMMENT 'Its name',
    checksum String COMMENT 'SHA-256 of its file',
    applied Bool COMMENT 'False: taken back',
    changed_at DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'When'
)
ENGINE = ReplacingMergeTree(changed_at)
ORDER BY number
COMMENT 'Which migrations the database has. Read with FINAL'
"""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    up: str
    down: str | None
    """None: cannot be undone."""

    @property
    def checksum(self) -> str:
        return sha256(self.up.encode()).hexdigest()

    @property
    def label(self) -> str:
        return f"{self.number:04d}_{self.name}"


@dataclass(frozen=True, slots=True)
class Standing:
    migration: Migration
    applied: bool
    changed: bool
    """Applied in another form than the file has now."""


def available(folder: Traversable | None = None) -> list[Migration]:
    """Those that this version brings, in order. `folder`: others, for tests."""
    folder = folder or files("deploy.clickhouse.migrations")
    found = []
    for entry in folder.iterdir():
        match = _NAME.fullmatch(entry.name)
        if match is None:
            continue
        down = folder.joinpath(entry.name.replace(".up.sql", ".down.sql"))
        found.append(
            Migration(
                int(match.group(1)),
                match.group(2),
                entry.read_text(encoding="utf-8"),
                down.read_text(encoding="utf-8") if down.is_file() else None,
            )
        )
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise BatonError(f"migrations must be numbered 0001, 0002, ...: {', '.join(item.label for item in found)}")
    return found


def _statements(text: str) -> list[str]:
    return [part.strip() for part in _END.split(text) if re.sub(r"--[^\n]*", "", part).strip()]


class Migrator:
    """Works on the settings' store and database. Raises BatonError (UnavailableError where nothing answers)."""

    def __init__(self, settings: Settings, migrations: Sequence[Migration] | None = None) -> None:
        self._settings = settings
        self._migrations = list(available() if migrations is None else migrations)

    def _client(self, *, create: bool) -> Client:
        if create:
            outside = connect(self._settings, database="default")
            self._run(outside, f"CREATE DATABASE IF NOT EXISTS `{self._settings.store_database}`", "create database")
            outside.close()
        return connect(self._settings)

    def _run(self, client: Client, sql: str, what: str) -> None:
        try:
            client.command(sql)
        except ClickHouseError as error:
            raise BatonError(f"{what}: {failure(self._settings.store_url, error)}") from error

    def status(self) -> list[Standing]:
        """What stands in the database, against what this version brings."""
        client = self._client(create=False)
        try:
            return self._status(client)
        finally:
            client.close()

    def _status(self, client: Client) -> list[Standing]:
        try:
            if not client.query("EXISTS TABLE migrations").result_rows[0][0]:
                return [Standing(migration, applied=False, changed=False) for migration in self._migrations]
            rows = client.query("SELECT number, checksum FROM migrations FINAL WHERE applied").result_rows
        except ClickHouseError as error:
            raise failure(self._settings.store_url, error) from error
        applied = dict(rows)
        return [
            Standing(
                migration,
                applied=migration.number in applied,
                changed=applied.get(migration.number, migration.checksum) != migration.checksum,
            )
            for migration in self._migrations
        ]

    def up(self) -> list[Migration]:
        """Applies what is missing, in order; what it applied. Refuses where an applied one was edited."""
        client = self._client(create=True)
        try:
            self._run(client, _LEDGER, "create the table of migrations")
            standings = self._status(client)
            for standing in standings:
                if standing.changed:
                    raise BatonError(
                        f"migration {standing.migration.label} was edited after it was applied to database "
                        f"{self._settings.store_database}: restore the file, and put the change into a new migration"
                    )
            missing = [standing.migration for standing in standings if not standing.applied]
            for migration in missing:
                self._apply(client, migration, migration.up, applied=True)
            return missing
        finally:
            client.close()

    def down(self, to: int) -> list[Migration]:
        """Takes back those above number `to`, the last first; what it took back."""
        client = self._client(create=False)
        try:
            undone = []
            for standing in reversed(self._status(client)):
                migration = standing.migration
                if migration.number <= to or not standing.applied:
                    continue
                if migration.down is None:
                    raise BatonError(f"migration {migration.label} cannot be undone: restore a backup instead")
                self._apply(client, migration, migration.down, applied=False)
                undone.append(migration)
            return undone
        finally:
            client.close()

    def _apply(self, client: Client, migration: Migration, text: str, *, applied: bool) -> None:
        for number, statement in enumerate(_statements(text), 1):
            self._run(client, statement, f"migration {migration.label}, statement {number}")
        client.insert(
            "migrations",
            [(migration.number, migration.name, migration.checksum, applied)],
            column_names=["number", "name", "checksum", "applied"],
            settings=INSERT_SETTINGS,
        )
        log.info("migration applied" if applied else "migration undone", migration=migration.label)

    def require_current(self) -> None:
        """Raises BatonError where the database is behind this version."""
        missing = [standing.migration.label for standing in self.status() if not standing.applied]
        if missing:
            raise BatonError(
                f"store {self._settings.store_url}, database {self._settings.store_database}, lacks migration {missing[0]}: "
                "run `baton migrate`"
            )
