"""Real logs against counts that a program of the standard library alone computes from the raw files, and published ones."""

from __future__ import annotations

import csv
import gzip
import xml.etree.ElementTree as ET
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from processors.facts import RANK
from streams.importers import Imported, Source, open_source
from tests.publishing.support import DATA

LOG = DATA / "bpic2012" / "financial_log_sample.xes.gz"
OLIST = DATA / "olist"


@pytest.fixture(autouse=True)
def _data() -> None:
    if not (LOG.exists() and OLIST.exists()):
        pytest.skip(f"the real event logs are not at {DATA}: they are no part of the project")


def counted(source: Source) -> tuple[list[Imported], Counter[str]]:
    items = list(source.events())
    order = [(item.received_at or 0, RANK[item.name], item.event["event_id"]) for item in items]
    assert order == sorted(order)
    assert len({item.event["event_id"] for item in items}) == len(items)
    return items, Counter(
        ":".join(filter(None, (item.name, item.event.get("reason"), item.event.get("actor")))) for item in items
    )


def raw_log(path: Path) -> tuple[Counter[str], Counter[str], int, list[float]]:
    """Events by type, skipped by name, latest time, hours to the first human touch."""
    fates = {"A_DECLINED": "no_fit", "A_CANCELLED": "no_need"}
    stages = {
        "A_SUBMITTED": "LeadCaptured",
        "A_PREACCEPTED": "LeadQualified",
        "A_ACCEPTED": "LeadAccepted",
        "A_FINALIZED": "LeadSalesQualified",
        "A_ACTIVATED": "OpportunityWon",
    }
    found: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    latest = datetime.min.replace(tzinfo=UTC)
    hours = []
    with gzip.open(path) as file:
        root = ET.parse(file).getroot()  # noqa: S314  # a file of our own
    space = root.tag.removesuffix("log")
    for trace in root.iter(f"{space}trace"):
        opened = False
        raised = touched = None
        for element in trace.findall(f"{space}event"):
            entry = {child.get("key"): child.get("value") or "" for child in element}
            name = entry["concept:name"]
            when = datetime.fromisoformat(entry["time:timestamp"])
            latest = max(latest, when)
            if name in stages:
                found[stages[name]] += 1
                raised = when if name == "A_SUBMITTED" else raised
            elif name.startswith("W_") and entry["lifecycle:transition"] == "START":
                human = entry.get("org:resource", "") not in ("", "112")
                found[f"TouchRecorded:{'human' if human else 'automated'}"] += 1
                touched = touched or (when if human else None)
            elif name == "O_CREATED" and not opened:
                opened = True
                found["OpportunityOpened"] += 1
            elif opened and name.startswith("O_") and name not in ("O_CANCELLED", "O_DECLINED"):
                found["OpportunityStageChanged"] += 1
            elif name in fates:
                found[f"{'OpportunityLost' if opened else 'LeadDisqualified'}:{fates[name]}"] += 1
            else:
                skipped[name] += 1
        if raised and touched:
            hours.append((touched - raised).total_seconds() / 3600)
    return found, skipped, round(latest.timestamp() * 1000), sorted(hours)


def test_the_loan_applications() -> None:
    source = open_source(LOG)
    items, found = counted(source)
    expected, skipped, latest, hours = raw_log(LOG)
    assert found == expected
    assert source.skipped == skipped
    assert source.end_of_data == latest == 1_331_737_494_681
    assert len(items) + source.skipped.total() == 53_553
    assert {name: found[name] for name in ("LeadCaptured", "LeadQualified", "LeadAccepted", "LeadSalesQualified")} == {
        "LeadCaptured": 2617, "LeadQualified": 1478, "LeadAccepted": 1032, "LeadSalesQualified": 1010,
    }  # fmt: skip
    assert (found["OpportunityOpened"], found["OpportunityWon"]) == (1010, 461)
    assert found["OpportunityLost:no_fit"] + found["OpportunityLost:no_need"] == 480
    assert found["LeadDisqualified:no_fit"] + found["LeadDisqualified:no_need"] == 2617 - 1010 - 21
    # From the events that come out: hand-raise to first human touch, as the data's description publishes it.
    raised: dict[str, int] = {}
    touched: dict[str, int] = {}
    for item in items:
        if item.event.get("hand_raise"):
            raised[item.event["lead_id"]] = item.event["occurred_at"]
        if item.event.get("actor") == "human":
            touched.setdefault(item.event["lead_id"], item.event["occurred_at"])
    ours = sorted((touched[lead] - raised[lead]) / 3_600_000 for lead in touched)
    assert ours == pytest.approx(hours)
    assert len(ours) == 1847
    assert [round(ours[int(p * 1847)], 3) for p in (0.5, 0.9)] == [1.593, 25.498]
    assert (round(ours[0] * 3600, 3), round(ours[-1], 2)) == (18.181, 339.89)


def test_the_marketing_funnel() -> None:
    items, found = counted(open_source(OLIST))
    assert found == {
        "LeadCaptured": 8000, "LeadQualified": 8000, "LeadSalesQualified": 842, "OpportunityOpened": 842,
        "OpportunityWon": 842,
    }  # fmt: skip
    leads = Counter(item.event["source"] for item in items if item.name == "LeadCaptured")
    won = Counter(item.event["source"] for item in items if item.name == "OpportunityOpened")
    assert {source: (won[source], leads[source]) for source in leads} == {
        "organic search": (271, 2296), "paid search": (195, 1586), "social": (75, 1350), "unknown": (193, 1159),
        "direct traffic": (56, 499), "email": (15, 493), "referral": (24, 284), "other": (4, 150), "display": (6, 118),
        "other publicities": (3, 65),
    }  # fmt: skip
    captured = {item.event["lead_id"]: item.event["occurred_at"] for item in items if item.name == "LeadCaptured"}
    days = sorted(
        (item.event["occurred_at"] - captured[item.event["lead_id"]]) / 86_400_000
        for item in items
        if item.name == "OpportunityWon"
    )
    assert [round(days[place], 3) for place in (0, 421, 757, 841)] == [-1.181, 14.722, 162.672, 427.552]
    with (OLIST / "olist_closed_deals_dataset.csv").open(encoding="utf-8") as file:
        revenue = sum(float(row["declared_monthly_revenue"] or 0) for row in csv.DictReader(file))
    assert sum(item.event["amount_minor"] for item in items if item.name == "OpportunityWon") == round(revenue * 100)
