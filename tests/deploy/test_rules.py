"""Alert rules and dashboard: valid, tested by promtool both ways, about metrics that exist and are fed, and explained."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from streams import metrics
from tests.deploy.rules import (
    DASHBOARD,
    PROMETHEUS,
    alerts,
    exported,
    expressions,
    names,
    python_sources,
    recorded,
    unit_tests,
)
from tests.support.tools import ROOT, require

_UNIT_TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))


def _promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [require("promtool", "prometheus"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_configuration_is_valid() -> None:
    done = _promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rule files found" in done.stdout


@pytest.mark.parametrize("file", _UNIT_TESTS, ids=lambda file: file.stem)
def test_the_rules_do_what_their_unit_tests_say(file: Path) -> None:
    done = _promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_does_otherwise_is_noticed(tmp_path: Path) -> None:
    for folder in ("rules", "tests"):
        (tmp_path / folder).mkdir()
        for file in (PROMETHEUS / folder).glob("*.yml"):
            text = file.read_text().replace(
                "baton_lane_clock_age_seconds) > 60", "baton_lane_clock_age_seconds) > 6000"
            )
            (tmp_path / folder / file.name).write_text(text)
    done = _promtool("test", "rules", tmp_path / "tests" / "pipeline.yml")
    assert done.returncode != 0
    assert "BatonLaneClockBehind" in done.stdout + done.stderr


def test_every_alert_is_tested_to_fire_and_to_stay_quiet() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for test in unit_tests():
        for case in test["alert_rule_test"]:
            (fires if case["exp_alerts"] else quiet).add(case["alertname"])
    wanted = {alert["alert"] for alert in alerts()}
    assert fires == wanted
    assert quiet == wanted


def test_every_alert_says_how_bad_it_is_whose_it_is_and_what_to_do() -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text()
    headings = {line[4:].strip().lower() for line in runbook.splitlines() if line.startswith("### ")}
    for alert in alerts():
        name = alert["alert"]
        assert alert["labels"]["severity"] in {"critical", "warning"}, name
        assert alert["labels"]["team"] in {"sales-operations", "platform"}, name
        assert alert["annotations"]["summary"], name
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert name.lower() in headings, f"docs/operations.md has no section {name}"
    explained = {heading for heading in headings if heading.startswith("baton")}
    assert explained == {alert["alert"].lower() for alert in alerts()}, "a section for an alert that is no more"


def test_what_rules_and_dashboard_ask_for_exists() -> None:
    known = exported().keys() | recorded()
    for where, expression in expressions().items():
        assert names(expression) or "up{" in expression, f"{where} asks for nothing"
        assert names(expression) <= known, where


def test_what_rules_and_dashboard_ask_for_is_fed() -> None:
    """A metric that nothing sets is an alert that never fires."""
    constants = {id(metric): name for name, metric in vars(metrics).items()}
    sources = "\n".join(path.read_text() for path in python_sources(ROOT / "streams"))
    asked = {name for expression in expressions().values() for name in names(expression)} - recorded()
    for series in sorted(asked):
        constant = constants[id(exported()[series])]
        assert re.search(rf"\b{constant}\.(labels|inc|set|observe|time)\b", sources), f"nothing feeds {series}"


def test_they_group_by_labels_that_the_metrics_have() -> None:
    of_prometheus = {"job", "instance", "le"}
    for where, expression in expressions().items():
        labels = set(re.findall(r"\w+", " ".join(re.findall(r"\b(?:by|on) \(([^)]*)\)", expression))))
        labels |= set(re.findall(r"[{,]\s*(\w+)\s*(?:=|!=)", expression))
        asked = [exported()[name] for name in names(expression) if name not in recorded()]
        has = {label for metric in asked for label in metric._labelnames}  # the client offers no public way
        if names(expression) & recorded():
            has |= {"policy", "reason"}
        assert labels <= has | of_prometheus, where


def test_the_dashboard_stands_on_the_provisioned_source() -> None:
    board = json.loads(DASHBOARD.read_text())
    provisioned = (ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text()
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in panels} == {"prometheus"}
    assert "uid: prometheus" in provisioned
    assert all(panel["description"] and panel["targets"] for panel in panels)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_alertmanager_sends_leads_to_sales_and_the_rest_to_the_platform_team() -> None:
    amtool = require("amtool", "prometheus-alertmanager")
    config = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    done = subprocess.run(
        [amtool, "check-config", str(config)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for alert in alerts():
        labels = {"alertname": alert["alert"], **alert["labels"]}
        done = subprocess.run(
            [amtool, "config", "routes", "test", f"--config.file={config}", *(f"{k}={v}" for k, v in labels.items())],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout.strip() == alert["labels"]["team"], alert["alert"]
    unknown = set(re.findall(r"Baton\w+", config.read_text())) - {alert["alert"] for alert in alerts()}
    assert unknown == set(), "an inhibition names an alert that is no more"
