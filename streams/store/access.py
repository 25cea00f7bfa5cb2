"""Roles, grants, row policies and users of a real ClickHouse server: deploy/clickhouse/access/, applied in order.

Every statement says what shall be and can run again, so there is no ledger: `baton migrate access` makes it so. The
embedded store has its own two users and refuses these statements. On a cluster everything is said ON CLUSTER; grants hold
for a table and for what lies below it, row policies for what lies below: Distributed tables apply none.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.config import Settings
from streams.errors import BatonError
from streams.store.client import connect, failure
from streams.store.cluster import MAKING
from streams.store.layout import SUFFIX, Layout, LayoutError
from streams.store.migrations import layout_of, statements

_CLUSTERS: Final = "0006_cluster.sql"
"""The file that one node does not need."""
_NAMED: Final = re.compile(
    r"((?:CREATE|ALTER) (?:SETTINGS PROFILE|ROLE|QUOTA|USER|TABLE) (?:IF NOT EXISTS |OR REPLACE )?\w+)"
)
_GRANT: Final = re.compile(r"GRANT (?:[\w, ()]+ ON (\S+) TO \w+|\w+ TO \w+)")
_POLICY: Final = re.compile(
    r"(CREATE ROW POLICY OR REPLACE \w+) ON (\w+) USING(.*)TO (ALL EXCEPT )?baton_views", re.DOTALL
)
_READ: Final = re.compile(r"\b(FROM) (?=\w)")


def access_statements(layout: Layout | None = None) -> list[tuple[str, str]]:
    """(file, statement), in order. `layout`: of the cluster that they are for."""
    folder = files("deploy.clickhouse.access")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    told = [(name, part) for name in names for part in statements(folder.joinpath(name).read_text(encoding="utf-8"))]
    if layout is None:
        return [(name, part) for name, part in told if name != _CLUSTERS]
    return [(name, rendered) for name, part in told for rendered in _rendered(part, layout)]


def _rendered(sql: str, layout: Layout) -> list[str]:
    sql = re.sub(r"(?m)^--.*\n", "", sql)
    if policy := _POLICY.fullmatch(sql):
        head, table, using, but = policy.groups()
        # A shard has no current database.
        using = _READ.sub(rf"\1 {layout.database}.", using)
        below = f"{layout.database}.{table}{SUFFIX}"
        return [f"{head}{layout.on} ON {below} USING{using}TO {but or ''}baton_views, baton_shards"]
    if grant := _GRANT.fullmatch(sql):
        out = [sql.replace("GRANT ", f"GRANT{layout.on} ", 1)]
        if grant[1] in layout.tables or grant[1] == "migrations":
            out.append(out[0].replace(f" ON {grant[1]} TO", f" ON {grant[1]}{SUFFIX} TO"))
        return out
    if _NAMED.match(sql):
        return [_NAMED.sub(rf"\1{layout.on}", sql, count=1)]
    raise LayoutError(f"this has no form on a cluster yet: {' '.join(sql.split())[:80]}")


def apply_access(settings: Settings) -> int:
    """Number of statements applied. Raises BatonError that names file and statement."""
    client = connect(settings)
    try:
        done = access_statements(layout_of(settings))
        for name, statement in done:
            try:
                client.command(statement, settings=MAKING)
            except ClickHouseError as error:
                beginning = " ".join(re.sub(r"--[^\n]*", "", statement).split()[:6])
                raise BatonError(f"{name}, {beginning} ...: {failure(settings.store_url, error)}") from error
        return len(done)
    finally:
        client.close()
