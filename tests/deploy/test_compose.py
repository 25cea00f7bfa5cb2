"""docker-compose.yml: valid, pinned, closed, and in step with the product's own settings and commands."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from streams.cli.main import build
from streams.config import load
from streams.topic_settings import LARGEST
from tests.support.tools import ROOT, require

_OURS = ("topics", "migrate", "worker", "sink")


@cache
def _compose() -> dict[str, Any]:
    """As docker-compose resolves it."""
    done = subprocess.run(
        [require("docker-compose", "docker-compose"), "--project-directory", str(ROOT), "config"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    resolved: dict[str, Any] = yaml.safe_load(done.stdout)
    return resolved


def _services() -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = _compose()["services"]
    return services


def test_the_whole_pipeline_is_there() -> None:
    images = {service["image"].rpartition(":")[0] for service in _services().values()}
    assert images == {
        "apache/kafka", "apicurio/apicurio-registry-kafkasql", "clickhouse/clickhouse-server", "prom/prometheus",
        "prom/alertmanager", "grafana/grafana", "baton",
    }  # fmt: skip
    assert set(_OURS) <= _services().keys()


@pytest.mark.parametrize("name", sorted(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]))
def test_a_service_is_pinned_closed_and_watched(name: str) -> None:
    service = _services()[name]
    version = service["image"].rpartition(":")[2]
    assert any(sign.isdigit() for sign in version), "an image without a version changes unasked"
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert "no-new-privileges:true" in service["security_opt"]
    runs_once = service["restart"] == "no"
    assert runs_once or "healthcheck" in service
    for wanted, how in service.get("depends_on", {}).items():
        once = _services()[wanted]["restart"] == "no"
        assert how["condition"] == ("service_completed_successfully" if once else "service_healthy")


def test_what_must_survive_stands_in_volumes() -> None:
    keepers = {"kafka", "clickhouse", "prometheus", "alertmanager", "grafana"}
    declared = _compose()["volumes"].keys()
    for name in keepers:
        mounted = {str(volume).partition(":")[0] for volume in _services()[name]["volumes"]}
        assert mounted & declared, f"{name} keeps its data in the container"


def test_mounted_files_exist() -> None:
    for service in _services().values():
        for volume in service.get("volumes", ()):
            source = str(volume).partition(":")[0]
            assert not source.startswith("/") or Path(source).exists(), source


def test_no_secret_stands_in_the_environment() -> None:
    for name, service in _services().items():
        for key, value in service.get("environment", {}).items():
            if any(word in key for word in ("PASSWORD", "SECRET", "TOKEN")):
                assert str(value).startswith("/run/secrets"), f"{name}: {key}"


@pytest.mark.parametrize("name", _OURS)
def test_our_settings_are_accepted(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = _services()[name]
    for key, value in service["environment"].items():
        monkeypatch.setenv(key, str(value))
    for secret in service.get("secrets", ()):
        (tmp_path / secret["source"]).write_text("a password")
    monkeypatch.setenv("BATON_SECRETS_DIR", str(tmp_path))
    settings = load()
    assert settings.brokers == "kafka:9092"
    given = {secret["source"] for secret in service.get("secrets", ())}
    for field in ("store_password", "erasure_key"):
        expected = "a password" if f"baton_{field}" in given else ""
        assert getattr(settings, field).get_secret_value() == expected
    assert settings.store_user == _services()["clickhouse"]["environment"]["CLICKHOUSE_USER"]


@pytest.mark.parametrize("name", _OURS)
def test_our_commands_exist(name: str) -> None:
    words = _services()[name]["command"]
    result = CliRunner().invoke(build(), [*words, "--help"])
    assert result.exit_code == 0, result.output


def test_prometheus_finds_what_worker_and_sink_export() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    image = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
    for name in ("worker", "sink"):
        (discovery,) = jobs[f"baton-{name}"]["dns_sd_configs"]
        assert discovery["names"] == [name]
        assert f"BATON_METRICS_PORT={discovery['port']}" in image
        assert f":{discovery['port']}/healthz" in " ".join(_services()[name]["healthcheck"]["test"])


def test_the_broker_takes_the_largest_record_a_topic_may_hold() -> None:
    environment = _services()["kafka"]["environment"]
    assert int(environment["KAFKA_MESSAGE_MAX_BYTES"]) >= int(LARGEST)
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
