"""The rows of erased leads in the store: takes them out, and counts those that are left.

Rows are deleted by a mutation (ALTER TABLE ... DELETE), which rewrites the parts they stand in: nothing of them is left on
disk, as it would be for a while after a lightweight DELETE. The store writes the mutation down before it carries it out,
and goes on with it after a crash. Deleting again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from streams.erasure.personal import PERSONAL
from streams.store.client import Client, failure
from streams.store.cluster import everywhere, stored, stored_name

_AT_ONCE: Final = 500
"""Lead ids of one statement: they travel in its address."""
_ERASED: Final = "SELECT lead_id FROM lead_transitions FINAL WHERE to_stage = 'erased'"


def forget(client: Client, leads: Iterable[str]) -> None:
    """Deletes every personal row of the leads."""
    ids = sorted(set(leads))
    for start in range(0, len(ids), _AT_ONCE):
        for table, rule in PERSONAL.items():
            client.command(
                f"ALTER TABLE {stored(client, table)} DELETE WHERE {rule.lead} IN {{ids:Array(String)}}"
                f" AND NOT ({rule.stays})",
                parameters={"ids": ids[start : start + _AT_ONCE]},
                # Done when it is answered: a row that takes back what is being deleted would be left alone.
                settings={"mutations_sync": 2},
            )


def missed(client: Client, among: Iterable[str] | None = None) -> list[str]:
    """Erased leads that still have personal rows, whatever the reason; `among`: of these alone."""
    asked: list[tuple[str, dict[str, list[str]]]]
    if among is None:
        asked = [("IN (SELECT lead_id FROM lead_transitions WHERE to_stage = 'erased')", {})]
    else:
        ids = sorted(set(among))
        asked = [
            ("IN {ids:Array(String)}", {"ids": ids[start : start + _AT_ONCE]}) for start in range(0, len(ids), _AT_ONCE)
        ]
    suspects: set[str] = set()
    for table, rule in PERSONAL.items():
        for these, parameters in asked:
            # Without FINAL: a row that a newer one hides is still there, and a cheap look tells that mostly none is.
            answer = client.query(
                f"SELECT DISTINCT {rule.lead} FROM {table} WHERE NOT ({rule.stays}) AND {rule.lead} {these}",  # noqa: S608  # no data in it
                parameters=parameters,
            )
            suspects.update(lead for (lead,) in answer.result_rows)
    return _erased(client, sorted(suspects))


def sweep(client: Client, store_url: str, among: Iterable[str] | None = None) -> None:
    """Deletes what is left of erased leads; `among`: of these alone. Raises BatonError."""
    try:
        forget(client, missed(client, among))
    except ClickHouseError as error:
        raise failure(store_url, error) from error


def _erased(client: Client, leads: Sequence[str]) -> list[str]:
    found: list[str] = []
    for start in range(0, len(leads), _AT_ONCE):
        answer = client.query(
            f"SELECT DISTINCT lead_id FROM ({_ERASED} AND lead_id IN {{ids:Array(String)}})",  # noqa: S608
            parameters={"ids": leads[start : start + _AT_ONCE]},
        )
        found += [lead for (lead,) in answer.result_rows]
    return found


def stuck(client: Client) -> dict[str, str]:
    """Table -> why its rows cannot be deleted."""
    names = {stored_name(client, table): table for table in PERSONAL}
    answer = client.query(
        f"SELECT table, any(latest_fail_reason) FROM {everywhere(client, 'system.mutations')}"  # noqa: S608
        " WHERE database = currentDatabase() AND table IN {tables:Array(String)} AND NOT is_done"
        " AND latest_fail_reason != '' GROUP BY table",
        parameters={"tables": sorted(names)},
    )
    return {names[table]: reason for table, reason in answer.result_rows}


def left(client: Client) -> dict[str, dict[str, int]]:
    """Erased lead -> table -> personal rows that are still there, on whatever replica. A lead without any does not appear."""
    counts: dict[str, dict[str, int]] = {}
    for table, rule in PERSONAL.items():
        answer = client.query(
            f"SELECT {rule.lead}, count() FROM {everywhere(client, table)} WHERE NOT ({rule.stays}) "  # noqa: S608
            f"AND {rule.lead} GLOBAL IN ({_ERASED}) GROUP BY {rule.lead}"
        )
        for lead, count in answer.result_rows:
            counts.setdefault(lead, {})[table] = count
    return counts
