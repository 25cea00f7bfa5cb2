"""Asks for erasures: finds everything that was merged with a lead, and publishes one LeadErased for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.config import Settings
from streams.publisher import Publisher
from streams.registry import Registry
from streams.store.client import Client, connect, failure

SOURCE_SYSTEM: Final = "baton-erase"
_LEADS: Final = "SELECT lead_id, stage, merged_into FROM leads FINAL WHERE lead_id IN {ids:Array(String)}"
_LOSERS: Final = "SELECT lead_id, stage, merged_into FROM leads FINAL WHERE merged_into IN {ids:Array(String)}"
_ERASED: Final = (
    "SELECT lead_id FROM lead_transitions FINAL WHERE lead_id IN {ids:Array(String)} AND to_stage = 'erased'"
)


class Member(NamedTuple):
    """A lead of a merge group."""

    lead_id: str
    stage: str
    """Empty: the store knows no such lead."""
    merged_into: str | None
    erased: bool


def group(settings: Settings, lead_id: str) -> list[Member]:
    """The lead, whatever it has merged into, and all that was merged into any of these. Raises BatonError."""
    client = connect(settings)
    try:
        return _group(client, lead_id)
    except ClickHouseError as error:
        raise failure(settings.store_url, error) from None
    finally:
        client.close()


def _group(client: Client, lead_id: str) -> list[Member]:
    found: dict[str, tuple[str, str | None]] = {}
    asked: set[str] = set()
    front = [lead_id]
    while front:
        asked.update(front)
        rows = [*_rows(client, _LEADS, front), *_rows(client, _LOSERS, front)]
        for name, stage, into in rows:
            if not name.startswith("erased:"):
                found[name] = (stage, into)
        named = {lead_id, *found, *(into for _, into in found.values() if into is not None)}
        front = sorted(named - asked)
    ids = sorted(asked, key=lambda name: (name != lead_id, name))
    erased = {name for (name,) in _rows(client, _ERASED, ids)}
    return [Member(name, *found.get(name, ("", None)), name in erased) for name in ids]


def _rows(client: Client, sql: str, ids: Sequence[str]) -> list[Any]:
    return list(client.query(sql, parameters={"ids": list(ids)}).result_rows)


def event_id(lead_id: str) -> str:
    """The same for a lead each time: asked for again, an erasure is a copy. A hash, so that no id is kept in an id."""
    return hashlib.blake2b(lead_id.encode(), digest_size=16, person=b"erase").hexdigest()


def publish(settings: Settings, leads: Iterable[str], now: int) -> int:
    """One LeadErased for each lead; how many. `now`: UTC milliseconds. Raises BatonError."""
    with Registry(settings.registry_url) as registry, Publisher(settings, registry) as publisher:
        for lead_id in leads:
            event = {
                "event_id": event_id(lead_id), "lead_id": lead_id, "occurred_at": now, "source_system": SOURCE_SYSTEM,
                "entered_by": "person", "is_test": False,
            }  # fmt: skip
            publisher.publish("LeadErased", event)
        publisher.flush()
        return publisher.delivered
