"""Reads what deploy/ says about metrics: rules, unit tests of rules, dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client.metrics import MetricWrapperBase

from streams import metrics
from tests.support.tools import ROOT

PROMETHEUS: Final = ROOT / "deploy" / "prometheus"
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "dashboards" / "baton.json"


def groups() -> Iterator[dict[str, Any]]:
    for file in sorted((PROMETHEUS / "rules").glob("*.yml")):
        yield from yaml.safe_load(file.read_text())["groups"]


def alerts() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def recorded() -> set[str]:
    return {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}


def expressions() -> dict[str, str]:
    """Where -> PromQL, of every rule and every panel."""
    found = {rule.get("alert") or rule["record"]: rule["expr"] for group in groups() for rule in group["rules"]}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    return found


def unit_tests() -> Iterator[dict[str, Any]]:
    for file in sorted((PROMETHEUS / "tests").glob("*.yml")):
        yield from yaml.safe_load(file.read_text())["tests"]


def names(expression: str) -> set[str]:
    """Our metrics, recorded ones included, that a PromQL expression names."""
    return set(re.findall(r"\bbaton[_:][a-z0-9_:]+", expression))


def exported() -> dict[str, MetricWrapperBase]:
    """Series name -> metric of streams.metrics; a histogram has three series names."""
    series: dict[str, MetricWrapperBase] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
            series.update({family.name + ending: metric for ending in endings})
    return series


def python_sources(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.py") if path.name != "metrics.py")
