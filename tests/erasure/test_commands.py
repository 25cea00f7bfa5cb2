"""`baton erase` on a running pipeline: one LeadErased for each lead of a merge group, and nothing personal left."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from streams.config import Settings
from streams.embedded.pipeline import Pipeline
from streams.publisher import Publisher
from streams.registry import Registry
from streams.store.client import connect
from tests.explain.support import week
from tests.publishing.support import baton
from tests.sink.support import rows
from tests.support.poll import eventually


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with week(tmp_path_factory.mktemp("week")) as running:
        yield running


def where(settings: Settings) -> list[str]:
    return ["--store", settings.store_url, "--brokers", settings.brokers]


def status(settings: Settings) -> tuple[int, dict[str, Any]]:
    done = baton("erase", "--status", "--json", *where(settings))
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def state_of(found: dict[str, Any], lead: str) -> dict[str, Any]:
    [item] = [item for item in found["erasures"] if item["lead_id"] == lead]
    return dict(item)


def physical(settings: Settings, lead: str) -> list[tuple[Any, ...]]:
    client = connect(settings)
    try:
        return rows(client, "SELECT stage, source, deleted FROM leads WHERE lead_id = {lead:String}", lead=lead)
    finally:
        client.close()


def advance(pipeline: Pipeline) -> None:
    """Event time comes to the present: what was erased is buried."""
    now = round(time.time() * 1000)
    with Registry(pipeline.settings.registry_url) as registry, Publisher(pipeline.settings, registry) as publisher:
        publisher.end_of_input(now)
    eventually(lambda: {int(lane["clock"]) >= now for lane in pipeline.ready_lanes().values()} == {True}, 60)
    eventually(lambda: pipeline.unstored() == 0, 60)


def test_an_erasure_that_was_requested_is_told_and_proven_but_for_the_topics(pipeline: Pipeline) -> None:
    code, found = status(pipeline.settings)
    asked = state_of(found, "bad-data")
    assert (asked["requested_at"], asked["deadline"], asked["erased_at"]) == (
        "2026-11-04T08:00:00.000Z",
        "2026-12-04T08:00:00.000Z",
        "2026-11-04T09:00:00.000Z",
    )
    assert asked["rows_left"] == {}
    assert physical(pipeline.settings, "bad-data") == [("", None, 1)]
    # The embedded broker does not say how long it keeps what it has.
    assert (code, found["proven"], asked["state"]) == (1, False, "unproven")
    assert {topic["topic"] for topic in found["topics"]} == {"leads", "touches", "opportunities", "dead-letters"}
    text = baton("erase", "--status", *where(pipeline.settings), env={"COLUMNS": "160"}).stdout
    assert "bad-data" in text
    assert "NOT PROVEN" in text


def test_the_whole_merge_group_is_erased(pipeline: Pipeline) -> None:
    settings = pipeline.settings
    registry = ["--registry", settings.registry_url]
    refused = baton("erase", "late", *where(settings), *registry, stdin=b"n\n")
    assert refused.returncode == 1
    assert "nothing was erased" in refused.stderr
    done = baton("erase", "other", "--yes", *where(settings), *registry)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "other: merged, merged into late",
        "late: sal",
        "asked to erase 2; once it is done, this proves it: baton erase --status",
    ]
    advance(pipeline)
    for lead in ("other", "late"):
        eventually(lambda: physical(settings, lead) == [("", None, 1)], 30)  # noqa: B023
        assert state_of(status(settings)[1], lead)["state"] == "unproven"  # but for the topics
    assert physical(settings, "nobody") != []
    again = baton("erase", "late", "--yes", *where(settings), *registry)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "late: erased already")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope", "--yes"], "no lead 'nope' in the store: check the id; --unknown erases it all the same"),
        ([], "give the ID of a lead to erase, or --status"),
        (["nobody", "--status"], "give the ID of a lead to erase, or --status"),
    ],
)
def test_what_is_wrong_is_one_line(pipeline: Pipeline, arguments: list[str], message: str) -> None:
    done = baton("erase", *arguments, *where(pipeline.settings))
    assert done.returncode == 1
    assert done.stderr.strip() == f"baton: {message}"
