"""The embedded store's BI user: every KPI view, and nothing that names a lead or a person, by whatever way it is asked."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from streams.config import Settings
from streams.store.client import connect
from streams.store.faults import Fault
from streams.store.readable import check_readable
from tests.access.clients import Login
from tests.access.conftest import OWNER
from tests.store.raw import Reply, send

PARAMETERS = {
    "days": "30", "window_days": "90", "half_life_days": "90", "lookback_months": "27", "model": "'w'",
    "since": "'2026-10-01 00:00:00'", "until": "'2026-11-01 00:00:00'",
}  # fmt: skip


def _ask(login: Login, sql: str, **settings: str) -> Reply:
    return send(login.url, sql, user=login.user, password=login.password, database=login.database, fields=settings)


def test_every_kpi_view_is_bis(owners_settings: Settings, login: Login) -> None:
    owner = connect(owners_settings)
    views = dict(
        owner.query(
            "SELECT name, arraySort(arrayDistinct(extractAll(create_table_query, '\\\\{(\\\\w+):')))"
            " FROM system.tables WHERE database = currentDatabase() AND startsWith(name, 'kpi_')"
        ).result_rows
    )
    owner.close()
    assert len(views) > 25
    for name, parameters in views.items():
        call = f"{name}({', '.join(f'{one} = {PARAMETERS[one]}' for one in parameters)})" if parameters else name
        for way in (f"SELECT * FROM {call}", f"SELECT count() FROM {login.database}.{call} AS k", f"DESCRIBE {call}"):  # noqa: S608  # names of the store
            reply = _ask(login, way)  # `send` is asked as BI, not as the owner
            assert reply.status == 200, (way, reply.text)
    assert _ask(login, "SELECT at FROM as_of").status == 200


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "WITH told AS (SELECT source FROM kpi_funnel_by_source)"
        " SELECT count() FROM told WHERE source IN (SELECT source FROM told)",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT sum(n) FROM r",
        "SELECT leads FROM kpi_funnel_by_source WHERE source IN ('web', 'it''s') AND leads IN (1, 2, leads)",
        "SELECT number FROM numbers(3) AS n, generate_series(1, 2) AS g, (SELECT 2) AS t",
        "SELECT * FROM values('a String', 'TableIdentifier leads (children 3)\nLiteral')",
        "SELECT name, comment FROM system.columns WHERE database = currentDatabase() AND table = 'kpi_ignored'",
        "SELECT table_name FROM information_schema.tables",
        "SHOW TABLES",
        "SHOW CREATE TABLE kpi_funnel_by_source",
        "EXPLAIN SELECT * FROM kpi_funnel_by_source",
        "SELECT quantile(0.5)(n) OVER (PARTITION BY m ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM"
        " (SELECT leads AS n, won AS m FROM kpi_funnel_by_source) WINDOW w AS (ORDER BY n) LIMIT 1 BY n FORMAT JSON",
    ],
)  # fmt: skip
def test_what_bi_asks_besides(login: Login, sql: str) -> None:
    reply = _ask(login, sql)
    assert reply.status == 200, reply.text


DOORS = [
    "SELECT {0}.owner FROM {0}",
    "SELECT owner FROM `{0}`",
    "FROM {0} SELECT owner",
    "SELECT * FROM {1}.{0} AS kpi_x FINAL",
    "SELECT * FROM kpi_funnel_by_source AS k, {0}",
    "SELECT (SELECT any(owner) FROM {0}) FROM kpi_funnel_by_source",
    "SELECT 'Ann' IN (SELECT owner FROM {0})",
    "SELECT tuple(1) IN {0}",
    "SELECT tuple(1) GLOBAL NOT IN {0}",
    "SELECT in(tuple(1), {1}.{0})",
    "WITH {0} AS (SELECT 1 AS owner) SELECT * FROM (SELECT owner FROM {0})",
    "SELECT 1 UNION ALL SELECT 1 FROM {0} INTERSECT SELECT 1",
    "SELECT * FROM view(SELECT * FROM {0})",
    "SELECT * FROM merge('{1}', '{0}')",
    "SELECT * FROM loop({1}.{0})",
    "SELECT * FROM mergeTreeIndex('{1}', '{0}')",
    "EXPLAIN SELECT (SELECT any(owner) FROM {0})",
    "EXPLAIN SELECT * FROM merge('{1}', '{0}')",
    "DESCRIBE (SELECT (SELECT any(owner) FROM {0}))",
    "DESCRIBE merge('{1}', '{0}')",
    "SELECT * FROM {{t:Identifier}}",
    "SELECT owner FROM {0} FORMAT JSONCompact",
    "SELECT owner FROM {0} FORMAT CustomSeparated",
    "/* kpi_ */ SELECT owner -- kpi_\nFROM /* TableIdentifier kpi_x */ {0}",
]


@pytest.mark.parametrize(
    "table", ["leads", "journeys", "events", "sla_instances", "lead_transitions", "response_times"]
)
@pytest.mark.parametrize("door", DOORS)
def test_nothing_else_is(login: Login, door: str, table: str) -> None:
    reply = _ask(
        login, door.format(table, login.database), param_t=table, format_custom_row_between_delimiter="\nLiteral 1",
        format_custom_escaping_rule="Raw",
    )  # fmt: skip
    assert reply.code == 497, reply.text


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM facts(number = 0)",
        "SELECT * FROM opportunities",
        "SELECT * FROM attribution(model = 'w', half_life_days = 90, lookback_months = 27)",
        "SELECT query FROM system.processes",
        "SELECT last_error_message FROM system.errors",
        "SHOW PROCESSLIST",
        "SELECT * FROM counted_journeys",
    ],
)
def test_nor_what_lies_beside(login: Login, sql: str) -> None:
    reply = _ask(login, sql)
    assert reply.code == 497, reply.text


def test_another_current_database_opens_nothing(login: Login) -> None:
    reply = send(login.url, "SELECT query FROM processes", user=login.user, password=login.password, database="system")
    assert reply.code == 497, reply.text
    reply = send(login.url, "SELECT dummy FROM one", user=login.user, password=login.password, database="system")
    assert reply.text == "0\n"


def test_the_owner_reads_all(login: Login) -> None:
    reply = send(
        login.url, "SELECT count() FROM leads", user="default", password=OWNER,
        database=login.database,
    )  # fmt: skip
    assert (reply.status, reply.text) == (200, "60\n")


@pytest.mark.parametrize(
    "tree",
    [
        "SelectQuery (children 2)\n ExpressionList (children 1)\n  Asterisk\nLiteral TableIdentifier leads",
        "SelectQuery (children 1)\n  TableIdentifier leads",
        "SelectQuery (children 1)",
        "SelectQuery (children 1)\n Asterisk\n Asterisk",
        '["SelectQuery (children 1)"],\n[" TableIdentifier leads"]',
        "SelectQuery\nSelectQuery",
    ],
)
def test_a_tree_that_is_not_whole_is_refused(tree: str) -> None:
    def there(names: Collection[str]) -> set[str]:
        return set(names)

    with pytest.raises(Fault, match="not whole"):
        check_readable(tree, lambda: "baton", there)
