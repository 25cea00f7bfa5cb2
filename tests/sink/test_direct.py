"""Records that go to the store undecoded make the same rows as those that are decoded, and harm nothing when unreadable."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from schemas.catalog import CATALOG
from schemas.wire import Encoder
from streams.config import Settings
from streams.sink.batch import Partition, Reader
from streams.sink.direct import Direct
from streams.sink.origins import Origin
from streams.sink.writer import Writer
from streams.store.client import Client
from tests.sink.support import IDS, Schemas, Worker, caught_up, instance, journey, rows, running, state, transition

TABLES = {"lead-transitions": ["lead_transitions"], "sla-events": ["sla_events", "sla_instances"]}
TOPIC = {"LeadTransition": "lead-transitions", "SlaEvent": "sla-events"}
TEXTS = ["", "a", "ж" * 40, "x" * 63, "x" * 64, "y" * 200, "it's \\ \n\t\0 quoted", "🜚"]


@dataclass
class Told:
    """As a message of Kafka's client."""

    at: int
    bytes_: bytes | None

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return b"k"

    def value(self) -> bytes | None:
        return self.bytes_

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_760_000_000_000


def anything(kind: Any, random: Random) -> Any:
    """Some value of an Avro type."""
    match kind:
        case [*others]:
            return anything(random.choice(others), random)
        case "null":
            return None
        case "string":
            return random.choice(TEXTS)
        case "boolean":
            return random.random() < 0.5
        case "int":
            return random.choice([0, 1, 63, 64, 2**16 - 1])
        case {"type": "enum", "symbols": symbols}:
            return random.choice([symbol for symbol in symbols if symbol != "unknown"])
        case {"logicalType": _}:
            return random.choice([0, 1_760_000_000_123, 253_370_764_800_000 // 2])
        case "long" | {"type": "long"}:
            return random.choice([0, -1, 1, 2**40, 2**62])
    raise AssertionError(kind)


def records(name: str, count: int, seed: int) -> list[bytes]:
    random, encoder = Random(seed), Encoder(IDS)
    fields = CATALOG[name].schema["fields"]
    made = []
    for number in range(count):
        record = {field["name"]: anything(field["type"], random) for field in fields}
        # Few ids, so that several statements are about one.
        record[fields[0]["name"]] = f"{number % 60:0{random.choice((1, 32))}}"
        made.append(encoder.encode(name, record))
    return made


def partition(topic: str, number: int = 3, held: int = -1, generation: int = 7) -> Partition:
    return Partition(topic, number, Origin("a-topic-id_of-22-chars", generation), dict.fromkeys(TABLES[topic], held))


@pytest.mark.parametrize("name", TOPIC)
def test_both_ways_make_the_same_rows(store: Settings, client: Client, name: str) -> None:
    topic = TOPIC[name]
    first = [Told(number, value) for number, value in enumerate(records(name, 300, 1))]
    first.insert(150, Told(1_000, None))
    far = [Told(2**40 + number * 37, value) for number, value in enumerate(records(name, 300, 2))]
    taken: list[Any] = [(partition(topic, held=20), first), (partition(topic, 500, generation=9_000), far)]
    writer = Writer(store)

    def holds(table: str) -> list[tuple[Any, ...]]:
        return rows(client, f"SELECT * FROM {table} ORDER BY ALL")  # noqa: S608

    [(blocks, origin)], rest = Direct(Schemas(), 10_000).split(taken)
    assert not rest
    assert origin == taken
    assert [block.table for block in blocks] == TABLES[topic]
    batch = Reader(Schemas()).read(taken)
    for block in blocks:
        table = block.table
        writer.insert(table, block, writer.token())
        straight = holds(table)
        client.command("TRUNCATE TABLE {t:Identifier}", parameters={"t": table})
        assert len(batch.rows[table]) == len(block)
        writer.insert(table, batch.rows[table], writer.token())
        assert straight == holds(table)
        assert len(straight) == 579 if table == "sla_events" else len(straight) > 100
        assert {row[-1] for row in straight} == ({0} if table == "sla_events" else {0, 1})
    writer.close()


def test_one_block_is_one_part(store: Settings, client: Client) -> None:
    """That is why an insert is stored whole or not at all."""
    base = Encoder(IDS).encode("LeadTransition", transition("t" * 8, "a" * 40, "mql"))
    told = [Told(at, base.replace(b"t" * 8, b"%08d" % at)) for at in range(150_000)]
    taken: list[Any] = [(partition("lead-transitions"), told)]
    [([block], _)], _ = Direct(Schemas(), 500_000).split(taken)
    client.command("SYSTEM STOP MERGES lead_transitions")
    writer = Writer(store)
    token = writer.token()
    for _ in range(2):
        writer.insert("lead_transitions", block, token)
    writer.close()
    sql = "SELECT count(), sum(rows) FROM system.parts WHERE active AND database = currentDatabase() AND table = {t:String}"
    assert rows(client, sql, t="lead_transitions") == [(1, 150_000)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: value[:-3],
        lambda value: value + b"\0",
        lambda value: value + b"\4junk",
        lambda value: value[:5],
        lambda value: value[:5] + b"\xff\xff\xff\xff\x7f" + value[5:],
        lambda value: value[:60] + b"\xff" * 40 + value[100:],
        lambda value: value.replace(b"first_response\0", b"first_response\x0e"),  # verdict: the reserved symbol
    ],
)
@pytest.mark.parametrize("place", [0, 25, 49])
def test_a_poison_record_alone_is_set_aside(
    settings: Settings, worker: Worker, client: Client, damage: Any, place: int
) -> None:
    """The rest of its batch lands, each once, whatever the damage and wherever it stands."""
    encoder = Encoder(IDS)
    for number in range(50):
        value = encoder.encode("SlaEvent", instance(f"i{number}", "a", "open"))
        worker.raw("sla-events", b"a", damage(value) if number == place else value)
        worker.write("LeadTransition", transition(f"t{number}", "a", "mql"))
    with running(settings) as sink:
        caught_up(sink, worker)
        assert sink.status()["refused"] == 1
    good = sorted(f"i{number}" for number in range(50) if number != place)
    for table in ("sla_instances", "sla_events"):
        assert [row[0] for row in rows(client, f"SELECT instance_id FROM {table} ORDER BY 1")] == good  # noqa: S608
    assert rows(client, "SELECT count(), uniqExact(offset) FROM lead_transitions") == [(50, 50)]
    assert rows(client, "SELECT origin_topic, origin_offset, reason FROM dead_letters FINAL") == [
        ("sla-events", place, "unknown_enum_value" if b"\x0e" in damage(b"first_response\0") else "undecodable")
    ]


@pytest.mark.parametrize("topic", TABLES)
def test_statements_go_straight(topic: str) -> None:
    """A column that is no field of the record would send its table the slow way: then say so here."""
    name = next(record for record, known in TOPIC.items() if known == topic)
    taken: list[Any] = [(partition(topic), [Told(1, records(name, 1, 1)[0])])]
    [(blocks, _)], rest = Direct(Schemas(), 100).split(taken)
    assert ([block.table for block in blocks], rest) == (TABLES[topic], [])


def test_a_table_gets_what_it_has_not() -> None:
    """One of a topic's tables made anew, or a crash between two inserts: each goes on where it stands."""
    told = [Told(at, value) for at, value in enumerate(records("SlaEvent", 10, 1))]
    for held in ({"sla_events": 6, "sla_instances": 2}, {"sla_events": 2, "sla_instances": 6}):
        of_it: list[Any] = [(Partition("sla-events", 3, Origin("id", 1), dict(held)), told)]
        [(blocks, _)], _ = Direct(Schemas(), 100).split(of_it)
        read = Reader(Schemas()).read(of_it).rows
        expected = {table: 9 - offset for table, offset in held.items()}
        assert {block.table: len(block) for block in blocks} == expected
        assert {table: len(made) for table, made in read.items()} == expected


def test_what_is_not_ours_to_the_letter_is_read() -> None:
    """Another schema, no header, a record of another topic, a generation past what a long holds."""
    good = records("SlaEvent", 1, 1)[0]
    other = records("LeadTransition", 1, 1)[0]
    direct = Direct(Schemas(), 100)
    for value in (b"", b"\0\0", b"\1" + good[1:], other):
        taken: list[Any] = [(partition("sla-events"), [Told(1, good), Told(2, value)])]
        assert direct.split(taken) == ([], taken)
    late: list[Any] = [(partition("sla-events", generation=40_000), [Told(1, good)])]
    assert direct.split(late) == ([], late)


def test_a_row_that_its_table_cannot_hold(settings: Settings, worker: Worker, client: Client) -> None:
    """Among those that are decoded: a negative cycle of a lead's state. The rest lands, and nothing waits for ever."""
    for number in range(20):
        cycle = -1 if number in (3, 19) else 1
        worker.write("LeadState", {**state(f"l{number}", "mql", journey(1)), "cycle": cycle})
    with running(settings) as sink:
        caught_up(sink, worker)
        assert sink.status()["refused"] == 2
    assert rows(client, "SELECT count(), uniqExact(offset), sum(offset IN (3, 19)) FROM leads") == [(18, 18, 0)]
    letters = rows(client, "SELECT origin_topic, origin_offset, reason, detail FROM dead_letters FINAL ORDER BY 2")
    assert [letter[:3] for letter in letters] == [("lead-states", at, "unstorable") for at in (3, 19)]
    assert "cycle" in letters[0][3]
