"""The roller beside a running sink: what has landed is rolled up before all counts as caught up, after a kill as well."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from streams.config import Settings
from streams.erasure import rows as erasures
from streams.metrics import ROLLUP_ERRORS
from streams.sink.roller import Roller
from streams.sink.sink import Sink
from streams.store.client import Client
from streams.store.rollup import Rollups
from streams.topics import STATES
from tests.sink.support import START, Worker, caught_up, journey, rows, running, state, transition
from tests.support.poll import eventually


def test_what_has_landed_is_rolled_up(settings: Settings, worker: Worker, client: Client) -> None:
    # Its predecessor was killed at a rollup just now.
    assert Rollups(client, settings.store_url, owner="sink-1")._claim(everything=True)
    roller = Roller(settings.model_copy(update={"rollup_interval": 0.1, "group_instance_id": "sink-1"}))
    # The store refuses the first rollup: it is tried again.
    client.command("RENAME TABLE counted_known TO away")
    failed = ROLLUP_ERRORS._value.get()
    worker.write("LeadState", state("a", "mql", journey(1, mql_at=START), source="web"))
    with running(settings, lambda given, schemas: Sink(given, schemas, roller)) as sink:
        roller.start()
        try:
            eventually(lambda: ROLLUP_ERRORS._value.get() > failed, 20)
            assert not sink.status()["caught_up"]
            client.command("RENAME TABLE away TO counted_known")
            caught_up(sink, worker)
        finally:
            roller.stop()
    assert rows(client, "SELECT lead_id, source, sum(sign) FROM counted_journeys GROUP BY ALL") == [("a", "web", 1)]
    assert rows(client, "SELECT source, fields, sum(sign) FROM counted_known GROUP BY ALL") == [("web", 0, 1)]
    assert rows(client, "SELECT count() FROM rolling") == [(0,)]


def test_what_lost_its_mark_is_marked_before_later_marks_hide_it(
    settings: Settings, worker: Worker, client: Client
) -> None:
    # As a store leaves it that is killed between a row and its mark.
    client.command("DETACH TABLE leads_changed")
    worker.write("LeadState", state("a", "mql", journey(1, mql_at=START), source="web"))
    with running(settings) as sink:
        caught_up(sink, worker)
    client.command("ATTACH TABLE leads_changed")
    assert rows(client, "SELECT lead_id FROM changed") == []
    worker.write("LeadState", state("b", "mql", journey(1, mql_at=START), source="web"))
    with running(settings) as sink:
        caught_up(sink, worker)
    assert sorted(rows(client, "SELECT DISTINCT lead_id FROM changed")) == [("a",), ("b",)]


def test_what_was_being_rolled_up_of_a_lead_as_it_was_erased_goes_too(
    settings: Settings, worker: Worker, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(settings) as sink:
        worker.write("LeadState", state("a", "mql", journey(1, mql_at=START), source="web"))
        worker.write("LeadTransition", transition("a-1", "a", "erased", 5, sequence=2))
        caught_up(sink, worker)
        worker.raw(STATES, b"a", None)
        caught_up(sink, worker)
    # As a rollup leaves it that had read the lead before it was given up, and inserts after its rows were deleted.
    columns = "lead_id, cycle, is_current, source, team, lead_team, lead_stage, sign"
    client.command(f"INSERT INTO counted_journeys ({columns}) VALUES ('a', 1, true, 'web', 'n', 'n', 'mql', 1)")  # noqa: S608  # no data in it
    # The store refuses at first: it is tried again, though the rollup is done.
    asked: list[set[str]] = []

    missed = erasures.missed

    def refusing(asking: Client, among: Iterable[str] | None = None) -> list[str]:
        if among is None:  # the sink's own look at its start
            return missed(asking)
        asked.append({*among})
        if len(asked) == 1:
            raise DatabaseError("Code: 210. DB::NetException: refused")
        return missed(asking, among)

    monkeypatch.setattr(erasures, "missed", refusing)
    roller = Roller(settings.model_copy(update={"rollup_interval": 0.1}))
    with running(settings, lambda given, schemas: Sink(given, schemas, roller)) as sink:
        roller.start()
        try:
            caught_up(sink, worker)
        finally:
            roller.stop()
    assert asked[:2] == [{"a"}, {"a"}]
    assert rows(client, "SELECT count() FROM counted_journeys WHERE lead_id = 'a'") == [(0,)]
    assert erasures.left(client) == {}
