"""Inserts batches into the store. One attempt a call: who waits and tries again is the sink's business."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError, DataError
from clickhouse_connect.driver.external import ExternalData

from processors.rows import Row, Table
from streams.config import Settings
from streams.erasure import rows as erasures
from streams.errors import BatonError
from streams.metrics import SINK_INSERT_SECONDS, SINK_ROWS
from streams.sink import origins as topics
from streams.sink.avro import TOLD, Block
from streams.sink.batch import TABLES
from streams.store.client import INSERT_SETTINGS, Client, connect, failure
from streams.store.cluster import stored_name
from streams.store.reconcile import Reconciliation

MOST_ROWS: Final = 500_000
"""Of one insert: well under max_insert_block_size (1,048,449), so that it is one block, and one part, or nothing."""
_ONE_BLOCK: Final = {"max_threads": 1, "min_insert_block_size_rows": 1_048_449, "min_insert_block_size_bytes": 0}
"""What an INSERT ... SELECT reads is gathered into one block, in the order in which it came."""
_TABLES: Final[Mapping[str, Table]] = {table.name: table for tables in TABLES.values() for table in tables}


class UnstorableError(BatonError):
    """A row holds what its column cannot. Nothing of its insert was stored."""


class Writer:
    """Not thread-safe. Raises BatonError for whatever keeps the store from taking a batch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        # A token is good for retries of this process: what a new one has to send it asks the store.
        self._run = secrets.token_hex(8)
        self._number = 0
        self._contexts: dict[str, Any] = {}
        self.inserted: dict[str, int] = dict.fromkeys(_TABLES, 0)

    @property
    def client(self) -> Client:
        if self._client is None:
            self._client = connect(self._settings)
        return self._client

    def origins(self, ids: Mapping[str, str]) -> dict[str, topics.Origin]:
        return self._answered(lambda: topics.origins(self.client, ids))  # type: ignore[no-any-return]

    def held(self, table: Table, origin: topics.Origin) -> dict[int, int]:
        return self._answered(lambda: topics.held(self.client, table, origin))  # type: ignore[no-any-return]

    def forget(self, leads: Sequence[str]) -> None:
        """Takes the personal rows of erased leads out of the store."""
        self._answered(lambda: erasures.forget(self.client, leads))

    def forget_missed(self) -> None:
        """Likewise of leads whose erasure the sink did not see: it was away for longer than Kafka keeps tombstones."""
        self._answered(lambda: erasures.forget(self.client, erasures.missed(self.client)))

    def mark_missed(self) -> None:
        """Marks as changed what a store that was killed in mid-insert may have left unmarked."""
        self._answered(lambda: Reconciliation(self.client, self._settings.store_url).mark_missed())

    def tables(self) -> dict[str, str]:
        """Table -> its identity: another one once it was dropped and made anew. Raises BatonError where one is missing."""
        return self._answered(self._tables)  # type: ignore[no-any-return]

    def _tables(self) -> dict[str, str]:
        answer = self.client.query(
            "SELECT name, toString(uuid) FROM system.tables"
            " WHERE database = currentDatabase() AND name IN {names:Array(String)}",
            parameters={"names": [stored_name(self.client, table) for table in _TABLES]},
        )
        identities = dict(answer.result_rows)
        found = {table: uuid for table in _TABLES if (uuid := identities.get(stored_name(self.client, table)))}
        missing = sorted(_TABLES.keys() - found.keys())
        if missing:
            raise BatonError(f"store {self._settings.store_url}: table {missing[0]} is missing: run `baton migrate`")
        return found

    def token(self) -> str:
        """A new one for each insert; the same one for each attempt at it."""
        self._number += 1
        return f"{self._run}-{self._number}"

    def insert(self, table: str, data: Sequence[Row] | Block, token: str) -> None:
        self._answered(lambda: self._insert(table, data, token))
        SINK_ROWS.labels(table).inc(len(data))
        self.inserted[table] += len(data)

    def _insert(self, table: str, data: Sequence[Row] | Block, token: str) -> None:
        settings = {**INSERT_SETTINGS, "insert_deduplication_token": token}
        if isinstance(data, Block):
            told = ExternalData(file_name=TOLD, data=data.data, fmt="Avro", structure=data.structure)
            with SINK_INSERT_SECONDS.time():
                self.client.command(data.sql, settings={**settings, **_ONE_BLOCK}, external_data=told)
            return
        context = self._contexts.get(table)
        if context is None:
            context = self.client.create_insert_context(table, column_names=_TABLES[table].columns)
            self._contexts[table] = context
        context.settings = settings
        context.data = data
        try:
            with SINK_INSERT_SECONDS.time():
                self.client.insert(context=context)
        finally:
            context.data = None

    def _answered(self, call: Any) -> Any:
        try:
            return call()
        except BatonError:
            self.close()
            raise
        except ClickHouseError as error:
            self.close()
            if isinstance(error, DataError) and getattr(error, "code", None) is None:
                # Made here, before anything was sent. It names the column; the value it may quote is cut off.
                raise UnstorableError(str(error).partition(":")[0]) from None
            raise failure(self._settings.store_url, error) from error

    def close(self) -> None:
        """Forgets the connection; the next call makes a new one."""
        self._contexts.clear()
        if self._client is not None:
            client, self._client = self._client, None
            client.close()
