"""The archive of input events: every record once, nothing personal, whatever else stands on the topics."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from processors import archive
from processors.archive import Came
from processors.rows import At
from streams.config import Settings
from streams.sink.sink import Sink
from streams.store.client import Client
from streams.store.rollup import Rollups
from streams.topics import END_OF_INPUT_KEY
from tests.sink.support import DAY, START, Schemas, Worker, caught_up, complete, letter, rows, running

AGREEMENT = """
version: "1"
effective_from: 2025-01-01T00:00:00Z
default_calendar: office
calendars: {office: {zone: Europe/Amsterdam, hours: {mon-fri: "09:00-17:00"}, closed: [2026-10-05]}}
policies: {}
currency: {base: EUR, rates: {USD: 0.9}}
goals: {2026-10: {mql: 40, won_amount: 1000.5}}
"""


def event(name: str, lead: str, identity: str, **fields: object) -> dict[str, object]:
    return complete(
        name, event_id=identity, lead_id=lead, occurred_at=START, source_system="crm", entered_by="person", **fields
    )


def test_every_record_is_kept_once_and_nothing_personal(settings: Settings, worker: Worker, client: Client) -> None:
    ann = event(
        "LeadCaptured", "ann", "1", source="web", campaign="c", person={"name": "Ann", "email": "ann@x", "phone": None}
    )
    touch = event(
        "TouchRecorded",
        "ann",
        "2",
        channel="call",
        direction="outbound",
        origin="sales",
        actor="human",
        outcome="connected",
    )
    lost = event("OpportunityLost", "ann", "3", opportunity_id="o", reason="other", reason_text="Ann moved to Bob's")
    for _ in range(2):
        worker.archive("leads", "LeadCaptured", ann, received_at=START + 5)
    worker.archive("touches", "TouchRecorded", touch)
    worker.archive("opportunities", "OpportunityLost", lost, received_at=START + 7)
    worker.raw("leads", b"ann", b"no record")
    worker.raw("leads", b"ann", b"\0\0\0\x03\xe7unknown schema")
    worker.raw("leads", END_OF_INPUT_KEY, None)
    for _ in range(2):  # the second sink asks the store where to go on
        with running(settings) as sink:
            caught_up(sink, worker)
            assert sink.status()["refused"] == 0
    assert rows(client, "SELECT event_type, event_id, offset FROM events ORDER BY event_id, offset") == [
        ("LeadCaptured", "1", 0), ("LeadCaptured", "1", 1), ("TouchRecorded", "2", 0), ("OpportunityLost", "3", 0),
    ]  # fmt: skip
    ((body, digest, given, received, topic),) = rows(
        client,
        "SELECT body, body_hash, person_fields, toUnixTimestamp64Milli(received_at), topic FROM events"
        " WHERE event_id = '1' AND offset = 0",
    )
    known = json.loads(body)
    assert known == {"type": "LeadCaptured"} | {key: value for key, value in ann.items() if key != "person"}
    canonical = msgspec.json.encode(ann, order="deterministic")
    assert digest == int.from_bytes(sha256(b"LeadCaptured" + canonical).digest()[:8], "big")
    assert (list(given), received, topic) == (["email", "name"], START + 5, f"{settings.topic_prefix}leads")
    everything = str(rows(client, "SELECT * FROM events"))
    assert "ann@x" not in everything
    assert "Bob" not in everything
    assert rows(client, "SELECT said.outcome, said.channel FROM events WHERE event_id = '2'") == [("connected", "call")]


TEXTS = st.sampled_from(["", "plain", '"person":null,', '\\"person":null,"', "ж\n\0", '{"type":"x"}'])
PERSONS = st.none() | st.fixed_dictionaries({"name": st.none() | TEXTS, "email": st.none() | TEXTS, "phone": st.none()})


@given(st.sampled_from(["LeadCaptured", "LeadEnriched", "LeadRecycled", "TouchRecorded"]), st.data())
def test_a_body_is_the_event_without_what_is_personal(name: str, data: st.DataObject) -> None:
    """And its hash is of all of it. Nothing that stands in a text is taken for the field."""
    record = complete(name, **{field: data.draw(TEXTS) for field in ("event_id", "lead_id", "source_system")})
    for field in ("campaign", "reason", "reason_text"):
        if field in record:
            record[field] = data.draw(TEXTS)
    if "person" in record:
        record["person"] = data.draw(PERSONS)
    row = dict(zip(archive.EVENTS.columns, archive.event(name, record, Came("t", 1, 1), At("t", 1, 0, 0)), strict=True))
    kept = {key: value for key, value in record.items() if key != "person"}
    if kept.get("reason_text"):
        kept["reason_text"] = "(text)"
    assert json.loads(row["body"]) == {"type": name, **kept}
    whole = name.encode() + msgspec.json.encode(record, order="deterministic")
    assert row["body_hash"] == int.from_bytes(sha256(whole).digest()[:8], "big")
    given_fields = sorted(key for key, value in (record.get("person") or {}).items() if value)
    assert row["person_fields"] == given_fields


def test_a_batch_over_many_years_is_one_part(settings: Settings, worker: Worker, client: Client) -> None:
    """All of it is there or nothing: the sink goes on after the highest offset, below which nothing may be missing."""
    for number in range(120):
        touch = event("TouchRecorded", "ann", str(number), channel="call", direction="outbound", origin="sales", actor="human",
                      outcome="connected")  # fmt: skip
        worker.archive("touches", "TouchRecorded", touch, received_at=START - number * 365 * DAY // 4)
    worker.done()
    client.command("SYSTEM STOP MERGES events")
    inserts = 0

    def make(given: Settings, schemas: Schemas) -> Sink:
        sink = Sink(given, schemas)
        insert = sink._writer.insert

        def counting(table: str, *args: Any) -> None:
            nonlocal inserts
            inserts += table == "events"
            insert(table, *args)

        sink._writer.insert = counting  # type: ignore[method-assign, assignment]
        return sink

    with running(settings, make) as sink:
        caught_up(sink, worker)
    sql = (
        "SELECT count(), sum(rows) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'events'"
    )
    assert rows(client, sql) == [(inserts, 120)]


def test_nothing_expires(client: Client) -> None:
    """The archive is the audit trail, and KPIs look back for years."""
    tables = rows(client, "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()")
    assert len(tables) > 30
    assert [name for name, created in tables if " TTL " in created] == []
    client.command("CREATE TABLE short (at DateTime) ENGINE = MergeTree ORDER BY at TTL at + INTERVAL 1 DAY")
    assert " TTL " in rows(client, "SELECT create_table_query FROM system.tables WHERE name = 'short'")[0][0]


def test_what_counts_of_it(settings: Settings, worker: Worker, client: Client) -> None:
    """Copies, letters, withdrawals and test traffic are in the archive, and not among the facts."""

    def touch(identity: str, **fields: object) -> None:
        made = event(
            "TouchRecorded", "ann", identity, channel="call", direction="outbound", origin="sales", actor="human",
            outcome="connected", **fields,
        )  # fmt: skip
        worker.archive("touches", "TouchRecorded", made, received_at=START + 1)

    for identity in ("kept", "kept", "withdrawn", "set aside", "other system", "other topic", "late", "in time"):
        touch(identity)

    def withdraw(identity: str, number: int, hours: float = 0, topic: str = "touches", **fields: object) -> None:
        made = event("FactWithdrawn", "ann", f"w{number}", withdrawn_event_id=identity, **fields)
        worker.archive(topic, "FactWithdrawn", made, received_at=START + 9 + int(hours * DAY / 24))

    withdraw("withdrawn", 1)
    # Under an id that is taken: none.
    withdraw("kept", 1, 1)
    withdraw("other system", 2, withdrawn_source_system="another")
    withdraw("other topic", 3, topic="leads")
    withdraw("late", 4, 72.1)
    # Of several the first one counts.
    withdraw("in time", 5, 80)
    withdraw("in time", 6, 71)
    worker.done()
    worker.write(
        "DeadLetter", letter(f"{settings.topic_prefix}touches", 3, "unknown_campaign") | {"timestamp": START + 1}
    )
    with running(settings) as sink:
        caught_up(sink, worker)
    Rollups(client, settings.store_url).roll()
    assert rows(client, "SELECT count() FROM events") == [(15,)]
    assert rows(client, "SELECT event_id, outcome FROM touches ORDER BY event_id") == [
        ("kept", "connected"),
        ("late", "connected"),
        ("other system", "connected"),
        ("other topic", "connected"),
    ]


def test_campaigns_and_agreements(settings: Settings, worker: Worker, client: Client) -> None:
    def about(record: str, identity: str, at: int, **fields: object) -> None:
        made = complete(
            record,
            event_id=identity,
            campaign="fair",
            occurred_at=at,
            source_system="ads",
            entered_by="system",
            **fields,
        )
        worker.archive("campaigns", record, made)

    about("CampaignAnnounced", "1", START, name="Spring fair")
    about(
        "CampaignAnnounced", "2", START + 1, name="Autumn fair", channel="event", budget_minor=100_000, currency="EUR"
    )
    for _ in range(2):
        about("CampaignCostRecorded", "3", START + 2, amount_minor=1_000, currency="USD")
    about("CampaignCostRecorded", "4", START + 2, amount_minor=1_000, currency="JPY")
    version = complete("AgreementVersion", version="1", effective_from=START - 1, published_at=START, text=AGREEMENT)
    worker.archive("agreements", "AgreementVersion", version)
    with running(settings) as sink:
        caught_up(sink, worker)
    assert rows(client, "SELECT campaign, name, channel, budget_minor FROM campaigns") == [
        ("fair", "Autumn fair", "event", 100_000)
    ]
    assert rows(client, "SELECT amount, currency FROM campaign_costs ORDER BY event_id") == [
        (9.0, "EUR"),
        (1000.0, "JPY"),
    ]
    found = rows(
        client,
        "SELECT metric, target, toString(starts_at), toString(ends_at), length(days_end_at), toString(days_end_at[3])"
        " FROM goals ORDER BY metric",
    )
    month = ("2026-09-30 22:00:00.000", "2026-10-31 23:00:00.000", 21, "2026-10-06 22:00:00.000")
    assert found == [("mql", 40.0, *month), ("won_amount", 1000.5, *month)]


def test_goals_of_a_month_are_those_of_one_version(settings: Settings, worker: Worker, client: Client) -> None:
    """The newest that names it, whole: what it does not want any more is no goal. Before the first version the first holds."""
    versions = {
        "1": ("2026-09-15", "{2026-08: {mql: 1}, 2026-09: {mql: 2, won: 3}, 2026-10: {mql: 4, won: 5}}"),
        "2": ("2026-10-10", "{2026-10: {mql: 6}, 2026-11: {mql: 7}}"),
        "3": ("2026-12-01", "{2026-10: {mql: 8}, 2026-12: {mql: 9}}"),
    }
    for number, (since, goals) in versions.items():
        at = int(datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp() * 1000)
        text = AGREEMENT.replace('"1"', f'"{number}"').replace("2025-01-01", since)
        text = text.replace("{2026-10: {mql: 40, won_amount: 1000.5}}", goals)
        version = complete("AgreementVersion", version=number, effective_from=at, published_at=START, text=text)
        worker.archive("agreements", "AgreementVersion", version)
    with running(settings) as sink:
        caught_up(sink, worker)
    found = rows(client, "SELECT toString(month), metric, target, agreement_version FROM goals ORDER BY ALL")
    assert found == [
        ("2026-08-01", "mql", 1.0, "1"), ("2026-09-01", "mql", 2.0, "1"), ("2026-09-01", "won", 3.0, "1"),
        ("2026-10-01", "mql", 6.0, "2"), ("2026-11-01", "mql", 7.0, "2"), ("2026-12-01", "mql", 9.0, "3"),
    ]  # fmt: skip
