"""Roles, grants and row policies of a real server: parsed by ClickHouse's own parser, and held against the tables they name.

No server can be started here, so what they do once applied is untested; docs/operations.md says so.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from streams.config import Settings
from streams.errors import BatonError
from streams.store.access import access_statements, apply_access
from streams.store.client import Client
from tests.store.fixtures import client, embedded_store_url, store
from tests.store.raw import parses

__all__ = ["client", "embedded_store_url", "store"]

STATEMENTS = access_statements()
PERSONAL = {"owner", "cycles.owner", "event_id", "start_event_id", "satisfied_by", "ended_by", "lead_id_of_person"}


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
        "SELECT table, name FROM system.columns WHERE database = currentDatabase()"
    ).result_rows:
        columns.setdefault(table, set()).add(column)
    named = 0
    for _, sql in STATEMENTS:
        grant = re.search(r"GRANT (?:SELECT|INSERT|, )+(?:\(([^)]*)\))? ON ([\w*.]+) TO", sql)
        policy = re.search(r"ROW POLICY OR REPLACE \w+ ON (\w+)", sql)
        table = policy[1] if policy else grant[2] if grant else ""
        if not table or table in ("kpi_*", "*", "system.tables", "migrations"):
            continue
        named += 1
        assert table in columns, table
        if grant and grant[1]:
            asked = {column.strip(" \n`") for column in grant[1].split(",")}
            assert asked <= columns[table], (table, asked - columns[table])
    assert named > 15


def test_bi_is_granted_no_person() -> None:
    for _, sql in STATEMENTS:
        if sql.rstrip().endswith("TO baton_bi"):
            found = re.search(r"SELECT\s*\(([^)]*)\)", sql)
            asked = {column.strip(" \n`") for column in found[1].split(",")} if found else set()
            assert not asked & PERSONAL


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
