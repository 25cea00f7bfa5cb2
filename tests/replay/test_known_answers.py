"""Real event logs come out with the answers that an independent program computed from the raw files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.demo.support import started
from tests.real.fixtures import Cluster
from tests.replay.support import BPIC2012, OLIST, agreement, begin, end, needs, replay
from tests.support.poll import eventually

EVENTS: Final = 27_833
VERDICTS: Final = {
    "1 h": (814, 1033, 33, 737),
    "4 h": (1118, 729, 26, 744),
    "24 h": (1652, 195, 8, 762),
    "48 h": (1750, 97, 3, 767),
}
"""Target -> met, late_met, breached_ended, cancelled."""
WON_BY_SOURCE: Final = {
    "organic search": (271, 2296),
    "paid search": (195, 1586),
    "social": (75, 1350),
    "unknown": (193, 1159),
    "direct traffic": (56, 499),
    "email": (15, 493),
    "referral": (24, 284),
    "other": (4, 150),
    "display": (6, 118),
    "other publicities": (3, 65),
}
"""Source -> won, leads."""


def _bpic2012_is_right(summary: dict[str, Any], target: str, *, times: int = 1) -> None:
    assert summary["published"] == summary["events"] == EVENTS * times
    assert summary["copies"] == EVENTS * (times - 1)
    assert summary["dead_letters"] == {}
    reached = {
        "mql": 1478,
        "sal": 1032,
        "sql": 1010,
        "opportunity": 1010,
        "won": 461,
        "lost": 480,
        "disqualified": 1586,
    }
    assert summary["reached"] == {"inquiry": 2617, **reached}
    assert summary["current"] == {"mql": 21, "opportunity": 69, "won": 461, "lost": 480, "disqualified": 1586}
    met, late_met, breached_ended, cancelled = VERDICTS[target]
    assert summary["sla"] == {
        "first_response": {
            "met": met, "late_met": late_met, "breached_ended": breached_ended, "cancelled": cancelled,
            "breached_open": 0, "transferred": 0, "open": 0,
        }
    }  # fmt: skip
    hours = summary["response_hours"]
    assert hours["n"] == 1847
    assert (round(hours["p50"], 3), round(hours["p90"], 3)) == (1.593, 25.498)
    assert (round(hours["min"] * 3600, 3), round(hours["max"], 2)) == (18.181, 339.89)


def _query(store: Path, sql: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "streams", "sql", sql, "--store", str(store), "--format", "JSONEachRow"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


@needs(BPIC2012)
@pytest.mark.parametrize("target", ["1 h", "48 h"])
def test_bpic2012_on_the_embedded_parts(target: str, tmp_path: Path) -> None:
    """The targets between them: below, on a real Kafka."""
    store = tmp_path / "store"
    found = replay(tmp_path, BPIC2012, "--agreement", agreement(tmp_path, target), "--store", store).summary
    _bpic2012_is_right(found, target)
    assert (found["workers"], found["lanes"]) == (1, 4)
    [counts] = _query(
        store,
        "SELECT toUInt32(count()) AS transitions, toUInt32(countIf(implied)) AS implied, toUInt32(max(cycle)) AS cycles "
        "FROM lead_transitions FINAL",
    )
    assert counts == {"transitions": 9674, "implied": 0, "cycles": 1}
    assert _query(store, "SELECT lead_id FROM leads FINAL WHERE length(refusals) > 0") == []


@needs(BPIC2012)
def test_bpic2012_imported_twice_on_the_embedded_parts(tmp_path: Path) -> None:
    found = replay(tmp_path, BPIC2012, BPIC2012, "--agreement", agreement(tmp_path, "4 h")).summary
    _bpic2012_is_right(found, "4 h", times=2)


@needs(BPIC2012)
@pytest.mark.parametrize(
    ("target", "workers", "partitions", "times"), [("1 h", 1, 4, 1), ("4 h", 2, 12, 1), ("48 h", 2, 12, 2)]
)
def test_bpic2012_on_real_kafka(
    target: str, workers: int, partitions: int, times: int, tmp_path: Path, real_cluster: Cluster
) -> None:
    found = replay(
        tmp_path, *[BPIC2012] * times, "--agreement", agreement(tmp_path, target),
        "--workers", workers, "--partitions", partitions, cluster=real_cluster,
    ).summary  # fmt: skip
    _bpic2012_is_right(found, target, times=times)
    assert (found["workers"], found["lanes"]) == (workers, partitions)


@needs(BPIC2012)
def test_bpic2012_on_real_kafka_with_one_of_two_workers_killed(tmp_path: Path, real_cluster: Cluster) -> None:
    child = begin(
        tmp_path, BPIC2012, "--agreement", agreement(tmp_path, "24 h"), "--workers", 2, "--partitions", 12,
        "--rate", 2000, cluster=real_cluster,
    )  # fmt: skip

    def published() -> int:
        return max(map(int, re.findall(r"count=(\d+)\s+phase=published", child.output())), default=0)

    child.wait_until(lambda: published() > EVENTS * 0.4, 120)
    victim = started(child.output())["worker-2"]
    [run_dir] = re.findall(r"run directory\s+path=(\S+)", child.output())
    log = Path(run_dir, "worker-2.log")
    assert Path(run_dir, "worker-2.pid").read_text().strip() == str(victim)
    owned = re.findall(r"lanes=\[([\d, ]+)\]", log.read_text())
    assert len(owned[-1].split(",")) == 6
    os.kill(victim, signal.SIGKILL)
    assert published() < EVENTS * 0.7
    eventually(lambda: "a worker ended, the others carry on" in child.output(), 20)
    ended = end(child)
    _bpic2012_is_right(ended.summary, "24 h")
    assert f"pid={victim} process=worker-2" in ended.log
    assert ended.summary["seconds"] > EVENTS / 2000 - 1


def _olist_is_right(summary: dict[str, Any]) -> None:
    assert summary["published"] == summary["events"] == 2 * 8000 + 3 * 842
    assert summary["dead_letters"] == {}
    # One lead was won before its first contact: its inquiry came too late to be entered, its mql is a second cycle.
    assert summary["reached"] == {"inquiry": 7999, "mql": 8000, "sal": 842, "sql": 842, "opportunity": 842, "won": 842}
    assert summary["current"] == {"mql": 7159, "won": 841}


@needs(OLIST)
def test_olist_on_the_embedded_parts(tmp_path: Path) -> None:
    store = tmp_path / "store"
    _olist_is_right(replay(tmp_path, OLIST, "--store", store).summary)
    rows = _query(store, "SELECT source, toUInt32(won) AS won, toUInt32(leads) AS leads FROM kpi_funnel_by_source")
    assert {row["source"]: (row["won"], row["leads"]) for row in rows} == WON_BY_SOURCE
    days = _query(
        store,
        "SELECT (toUnixTimestamp64Milli(assumeNotNull(won_at)) - toUnixTimestamp64Milli(assumeNotNull(first_captured_at)))"
        " / 86400000 AS days FROM journeys WHERE won_at IS NOT NULL ORDER BY days",
    )
    assert len(days) == 842
    assert round(days[0]["days"], 3) == -1.181
    assert days[1]["days"] >= 0
    assert [round(days[place]["days"], 3) for place in (421, 757, 841)] == [14.722, 162.672, 427.552]


@needs(OLIST)
def test_olist_on_real_kafka_with_two_workers(tmp_path: Path, real_cluster: Cluster) -> None:
    found = replay(tmp_path, OLIST, "--workers", 2, "--partitions", 12, cluster=real_cluster).summary
    _olist_is_right(found)
