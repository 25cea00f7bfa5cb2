"""Roles, grants and row policies of a real server: parsed by ClickHouse's own parser, and held against the tables they name.

No server can be started here, so what they do once applied is untested; docs/operations.md says so.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from streams.config import Settings, load
from streams.erasure.personal import PERSONAL as ERASED
from streams.errors import BatonError
from streams.store.access import access_statements, apply_access
from streams.store.client import Client
from streams.store.migrations import layout_of
from streams.store.rolling import ROLLING
from tests.store.fixtures import client, embedded_store_url, store
from tests.store.raw import parses

__all__ = ["client", "embedded_store_url", "store"]

STATEMENTS = access_statements()
LAYOUT = layout_of(load(store_cluster="city"))
ON_CLUSTER = access_statements(LAYOUT)
NO_POLICY = {
    "changed_leads": "marks: a lead, and when",
    "counted_merges": "who was merged into whom: it is asked whose a lead is now",
    "dead_letters": "letters are the pipeline's, not a team's; most name no lead",
    "rolling": "leads of a rollup under way",
    "rolling_facts": "what counts of their stories: read by the sink alone",
}
"""Tables with leads that everybody's views may read whole, and why."""
NAMES_PERSONS = {"owner", "cycles.owner", "event_id", "start_event_id", "satisfied_by", "ended_by", "lead_id_of_person"}


@pytest.mark.parametrize(("name", "sql"), STATEMENTS, ids=[f"{name}-{at}" for at, (name, _) in enumerate(STATEMENTS)])
def test_every_statement_parses(embedded_store_url: str, name: str, sql: str) -> None:
    assert parses(embedded_store_url, sql), (name, sql)


def test_the_parser_would_tell(embedded_store_url: str) -> None:
    for wrong in (
        "GRANT SELECT kpi_x TO baton_bi",
        "CREATE ROW POLICY p ON t USIN 1",
        "CREATE QUOTA q FOR INTERVAL MAX",
    ):
        assert not parses(embedded_store_url, wrong)


def test_what_they_name_is_there(store: Settings, client: Client) -> None:
    """A table or column that was renamed would leave BI without it, on the next server alone."""
    columns: dict[str, set[str]] = {}
    for table, column in client.query(
        "SELECT if(database = 'system', concat('system.', table), table), name FROM system.columns"
        " WHERE database IN (currentDatabase(), 'system')"
    ).result_rows:
        columns.setdefault(table, set()).add(column)
    named = 0
    for _, sql in STATEMENTS:
        grant = re.search(r"GRANT (?:SELECT|INSERT|, )+(?:\(([^)]*)\))? ON ([\w*.]+) TO", sql)
        policy = re.search(r"ROW POLICY OR REPLACE \w+ ON (\w+)", sql)
        table = policy[1] if policy else grant[2] if grant else ""
        if not table or table in ("kpi_*", "*", "migrations"):
            continue
        named += 1
        assert table in columns, table
        if grant and grant[1]:
            asked = {column.strip(" \n`") for column in grant[1].split(",")}
            assert asked <= columns[table], (table, asked - columns[table])
    assert named > 15


def _granted(privilege: str, role: str) -> set[str]:
    """What `role` has the privilege on, wildcards left out."""
    found = set()
    for _, sql in STATEMENTS:
        match = re.search(rf"GRANT ([\w, ]+?)(?:\([^)]*\))? ON (\w+) TO {role}\Z", sql)
        if match and privilege in re.split(r",\s*", match[1]):
            found.add(match[2])
    return found


def _tables(client: Client, engines: str) -> set[str]:
    answer = client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND match(engine, {engines:String})",
        parameters={"engines": engines},
    )
    return {name for (name,) in answer.result_rows}


def test_the_sink_may_write_every_table(store: Settings, client: Client) -> None:
    """Who adds a table and forgets the sink stops it on the next server."""
    assert _granted("INSERT", "baton_sink") == _tables(client, "MergeTree$") - {"migrations"}
    assert _granted("ALTER DELETE", "baton_sink") == {*ERASED, "changed_leads", *ROLLING}


def test_every_table_with_leads_has_its_policies(store: Settings, client: Client) -> None:
    """Who adds a table and forgets them shows every team all leads."""
    with_leads = {
        name
        for (name,) in client.query(
            "SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'lead_id'"
        ).result_rows
    }
    wanted = (with_leads & _tables(client, "MergeTree$")) - NO_POLICY.keys()
    for policy in ("baton_everyone", "baton_team"):
        named = [found[1] for _, sql in STATEMENTS if (found := re.search(rf"OR REPLACE {policy} ON (\w+) ", sql))]
        assert sorted(named) == sorted(wanted), policy


def test_views_are_read_by_those_they_are_for(store: Settings, client: Client) -> None:
    """KPI views by BI, those with persons by their role, all of them as baton_views; the others by nobody."""
    views = _tables(client, "^View$")
    persons = _granted("SELECT", "baton_bi_person")
    assert persons == {"journeys", "response_times", "opportunities", "touches", "completions"}
    kpis = {view for view in views if view.startswith("kpi_")} | {"as_of"}
    definers = {
        found[1] for _, sql in STATEMENTS if (found := re.search(r"ALTER TABLE (\w+) MODIFY SQL SECURITY", sql))
    }
    assert definers == kpis | persons
    assert _granted("SELECT", "baton_bi") == {"as_of"}  # and kpi_*


def test_on_a_cluster_everything_is_said_to_all_nodes(embedded_store_url: str) -> None:
    wrong = [sql for _, sql in ON_CLUSTER if " ON CLUSTER city" not in sql or not parses(embedded_store_url, sql)]
    assert not wrong
    assert {name for name, _ in ON_CLUSTER} - {name for name, _ in STATEMENTS} == {"0006_cluster.sql"}


def test_on_a_cluster_policies_hold_where_the_rows_are() -> None:
    """A policy of a Distributed table would be passed over where shards aggregate."""
    policies = [sql for _, sql in ON_CLUSTER if "ROW POLICY" in sql]
    assert len(policies) == sum("ROW POLICY" in sql for _, sql in STATEMENTS)
    for sql in policies:
        assert re.search(r" ON CLUSTER city ON baton\.\w+_local USING", sql), sql
        assert sql.endswith("baton_views, baton_shards")
        assert not re.search(r"FROM (?!baton\.)", sql), sql
    grants = {sql for _, sql in ON_CLUSTER}
    assert "GRANT ON CLUSTER city SELECT, INSERT ON leads_local TO baton_sink" in grants
    assert "GRANT ON CLUSTER city ALTER DELETE ON leads_local TO baton_sink" in grants


def test_bi_is_granted_no_person() -> None:
    for _, sql in STATEMENTS:
        if sql.rstrip().endswith("TO baton_bi"):
            found = re.search(r"SELECT\s*\(([^)]*)\)", sql)
            asked = {column.strip(" \n`") for column in found[1].split(",")} if found else set()
            assert not asked & NAMES_PERSONS


def test_the_embedded_store_says_that_it_has_none(store: Settings) -> None:
    with pytest.raises(
        BatonError, match=r"0001_limits.sql, CREATE SETTINGS PROFILE OR REPLACE baton_bi \.\.\.: store http"
    ):
        apply_access(store)


def test_a_dry_run_shows_all() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "streams", "migrate", "access", "--dry-run"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert shown.count("-- 000") == len(STATEMENTS)
