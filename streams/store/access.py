"""Roles, grants, row policies and users of a real ClickHouse server: deploy/clickhouse/access/, applied in order.

Every statement says what shall be and can run again, so there is no ledger: `baton migrate access` makes it so. The
embedded store has its own two users and refuses these statements.
"""

from __future__ import annotations

import re
from importlib.resources import files

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.config import Settings
from streams.errors import BatonError
from streams.store.client import connect, failure
from streams.store.migrations import statements


def access_statements() -> list[tuple[str, str]]:
    """(file, statement), in order."""
    folder = files("deploy.clickhouse.access")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(name, part) for name in names for part in statements(folder.joinpath(name).read_text(encoding="utf-8"))]


def apply_access(settings: Settings) -> int:
    """Number of statements applied. Raises BatonError that names file and statement."""
    client = connect(settings)
    try:
        done = access_statements()
        for name, statement in done:
            try:
                client.command(statement)
            except ClickHouseError as error:
                beginning = " ".join(re.sub(r"--[^\n]*", "", statement).split()[:6])
                raise BatonError(f"{name}, {beginning} ...: {failure(settings.store_url, error)}") from error
        return len(done)
    finally:
        client.close()
