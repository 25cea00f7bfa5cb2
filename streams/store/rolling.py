"""The leads whose KPI rows are made anew: a share of a rollup, as rows of the table `rolling`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.store.client import INSERT_SETTINGS, Client, failure
from streams.store.cluster import stored

ROLLING: Final = ("rolling", "rolling_facts")
"""What is known of shares under way, a partition each."""
CHANGED: Final = "SELECT lead_id FROM rolling WHERE number = {number:UInt64} AND is_changed"
"""The leads of a share."""
_ONE_BLOCK: Final = {
    **INSERT_SETTINGS,
    # One block is one part: all of a share's rows of a table, or none.
    "min_insert_block_size_rows": 1_000_000_000,
    "min_insert_block_size_bytes": 100_000_000_000,
    "max_insert_block_size": 1_000_000_000,
    # Where the CPU is short, what the sink inserts and what is asked come first.
    "os_threads_nice_value_query": 10,
}


@dataclass(frozen=True, slots=True)
class Share:
    number: int
    after: str = ""
    upto: str = ""
    everything: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        return {"number": self.number, "after": self.after, "upto": self.upto}


class Store:
    """What is asked of a store, its refusals as BatonError."""

    def __init__(self, client: Client, store_url: str) -> None:
        self.client = client
        self._store_url = store_url

    def rows(self, sql: str, **parameters: Any) -> list[Any]:
        return list(self._answered(lambda: self.client.query(_cut(sql), parameters=parameters)).result_rows)

    def one(self, sql: str, **parameters: Any) -> Any:
        return self.rows(sql, **parameters)[0][0]

    def command(self, sql: str, parameters: dict[str, Any] | None = None, token: str = "") -> None:
        settings: dict[str, Any] = dict(_ONE_BLOCK)
        if token:
            settings["insert_deduplication_token"] = "rollup-" + sha256(token.encode()).hexdigest()
        self._answered(lambda: self.client.command(_cut(sql), parameters=parameters or {}, settings=settings))

    def drop_partition(self, table: str, partition: str) -> None:
        """`partition`: an SQL literal."""
        self.command(f"ALTER TABLE {stored(self.client, table)} DROP PARTITION {partition}")

    def _answered(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ClickHouseError as error:
            raise failure(self._store_url, error) from error


def _cut(sql: str) -> str:
    return sql.replace("({cut})", "(SELECT max(upto) FROM rollups WHERE is_done)")


def all_leads(condition: str = "") -> str:
    """Every lead that anything is told of, or was rolled up."""
    tables = (
        "leads",
        "sla_instances",
        "events",
        *(f"counted_{table}" for table in ("journeys", "clocks", "stays", "touches")),
    )
    return " UNION ALL ".join(f"SELECT lead_id FROM {table}{condition}" for table in tables)  # noqa: S608  # names of ours


def changed_leads(condition: str = "") -> str:
    """Those that are not rolled up."""
    return f"SELECT lead_id FROM changed{condition}"  # noqa: S608  # names of ours


class Rolling:
    """The rows of `rolling` under one number; gone at the end."""

    def __init__(self, store: Store, share: Share) -> None:
        self._store = store
        self._share = share

    def __enter__(self) -> Rolling:
        return self

    def __exit__(self, *_: object) -> None:
        for table in ROLLING:
            self._store.drop_partition(table, str(self._share.number))

    def _insert(self, select: str) -> None:
        self._store.command(
            f"INSERT INTO rolling (number, lead_id, is_changed, story_id) {select}", self._share.parameters
        )

    def count(self) -> int:
        return int(self._store.one(CHANGED.replace("lead_id", "count()", 1), number=self._share.number))

    def begin(self) -> None:
        within = "lead_id > {after:String} AND ({upto:String} = '' OR lead_id <= {upto:String})"
        leads = all_leads if self._share.everything else changed_leads
        leads_within = leads(f" WHERE {within}")
        self._insert(f"SELECT DISTINCT {{number:UInt64}}, lead_id, true, '' FROM ({leads_within})")  # noqa: S608  # names of ours

    def _until_all(self, select: str) -> None:
        while self._store.one(f"SELECT count() FROM ({select})", **self._share.parameters):  # noqa: S608  # text of ours
            self._insert(select)

    def follow(self) -> None:
        """Adds the leads that these were merged into, by what is rolled up."""
        self._until_all(
            "SELECT DISTINCT {number:UInt64}, into, true, '' FROM counted_merges FINAL"  # noqa: S608
            f" WHERE lead_id IN ({CHANGED}) AND into NOT IN ({CHANGED})"
        )

    def tell(self) -> None:
        """Finds the events that count of each story: the lead's own, and those of all that were merged into it."""
        self._members_of_stories()
        columns = "lead_id, source_system, event_id, event_type, at, entered_by, person_fields, said"
        self._store.command(
            f"INSERT INTO rolling_facts (number, {columns}) SELECT {{number:UInt64}}, {columns}"  # noqa: S608  # names of ours
            " FROM facts(number = {number:UInt64})",
            self._share.parameters,
        )

    def _members_of_stories(self) -> None:
        uncounted = (
            f"SELECT lead_id FROM (SELECT lead_id, is_test, stage FROM leads FINAL WHERE lead_id IN ({CHANGED}))"  # noqa: S608
            " WHERE is_test OR stage IN ('merged', 'erased') UNION ALL SELECT lead_id FROM"
            f" (SELECT lead_id, to_stage FROM lead_transitions FINAL WHERE lead_id IN ({CHANGED})) WHERE to_stage = 'erased'"
        )
        self._insert(
            f"SELECT {{number:UInt64}}, lead_id, false, lead_id FROM ({CHANGED}) WHERE lead_id NOT IN ({uncounted})"  # noqa: S608
            f" AND lead_id NOT IN (SELECT lead_id FROM counted_merges FINAL WHERE lead_id IN ({CHANGED}))"
        )
        members = "SELECT lead_id, story_id FROM rolling WHERE number = {number:UInt64} AND story_id != ''"
        self._until_all(
            "SELECT {number:UInt64}, merged.lead_id, false, member.story_id FROM counted_merges AS merged FINAL"  # noqa: S608
            f" INNER JOIN ({members}) AS member ON member.lead_id = merged.into"
            f" WHERE merged.lead_id NOT IN (SELECT lead_id FROM ({members}))"
        )
