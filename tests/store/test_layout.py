"""The cluster's layout as text: every migration has one, ClickHouse's parser takes it, and rows that belong together meet."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from streams.config import load
from streams.errors import ConfigurationError
from streams.store import cluster
from streams.store.client import Client
from streams.store.layout import WHOLE, Layout, LayoutError
from streams.store.ledger import _TABLE
from streams.store.migrations import Migrator, available, statements
from tests.store.fixtures import client, embedded_store_url, store
from tests.store.raw import parses

__all__ = ["client", "embedded_store_url", "store"]

MADE = [statement for migration in available() for statement in statements(migration.up)]
TAKEN_BACK = [statement for migration in available() for statement in statements(migration.down or "")]
LAYOUT = Layout("city", "baton", [*MADE, _TABLE])
LEDGER = [
    *LAYOUT.render(_TABLE),
    f"CREATE TABLE t ON CLUSTER city (n Int8) ENGINE = {LAYOUT.on_every_node('MergeTree')} ORDER BY n",
]
SECOND = "CREATE TABLE IF NOT EXISTS second (lead_id String, n Int8) ENGINE = MergeTree ORDER BY (lead_id, n)"


def _render(sql: str, *tables: str) -> list[str]:
    return Layout("city", "baton", tables or [SECOND]).render(sql)


def test_every_statement_of_every_migration_has_a_form_that_parses(embedded_store_url: str) -> None:
    rendered = [one for statement in [*MADE, *TAKEN_BACK] for one in LAYOUT.render(statement)] + LEDGER
    assert len(rendered) > 200
    wrong = [sql for sql in rendered if not parses(embedded_store_url, sql)]
    assert not wrong
    assert all(" ON CLUSTER city" in sql for sql in rendered)
    assert not parses(embedded_store_url, "CREATE VIEW a ON CLUSTER AS SELECT 1 GLOBAL")


def test_every_table_is_below_and_above() -> None:
    for table in LAYOUT.tables.values():
        made = next(sql for sql in [*MADE, _TABLE] if re.search(rf"CREATE TABLE IF NOT EXISTS {table.name}\n", sql))
        below, above = LAYOUT.render(made)
        assert f"CREATE TABLE IF NOT EXISTS {table.name}_local ON CLUSTER city" in below
        assert (
            f"ENGINE = Replicated{table.engine}('/clickhouse/tables/{{database}}/{{table}}/{{uuid}}/{{shard}}', "
            in below
        )
        assert "non_replicated" not in below
        assert ("replicated_deduplication_window" in below) == ("deduplication_window" in made)
        where = "0" if table.name in WHOLE else "cityHash64(lead_id)"
        assert f"Distributed('city', 'baton', '{table.name}_local', {where})" in above


def test_rows_that_meet_in_a_merge_lie_on_one_shard() -> None:
    """Those of one sort key; so what the shard goes by has to be in it."""
    for table in LAYOUT.tables.values():
        assert table.is_whole != ("lead_id" in table.key), f"{table.name}: by lead, or in WHOLE"
        assert table.sharding
    assert LAYOUT.tables.keys() >= WHOLE, "a table of WHOLE is no more"


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("CREATE TABLE t (a String, lead_id String) ENGINE = ReplacingMergeTree ORDER BY a", "not sorted by lead_id"),
        ("CREATE TABLE t (a String) ENGINE = Memory", "engine Memory has no Replicated form"),
        ("CREATE TABLE t AS second", "say its columns"),
        ("CREATE TABLE other.t (lead_id String) ENGINE = MergeTree ORDER BY lead_id", "a plain name"),
        ("RENAME TABLE second TO third", "no form on a cluster yet"),
        ("EXCHANGE TABLES second AND third", "no form on a cluster yet"),
        ("CREATE MATERIALIZED VIEW v ENGINE = Memory AS SELECT 1 FROM second", "say TO a table"),
        ("CREATE MATERIALIZED VIEW v TO second AS SELECT 1 FROM elsewhere", "have to name tables"),
        ("ALTER TABLE second ADD COLUMN a Int8, ADD PROJECTION p (SELECT a)", "changes of columns and others"),
        ("CREATE VIEW v AS SELECT 1 FROM second FULL OUTER JOIN (SELECT 1 AS n) AS o USING (n)", "RIGHT or FULL JOIN"),
    ],
)
def test_what_would_be_wrong_on_a_cluster_is_refused(sql: str, why: str) -> None:
    tables = [sql, SECOND] if sql.startswith("CREATE TABLE") else [SECOND]
    with pytest.raises(LayoutError, match=why):
        Layout("city", "baton", tables).render(sql)


def test_arguments_of_an_engine_stay() -> None:
    made = "CREATE TABLE t (lead_id String, v Int8) ENGINE = ReplacingMergeTree(v) ORDER BY lead_id COMMENT 'It''s t'"
    below, above = _render(made, made)
    assert (
        "ReplicatedReplacingMergeTree('/clickhouse/tables/{database}/{table}/{uuid}/{shard}', '{replica}', v) ORDER"
        in below
    )
    assert above.startswith("CREATE TABLE t ON CLUSTER city AS t_local\n")
    assert above.endswith("cityHash64(lead_id)) COMMENT 'It''s t'")


@pytest.mark.parametrize(
    ("sql", "rendered"),
    [
        ("DROP VIEW IF EXISTS v", ["DROP VIEW IF EXISTS v ON CLUSTER city"]),
        ("DROP TABLE second", ["DROP TABLE second ON CLUSTER city", "DROP TABLE second_local ON CLUSTER city"]),
        ("ALTER TABLE second DROP PARTITION 1", ["ALTER TABLE second_local ON CLUSTER city DROP PARTITION 1"]),
        (
            "ALTER TABLE second ADD COLUMN a Int8, DROP COLUMN n",
            [
                "ALTER TABLE second_local ON CLUSTER city ADD COLUMN a Int8, DROP COLUMN n",
                "ALTER TABLE second ON CLUSTER city ADD COLUMN a Int8, DROP COLUMN n",
            ],
        ),
        ("OPTIMIZE TABLE second FINAL", ["OPTIMIZE TABLE second_local ON CLUSTER city FINAL"]),
        ("INSERT INTO second SELECT lead_id, 1 FROM second", ["INSERT INTO second SELECT lead_id, 1 FROM second"]),
        (
            "CREATE OR REPLACE VIEW v AS SELECT 'x IN (SELECT' FROM second"
            " WHERE n IN (1, 2) AND lead_id NOT IN (SELECT lead_id FROM o)",
            [
                "CREATE OR REPLACE VIEW v ON CLUSTER city AS SELECT 'x IN (SELECT' FROM second"
                " WHERE n IN (1, 2) AND lead_id GLOBAL NOT IN (SELECT lead_id FROM o)"
            ],
        ),
        (
            "CREATE VIEW v AS SELECT 1 FROM second AS a LEFT JOIN second AS b USING n ARRAY JOIN [1] AS c",
            [
                "CREATE VIEW v ON CLUSTER city AS SELECT 1 FROM second AS a GLOBAL LEFT JOIN second AS b USING n"
                " ARRAY JOIN [1] AS c"
            ],
        ),
        (
            "CREATE VIEW v AS SELECT 1 FROM o LEFT ARRAY JOIN a",
            ["CREATE VIEW v ON CLUSTER city AS SELECT 1 FROM o LEFT ARRAY JOIN a"],
        ),
    ],
)  # fmt: skip
def test_other_statements(sql: str, rendered: list[str]) -> None:
    assert _render(sql) == rendered


WHOLE_ONE = "CREATE TABLE lanes (lane UInt32) ENGINE = ReplacingMergeTree ORDER BY lane"
TOTALS = "CREATE TABLE totals (lead_id String, n Int64) ENGINE = SummingMergeTree(n) ORDER BY lead_id"


@pytest.mark.parametrize(
    ("source", "target", "read", "written"),
    [
        ("second", "totals", "second_local AS second", "totals_local"),
        ("lanes", "second", "lanes_local AS lanes", "second_local"),
        ("lanes", "totals", "lanes_local AS lanes", "totals"),
        ("second", "lanes", "second_local AS second", "lanes"),
    ],
)
def test_a_materialized_view_reads_its_node_and_writes_where_rows_meet(
    source: str, target: str, read: str, written: str
) -> None:
    [rendered] = _render(
        f"CREATE MATERIALIZED VIEW v TO {target} AS SELECT {source}.n FROM {source} WHERE 1",  # noqa: S608
        WHOLE_ONE, TOTALS, SECOND,
    )  # fmt: skip
    assert rendered.startswith(f"CREATE MATERIALIZED VIEW v ON CLUSTER city TO {written} AS SELECT {source}.n FROM ")  # noqa: S608
    assert rendered.endswith(f" FROM {read} WHERE 1")


def test_a_dry_run_shows_what_a_cluster_gets() -> None:
    shown = Migrator(load(store_cluster="city")).up_statements(available()[0])
    assert any(sql.startswith("CREATE TABLE IF NOT EXISTS leads_local ON CLUSTER city\n(") for sql in shown)
    assert Migrator(load()).up_statements(available()[0]) == statements(available()[0].up)


def test_the_engine_knows_every_setting(client: Client) -> None:
    """One that was renamed would be refused by a server at the first query."""
    known = {name for (name,) in client.query("SELECT name FROM system.settings").result_rows}
    assert {*cluster.SETTINGS, *cluster.MAKING} - {"wait_end_of_query"} <= known  # that one is the interface's


def test_what_the_program_asks_parses(embedded_store_url: str) -> None:
    there = SimpleNamespace(store_cluster="city")
    here = SimpleNamespace(store_cluster=None)
    assert (
        cluster.stored(here, "leads")
        == cluster.stored_name(here, "leads")
        == cluster.everywhere(here, "leads")
        == "leads"
    )
    parts = cluster.everywhere(there, "system.parts")
    leads = cluster.everywhere(there, "leads")
    for sql in (
        f"ALTER TABLE {cluster.stored(there, 'rolling')} DROP PARTITION 7",
        f"ALTER TABLE {cluster.stored(there, 'leads')} DELETE WHERE lead_id IN {{ids:Array(String)}} AND NOT (deleted)",
        f"SELECT 1 FROM {parts} WHERE table = '{cluster.stored_name(there, 'rolling')}'",  # noqa: S608
        f"SELECT {cluster.shard(there)} AS n FROM {leads} GROUP BY n HAVING count() = {cluster.complete(there, 'leads')}",  # noqa: S608
    ):
        assert parses(embedded_store_url, sql), sql
    assert cluster.stored(there, "rolling") == "rolling_local ON CLUSTER city"
    assert cluster.complete(there, "lanes") == cluster.complete(here, "leads") == "1"


@pytest.mark.parametrize("name", ["", "a b", "c'", "1a"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"store_cluster \(BATON_STORE_CLUSTER\)"):
        load(store_cluster=name)


def test_a_database_of_the_other_layout_is_told(store: object, client: Client) -> None:
    settings = store.model_copy(update={"store_cluster": "city"})  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="is laid out for one node: unset BATON_STORE_CLUSTER"):
        Migrator(settings).require_current()
