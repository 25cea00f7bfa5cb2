"""What the worker tells becomes what the store says: each statement once, the newest under an id, retractions gone."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Producer

from schemas.wire import Encoder
from streams.config import Settings
from streams.errors import UnavailableError
from streams.sink.flight import Flight
from streams.sink.sink import Sink
from streams.store.client import Client, connect
from streams.store.migrations import Migrator
from streams.topic_admin import ensure_topics
from streams.topics import STORED
from tests.sink.support import (
    DAY,
    IDS,
    START,
    Schemas,
    Worker,
    behind,
    caught_up,
    instance,
    journey,
    letter,
    position,
    rows,
    running,
    state,
    transition,
)
from tests.store.fixtures import start_store
from tests.support.poll import eventually, never
from tests.support.processes import free_port


def copies(client: Client, table: str) -> int:
    """Rows that stand twice, physically."""
    return int(rows(client, "SELECT count() - uniqExact(version, partition) FROM {t:Identifier}", t=table)[0][0])


def test_every_kind_of_record_arrives(settings: Settings, worker: Worker, client: Client) -> None:
    worker.write("LeadTransition", transition("t1", "a", "inquiry"), transition("t2", "a", "mql", at=1, source="web"))
    worker.write("SlaEvent", instance("i1", "a", "open"))
    worker.write(
        "LeadState", state("a", "mql", journey(1, inquiry_at=START, mql_at=START + 3_600_000), refusals={"illegal": 2})
    )
    worker.write("LanePosition", position(0, START + DAY, events=2), partition=0)
    worker.write("DeadLetter", letter("leads", 5, "undecodable", detail="too short"))
    with running(settings) as sink:
        caught_up(sink, worker)
        assert sink.status()["rows"] == {
            "lead_transitions": 2, "sla_instances": 1, "sla_events": 1, "leads": 1, "lanes": 1, "dead_letters": 1,
            "events": 0, "campaign_events": 0, "agreement_versions": 0,
        }  # fmt: skip
    assert rows(client, "SELECT transition_id, to_stage, source FROM lead_transitions FINAL ORDER BY 1") == [
        ("t1", "inquiry", None),
        ("t2", "mql", "web"),
    ]
    assert rows(client, "SELECT lead_id, cycle, toUnixTimestamp64Milli(mql_at), won_at, lead_stage FROM journeys") == [
        ("a", 1, START + 3_600_000, None, "mql")
    ]
    assert rows(client, "SELECT refusals, next_deadline FROM leads FINAL") == [({"illegal": 2}, None)]
    assert rows(client, "SELECT lane, counters FROM lanes FINAL") == [(0, {"events": 2})]
    assert rows(client, "SELECT reason, origin_topic, letters FROM kpi_dead_letters") == [("undecodable", "leads", 1)]


def test_corrections_and_retractions(settings: Settings, worker: Worker, client: Client) -> None:
    with running(settings) as sink:
        worker.write("LeadTransition", *(transition(f"t{n}", f"l{n}", "mql") for n in range(4)))
        worker.write("SlaEvent", instance("i0", "l0", "breached_open"), instance("i1", "l1", "open"))
        caught_up(sink, worker)
        worker.write("LeadTransition", transition("t1", "l1", "sal", change="corrected", sequence=3))
        worker.write("LeadTransition", transition("t2", "l2", "mql", change="retracted"))
        worker.write(
            "SlaEvent", instance("i0", "l0", "met", kind="breach_retracted", satisfied_at=START + 5, late_evidence=True)
        )
        worker.write("SlaEvent", instance("i1", "l1", "open", kind="retracted"))
        caught_up(sink, worker)

    def holds() -> list[Any]:
        return [
            rows(client, "SELECT transition_id, to_stage, sequence FROM lead_transitions FINAL ORDER BY 1"),
            rows(client, "SELECT instance_id, verdict, late_evidence FROM sla_instances FINAL"),
            rows(client, "SELECT instance_id, kind, verdict FROM sla_events FINAL ORDER BY instance_id, version"),
        ]

    expected = [
        [("t0", "mql", 1), ("t1", "sal", 3), ("t3", "mql", 1)],
        [("i0", "met", True)],
        [
            ("i0", "breached", "breached_open"), ("i0", "breach_retracted", "met"),
            ("i1", "started", "open"), ("i1", "retracted", "open"),
        ],
    ]  # fmt: skip
    assert holds() == expected
    for table in ("lead_transitions", "sla_instances", "sla_events"):
        client.command(f"OPTIMIZE TABLE {table} FINAL")
    assert holds() == expected


def test_everything_that_was_told_of_a_clock_is_kept(settings: Settings, worker: Worker, client: Client) -> None:
    """Also when all of it comes in one batch, of which sla_instances keeps the last."""
    kinds = ["started", "rung", "breached", "breach_retracted", "retracted", "started", "met"]
    told = [instance("i", "a", "open", kind=kind, emitted_at=START + number) for number, kind in enumerate(kinds)]
    worker.write("SlaEvent", *told)
    worker.done()
    with running(settings) as sink:
        caught_up(sink, worker)
        assert {table: count for table, count in sink.status()["rows"].items() if count} == {
            "sla_instances": 1, "sla_events": len(kinds),
        }  # fmt: skip
    for _ in range(2):
        found = rows(client, "SELECT kind, toUnixTimestamp64Milli(emitted_at) - {s:Int64} FROM sla_events FINAL "
                             "WHERE lead_id = 'a' AND instance_id = 'i' ORDER BY version", s=START)  # fmt: skip
        assert found == [(kind, number) for number, kind in enumerate(kinds)]
        assert rows(client, "SELECT kind FROM sla_instances FINAL") == [("met",)]
        client.command("OPTIMIZE TABLE sla_events FINAL")


def test_a_cycle_that_a_correction_removes_is_gone(settings: Settings, worker: Worker, client: Client) -> None:
    with running(settings) as sink:
        worker.write("LeadState", state("a", "mql", journey(1, won_at=1), journey(2, mql_at=2)))
        worker.write("LeadState", state("b", "mql", journey(1, mql_at=1)))
        caught_up(sink, worker)
        assert rows(client, "SELECT lead_id, cycle FROM journeys ORDER BY ALL") == [("a", 1), ("a", 2), ("b", 1)]
        worker.write("LeadState", state("a", "won", journey(1, won_at=1)))
        worker.write("LeadState", state("b", ""))
        caught_up(sink, worker)
    for _ in range(2):
        assert rows(client, "SELECT lead_id, cycle FROM journeys ORDER BY ALL") == [("a", 1)]
        client.command("OPTIMIZE TABLE leads FINAL")


def test_a_state_that_is_taken_away(settings: Settings, worker: Worker, client: Client) -> None:
    with running(settings) as sink:
        worker.write("LeadState", state("a", "mql", journey(1)), state("b", "mql", journey(1)))
        caught_up(sink, worker)
        worker.raw("lead-states", b"a", None)
        caught_up(sink, worker)
    assert rows(client, "SELECT lead_id FROM leads FINAL") == [("b",)]
    assert rows(client, "SELECT lead_id FROM journeys") == [("b",)]


def test_what_cannot_be_read_is_told_and_harms_nothing(settings: Settings, worker: Worker, client: Client) -> None:
    worker.write("LeadTransition", transition("t1", "a", "mql"))
    worker.raw("lead-transitions", b"a", b"\x07 no such thing")
    worker.raw("lead-transitions", b"a", b"\x00\x00")
    worker.raw("lead-transitions", b"a", None)
    worker.write("LeadTransition", transition("t2", "a", "sal"))
    with running(settings) as sink:
        caught_up(sink, worker)
        assert sink.status()["refused"] == 2
    assert rows(client, "SELECT count() FROM lead_transitions FINAL") == [(2,)]
    assert rows(client, "SELECT origin_topic, origin_offset, reason FROM dead_letters FINAL ORDER BY 2") == [
        ("lead-transitions", 1, "unknown_magic_byte"),
        ("lead-transitions", 2, "undecodable"),
    ]


def test_it_goes_on_where_the_store_stands(settings: Settings, worker: Worker, client: Client) -> None:
    """A new group knows no committed offsets: the store alone says from where."""
    for round_ in range(3):
        group = settings.model_copy(update={"sink_group": f"{settings.sink_group}{round_}"})
        for lane in range(4):
            worker.write(
                "LeadTransition", *(transition(f"t{round_}-{lane}-{n}", "a", "mql") for n in range(20)), partition=lane
            )
            worker.write("LanePosition", position(lane, START + round_), partition=lane)
        worker.write("LeadState", state(f"l{round_}", "mql", journey(1)), partition=1)
        with running(group) as sink:
            caught_up(sink, worker)
            assert sink.status()["rows"]["lead_transitions"] == 80
    assert rows(client, "SELECT count() FROM lead_transitions") == [(240,)]
    assert [copies(client, table) for table in ("lead_transitions", "leads", "lanes")] == [0, 0, 0]


def test_a_batch_that_comes_again_changes_nothing(settings: Settings, worker: Worker, client: Client) -> None:
    """As if an insert of a lost sink arrived after the store had been asked: rows stand twice, views do not care."""
    worker.write("LeadTransition", *(transition(f"t{n}", f"l{n}", "mql") for n in range(50)))
    worker.write("LeadTransition", transition("t0", "l0", "mql", change="retracted"))
    worker.write("LeadState", *(state(f"l{n}", "mql", journey(1, mql_at=START)) for n in range(50)))
    worker.write("SlaEvent", *(instance(f"i{n}", f"l{n}", "met", satisfied_at=START + 1) for n in range(50)))
    with running(settings) as sink:
        caught_up(sink, worker)
    tables = ("lead_transitions", "leads", "sla_instances", "sla_events")
    asked = [
        "SELECT * FROM kpi_funnel_by_source", "SELECT * FROM kpi_sla_compliance", "SELECT * FROM kpi_response_time",
        "SELECT count() FROM lead_transitions FINAL", "SELECT count() FROM journeys", "SELECT count() FROM sla_events FINAL",
    ]  # fmt: skip
    before = [rows(client, sql) for sql in asked]
    assert before[3] == [(49,)]
    for table in tables:
        for again in ("ORDER BY rand()", "WHERE NOT deleted LIMIT 9"):
            client.command(
                "INSERT INTO {t:Identifier} SELECT * FROM {t:Identifier} " + again,  # noqa: S608
                parameters={"t": table},
                settings={"async_insert": 0, "insert_deduplicate": 0},
            )
        assert copies(client, table) > 0
    assert [rows(client, sql) for sql in asked] == before
    for table in tables:
        client.command(f"OPTIMIZE TABLE {table} FINAL")
        assert copies(client, table) == 0
    assert [rows(client, sql) for sql in asked] == before


class Crash(BaseException):
    """As sudden as a kill: nothing in the sink may handle it."""


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_around_an_insert(settings: Settings, worker: Worker, client: Client, after: bool) -> None:
    """Before or right after the n-th insert, for every n; then a new sink goes on."""
    for lane in range(2):
        worker.write("LeadTransition", *(transition(f"t{lane}-{n}", "a", "mql") for n in range(60)), partition=lane)
        worker.write("LeadState", *(state(f"l{lane}-{n}", "mql", journey(1)) for n in range(60)), partition=lane)
        worker.write("SlaEvent", *(instance(f"i{lane}-{n}", "a", "open") for n in range(60)), partition=lane)
        worker.write("LanePosition", position(lane, START), partition=lane)
    worker.done()
    small = settings.model_copy(update={"sink_batch_rows": 50})
    crashes = 0
    for round_ in range(4):

        def make(given: Settings, schemas: Schemas, after_inserts: int = round_ + 1) -> Sink:
            sink = Sink(given, schemas)
            insert = sink._writer.insert
            left = after_inserts

            def crashing(*args: Any) -> None:
                nonlocal left, crashes
                left -= 1
                if left == 0:
                    crashes += 1
                    if after:
                        insert(*args)
                    raise Crash
                insert(*args)

            sink._writer.insert = crashing  # type: ignore[method-assign, assignment]
            return sink

        sink = make(small.model_copy(update={"sink_group": f"{settings.sink_group}{round_}"}), Schemas())
        with pytest.raises(Crash):
            sink.run()
    assert crashes == 4
    with running(small.model_copy(update={"sink_group": f"{settings.sink_group}last"})) as sink:
        caught_up(sink, worker)
    stored = {"lead_transitions": 120, "leads": 120, "sla_instances": 120, "sla_events": 120, "lanes": 2}
    for table, count in stored.items():
        found = rows(client, "SELECT count(), uniqExact(partition, offset) FROM {t:Identifier}", t=table)
        assert (table, found) == (table, [(count, count)])


def test_an_insert_whose_answer_was_lost_is_taken_once(settings: Settings, worker: Worker, client: Client) -> None:
    worker.write("LeadTransition", *(transition(f"t{n}", "a", "mql") for n in range(30)))

    def make(given: Settings, schemas: Schemas) -> Sink:
        sink = Sink(given, schemas)
        insert, lost = sink._writer._insert, iter((True, True))

        def losing(*args: Any) -> None:
            insert(*args)
            if next(lost, False):
                raise UnavailableError("the answer was lost")

        sink._writer._insert = losing  # type: ignore[method-assign, assignment]
        return sink

    with running(settings, make) as sink:
        caught_up(sink, worker)
    assert rows(client, "SELECT count() FROM lead_transitions") == [(30,)]


def test_the_store_goes_and_comes_back(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("own-store")
    port = free_port()
    child, url = start_store(folder / "data", folder, port=port)
    settings = settings.model_copy(update={"store_url": url})
    Migrator(settings).up()
    worker = Worker(settings)
    written = 0
    try:
        with running(settings) as sink:
            for _ in range(2):
                worker.write(
                    "LeadTransition", *(transition(f"t{written + n}", "a", "mql") for n in range(50)), partition=1
                )
                written += 50
                caught_up(sink, worker)
                child.kill()
                worker.write(
                    "LeadTransition", *(transition(f"t{written + n}", "a", "mql") for n in range(70)), partition=1
                )
                written += 70
                worker.done()
                never(lambda: behind(sink, worker) == 0, 1)
                child, _ = start_store(folder / "data", folder, port=port)
                caught_up(sink, worker)
        client = connect(settings)
        assert rows(client, "SELECT count(), uniqExact(transition_id) FROM lead_transitions") == [(written, written)]
        client.close()
    finally:
        child.stop()


def test_the_registry_does_not_answer(settings: Settings, worker: Worker, client: Client) -> None:
    """An outage is never poison: the sink waits, nothing is skipped."""
    asked = 0

    class Away(Schemas):
        def text(self, schema_id: int) -> str | None:
            nonlocal asked
            asked += 1
            if asked < 3:
                raise UnavailableError("schema registry http://127.0.0.1:9: Connection refused")
            return None if asked < 5 else super().text(schema_id)

    worker.write("LeadTransition", transition("t1", "a", "mql"))
    with running(settings, lambda given, _: Sink(given, Away())) as sink:
        caught_up(sink, worker)
    assert asked == 5
    assert rows(client, "SELECT transition_id FROM lead_transitions") == [("t1",)]


def test_a_schema_that_cannot_be_read_names_itself(settings: Settings, worker: Worker, client: Client) -> None:
    """One of a newer version is set aside; one that the registry has lost may be any of ours, and is waited for."""
    found = False

    class Newer(Schemas):
        def text(self, schema_id: int) -> str | None:
            if schema_id == 900:
                return '{"type": "record", "name": "LeadWarped", "fields": [{"name": "lead_id", "type": "string"}]}'
            return super().text(IDS["SlaEvent"] if schema_id == 901 and found else schema_id)

    worker.raw("lead-transitions", b"a", b"\0" + (900).to_bytes(4, "big") + b"\2a")
    worker.write("LeadTransition", transition("t1", "a", "mql"))
    with running(settings, lambda given, _: Sink(given, Newer())) as sink:
        caught_up(sink, worker)
        told = rows(
            client, "SELECT origin_offset, reason, schema_id, position(detail, 'LeadWarped') > 0 FROM dead_letters"
        )
        assert told == [(0, "unknown_record", 900, 1)]
        value = Encoder(IDS).encode("SlaEvent", instance("i", "a", "open"))
        worker.raw("sla-events", b"a", b"\0" + (901).to_bytes(4, "big") + value[5:])
        worker.done()
        eventually(lambda: "it does not know schema 901 of an output topic" in (sink.status()["waits_for"] or ""))
        found = True
        caught_up(sink, worker)
    assert rows(client, "SELECT transition_id FROM lead_transitions") == [("t1",)]
    assert rows(client, "SELECT instance_id FROM sla_events") == [("i",)]


def test_a_topic_of_another_generation_is_the_newer_one(store: Settings, client: Client) -> None:
    """As after a second replay into a kept store: the topics begin again at offset 0, and what they say holds."""
    for generation, stage in ((1, "mql"), (2, "sal")):
        # Each broker process has topics of its own, under the same names.
        broker = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        address = next(iter(broker.list_topics(timeout=10).brokers.values()))
        settings = store.model_copy(
            update={"brokers": f"{address.host}:{address.port}", "transactions": False, "sink_interval": 0.1}
        )
        ensure_topics(settings)
        worker = Worker(settings)
        extra = [transition("only-first", "a", "lost")] * 5 if generation == 1 else []
        worker.write("LeadTransition", *extra, transition("t", "a", stage))
        worker.write("SlaEvent", instance("i", "a", "open"), instance("i", "a", "met", satisfied_at=generation))
        with running(settings) as sink:
            caught_up(sink, worker)
        assert rows(client, "SELECT to_stage FROM lead_transitions FINAL WHERE transition_id = 't'") == [(stage,)]
    assert rows(client, "SELECT toUnixTimestamp64Milli(satisfied_at) FROM sla_instances FINAL") == [(2,)]
    # The trail tells what was told by either topic, the newer one's last.
    told = "SELECT bitShiftRight(version, 48), offset, kind FROM sla_events FINAL ORDER BY version"
    assert rows(client, told) == [(1, 0, "started"), (1, 1, "met"), (2, 0, "started"), (2, 1, "met")]
    assert rows(client, "SELECT name, max(generation) FROM output_topics GROUP BY name ORDER BY name") == [
        (name, 2) for name in sorted(STORED)
    ]  # fmt: skip


def test_what_takes_off_and_lands_is_not_caught_up_with_until_it_has_landed(
    settings: Settings, worker: Worker, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []
    start, land = Flight.start, Sink._land
    worker.write("LeadTransition", transition("t1", "a", "mql"))
    with running(settings) as sink:
        eventually(lambda: sink.status()["ready"])

        def starts(flight: Flight) -> None:
            seen.append(("take-off", sink.status()["caught_up"]))
            start(flight)

        def lands(landing: Sink, flight: Flight) -> None:
            seen.append(("landing", landing.status()["caught_up"]))
            land(landing, flight)
            assert rows(client, "SELECT count() FROM lead_transitions FINAL") == [(2,)]

        caught_up(sink, worker)
        monkeypatch.setattr(Flight, "start", starts)
        monkeypatch.setattr(Sink, "_land", lands)
        worker.write("LeadTransition", transition("t2", "a", "sal"))
        caught_up(sink, worker)
    assert seen == [("take-off", False), ("landing", False)]
