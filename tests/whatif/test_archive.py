"""The archive in a store gives the stories that its records make, page by page; and the command on top of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import yaml

from processors.whatif import Span
from streams.cli import agreement as commands
from streams.config import Settings
from streams.errors import BatonError, InputError, UnavailableError
from streams.store.client import Client
from streams.store.migrations import Migrator
from streams.whatif import archive as archives
from streams.whatif.archive import Covered, StoredArchive
from tests.agreement.test_commands import agreement
from tests.explain.support import at
from tests.histories.read import histories
from tests.oracle.events import record
from tests.oracle.records import Record
from tests.store.fixtures import client, embedded_store_url, store
from tests.support.fold import agreed, dated
from tests.whatif.support import Given, archive, lane
from tests.whatif.test_by_hand import FRIDAY, NOVEMBER, OLD, WEEK, called, promising, raised

__all__ = ["client", "embedded_store_url", "store"]


@pytest.fixture
def stored(store: Settings) -> Iterator[StoredArchive]:
    opened = StoredArchive.open(store)
    yield opened
    opened.close()


def many() -> list[Record]:
    """Every hand-worked history, its leads under names of their own."""
    records = []
    for number, history in enumerate(histories()):
        for one in history.records:
            event = dict(one.event)
            for field in ("lead_id", "into"):
                if field in event:
                    event[field] = f"{event[field]}-{number * 7919 % 1000:03}"
            records.append(Record(one.name, event, one.received_at))
    return records


def test_stories_are_those_of_the_records(
    client: Client, stored: StoredArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_PAGE", 7)
    records = many()
    Random(1).shuffle(records)
    archive(client, records)
    archive(client, records[:50])  # a batch that was inserted twice
    span = Span(at(2, "12:00"), at(9, "00:00"))
    now = at(12, "00:00")
    stories = {story[0].lead_id: story for story in stored.stories(span, now)}
    right = {story[0].lead_id: story for story in Given(records, now).stories(span, now)}
    assert len(right) > 30
    assert any(len({fact.lead_id for fact in story}) > 2 for story in right.values())
    assert stories.keys() == right.keys()
    for lead_id, story in right.items():
        assert list(dict.fromkeys(map(repr, stories[lead_id]))) == list(dict.fromkeys(map(repr, story)))


def test_what_is_covered(client: Client, stored: StoredArchive) -> None:
    assert stored.covered().events == 0
    archive(client, WEEK)
    newest = max(one.received_at for one in WEEK)
    assert stored.covered() == Covered(len(WEEK), at(1, "00:00") - 1, newest)
    lane(client, FRIDAY)
    assert stored.covered() == Covered(len(WEEK), at(1, "00:00") - 1, FRIDAY)


def test_records_set_aside_count_for_nothing_unless_the_agreement_decides(
    client: Client, stored: StoredArchive
) -> None:
    records = [record("LeadCaptured", at(2, "10:00"), f"e{number}", lead=f"lead-{number}") for number in range(4)]
    archive(client, records)
    names = ("origin_topic", "origin_partition", "origin_offset", "origin_timestamp", "reason", "version", "deleted")
    rows = [
        ("leads", 0, number, records[number].received_at, reason, 1, 0)
        for number, reason in ((1, "key_mismatch"), (2, "unknown_source"), (3, "refused_erased"))
    ]
    client.insert("dead_letters", rows, column_names=names)
    assert [story[0].lead_id for story in stored.stories(NOVEMBER.span, FRIDAY)] == ["lead-0", "lead-2", "lead-3"]


def test_what_was_received_later_is_not_read(client: Client, stored: StoredArchive) -> None:
    archive(client, [*raised("one", 2, "10:00"), called("one", 6, "12:01")])
    [story] = stored.stories(NOVEMBER.span, FRIDAY)
    assert [fact.kind for fact in story] == ["LeadScored", "LeadCaptured"]


def test_a_body_may_be_older_than_the_schema_and_have_times_as_text(client: Client, stored: StoredArchive) -> None:
    [one, _] = raised("one", 2, "10:00")
    paused = record("LeadPaused", at(2, "11:00"), "p", lead="one", until=at(3, "10:00"))
    archive(client, [replace(one, event={**one.event}), paused])
    client.command(
        "ALTER TABLE events UPDATE body = replaceOne(replaceOne(body, '\"score\": null, ', ''), {until:String}, {text:String}) "
        "WHERE 1 SETTINGS mutations_sync = 2",
        parameters={"until": str(at(3, "10:00")), "text": '"2026-11-03T10:00:00+01:00"'},
    )
    changed = client.query("SELECT countIf(body LIKE '%+01:00%'), countIf(body LIKE '%score%') FROM events").result_rows
    assert changed == [(1, 0)]
    [[scored, pause]] = stored.stories(NOVEMBER.span, FRIDAY)
    assert (scored.details["grade"], pause.details["until"]) == ("warm", at(3, "10:00"))


def test_a_store_without_an_archive_says_so(store: Settings, stored: StoredArchive) -> None:
    Migrator(store).down(1)
    with pytest.raises(BatonError, match="has no archive of events: run `baton migrate up`"):
        stored.covered()


def test_a_store_that_does_not_answer(store: Settings) -> None:
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 does not answer"):
        StoredArchive.open(store.model_copy(update={"store_url": "http://127.0.0.1:1"}))


# The command.


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Path, Path]:
    paths = (tmp_path / "autumn.yaml", tmp_path / "next.yaml")
    for path, stated in zip(paths, (OLD, promising(hot="2 h", warm="4 h")), strict=True):
        path.write_text(yaml.safe_dump(dated(stated)))
    return paths


def test_the_command_tells_what_changes(
    store: Settings, client: Client, versions: tuple[Path, Path], tmp_path: Path
) -> None:
    archive(client, WEEK)
    lane(client, FRIDAY)
    old, new = versions
    where = ("--store", store.store_url, "--database", store.store_database, "--period", "2026-11")
    every = tmp_path / "changes.jsonl"
    done = agreement("diff", old, new, *where, "--json", "--changes", every)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["period"], found["zone"], found["from"], found["as_of"]) == (
        "2026-11", "Europe/Amsterdam", "2026-10-31T23:00:00.000Z", "2026-11-06T11:00:00.000Z",
    )  # fmt: skip
    assert [found["old"][0]["version"], found["new"][0]["version"]] == ["autumn", "next"]
    assert found["totals"] == {
        "before": {"started": 5, "open": 0, "met": 2, "breached": 3, "called_off": 0, "due": 5, "attainment": 0.4},
        "after": {"started": 5, "open": 1, "met": 3, "breached": 1, "called_off": 0, "due": 4, "attainment": 0.75},
    }
    assert found["changes"][1] == {
        "kind": "no_longer_breached", "policy": "first_response", "team": "(none)", "source": "website",
        "before": "late_met", "after": "met", "clocks": 1, "leads": ["slow"], "more_leads": False,
    }  # fmt: skip
    lines = [json.loads(line) for line in every.read_text().splitlines()]
    assert {line["lead_id"] for line in lines} == {"early", "slow", "never", "recent"}
    slow = next(line for line in lines if line["lead_id"] == "slow")
    assert slow["before"] == {"verdict": "late_met", "deadline": "2026-11-02T09:15:00.000Z", "calendar": "office"}
    assert slow["after"]["deadline"] == "2026-11-02T11:00:00.000Z"

    shown = agreement("diff", old, new, *where)
    assert shown.returncode == 0, shown.stderr
    for part in (
        "2026-11 under next instead of autumn",
        "5 clocks started, 4 differ; 8 leads replayed",
        "2 -> 3",
        "40.0% -> 75.0%",
        "no longer breached",
        "late_met -> met",
        "another deadline",
        "(all)",
    ):
        assert part in shown.stdout


def test_the_command_refuses_in_one_line(store: Settings, client: Client, versions: tuple[Path, Path]) -> None:
    old, new = versions
    where = ("--store", store.store_url, "--database", store.store_database)
    archive(client, WEEK)
    lane(client, FRIDAY)
    for arguments, message in (
        ((old, new, "--period", "2026-13", *where), "'2026-13' is no month: expected year and month, such as 2026-10"),
        ((old, new, "--period", "2026-09", *where), "the archive begins at 2026-10-31T22:59:59.999Z, after 2026-09"),
        ((old, "gone.yaml", "--period", "2026-11", *where), "gone.yaml is no valid agreement"),
    ):
        done = agreement("diff", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert message in done.stderr.splitlines()[-1]
        assert done.stderr.splitlines()[-1].startswith("baton: ")


def test_a_published_version_is_taken_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    published = agreed([OLD, promising(hot="2 h")])
    monkeypatch.setattr(commands, "_published", lambda *where: published)
    [found] = commands._version("next", None, None, None)
    assert found is published.named("next")
    with pytest.raises(
        InputError, match="no file spring, and no version of that name is published: there are autumn, next"
    ):
        commands._version("spring", None, None, None)

    def silent(*where: object) -> None:
        raise UnavailableError("brokers 127.0.0.1:1 do not answer")

    monkeypatch.setattr(commands, "_published", silent)
    with pytest.raises(
        UnavailableError, match="no file spring; and versions that are published cannot be read: brokers"
    ):
        commands._version("spring", None, None, None)
