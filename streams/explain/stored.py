"""What the store says of one lead: how it stands, its transitions, its clocks, its dead letters. Parameters only, FINAL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.config import Settings
from streams.store.client import Client, connect, failure

Row = Mapping[str, Any]
"""Column -> value; instants as UTC milliseconds."""

_LEAD: Final = "SELECT * FROM leads FINAL WHERE lead_id = {lead:String}"
_TRANSITIONS: Final = "SELECT * FROM lead_transitions FINAL WHERE lead_id = {lead:String} ORDER BY sequence, entered_at"
_CLOCKS: Final = (
    "SELECT * FROM sla_instances FINAL WHERE lead_id = {lead:String} ORDER BY started_at, policy, instance_id"
)
_LETTERS: Final = "SELECT * FROM dead_letters FINAL WHERE lead_id = {lead:String} ORDER BY failed_at, origin_offset"
_ABSORBED: Final = "SELECT lead_id FROM leads FINAL WHERE merged_into = {lead:String} ORDER BY lead_id"
_LANE: Final = "SELECT clock FROM lanes FINAL WHERE lane = {lane:UInt32}"


@dataclass(frozen=True)
class Stored:
    lead: Row | None
    """None: the store does not know it, or gave it up with its erasure."""
    transitions: Sequence[Row]
    clocks: Sequence[Row]
    letters: Sequence[Row]
    absorbed: Sequence[str]
    """Leads that have merged into it."""
    clock: int | None
    """Up to where its lane has folded everything."""

    @property
    def known(self) -> bool:
        return bool(self.lead or self.transitions or self.clocks or self.letters)


def read(settings: Settings, lead_id: str) -> Stored:
    """Raises BatonError where the store does not answer."""
    client = connect(settings)
    try:
        lead = plain_rows(client, _LEAD, lead=lead_id)
        transitions = plain_rows(client, _TRANSITIONS, lead=lead_id)
        clocks = plain_rows(client, _CLOCKS, lead=lead_id)
        letters = plain_rows(client, _LETTERS, lead=lead_id)
        absorbed = [row["lead_id"] for row in plain_rows(client, _ABSORBED, lead=lead_id)]
        lane = next((row["partition"] for row in (*lead, *transitions, *clocks, *letters)), None)
        at = [] if lane is None else plain_rows(client, _LANE, lane=lane)
    except ClickHouseError as error:
        raise failure(settings.store_url, error) from None
    finally:
        client.close()
    return Stored(lead[0] if lead else None, transitions, clocks, letters, absorbed, at[0]["clock"] if at else None)


def plain_rows(client: Client, sql: str, **parameters: object) -> list[dict[str, Any]]:
    """The answer as dicts, instants as UTC milliseconds."""
    answer = client.query(sql, parameters=parameters)
    return [
        {name: _plain(value) for name, value in zip(answer.column_names, row, strict=True)}
        for row in answer.result_rows
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
