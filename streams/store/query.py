"""`baton sql`: one query against a store that is named by its address or by its directory."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from clickhouse_connect.driver.exceptions import ClickHouseError
from pydantic import SecretStr
from urllib3.exceptions import HTTPError

from streams.config import Settings
from streams.errors import InputError
from streams.store.client import connect, failure, patiently
from streams.store.ownership import serving


@contextlib.contextmanager
def reachable(store: str, settings: Settings) -> Iterator[Settings]:
    """Settings that reach `store`: an address; a directory that a process serves; or one that this process serves meanwhile.

    Raises InputError where the directory holds no store.
    """
    if store.startswith(("http://", "https://")):
        yield settings.model_copy(update={"store_url": store.rstrip("/")})
        return
    directory = Path(store)
    if not (directory / "engine").is_dir():
        raise InputError(
            f"{directory}: no store there: give a directory that `baton store` or `--store` made, or a URL"
        )
    owner = serving(directory)
    if owner is not None:
        yield settings.model_copy(update={"store_url": owner.url})
        return
    # The engine is loaded only where it is needed.
    from streams.store.guard import Users
    from streams.store.server import StoreServer

    password = secrets.token_urlsafe(16)  # nobody else on the machine is meant to use this one
    with StoreServer(directory, database=settings.store_database, users=Users(password)) as server:
        yield settings.model_copy(
            update={"store_url": server.url, "store_user": "default", "store_password": SecretStr(password)}
        )


def run(sql: str, settings: Settings, form: str, wait: float = 0) -> Iterator[bytes]:
    """The answer in ClickHouse's format `form`, as it comes. `wait`: seconds for the store to answer. Raises BatonError."""
    client = patiently(lambda: connect(settings), wait)
    try:
        with client.raw_stream(sql, fmt=form) as stream:
            yield from iter(lambda: stream.read(1 << 16), b"")
    except (ClickHouseError, HTTPError) as error:
        raise failure(settings.store_url, error) from None
    finally:
        client.close()
