"""`baton status`: what /status says, for people."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from streams import web

READY = {"state": "ready", "clock": 1_767_603_600_000, "lag": {"leads": 1_000, "touches": 234}, "queued": 7,
         "counters": {"events": 52_000}}  # fmt: skip
WORKER = {"role": "worker", "ready": True, "generation": 3, "lanes": {"0": READY, "10": READY, "2": READY}}
SINK = {
    "role": "sink", "ready": True, "caught_up": False, "refused": 0, "waits_for": "the store does not answer",
    "partitions": {"a-0": {"position": 5, "at_end": True}, "a-1": {"position": 5, "at_end": False}},
}  # fmt: skip


@contextmanager
def answering(status: dict[str, Any]) -> Iterator[str]:
    server = web.serve(lambda: status, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()


def baton(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams", "status", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_worker_and_a_sink() -> None:
    with answering(WORKER) as worker, answering(SINK) as sink:
        shown = baton(worker, sink.removeprefix("http://"))
    assert shown.returncode == 0, shown.stderr
    assert f"{worker}: worker, ready" in shown.stdout
    lanes = [line.split("│") for line in shown.stdout.splitlines() if "2026-01-05T09:00:00+00:00" in line]
    assert [[cell.strip() for cell in line[1:-1]] for line in lanes] == [
        [lane, "ready", "2026-01-05T09:00:00+00:00", "1,234", "7", "52,000"] for lane in ("0", "2", "10")
    ]
    assert "1 of 2 partitions read to their end, 0 records refused\nwaits: the store does not answer" in shown.stdout


def test_how_far_a_lane_is_restored() -> None:
    lanes = {
        "0": READY,
        "1": {"state": "restoring", "restored": 0.256},
        "2": {"state": "halted", "cause": "unreadable"},
    }
    with answering({**WORKER, "ready": False, "lanes": lanes}) as worker:
        shown = baton(worker)
    assert shown.returncode == 1
    assert "worker, not ready" in shown.stdout
    assert "restoring 26%" in shown.stdout
    assert "halted: unreadable" in shown.stdout


def test_as_json() -> None:
    with answering(WORKER) as worker:
        shown = baton("--json", worker)
    assert json.loads(shown.stdout) == [{"url": worker, **WORKER}]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "no answer (ConnectError): is it running there?"),
        ({"hello": 1}, "something else answers there: expected a worker or a sink"),
    ],
    ids=["nobody", "something else"],
)
def test_what_is_not_there_is_told(answer: dict[str, Any] | None, problem: str) -> None:
    with answering(answer or {}) as url:
        if answer is not None:
            shown = baton(url)
    if answer is None:
        shown = baton(url)
    assert shown.returncode == 1
    assert shown.stdout.strip() == f"{url}: {problem}"


def test_without_an_address() -> None:
    shown = baton()
    assert shown.returncode == 2
    assert "no address: give the one that a worker or sink tells in its log" in shown.stderr
