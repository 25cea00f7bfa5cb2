"""Rollups: exact under corrections, whoever rolls up, whatever is lost in between; and reconciliation tells if they are not."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from processors import rows
from processors.rows import At, Row
from streams.config import Settings
from streams.store.client import INSERT_SETTINGS, Client, connect
from streams.store.missing import TABLES
from streams.store.reconcile import Reconciliation
from streams.store.rolling import Rolling, Share
from streams.store.rollup import Rollups
from tests.sink.support import START, journey, state
from tests.store.fixtures import client, embedded_store_url, store
from tests.support.poll import eventually

__all__ = ["client", "embedded_store_url", "store"]

EQUAL = dict.fromkeys(TABLES, 0)


def told(client: Client, *leads: dict[str, Any] | str, first: int) -> None:
    """States of leads, one record each from the offset `first` on; a bare name: given up."""
    made: list[Row] = []
    for offset, lead in enumerate(leads, first):
        at = At("topic", 1, 0, offset)
        made.append(rows.lead_gone(lead, at) if isinstance(lead, str) else rows.lead(lead, at))
    client.insert("leads", made, column_names=rows.LEADS.columns, settings=INSERT_SETTINGS)


def stages(client: Client) -> list[Any]:
    return list(client.query("SELECT source, stage, leads FROM kpi_current_stages ORDER BY ALL").result_rows)


@pytest.fixture
def rollups(store: Settings, client: Client) -> Rollups:
    told(
        client,
        state("a", "mql", journey(1, mql_at=START), source="web"),
        state("b", "mql", journey(1, mql_at=START), source="web"),
        first=0,
    )
    return Rollups(client, store.store_url)


@pytest.fixture
def order(store: Settings, client: Client) -> Reconciliation:
    return Reconciliation(client, store.store_url)


def test_a_correction_shows_at_once_and_stays_when_it_is_rolled_up(
    rollups: Rollups, order: Reconciliation, client: Client
) -> None:
    for corrected, expected in (
        ((), [("web", "mql", 2)]),
        ((state("a", "won", journey(1, mql_at=START, won_at=START), source="fair"),), [("fair", "won", 1), ("web", "mql", 1)]),
        ((state("a", "mql", journey(1, mql_at=START), source="web"),), [("web", "mql", 2)]),
        (("b",), [("web", "mql", 1)]),
        ((state("a", "merged", journey(1, mql_at=START), source="web"),), []),
    ):  # fmt: skip
        if corrected:
            told(client, *corrected, first=10 + client.query("SELECT max(offset) FROM leads").first_row[0])
        assert stages(client) == expected
        rollups.roll()
        assert stages(client) == expected
        client.command("OPTIMIZE TABLE counted_journeys FINAL")
        assert stages(client) == expected
        assert order.differing() == EQUAL


def test_rolling_up_again_changes_nothing(rollups: Rollups, store: Settings, client: Client) -> None:
    assert rollups.roll() == 2
    other = Rollups(client, store.store_url)
    assert other.rebuild() == 2
    assert stages(client) == [("web", "mql", 2)]
    assert client.query("SELECT sum(sign), count() FROM counted_journeys").first_row == (2, 2)


def silent(client: Client) -> None:
    """As if nothing had been heard of the rollup under way for an hour."""
    client.command(
        "INSERT INTO rollups (number, upto, owner, is_done, written_at) SELECT number, upto, owner, false,"
        " now64(3) - toIntervalHour(1) FROM rollups"
    )
    client.command("OPTIMIZE TABLE rollups FINAL")


def test_of_two_one_rolls_up_and_who_breaks_off_is_taken_over(
    rollups: Rollups, store: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Rollups(client, store.store_url)
    work = rollups._claim(everything=False)
    assert work is not None
    assert other.roll() is None
    silent(client)
    with monkeypatch.context() as patched:
        patched.setattr("streams.store.rollup._BEAT_SECONDS", 0)
        rollups._add("merges", work, Share(7), new=False)
    assert other.roll() is None
    # Half of it is done, by one who then is gone for good.
    with Rolling(rollups._store, Share(7)) as rolling:
        rolling.begin()
        rollups._add("journeys", work, Share(7), new=False)
    silent(client)
    assert other.roll() is not None
    assert stages(client) == [("web", "mql", 2)]
    assert Reconciliation(client, store.store_url).differing() == EQUAL


def test_who_comes_back_when_all_is_done_adds_nothing(rollups: Rollups, store: Settings, client: Client) -> None:
    work = rollups._claim(everything=False)
    assert work is not None
    silent(client)
    assert Rollups(client, store.store_url).roll() == 2
    told(client, state("c", "sal", journey(1, sal_at=START), source="web"), first=100)
    with Rolling(rollups._store, Share(7)) as rolling:
        rolling.begin()
        # What it finds to do is a later rollup's: it would not come under the same name.
        rollups._add("journeys", work, Share(7), new=False)
    assert client.query("SELECT sum(sign) FROM counted_journeys").first_row == (2,)


@pytest.mark.parametrize("new", [False, True])
def test_two_inserts_of_one_share_are_one(rollups: Rollups, client: Client, *, new: bool) -> None:
    work = rollups._claim(everything=False)
    assert work is not None
    with Rolling(rollups._store, Share(7)) as rolling:
        rolling.begin()
        rollups._add("journeys", work, Share(7), new=new)
    # As another would insert who had not seen it.
    rollups._store.command(
        "INSERT INTO counted_journeys SELECT * REPLACE('x' AS source) FROM counted_journeys",
        {},
        f"{work.number}-journeys--",
    )
    assert client.query("SELECT count(), countIf(source = 'x') FROM counted_journeys").first_row == (2, 0)


@pytest.mark.parametrize(("age", "counted"), [(60, 2), (0, 4)])
def test_that_leads_are_new_is_believed_for_a_while(
    rollups: Rollups, client: Client, monkeypatch: pytest.MonkeyPatch, age: int, counted: int
) -> None:
    """Long after the look another may have rolled them up; until then nobody has, and what was seen is not asked again."""
    rollups.roll()
    client.command("INSERT INTO changed_leads (lead_id, told_in) VALUES ('a', 'leads'), ('b', 'leads')")
    look = rollups._look
    monkeypatch.setattr(
        rollups,
        "_look",
        lambda share: replace(look(share), at=time.monotonic() - age, counting=frozenset()),
    )
    rollups.roll()
    assert client.query("SELECT sum(sign) FROM counted_journeys").first_row == (counted,)


def test_who_was_given_up_while_being_rolled_up_is_told_of(rollups: Rollups, client: Client) -> None:
    """Its rows were put back by then: whoever erases has to look again."""
    add = rollups._add

    def meanwhile(table: str, *args: Any, **kwargs: Any) -> None:
        add(table, *args, **kwargs)
        if table == "journeys":
            told(client, "a", first=100)

    rollups._add = meanwhile  # type: ignore[method-assign]
    rollups.roll()
    assert rollups.gone == {"a"}


def test_a_mark_that_was_lost_is_made_up_for(rollups: Rollups, order: Reconciliation, client: Client) -> None:
    rollups.roll()
    client.command("DETACH TABLE leads_changed")
    told(client, state("c", "sal", journey(1, sal_at=START), source="web"), first=100)
    client.command("ATTACH TABLE leads_changed")
    assert stages(client) == [("web", "mql", 2)]
    order.mark_missed()
    assert stages(client) == [("web", "mql", 2), ("web", "sal", 1)]
    rollups.roll()
    assert order.differing() == EQUAL


def test_a_mark_that_is_seen_late_is_taken_in(rollups: Rollups, store: Settings, client: Client) -> None:
    """It is dated when its insert begins: a rollup that is done meanwhile has not seen it."""
    slow = connect(store)
    inserting = threading.Thread(
        target=slow.command,
        args=(
            "INSERT INTO changed_leads (lead_id, told_in) SELECT 'late', 'leads' FROM numbers(100) WHERE sleepEachRow(0.1) = 0",
        ),
        kwargs={"settings": {**INSERT_SETTINGS, "function_sleep_max_microseconds_per_block": 60_000_000}},
    )
    inserting.start()
    under_way = (
        "SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND query LIKE '%sleepEach%' AND elapsed > 2"
    )
    eventually(lambda: client.query(under_way).first_row == (1,), 60)
    assert rollups.roll() == 2
    assert inserting.is_alive(), "it was to be under way until here"
    inserting.join()
    slow.close()
    assert "late" in {lead for (lead,) in client.query("SELECT lead_id FROM changed").result_rows}


def test_reconciliation_finds_what_is_wrong_and_a_rebuild_mends_it(
    rollups: Rollups, order: Reconciliation, client: Client
) -> None:
    rollups.roll()
    client.command("INSERT INTO rollups (number, upto, is_done) VALUES (100, '2100-01-01 00:00:00', true)")
    client.command("INSERT INTO counted_journeys SELECT * FROM counted_journeys WHERE lead_id = 'a'")
    client.command("ALTER TABLE counted_known DELETE WHERE lead_id = 'b' SETTINGS mutations_sync = 1")
    assert order.differing() == EQUAL | {"journeys": 1, "known": 1}
    assert stages(client) == [("web", "mql", 3)]
    rollups.rebuild()
    assert order.differing() == EQUAL
    assert stages(client) == [("web", "mql", 2)]


def test_old_marks_go_once_they_are_rolled_up(rollups: Rollups, order: Reconciliation, client: Client) -> None:
    client.command("INSERT INTO changed_leads (lead_id, changed_at) SELECT 'a', now64(3) - toIntervalHour(30)")
    order.drop_old()
    assert client.query("SELECT countIf(lead_id = 'a') FROM changed_leads").first_row == (2,)
    rollups.roll()
    order.drop_old()
    assert client.query("SELECT countIf(lead_id = 'a'), count() FROM changed_leads").first_row == (1, 2)
