"""What a replay came to, asked of the store: the same numbers that BI reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from processors.vocabulary import STAGES
from streams.config import Settings
from streams.replay.run import Played
from streams.store.client import Client, connect

VERDICTS: Final = ("met", "late_met", "breached_open", "breached_ended", "cancelled", "transferred", "open")

_COUNTERS: Final = "SELECT sumMap(counters) FROM lanes FINAL"
_REACHED: Final = "SELECT to_stage, uniqExact(lead_id) FROM lead_transitions FINAL GROUP BY to_stage"
_CURRENT: Final = "SELECT stage, count() FROM leads FINAL WHERE stage != '' GROUP BY stage"
_SLA: Final = "SELECT policy, verdict, count() FROM sla_instances FINAL GROUP BY policy, verdict"
_RESPONSE: Final = """
SELECT count(), quantileExact(0.5)(hours), quantileExact(0.9)(hours), min(hours), max(hours)
FROM (SELECT assumeNotNull(response_ms) / 3600000 AS hours FROM response_times WHERE response_ms IS NOT NULL)
"""


def figures(client: Client) -> dict[str, Any]:
    """The numbers as they stand in the store; the part of `summary` that is the same for every run."""
    counters: dict[str, int] = client.query(_COUNTERS).result_rows[0][0]
    n, p50, p90, least, most = client.query(_RESPONSE).result_rows[0]
    sla: dict[str, dict[str, int]] = {}
    for policy, verdict, count in client.query(_SLA).result_rows:
        sla.setdefault(policy, dict.fromkeys(VERDICTS, 0))[verdict] = count
    reached = dict(client.query(_REACHED).result_rows)
    current = dict(client.query(_CURRENT).result_rows)
    hours = {"p50": p50, "p90": p90, "min": least, "max": most}
    prefix = "dead_letters."
    return {
        "events": counters.get("events", 0),
        "copies": counters.get("copies", 0),
        "dead_letters": {key.removeprefix(prefix): n for key, n in sorted(counters.items()) if key.startswith(prefix)},
        "reached": {stage: reached[stage] for stage in STAGES if stage in reached},
        "current": {stage: current[stage] for stage in STAGES if stage in current},
        "sla": sla,
        "response_hours": {"n": n, **{key: round(value, 8) if n else None for key, value in hours.items()}},
    }


def summary(settings: Settings, played: Played) -> dict[str, Any]:
    """The numbers of a finished replay; keys as `baton replay --help` has them."""
    client = connect(settings)
    try:
        found = figures(client)
    finally:
        client.close()
    return {
        **found,
        "published": played.published,
        "skipped": dict(played.skipped.most_common()),
        "until": datetime.fromtimestamp(played.until / 1000, UTC).isoformat(timespec="milliseconds"),
        "seconds": round(played.seconds, 3),
        "events_per_second": round(played.published / played.seconds) if played.seconds else 0,
    }


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
    clocks = Table("verdict", *found["sla"], title="SLA clocks")
    for verdict in VERDICTS:
        clocks.add_row(verdict, *(str(counts[verdict]) for counts in found["sla"].values()))
    response = Table(*found["response_hours"], title="Hours from start to first human answer")
    response.add_row(*(str(value) for value in found["response_hours"].values()))
    console.print(facts, stages, clocks, response)
