"""What a rollup leaves out because there is nothing to say is nothing: by each type of event alone."""

from __future__ import annotations

import pytest

from processors import rows
from processors.rows import At
from schemas.catalog import CATALOG
from streams.store.client import INSERT_SETTINGS, Client
from streams.store.missing import STORIES, TABLES, counting, may_say, now
from tests.sink.support import START, journey, state, transition
from tests.store.fixtures import client, embedded_store_url, store

__all__ = ["client", "embedded_store_url", "store"]

LEAD = state("a", "mql", journey(1, mql_at=START), source="web")
NO_MQL = state("b", "inquiry", journey(1, inquiry_at=START), source="web")


@pytest.fixture
def leads(client: Client) -> None:
    made = [rows.lead(lead, At("topic", 1, 0, offset)) for offset, lead in enumerate((LEAD, NO_MQL))]
    client.insert("leads", made, column_names=rows.LEADS.columns, settings=INSERT_SETTINGS)
    entered = [
        rows.transition(transition(f"t-{lead}", lead, stage), At("transitions", 1, 0, offset))
        for offset, (lead, stage) in enumerate((("a", "mql"), ("b", "inquiry")))
    ]
    client.insert("lead_transitions", entered, column_names=rows.TRANSITIONS.columns, settings=INSERT_SETTINGS)


def _says(client: Client, number: int, lead: str, event_type: str) -> set[str]:
    """Of the stories' views those that have rows for the lead, if one event, with all that it can say, is all there is."""
    about = {"number": number, "lead": lead, "type": event_type, "at": START}
    client.command(
        "INSERT INTO rolling (number, lead_id, is_changed, story_id) SELECT {number:UInt64}, {lead:String}, true, ''",
        parameters=about,
    )
    client.command(
        "INSERT INTO rolling_facts (number, lead_id, source_system, event_id, event_type, at, entered_by, person_fields, said)"
        " SELECT {number:UInt64}, {lead:String}, 'crm', 'e', {type:String}, fromUnixTimestamp64Milli({at:Int64}, 'UTC'),"
        " 'person', ['name'], ('web', 'fair', 'call', 'inbound', 'sales', 'human', 'connected', 'paper', true, '', 'acme',"
        " 'emea', ['email'], 'tool', '', 'deal', 100, 'EUR', 'open', [], 'owner', '', '')",
        parameters=about,
    )
    return {
        table
        for table in STORIES
        if client.query(f"SELECT count() FROM ({now(table)})", parameters={"number": number}).first_row[0]  # noqa: S608
    }


@pytest.mark.usefixtures("leads")
def test_whose_view_has_rows_may_say_so(client: Client) -> None:
    types = [name for name, contract in CATALOG.items() if {"leads", "touches", "opportunities"} & set(contract.topics)]
    ever: set[str] = set()
    for number, event_type in enumerate(types):
        says = _says(client, number, "a", event_type)
        ever |= says
        assert {table for table in says if not may_say(table, frozenset({event_type}), any_mql=True)} == set()
    assert ever == set(STORIES), "or this test would prove nothing of a table"
    says = _says(client, 1_000, "b", "TouchRecorded")
    assert {table for table in says if not may_say(table, frozenset({"TouchRecorded"}), any_mql=False)} == set()
    assert not may_say("mqls", frozenset({"TouchRecorded"}), any_mql=False)
    assert not may_say("deals", frozenset({"TouchRecorded"}), any_mql=True)


def test_which_tables_say_anything(client: Client) -> None:
    client.command("INSERT INTO rolling (number, lead_id, is_changed, story_id) VALUES (7, 'a', true, '')")
    for table in TABLES:
        found = client.query(counting(), parameters={"number": 7}).result_rows
        assert found == []
        client.command(f"INSERT INTO counted_{table} (lead_id, sign) VALUES ('b', 1), ('a', 1)")  # noqa: S608  # names of ours
        assert client.query(counting(), parameters={"number": 7}).result_rows == [(table,)]
        client.command(f"TRUNCATE TABLE counted_{table}")
