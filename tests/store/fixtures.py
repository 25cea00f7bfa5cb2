"""Stores that tests run against: the embedded one as a process of its own and, where there is one, a real server.

BATON_TEST_CLICKHOUSE_URL: http(s)://user:password@host:port of a ClickHouse whose user may create databases.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from streams.config import Settings, load
from streams.store.client import Client, connect
from streams.store.migrations import Migrator
from tests.support.processes import Child, start

SERVER_URL = os.environ.get("BATON_TEST_CLICKHOUSE_URL")


def start_store(path: Path, log_dir: Path, *, port: int = 0, env: dict[str, str] | None = None) -> tuple[Child, str]:
    """(process, URL) of `baton store`, ready."""
    port_file = log_dir / f"store-{uuid.uuid4().hex}.json"
    child = start(
        [sys.executable, "-m", "streams", "store", "--path", path, "--port", str(port), "--port-file", port_file],
        log_dir,
        name="store",
        env=env,
    )
    child.wait_until(port_file.exists)
    return child, json.loads(port_file.read_text())["url"]


@pytest.fixture(scope="session")
def embedded_store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an embedded store shared by the session: take a database of your own (`store`)."""
    folder = tmp_path_factory.mktemp("store")
    child, url = start_store(folder / "data", folder)
    try:
        yield url
    finally:
        child.stop()


def fresh(url: str, **overrides: Any) -> Settings:
    """Settings of a store with a database that nobody else has."""
    address = urlsplit(url)
    host = address.hostname or "127.0.0.1"
    return load(
        store_url=f"{address.scheme}://{host}:{address.port or 8123}",
        store_user=address.username or "default",
        store_password=address.password or "",
        store_database=f"t{uuid.uuid4().hex[:12]}",
        **overrides,
    )


def drop(settings: Settings) -> None:
    client = connect(settings, database="default")
    client.command(f"DROP DATABASE IF EXISTS `{settings.store_database}`")
    client.close()


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("server", marks=pytest.mark.skipif(not SERVER_URL, reason="BATON_TEST_CLICKHOUSE_URL is not set")),
    ]
)
def store(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """The contract suite's: a migrated database of a test's own, in the embedded store and in a real server."""
    settings = fresh(SERVER_URL or "" if request.param == "server" else request.getfixturevalue("embedded_store_url"))
    Migrator(settings).up()
    yield settings
    drop(settings)


@pytest.fixture
def client(store: Settings) -> Iterator[Client]:
    made = connect(store)
    yield made
    made.close()
