"""Personal rows of an erased lead leave the store, whatever happens to the sink meanwhile; other leads keep theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from processors.rows import Row
from streams.config import Settings
from streams.erasure import rows as erasures
from streams.erasure.personal import COLUMNS, PERSONAL, Kind, kinds
from streams.sink.sink import Sink
from streams.sink.writer import Writer
from streams.store.client import Client
from streams.topics import STATES
from tests.sink.support import Schemas, Worker, caught_up, journey, rows, running, state, transition
from tests.support.poll import eventually

NAMED = "erased:5a1e"


def physical(client: Client, lead: str) -> list[tuple[Any, ...]]:
    """All rows there are of the lead, also those that a newer one hides."""
    return rows(client, "SELECT stage, deleted FROM leads WHERE lead_id = {lead:String} ORDER BY version", lead=lead)


def story(worker: Worker, lead: str) -> None:
    """A lead that was told of twice, and is being erased."""
    worker.write("LeadState", state(lead, "inquiry", journey(1)))
    worker.write("LeadTransition", transition(f"{lead}-1", lead, "inquiry"))
    worker.write("LeadTransition", transition(f"{lead}-2", lead, "erased", 5, sequence=2))


def bury(worker: Worker, lead: str) -> None:
    worker.raw(STATES, lead.encode(), None)
    worker.write("LeadState", state(NAMED, "erased"))


def test_the_profile_goes_and_the_story_stays(settings: Settings, worker: Worker, client: Client) -> None:
    with running(settings) as sink:
        story(worker, "ann's")
        worker.write("LeadState", state("bob", "mql", journey(1)))
        caught_up(sink, worker)
        assert [stage for stage, _ in physical(client, "ann's")] == ["inquiry"]
        worker.write("LeadState", state("ann's", "erased", journey(1)))
        caught_up(sink, worker)
        assert erasures.left(client) == {"ann's": {"leads": 2}}
        bury(worker, "ann's")
        caught_up(sink, worker)
        eventually(lambda: physical(client, "ann's") == [("", 1)], 20)
    assert erasures.left(client) == {}
    assert [stage for stage, _ in physical(client, "bob")] == ["mql"]
    assert [stage for stage, _ in physical(client, NAMED)] == ["erased"]
    assert rows(client, "SELECT count() FROM lead_transitions FINAL WHERE lead_id = 'ann''s'") == [(2,)]


class Killed(BaseException):
    pass


class Dying(Sink):
    """Killed when the deletion was asked for and nothing of the batch is stored."""

    def __init__(self, settings: Settings, schemas: Schemas) -> None:
        super().__init__(settings, schemas)
        writer = self._writer
        forget, insert = writer.forget, writer.insert
        dying: list[bool] = []

        def forgets(leads: Sequence[str]) -> None:
            forget(leads)
            dying.append(True)

        def inserts(table: str, data: Sequence[Row], token: str) -> None:
            if dying:
                raise Killed
            insert(table, data, token)

        writer.forget, writer.insert = forgets, inserts  # type: ignore[method-assign,assignment]

    def run(self) -> None:
        try:
            super().run()
        except Killed:
            self.killed = True


def test_a_sink_that_is_killed_in_between_erases_again(settings: Settings, worker: Worker, client: Client) -> None:
    with running(settings, Dying) as sink:
        story(worker, "ann")
        caught_up(sink, worker)
        bury(worker, "ann")
        worker.done()
        eventually(lambda: hasattr(sink, "killed"), 20)
        assert [row for row in physical(client, "ann") if row[1]] == []
    with running(settings) as sink:
        caught_up(sink, worker)
        eventually(lambda: physical(client, "ann") == [("", 1)], 20)
    assert [stage for stage, _ in physical(client, NAMED)] == ["erased"]


def test_what_the_sink_did_not_see_it_erases_when_it_starts(settings: Settings, worker: Worker, client: Client) -> None:
    with running(settings) as sink:
        story(worker, "ann")
        story(worker, "eve")
        # A LeadErased that was corrected away is no erasure.
        worker.write("LeadTransition", transition("eve-2", "eve", "erased", 5, sequence=2, change="retracted"))
        caught_up(sink, worker)
    assert erasures.missed(client) == ["ann"]
    with running(settings) as sink:
        caught_up(sink, worker)
        eventually(lambda: physical(client, "ann") == [], 20)
        assert [stage for stage, _ in physical(client, "eve")] == ["inquiry"]


def test_many_leads_are_forgotten_at_once(settings: Settings, worker: Worker, client: Client) -> None:
    leads = [f"{number:04}-{'é' * 80}" for number in range(1_200)]
    with running(settings) as sink:
        for lead in leads:
            worker.write("LeadState", state(lead, "mql"))
        caught_up(sink, worker)
        writer = Writer(settings)
        writer.forget(leads[1:])
        writer.close()
        eventually(lambda: rows(client, "SELECT lead_id FROM leads") == [(leads[0],)], 30)


def test_every_column_is_classified(client: Client) -> None:
    """A new column or table has to say what it holds about people: streams/erasure/personal.py."""
    found: dict[str, set[str]] = {}
    for table, column in rows(
        client,
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND table IN "
        "(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree') "
        "AND table != 'migrations'",
    ):
        found.setdefault(table, set()).add(column.split(".")[0])
    assert {table: set(kinds(table)) for table in COLUMNS} == found


@pytest.mark.parametrize("table", COLUMNS)
def test_profiles_stand_in_tables_whose_rows_go(table: str) -> None:
    assert (Kind.PROFILE in kinds(table).values()) == (table in PERSONAL)
    if table in PERSONAL:
        assert kinds(table)[PERSONAL[table].lead] is Kind.PSEUDONYM
