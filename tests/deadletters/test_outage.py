"""What is away is waited for: an outage of the registry makes no dead letters of good records, whatever it looks like."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from confluent_kafka import Producer

from schemas.catalog import CATALOG, subject
from schemas.wire import HEADER, MAGIC
from streams.config import ClockMode
from streams.errors import UnavailableError
from streams.partitioner import lane_of
from streams.registry import Registry
from streams.topics import RECEIVED_AT_HEADER, Topics
from tests.processors.support import START
from tests.real.fixtures import Cluster
from tests.support.poll import eventually, never
from tests.worker.processes import read_outputs, running, settings_for
from tests.worker.support import ENCODER, complete
from tests.worker.test_worker import AGREEMENT, done, publish


class Front:
    """Stands before a registry: passes on, or answers as something else would in its place."""

    def __init__(self, behind: str) -> None:
        self.mode = "up"
        front = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if front.mode == "up" or "/schemas/ids/" not in self.path:
                    front.pass_on(self, behind)
                    return
                answers = {
                    "down": (503, b"<html>no backend</html>"),
                    "proxy": (404, b"<html>not found</html>"),
                    "other": (404, b'{"error_code": 404, "message": "HTTP 404 Not Found"}'),
                }
                front.answer(self, *answers[front.mode])

            do_POST = do_PUT = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @staticmethod
    def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def pass_on(self, handler: BaseHTTPRequestHandler, behind: str) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0))) or None
        asked = Request(behind + handler.path, body, {"Content-Type": "application/json"}, method=handler.command)  # noqa: S310
        try:
            with urlopen(asked, timeout=10) as answer:  # noqa: S310
                self.answer(handler, answer.status, answer.read())
        except OSError as error:
            read = getattr(error, "read", None)
            self.answer(handler, getattr(error, "code", 502), read() if read else b"")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@pytest.fixture
def front(embedded_registry_url: str) -> Iterator[Front]:
    made = Front(embedded_registry_url)
    yield made
    made.close()


@pytest.mark.parametrize("mode", ["down", "proxy", "other"])
def test_a_404_that_is_not_the_registrys_own_word_is_an_outage(front: Front, topic_prefix: str, mode: str) -> None:
    with Registry(front.url, patience=0.5) as registry:
        registry.ids(Topics(topic_prefix), ["LeadCaptured"])
        assert registry.text(2_000_000_000) is None
        front.mode = mode
        with pytest.raises(UnavailableError):
            registry.text(2_000_000_001)


def test_a_registry_that_lost_its_schemas_is_an_outage(embedded_registry_url: str, topic_prefix: str) -> None:
    with Registry(embedded_registry_url, patience=0.5) as registry:
        registry.ids(Topics(topic_prefix), ["LeadCaptured"])
        registry._ours = "none-such"
        with pytest.raises(UnavailableError, match="it no longer knows none-such"):
            registry.text(2_000_000_000)


@pytest.mark.parametrize("mode", ["down", "proxy"])
def test_a_worker_waits_for_its_registry_and_sets_nothing_aside(
    mock_brokers: str, front: Front, embedded_registry_url: str, topic_prefix: str, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "agreement.yaml"
    path.write_text(AGREEMENT)
    cluster = Cluster(mock_brokers, front.url, real=False)
    settings = settings_for(cluster, topic_prefix, clock=ClockMode.EVENT, agreement=path)
    reading = settings.model_copy(update={"registry_url": embedded_registry_url})
    contract = CATALOG["LeadCaptured"]
    newer = json.loads(contract.text)
    newer["fields"].append({"name": "mood", "type": ["null", "string"], "default": None})
    with running(settings, tmp_path) as worker:
        asked = Request(  # noqa: S310
            f"{front.url}/subjects/{subject(topic_prefix + 'leads', contract)}/versions",
            json.dumps({"schema": json.dumps(newer)}).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(asked, timeout=10) as answer:  # noqa: S310
            number = json.load(answer)["id"]
        front.mode = mode
        body = ENCODER.encode("LeadCaptured", complete("LeadCaptured", 0, lead_id="lead-1"))[HEADER.size :] + b"\0"
        producer = Producer({"bootstrap.servers": mock_brokers})
        producer.produce(
            f"{topic_prefix}leads", HEADER.pack(MAGIC, number) + body, b"lead-1",
            lane_of(b"lead-1", settings.partitions), headers=[(RECEIVED_AT_HEADER, str(START).encode())],
        )  # fmt: skip
        assert producer.flush(10) == 0
        said = {"down": "registry unreachable, retrying", "proxy": "schema lookup failed, trying again"}[mode]
        worker.child.wait_until(lambda: said in worker.child.output(), 60)
        never(lambda: read_outputs(reading)["DeadLetter"] or read_outputs(reading)["LeadTransition"], 2)
        front.mode = "up"
        publish(settings, [], end=5)
        eventually(lambda: done([worker], settings.partitions, 5), 60)
    outputs = read_outputs(reading)
    assert [item["to_stage"] for item in outputs["LeadTransition"]] == ["inquiry"]
    assert outputs["DeadLetter"] == []
