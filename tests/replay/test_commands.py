"""What a user meets: small files, the end of time, and everything that can be wrong with the command line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.replay.support import BPIC2012, agreement, begin, needs, replay
from tests.support.processes import free_port

LINES = [
    {"type": "LeadCaptured", "event_id": "1", "lead_id": "a", "occurred_at": "2026-01-05T09:00:00Z",
     "source_system": "crm", "source": "website", "hand_raise": True},
    {"type": "LeadCaptured", "event_id": "2", "lead_id": "b", "occurred_at": "2026-01-05T09:30:00Z",
     "source_system": "crm", "source": "website", "hand_raise": True},
    {"type": "TouchRecorded", "event_id": "3", "lead_id": "a", "occurred_at": "2026-01-05T09:45:00Z",
     "source_system": "crm", "channel": "call", "direction": "outbound", "origin": "sales", "actor": "human",
     "outcome": "connected"},
]  # fmt: skip


def lines(folder: Path) -> Path:
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def verdicts(summary: dict[str, Any]) -> dict[str, int]:
    return {verdict: count for verdict, count in summary["sla"]["first_response"].items() if count}


def test_the_clock_stops_at_the_end_of_the_data(tmp_path: Path) -> None:
    found = replay(tmp_path, lines(tmp_path), "--agreement", agreement(tmp_path, "1 h")).summary
    assert verdicts(found) == {"met": 1, "open": 1}
    assert found["until"] == "2026-01-05T09:45:00.000+00:00"
    assert found["response_hours"] == {"n": 1, "p50": 0.75, "p90": 0.75, "min": 0.75, "max": 0.75}


def test_until_advances_it_further(tmp_path: Path) -> None:
    late = ["--until", "2026-01-05T12:00:00Z"]
    found = replay(tmp_path, lines(tmp_path), "--agreement", agreement(tmp_path, "1 h"), *late).summary
    assert verdicts(found) == {"met": 1, "breached_open": 1}


def test_until_leaves_out_what_was_received_later(tmp_path: Path) -> None:
    early = ["--until", "2026-01-05T09:40:00Z"]
    found = replay(tmp_path, lines(tmp_path), "--agreement", agreement(tmp_path, "1 h"), *early).summary
    assert verdicts(found) == {"open": 2}
    assert found["published"] == 2
    assert found["skipped"] == {"(received after --until)": 1}


@needs(BPIC2012)
def test_a_log_that_breaks_off_is_told_in_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.xes.gz"
    broken.write_bytes(BPIC2012.read_bytes()[:100_000])
    child = begin(tmp_path, broken)
    assert child.wait(90) == 1
    [line] = [line for line in child.output().splitlines() if line.startswith("baton: ")]
    assert str(broken) in line
    assert "(0 events were published before)" in line
    assert "Traceback" not in child.output()


def test_a_second_file_that_breaks_off_tells_what_was_published_before(tmp_path: Path) -> None:
    broken = tmp_path / "broken.xes.gz"
    broken.write_bytes(gzip.compress(b"<log><trace>")[:-8])
    child = begin(tmp_path, lines(tmp_path), broken)
    assert child.wait(90) == 1
    assert "(3 events were published before)" in child.output(1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["/nowhere.xes"], 1, "/nowhere.xes: no such file"),
        (["{lines}", "--kind", "csv"], 1, "--kind csv: expected one of xes, olist, jsonl"),
        (["{lines}", "--until", "tomorrow"], 1, "--until: expected an ISO-8601 time"),
        (["{lines}", "--workers", "2"], 2, "the embedded broker has 4 partitions and holds one worker"),
        (["{lines}", "--brokers", "127.0.0.1:1"], 2, "--brokers and --registry belong together"),
        (["{lines}", "--agreement", "/nowhere.yaml"], 2, "agreement /nowhere.yaml: No such file"),
        (
            ["{lines}", "--brokers", "127.0.0.1", "--registry", "http://127.0.0.1:1"],
            2,
            "brokers (BATON_BROKERS): Value error, expected host:port",
        ),
        (
            ["{lines}", "--brokers", "127.0.0.1:1", "--registry", "http://127.0.0.1:1", "--store", "{folder}"],
            2,
            "holds something already",
        ),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(
    arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    path = lines(tmp_path)
    child = begin(tmp_path, *(text.format(lines=path, folder=tmp_path) for text in arguments))
    assert child.wait(30) == code
    assert message in child.output()
    assert "started" not in child.output()
    assert "Traceback" not in child.output()


def test_a_broker_that_does_not_answer_is_told_and_tried_again(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    child = begin(tmp_path, lines(tmp_path), "--brokers", address, "--registry", "http://127.0.0.1:1")
    child.wait_until(lambda: child.output().count("brokers unreachable, retrying") >= 1, 60)
    assert f"brokers={address}" in child.output()
    child.stop()
