"""A client of a store: any ClickHouse over HTTP(S), be it a server or `baton store`. The same for both."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
import structlog
from clickhouse_connect import common
from clickhouse_connect.driver.exceptions import ClickHouseError
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from streams.config import Settings
from streams.errors import BatonError, ConfigurationError, UnavailableError
from streams.store import cluster
from streams.store.addresses import is_loopback

log = structlog.get_logger(__name__)

T = TypeVar("T")
START_PATIENCE: Final = 60.0
"""Seconds that a process waits for the store before it has begun."""
Client = Any
"""clickhouse_connect's Client; it ships no types."""

_UNKNOWN_DATABASE: Final = 81
_AUTHENTICATION: Final = (192, 193, 194, 516)

INSERT_SETTINGS: Final = {
    # The server's defaults for all of these have moved between versions.
    "async_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_insert": "enable",
    "deduplicate_insert_select": "enable_when_possible",
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "max_insert_threads": 1,
    "wait_end_of_query": 1,
}
"""What every insert of ours says: acknowledged means stored, and the token decides what is a repetition."""


def connect(settings: Settings, *, database: str | None = None, patience: int = 10, silence: int = 120) -> Client:
    """A client with `database` (default: the settings'). `patience`: seconds to connect; `silence`: seconds to wait
    for the next byte of an answer.

    Raises UnavailableError where nothing answers, ConfigurationError where the store refuses user or database.
    """
    where = settings.store_url
    address = urlsplit(where)
    for name in ("clickhouse_connect", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is raised, and told once
    host = address.hostname or "127.0.0.1"
    common.set_setting("autogenerate_session_id", False)
    try:
        client = clickhouse_connect.get_client(
            interface=address.scheme,
            host=host,
            port=address.port or (8443 if address.scheme == "https" else 8123),
            username=settings.store_user,
            password=settings.store_password.get_secret_value(),
            database=settings.store_database if database is None else database,
            # Over the loopback compression costs more than it saves.
            compress=False if is_loopback(host) else "lz4",
            connect_timeout=patience,
            send_receive_timeout=silence,
            client_name="baton",
            query_retries=0,
            settings=cluster.SETTINGS if settings.store_cluster else None,
        )
        client.store_cluster = settings.store_cluster
        return client
    except ClickHouseError as error:
        code = getattr(error, "code", None)
        if code in _AUTHENTICATION:
            raise ConfigurationError(
                f"store {where} refuses user {settings.store_user}: set BATON_STORE_USER and BATON_STORE_PASSWORD"
            ) from None
        if code == _UNKNOWN_DATABASE:
            raise ConfigurationError(
                f"store {where} has no database {settings.store_database}: run `baton migrate`, or set BATON_STORE_DATABASE"
            ) from None
        raise failure(where, error) from None


def patiently(call: Callable[[], T], patience: float = START_PATIENCE) -> T:
    """`call`, again and again while the store does not answer, more slowly each time; each time one line says why.

    Raises UnavailableError after `patience` seconds, and whatever else `call` raises at once.
    """

    def tell(state: RetryCallState) -> None:
        log.warning("retrying", cause=str(state.outcome.exception()) if state.outcome is not None else None)

    retrying = Retrying(
        retry=retry_if_exception_type(UnavailableError),
        stop=stop_after_delay(patience),
        wait=wait_exponential_jitter(multiplier=0.2, max=5.0),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(call)


def failure(where: str, error: Exception) -> BatonError:
    """One line for a user: what the store said, or that it says nothing."""
    code = getattr(error, "code", None)
    text = re.sub(r"\s+", " ", str(error))
    if code is None:
        return UnavailableError(f"store {where} does not answer: {_cause(text)}")
    found = re.search(r"DB::\w*Exception: (.*?)(?: Expected one of: | \(version |$)", text)
    return BatonError(f"store {where}: {(found.group(1) if found else text)[:500]} (code {code})")


def _cause(text: str) -> str:
    found = re.search(r"\[Errno \d+\] ([^'\")]+)|timed out|Name or service not known", text)
    return (found.group(1) or found.group(0)) if found else text[:200]
