"""`baton erase` on a running pipeline: one LeadErased for each lead of a merge group, and nothing personal left."""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from processors.agreement import Agreement, Agreements
from streams.config import Settings
from streams.embedded.pipeline import Pipeline
from streams.erasure.show import show
from streams.erasure.status import HOLDING, Kept, Status, judge, read
from streams.explain import stored
from streams.explain.heard import hear
from streams.explain.story import story
from streams.publisher import Publisher
from streams.registry import Registry
from streams.store.client import connect
from tests.explain.support import AGREEMENT, week
from tests.publishing.support import baton
from tests.sink.support import rows
from tests.support.poll import eventually


@pytest.fixture(scope="module", params=["embedded", "real"])
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    plan: dict[str, Any] = {}
    if request.param == "real":
        plan = {
            "brokers": request.getfixturevalue("kafka_brokers"), "partitions": 4,
            "registry_url": request.getfixturevalue("embedded_registry_url"), "topic_prefix": f"t{uuid.uuid4().hex[:10]}.",
        }  # fmt: skip
    with week(tmp_path_factory.mktemp("week"), **plan) as running:
        yield running


def where(settings: Settings) -> list[str]:
    return ["--store", settings.store_url, "--brokers", settings.brokers, "--topic-prefix", settings.topic_prefix]


def now() -> int:
    return round(time.time() * 1000)


def status(settings: Settings, *, bounded: bool = True) -> Status:
    """As the store stands, with topics that are as they should be."""
    return judge(read(settings), [Kept(topic, 25.0, None if bounded else "long") for topic in HOLDING], now())


def state_of(found: Status, lead: str) -> str:
    [item] = [item for item in found.erasures if item.lead_id == lead]
    return item.state


def physical(settings: Settings, lead: str) -> list[tuple[Any, ...]]:
    client = connect(settings)
    try:
        return rows(client, "SELECT stage, source, deleted FROM leads WHERE lead_id = {lead:String}", lead=lead)
    finally:
        client.close()


def gone(settings: Settings, lead: str) -> None:
    eventually(lambda: physical(settings, lead) == [("", None, 1)], 30)


def advance(pipeline: Pipeline) -> None:
    """Event time comes to the present: what was erased is buried."""
    at = now()
    with Registry(pipeline.settings.registry_url) as registry, Publisher(pipeline.settings, registry) as publisher:
        publisher.end_of_input(at)
    eventually(lambda: {int(lane["clock"]) >= at for lane in pipeline.ready_lanes().values()} == {True}, 60)
    eventually(lambda: pipeline.unstored() == 0, 60)


def test_an_erasure_that_was_requested_is_told_and_proven(pipeline: Pipeline) -> None:
    settings = pipeline.settings
    gone(settings, "bad-data")
    done = baton("erase", "--status", "--json", *where(settings))
    assert "Traceback" not in done.stderr
    found = json.loads(done.stdout)
    real = settings.transactions
    # The embedded broker does not say how long it keeps what it has: that is no proof.
    assert (done.returncode, found["proven"]) == ((0, True) if real else (1, False))
    assert found["erasures"] == [
        {
            "lead_id": "bad-data",
            "requested_at": "2026-11-04T08:00:00.000Z",
            "deadline": "2026-12-04T08:00:00.000Z",
            "erased_at": "2026-11-04T09:00:00.000Z",
            "rows_left": {},
            "gone_at": "2026-11-29T09:00:00.000Z" if real else None,
            "state": "done" if real else "unproven",
        }
    ]
    assert [topic["topic"] for topic in found["topics"]] == [settings.topic_prefix + topic for topic in HOLDING]
    assert [topic["days"] for topic in found["topics"]] == ([25.0] * 5 + [2 / 24] if real else [None] * 6)


@pytest.mark.parametrize(("bounded", "verdict"), [(True, "\nProven."), (False, "NOT PROVEN")])
def test_on_a_screen(pipeline: Pipeline, bounded: bool, verdict: str) -> None:
    console = Console(file=io.StringIO(), width=160, markup=False)
    show(status(pipeline.settings, bounded=bounded), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "Fri 4 Dec 2026 08:00" in text
    assert verdict in text


def test_events_come_from_the_log(pipeline: Pipeline) -> None:
    """The story that tests/explain tells on the embedded broker, with transactions."""
    with Registry(pipeline.settings.registry_url) as registry:
        log = hear(pipeline.settings, registry, "late")
    told = story("late", stored.read(pipeline.settings, "late"), log, Agreements([Agreement.parse(AGREEMENT)]), [])
    assert told.notes == []
    assert len(told.events or ()) == 10
    assert all(event.does for event in told.events or ())


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
        gone(settings, lead)
        assert state_of(status(settings), lead) == "done"
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
def test_what_is_wrong_is_one_line(store: Settings, arguments: list[str], message: str) -> None:
    done = baton(
        "erase", *arguments, "--store", store.store_url, "--database", store.store_database, "--user", store.store_user,
        env={"BATON_STORE_PASSWORD": store.store_password.get_secret_value()},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip() == f"baton: {message}"
