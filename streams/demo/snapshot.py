"""What the demonstration knows at one instant; read from the store, where BI tools read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from streams.replay.summary import figures
from streams.store.client import Client

_LATEST_BREACHES: Final = """
SELECT clocks.lead_id, ifNull(leads.owner, ''), clocks.overdue_ms
FROM (
    SELECT lead_id, dateDiff('millisecond', deadline, now64(3, 'UTC')) AS overdue_ms
    FROM sla_instances FINAL
    WHERE verdict = 'breached_open'
    ORDER BY deadline DESC, lead_id
    LIMIT {limit:UInt32}
) AS clocks
LEFT JOIN (SELECT lead_id, owner FROM leads FINAL) AS leads ON leads.lead_id = clocks.lead_id
ORDER BY clocks.overdue_ms, clocks.lead_id
"""
_SEEN: Final = "SELECT count() FROM lead_transitions WHERE lead_id = {lead_id:String}"


@dataclass(frozen=True, slots=True)
class Breach:
    """A clock that runs past its deadline."""

    lead_id: str
    owner: str
    overdue_ms: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`figures`: as in a replay's summary. Rates in events a second over the last second and over the whole run."""

    elapsed: float = 0.0
    published: int = 0
    rate_now: float = 0.0
    rates: Sequence[float] = ()
    """One for each second, the newest last."""
    figures: dict[str, Any] = field(default_factory=dict)
    breaches: Sequence[Breach] = ()
    latencies_ms: Sequence[float] = ()
    """From publishing an event to its row in the store."""


def latest_breaches(client: Client, limit: int = 5) -> list[Breach]:
    return [Breach(*row) for row in client.query(_LATEST_BREACHES, parameters={"limit": limit}).result_rows]


def is_visible(client: Client, lead_id: str) -> bool:
    """Whether anything of the lead stands in the store."""
    return bool(client.query(_SEEN, parameters={"lead_id": lead_id}).result_rows[0][0])


def verdicts(snapshot: Snapshot) -> dict[str, int]:
    """All policies' clocks by verdict."""
    total: dict[str, int] = {}
    for counts in snapshot.figures.get("sla", {}).values():
        for verdict, count in counts.items():
            total[verdict] = total.get(verdict, 0) + count
    return total


def rank(values: Sequence[float], p: float) -> float | None:
    """A value that occurred: sorted[floor(p * n)]."""
    return sorted(values)[int(p * len(values))] if values else None


__all__ = ["Breach", "Snapshot", "figures", "is_visible", "latest_breaches", "rank", "verdicts"]
