"""Migrations of the store: numbered SQL files, applied in order, remembered with their checksums.

Files: deploy/clickhouse/migrations/NNNN_name.up.sql and .down.sql. A file is applied statement by statement, and the ledger
keeps how far it came, to the second; each statement can run again. One that failed half way is resumed after its last good
statement (one whose process was killed, after one of a second before) or, if it was edited since, from its first. One that
was applied and then edited is refused. Whoever changes anything holds the ledger's lock, so any number may start at once.
On a cluster (the setting store_cluster) layout.py makes another form of the same files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.config import Settings
from streams.errors import BatonError, ConfigurationError, UnavailableError
from streams.store.client import Client, connect, failure
from streams.store.cluster import MAKING
from streams.store.layout import Layout
from streams.store.ledger import Elapsed, Entry, Ledger

log = structlog.get_logger(__name__)

_NAME: Final = re.compile(r"(\d{4})_(\w+)\.up\.sql")
_END: Final = re.compile(r";[ \t]*(?:\n|\Z)")
_LOCK_PATIENCE: Final = 600.0
_LOCK_STALE_AFTER: Final = 30.0
_TELL_SECONDS: Final = 1.0
"""How often the ledger is told how far a file came."""


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
    unfinished: str = ""
    """Where it stopped and why, if it was begun and not finished."""

    @property
    def state(self) -> str:
        """For a reader."""
        if self.applied:
            return "edited after it was applied" if self.changed else "applied"
        return self.unfinished or "missing"


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


def statements(text: str) -> list[str]:
    return [part.strip() for part in _END.split(text) if re.sub(r"--[^\n]*", "", part).strip()]


def layout_of(settings: Settings, migrations: Sequence[Migration] | None = None) -> Layout | None:
    """None: one node, where files are run as they are. `migrations`: others, for tests."""
    if settings.store_cluster is None:
        return None
    known = available() if migrations is None else migrations
    made = (statement for migration in known for statement in statements(migration.up))
    return Layout(settings.store_cluster, settings.store_database, made)


class Migrator:
    """Works on the settings' store and database. Raises BatonError (UnavailableError where nothing answers)."""

    def __init__(
        self,
        settings: Settings,
        migrations: Sequence[Migration] | None = None,
        *,
        lock_patience: float = _LOCK_PATIENCE,
        lock_stale_after: float = _LOCK_STALE_AFTER,
    ) -> None:
        self._settings = settings
        self._migrations = list(available() if migrations is None else migrations)
        self._patience = lock_patience
        self._stale_after = lock_stale_after
        self._layout = layout_of(settings, self._migrations)

    def up_statements(self, migration: Migration) -> list[str]:
        """As they are run, in this store's layout. Raises LayoutError."""
        return self._laid_out(migration.up)

    def _laid_out(self, text: str) -> list[str]:
        plain = statements(text)
        if self._layout is None:
            return plain
        return [rendered for statement in plain for rendered in self._layout.render(statement)]

    @contextmanager
    def _connected(self, *, create: bool = False) -> Iterator[tuple[Client, Ledger]]:
        if create:
            outside = connect(self._settings, database="default")
            try:
                where = "" if self._layout is None else self._layout.on
                self._run(
                    outside,
                    f"CREATE DATABASE IF NOT EXISTS `{self._settings.store_database}`{where}",
                    "create database",
                )
            finally:
                outside.close()
        client = connect(self._settings)
        try:
            yield client, Ledger(client, self._settings.store_url, self._settings.store_cluster)
        finally:
            client.close()

    def _run(self, client: Client, sql: str, what: str) -> None:
        try:
            client.command(sql, settings=MAKING)
        except ClickHouseError as error:
            cause = failure(self._settings.store_url, error)
            raise type(cause)(f"{what}: {cause}") from error

    def status(self) -> list[Standing]:
        """What stands in the database, against what this version brings."""
        with self._connected() as (_, ledger):
            return self._standings(ledger.entries())

    def _standings(self, entries: dict[int, Entry]) -> list[Standing]:
        found = []
        for migration in self._migrations:
            entry = entries.get(migration.number)
            applied = entry is not None and entry.applied
            stopped = ""
            if entry is not None and entry.unfinished:
                stopped = f"unfinished, {entry.done} of {len(self.up_statements(migration))} statements done"
                stopped += f": {entry.failure}" if entry.failure else ""
            changed = applied and entry is not None and entry.checksum != migration.checksum
            found.append(Standing(migration, applied, changed, stopped))
        return found

    def missing(self) -> list[Migration]:
        """What `up` would apply, in order, changing nothing. Raises BatonError as it would."""
        try:
            with self._connected() as (_, ledger):
                return self._missing(ledger)
        except ConfigurationError as error:
            if "has no database" not in str(error):
                raise
            return self._migrations

    def _missing(self, ledger: Ledger) -> list[Migration]:
        standings = self._standings(ledger.entries())
        for standing in standings:
            if standing.changed:
                raise BatonError(
                    f"migration {standing.migration.label} was edited after it was applied to database "
                    f"{self._settings.store_database}: restore the file, and put the change into a new migration"
                )
        return [standing.migration for standing in standings if not standing.applied]

    def up(self) -> list[Migration]:
        """Applies what is missing, in order; what it applied. Refuses where an applied one was edited."""
        with self._connected(create=True) as (client, ledger):
            if not self._missing(ledger):
                return []
            with ledger.locked(self._patience, self._stale_after):
                ledger.make()
                missing = self._missing(ledger)  # another one may have been here
                for migration in missing:
                    self._apply(client, ledger, migration)
                return missing

    def _apply(self, client: Client, ledger: Ledger, migration: Migration) -> None:
        before = ledger.entries().get(migration.number)
        resumed = before is not None and before.unfinished and before.checksum == migration.checksum
        entry = Entry(
            migration.number, migration.name, migration.checksum, applied=False, failure="",
            done=before.done if resumed and before is not None else 0,
        )  # fmt: skip
        parts = self.up_statements(migration)
        written = Elapsed()
        for number, statement in enumerate(parts[entry.done :], entry.done + 1):
            ledger.require_lock()
            try:
                self._run(client, statement, f"migration {migration.label}, statement {number}")
            except UnavailableError:
                raise  # the ledger cannot be written either; it says how far this came, up to a second ago
            except BatonError as error:
                with suppress(BatonError):  # what went wrong counts, also where it keeps the ledger from being written
                    ledger.write(replace(entry, failure=str(error)))
                raise
            entry = replace(entry, done=number)
            if number == 1 or written.seconds >= _TELL_SECONDS:
                written = Elapsed()
                ledger.write(entry)
        ledger.write(replace(entry, applied=True))
        log.info("migration applied", migration=migration.label)

    def down(self, to: int) -> list[Migration]:
        """Takes back those above number `to`, the last first; what it took back."""
        with self._connected() as (client, ledger):
            if not any(number > to for number in ledger.entries()):
                return []
            with ledger.locked(self._patience, self._stale_after):
                ledger.make()
                return self._down(client, ledger, to)

    def _down(self, client: Client, ledger: Ledger, to: int) -> list[Migration]:
        entries = ledger.entries()
        newer = sorted(number for number, entry in entries.items() if entry.applied and number > len(self._migrations))
        if newer:
            raise BatonError(
                f"database {self._settings.store_database} has migration {newer[0]:04d}_{entries[newer[0]].name}, which "
                "this version does not know: take it back with the version that brought it"
            )
        undone = []
        for migration in reversed(self._migrations):
            entry = entries.get(migration.number)
            if migration.number <= to or entry is None or not (entry.applied or entry.unfinished):
                continue
            if migration.down is None:
                raise BatonError(f"migration {migration.label} cannot be undone: restore a backup instead")
            # From here on it is not what it was: `up` makes all of it anew, `down` goes on.
            begun = replace(entry, applied=False, done=0, failure="it was being taken back")
            ledger.write(begun)
            for number, statement in enumerate(self._laid_out(migration.down), 1):
                ledger.require_lock()
                try:
                    self._run(client, statement, f"taking back migration {migration.label}, statement {number}")
                except BatonError as error:
                    with suppress(BatonError):
                        ledger.write(replace(begun, failure=str(error)))
                    raise
            ledger.write(replace(begun, failure=""))
            log.info("migration undone", migration=migration.label)
            undone.append(migration)
        return undone

    def require_current(self) -> None:
        """Raises BatonError where the database is behind this version."""
        missing = [standing.migration.label for standing in self.status() if not standing.applied]
        if missing:
            raise BatonError(
                f"store {self._settings.store_url}, database {self._settings.store_database}, lacks migration {missing[0]}: "
                "run `baton migrate`"
            )
