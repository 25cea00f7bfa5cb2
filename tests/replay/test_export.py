"""What the archive holds is enough to tell every story again: exported and replayed, it comes to the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import StreamFailureError
from urllib3.exceptions import ProtocolError

from streams.config import Settings, load
from streams.errors import BatonError
from streams.importers.jsonl import JsonLines
from streams.store.client import Client
from streams.store.export import lines
from tests.kpis.data import generated
from tests.kpis.fill import fill
from tests.oracle.records import Record
from tests.oracle.walk import tell
from tests.replay.support import agreement, replay
from tests.replay.test_commands import LINES, verdicts
from tests.store.fixtures import client, embedded_store_url, store

__all__ = ["client", "embedded_store_url", "store"]

WITHDRAWN = [
    {"type": "TouchRecorded", "event_id": "4", "lead_id": "b", "occurred_at": "2026-01-05T09:50:00Z",
     "source_system": "crm", "channel": "call", "direction": "outbound", "origin": "sales", "actor": "human",
     "outcome": "connected"},
    {"type": "FactWithdrawn", "event_id": "5", "lead_id": "b", "occurred_at": "2026-01-05T11:00:00Z",
     "source_system": "crm", "withdrawn_event_id": "4", "topic": "touches"},
]  # fmt: skip


def export(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "streams", "export", *map(str, arguments)], capture_output=True, timeout=60, check=False
    )


def _kept(name: str, event: Any) -> str:
    """An event as the archive has it."""
    kept = {**event, **({"reason_text": "(text)"} if event.get("reason_text") else {})}
    return name + json.dumps({key: value for key, value in kept.items() if key != "person"}, sort_keys=True)


def test_all_that_came_and_every_story_again(store: Settings, client: Client, tmp_path: Path) -> None:
    """Copies, conflicts, late facts, withdrawals, merges, erasures, test traffic."""
    world = generated(60)
    fill(client, world)
    done = export("--store", store.store_url, "--database", store.store_database)
    events = len(world.records) + len(world.campaigns)
    assert (done.returncode, done.stderr.decode()) == (0, f"{events:,} events\n")
    path = tmp_path / "archive.jsonl"
    path.write_bytes(done.stdout)
    read = [Record(one.name, one.event, one.received_at or 0) for one in JsonLines(path).events()]
    told = [one for one in read if "lead_id" in one.event]
    about = Counter(_kept(one.name, one.event) for one in read if "lead_id" not in one.event)
    assert about == Counter(_kept(name, event) for name, event in world.campaigns)
    assert Counter((_kept(one.name, one.event), one.received_at) for one in told) == Counter(
        (_kept(one.name, one.event), one.received_at) for one in world.records
    )
    again, before = (tell(records, [world.agreement], now=world.now) for records in (told, world.records))
    assert again == before
    assert len(before) > 60


def test_replayed_it_comes_to_the_same(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (*LINES, *WITHDRAWN)))
    terms = agreement(tmp_path, "1 h")
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    first = replay(tmp_path / "first", path, "--agreement", terms, "--store", tmp_path / "store").summary
    assert verdicts(first) == {"met": 1, "breached_open": 1}
    done = export("--store", tmp_path / "store")
    assert done.returncode == 0, done.stderr
    exported = tmp_path / "archive.jsonl"
    exported.write_bytes(done.stdout)
    second = replay(tmp_path / "second", exported, "--agreement", terms).summary
    for summary in (first, second):
        del summary["seconds"], summary["events_per_second"]
    assert second == first


@pytest.mark.parametrize(
    ("since", "until", "ids"),
    [
        ("09:30", "09:45", ["2"]),
        ("09:45", "12:00", ["3", "6"]),
        ("09:00", "12:00", ["1", "2", "3", "6"]),
        ("09:45", "09:30", []),
    ],
)  # fmt: skip
def test_a_part_of_it(store: Settings, client: Client, since: str, until: str, ids: list[str]) -> None:
    """Received in [since, until), in that order; not what was set aside for what it is, but what was not agreed on."""
    times = ("09:00", "09:30", "09:45", "09:50", "09:55", "09:59")
    for number, at in enumerate(times, 1):
        client.command(
            "INSERT INTO events (lead_id, event_id, event_type, received_at, body, topic, timestamp, offset)"
            " VALUES ({lead:String}, {id:String}, 'LeadCaptured', {at:String}, {body:String}, 'eu.leads', {n:Int64},"
            " {n:Int64})",
            parameters={
                "lead": "fedcba"[number - 1], "id": str(number), "at": f"2026-01-05 {at}:00", "n": number,
                "body": f'{{"type":"LeadCaptured","event_id":"{number}"}}',
            },
        )  # fmt: skip
    for number, reason in ((4, "wrong_topic"), (5, "key_mismatch"), (6, "unknown_source")):
        client.command(
            "INSERT INTO dead_letters (reason, origin_topic, origin_partition, origin_offset, origin_timestamp, offset)"
            " VALUES ({reason:String}, 'eu.leads', 0, {n:Int64}, {n:Int64}, {n:Int64})",
            parameters={"reason": reason, "n": number},
        )
    done = export(
        "--store", store.store_url, "--database", store.store_database,
        "--since", f"2026-01-05T{since}:00Z", "--until", f"2026-01-05T{until}:00Z",
    )  # fmt: skip
    assert (done.returncode, done.stderr.decode()) == (0, f"{len(ids)} events\n")
    assert [json.loads(line)["event_id"] for line in done.stdout.splitlines()] == ids


class _Broken:
    """A store whose answer ends before its end."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    @contextmanager
    def query_row_block_stream(self, *_: object, **__: object) -> Iterator[Iterator[list[tuple[str, bool]]]]:
        def blocks() -> Iterator[list[tuple[str, bool]]]:
            yield [("{}", True)]
            if self._error is not None:
                raise self._error

        yield blocks()

    def close(self) -> None: ...


