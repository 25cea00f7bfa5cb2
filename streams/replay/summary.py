"""What a replay came to, asked of the store: the same numbers that BI reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import clickhouse_connect
from rich.console import Console
from rich.table import Table

from processors.vocabulary import STAGES
from streams.config import Settings
from streams.replay.run import Played

VERDICTS: Final = ("met", "late_met", "breached_open", "breached_ended", "cancelled", "transferred", "open")

_COUNTERS: Final = "SELECT sumMap(counters) FROM lanes FINAL"
_REACHED: Final = "SELECT to_stage, uniqExact(lead_id) FROM lead_transitions FINAL GROUP BY to_stage"
_CURRENT: Final = "SELECT stage, count() FROM leads FINAL WHERE stage != '' GROUP BY stage"
_SLA: Final = "SELECT policy, verdict, count() FROM sla_instances FINAL GROUP BY policy, verdict"
_RESPONSE: Final = """
SELECT count(), quantileExact(0.5)(hours), quantileExact(0.9)(hours), min(hours), max(hours)
FROM (
    SELECT (toUnixTimestamp64Milli(assumeNotNull(satisfied_at)) - toUnixTimestamp64Milli(started_at)) / 3600000 AS hours
    FROM sla_instances FINAL
    WHERE policy = 'first_response' AND satisfied_at IS NOT NULL
)
"""


def summary(settings: Settings, played: Played) -> dict[str, Any]:
    """The numbers of a finished replay; keys as `baton replay --help` has them."""
    client = clickhouse_connect.get_client(
        dsn=settings.store_url, database=settings.store_database,
        username=settings.store_user, password=settings.store_password.get_secret_value(),
    )  # fmt: skip
    try:
        counters: dict[str, int] = client.query(_COUNTERS).result_rows[0][0]
        n, p50, p90, least, most = client.query(_RESPONSE).result_rows[0]
        sla: dict[str, dict[str, int]] = {}
        for policy, verdict, count in client.query(_SLA).result_rows:
            sla.setdefault(policy, dict.fromkeys(VERDICTS, 0))[verdict] = count
        reached = dict(client.query(_REACHED).result_rows)
        current = dict(client.query(_CURRENT).result_rows)
    finally:
        client.close()
    prefix = "dead_letters."
    return {
        "events": counters.get("events", 0),
        "copies": counters.get("copies", 0),
        "published": played.published,
        "skipped": dict(played.skipped.most_common()),
        "dead_letters": {key.removeprefix(prefix): n for key, n in sorted(counters.items()) if key.startswith(prefix)},
        "reached": {stage: reached[stage] for stage in STAGES if stage in reached},
        "current": {stage: current[stage] for stage in STAGES if stage in current},
        "sla": sla,
        "response_hours": {
            "n": n,
            "p50": _hours(p50, n),
            "p90": _hours(p90, n),
            "min": _hours(least, n),
            "max": _hours(most, n),
        },
        "until": datetime.fromtimestamp(played.until / 1000, UTC).isoformat(timespec="milliseconds"),
        "seconds": round(played.seconds, 3),
        "events_per_second": round(played.published / played.seconds) if played.seconds else 0,
    }


def _hours(value: float, n: int) -> float | None:
    return round(value, 6) if n else None


def show(found: dict[str, Any], console: Console) -> None:
    """The same as tables."""
    facts = Table(title="Replay", show_header=False)
    for key in ("events", "copies", "until", "seconds", "events_per_second"):
        facts.add_row(key, str(found[key]))
    for key in ("skipped", "dead_letters"):
        for name, count in found[key].items():
            facts.add_row(f"{key}: {name}", str(count))
    stages = Table("stage", "reached", "current", title="Funnel (leads)")
    for stage in STAGES:
        if stage in found["reached"] or stage in found["current"]:
            stages.add_row(stage, str(found["reached"].get(stage, 0)), str(found["current"].get(stage, 0)))
    clocks = Table("policy", *VERDICTS, title="SLA clocks")
    for policy, verdicts in found["sla"].items():
        clocks.add_row(policy, *(str(verdicts[verdict]) for verdict in VERDICTS))
    response = Table(*found["response_hours"], title="Hours from start to first human answer")
    response.add_row(*(str(value) for value in found["response_hours"].values()))
    console.print(facts, stages, clocks, response)
