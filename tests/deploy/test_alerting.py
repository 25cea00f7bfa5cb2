"""From /metrics to the message: a real Prometheus and a real Alertmanager with our configuration, addresses and waits apart."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3
import yaml

from tests.support.poll import eventually
from tests.support.processes import accepts, free_ports, running
from tests.support.tools import ROOT, require


@contextmanager
def _chat(messages: list[dict[str, Any]]) -> Iterator[int]:
    """Takes what Alertmanager sends to the chat; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name is the library's
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _without_waits(route: dict[str, Any]) -> None:
    if "group_wait" in route:
        route["group_wait"] = "0s"
    for inner in route.get("routes", ()):
        _without_waits(inner)


def _query(port: int, expression: str) -> dict[tuple[str, ...], float]:
    answer = urllib3.request("GET", f"http://127.0.0.1:{port}/api/v1/query", fields={"query": expression}, timeout=5)
    return {tuple(sorted(item["metric"].values())): float(item["value"][1]) for item in answer.json()["data"]["result"]}


def test_a_breach_becomes_a_message_to_sales_and_a_dead_letter_one_to_the_platform_team(tmp_path: Path) -> None:
    prometheus = require("prometheus", "prometheus")
    alertmanager = require("prometheus-alertmanager", "prometheus-alertmanager")
    messages: list[dict[str, Any]] = []
    with ExitStack() as stack:
        chat = stack.enter_context(_chat(messages))
        port_file = tmp_path / "port.json"
        command: list[str | Path] = [sys.executable, "-m", "tests.deploy.exporter", port_file]
        worker = stack.enter_context(running(command, tmp_path, name="worker", cwd=ROOT))
        worker.wait_until(port_file.exists)
        metrics_port = json.loads(port_file.read_text())["port"]
        own, other, nobody = free_ports(3)

        config = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
        (tmp_path / "chat-url").write_text(f"http://127.0.0.1:{chat}/")
        config["global"]["slack_api_url_file"] = str(tmp_path / "chat-url")
        _without_waits(config["route"])
        (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
        command = [
            alertmanager, f"--config.file={tmp_path}/alertmanager.yml", f"--storage.path={tmp_path}/alertmanager",
            f"--web.listen-address=127.0.0.1:{other}", "--cluster.listen-address=",
        ]  # fmt: skip
        manager = stack.enter_context(running(command, tmp_path, name="alertmanager"))

        config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(ROOT / "deploy" / "prometheus" / "rules" / "*.yml")]
        config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{other}"]
        targets = {"baton-worker": metrics_port, "baton-sink": nobody, "prometheus": own}
        for job in config["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [
            prometheus, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/prometheus",
            f"--web.listen-address=127.0.0.1:{own}",
        ]  # fmt: skip
        manager.wait_until(lambda: accepts(other))
        server = stack.enter_context(running(command, tmp_path, name="prometheus"))
        server.wait_until(lambda: accepts(own))

        eventually(
            lambda: {message["channel"] for message in messages} >= {"#sales-operations", "#platform-on-call"}, 40
        )
        said = {message["channel"]: message["attachments"][0] for message in messages}
        assert said["#sales-operations"]["title"] == "BatonFirstResponseBreached"
        assert "no first response in time, last 15 minutes: 3" in said["#sales-operations"]["text"]
        assert "docs/operations.md#batonfirstresponsebreached" in said["#sales-operations"]["text"]
        assert said["#platform-on-call"]["title"] == "warning: BatonDeadLetters"
        assert "null_key" in said["#platform-on-call"]["text"]

        eventually(lambda: _query(own, "count(up == 1)") == {(): 2.0})
        assert _query(own, "max by (lane) (baton_lane_clock_age_seconds)") == {("0",): 2.0}