@pytest.mark.parametrize("error", [None, ProtocolError("Connection broken"), StreamFailureError("Code: 395. as asked")])
def test_an_answer_that_breaks_off_is_no_export(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    monkeypatch.setattr("streams.store.export.connect", lambda *_, **__: _Broken(error))
    made = lines(load(), None, None)
    assert next(made) == "{}"
    with pytest.raises(BatonError, match=r"store http://127.0.0.1:8123"):
        next(made)


def test_what_a_replay_would_stumble_over_is_left_out_and_told(store: Settings, client: Client) -> None:
    """No worker has judged what is told of campaigns."""
    fields = {"type": "CampaignCostRecorded", "campaign": "fair", "amount_minor": 5, "currency": "EUR"}
    for number, (system, at) in enumerate((("ads", "09:00"), ("", "09:00"), ("ads", "23:59"))):
        told = {
            **fields,
            "event_id": str(number),
            "source_system": system,
            "occurred_at": f"2026-01-0{1 + number}T{at}:00Z",
        }
        client.command(
            "INSERT INTO campaign_events (campaign, event_id, received_at, body, topic, offset)"
            " VALUES ('fair', {id:String}, '2026-01-01 10:00:00', {body:String}, 'campaigns', {n:Int64})",
            parameters={"id": str(number), "n": number, "body": json.dumps(told, separators=(",", ":"))},
        )
    done = export("--store", store.store_url, "--database", store.store_database)
    assert [json.loads(line)["event_id"] for line in done.stdout.splitlines()] == ["0"]
    assert done.stderr.decode().count("left out") == 2
    assert done.stderr.decode().endswith("1 events\n")


def test_what_is_wrong_is_told_in_one_line(tmp_path: Path) -> None:
    done = export("--store", tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().count("\n") == 1
    assert "no store there" in done.stderr.decode()
    done = export("--store", tmp_path, "--since", "yesterday")
    assert "--since: expected an ISO-8601 time" in done.stderr.decode()
