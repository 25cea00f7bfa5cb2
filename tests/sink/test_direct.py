"""Records that go to the store undecoded make the same rows as those that are decoded, and harm nothing when unreadable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from processors.vocabulary import NEVER, STAGES
from schemas.catalog import CATALOG
from schemas.wire import Encoder
from streams.config import Settings
from streams.sink.batch import Partition, Reader
from streams.sink.direct import Direct
from streams.sink.origins import Origin
from streams.sink.writer import Writer
from streams.store.client import Client
from streams.topics import LANE_KEY
from tests.sink.support import (
    IDS,
    START,
    Schemas,
    Worker,
    caught_up,
    instance,
    journey,
    position,
    rows,
    running,
    state,
    transition,
)

TABLES = {
    "lead-transitions": ["lead_transitions"], "sla-events": ["sla_events", "sla_instances"], "lead-states": ["leads"],
}  # fmt: skip
TOPIC = {"LeadTransition": "lead-transitions", "SlaEvent": "sla-events", "LeadState": "lead-states"}
TEXTS = ["", "a", "ж" * 40, "x" * 63, "x" * 64, "y" * 200, "it's \\ \n\t\0 quoted", "🜚"]


@dataclass
class Told:
    """As a message of Kafka's client."""

    at: int
    bytes_: bytes | None
    named: bytes = b"k"

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.named

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
        case {"type": "map", "values": values}:
            return {word: anything(values, random) for word in random.sample([*STAGES, "x"], random.randrange(6))}
        case {"type": "array", "items": items}:
            return [anything(items, random) for _ in range(random.randrange(4))]
        case {"type": "record", "fields": fields}:
            return {field["name"]: anything(field["type"], random) for field in fields}
        case "bytes":
            return random.randbytes(random.choice([0, 5, 2_000]))
        case {"logicalType": _}:
            return random.choice([0, 1_760_000_000_123, 253_370_764_800_000 // 2])
        case "long" | {"type": "long"}:
            return random.choice([0, -1, 1, 2**40, 2**62])
    raise AssertionError(kind)


def told(name: str, count: int, seed: int, at: Callable[[int], int] = lambda number: number) -> list[Told]:
    """`count` records with anything in them. Few ids, so that several statements are about one."""
    random, encoder = Random(seed), Encoder(IDS)
    fields = CATALOG[name].schema["fields"]
    made = []
    for number in range(count):
        record = {field["name"]: anything(field["type"], random) for field in fields}
        identity = f"{number % 60:0{random.choice((1, 32))}}"
        if name == "LeadState":
            record |= {"lead_id": identity, "next_deadline": random.choice([NEVER, 0, 1_760_000_000_123])}
        else:
            record[fields[0]["name"]] = identity
        made.append(Told(at(number), encoder.encode(name, record), identity.encode()))
    return made


def value(name: str) -> bytes:
    made = told(name, 1, 1)[0].bytes_
    assert made is not None
    return made


def partition(topic: str, number: int = 3, held: int = -1, generation: int = 7) -> Partition:
    return Partition(topic, number, Origin("a-topic-id_of-22-chars", generation), dict.fromkeys(TABLES[topic], held))


@pytest.mark.parametrize("name", TOPIC)
def test_both_ways_make_the_same_rows(store: Settings, client: Client, name: str) -> None:
    topic = TOPIC[name]
    near = told(name, 300, 1)
    if name != "LeadState":
        near.insert(150, Told(1_000, None))
    far = told(name, 300, 2, lambda number: 2**40 + number * 37)
    taken: list[Any] = [(partition(topic, held=20), near), (partition(topic, 500, generation=9_000), far)]
    writer = Writer(store)

    def holds(table: str) -> list[tuple[Any, ...]]:
        return rows(client, f"SELECT * FROM {table} ORDER BY ALL")  # noqa: S608

    split = Direct(Schemas(), 10_000).split(taken)
    assert not split.rest
    [(blocks, origin)] = split.blocks
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
        assert {row[-1] for row in straight} == ({0, 1} if table in ("sla_instances", "lead_transitions") else {0})
    writer.close()


def test_one_block_is_one_part(store: Settings, client: Client) -> None:
    """That is why an insert is stored whole or not at all."""
    base = Encoder(IDS).encode("LeadTransition", transition("t" * 8, "a" * 40, "mql"))
    many = [Told(at, base.replace(b"t" * 8, b"%08d" % at)) for at in range(150_000)]
    taken: list[Any] = [(partition("lead-transitions"), many)]
    [([block], _)] = Direct(Schemas(), 500_000).split(taken).blocks
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


@pytest.mark.parametrize("name", TOPIC)
def test_statements_and_states_go_straight(name: str) -> None:
    """A column that cannot be had of the record's fields would send its table the slow way: then say so here."""
    taken: list[Any] = [(partition(TOPIC[name]), told(name, 1, 1))]
    split = Direct(Schemas(), 100).split(taken)
    [(blocks, _)] = split.blocks
    assert ([block.table for block in blocks], split.rest) == (TABLES[TOPIC[name]], [])


def test_where_leads_stand_goes_first() -> None:
    taken: list[Any] = [
        (partition(TOPIC[name]), told(name, 2, 1)) for name in ("SlaEvent", "LeadTransition", "LeadState")
    ]
    blocks = [block.table for made, _ in Direct(Schemas(), 100).split(taken).blocks for block in made]
    assert blocks == ["leads", "sla_events", "sla_instances", "lead_transitions"]


def test_a_table_gets_what_it_has_not() -> None:
    """One of a topic's tables made anew, or a crash between two inserts: each goes on where it stands."""
    for held in ({"sla_events": 6, "sla_instances": 2}, {"sla_events": 2, "sla_instances": 6}):
        of_it: list[Any] = [(Partition("sla-events", 3, Origin("id", 1), dict(held)), told("SlaEvent", 10, 1))]
        [(blocks, _)] = Direct(Schemas(), 100).split(of_it).blocks
        read = Reader(Schemas()).read(of_it).rows
        expected = {table: 9 - offset for table, offset in held.items()}
        assert {block.table: len(block) for block in blocks} == expected
        assert {table: len(made) for table, made in read.items()} == expected


def test_what_is_not_ours_to_the_letter_is_read() -> None:
    """Another schema, no header, a record of another topic, a generation past what a long holds."""
    direct = Direct(Schemas(), 100)
    for name in ("SlaEvent", "LeadState"):
        topic, good = TOPIC[name], value(name)
        for wrong in (b"", b"\0\0", b"\1" + good[1:], value("LeadTransition"), good + b"\0"):
            taken: list[Any] = [(partition(topic), [Told(1, good, b"a"), Told(2, wrong, b"b")])]
            split = direct.split(taken)
            assert (split.blocks, split.rest) == ([], taken)
        late: list[Any] = [(partition(topic, generation=40_000), [Told(1, good)])]
        split = direct.split(late)
        assert (split.blocks, split.rest) == ([], late)


def test_of_a_topic_of_states_the_lane_positions_are_read_and_where_a_lead_is_erased_all_of_it() -> None:
    states = told("LeadState", 3, 1)
    lane = Told(7, Encoder(IDS).encode("LanePosition", position(3, 1)), LANE_KEY)
    taken: list[Any] = [(partition("lead-states"), [*states, lane])]
    split = Direct(Schemas(), 100).split(taken)
    [([block], origin)] = split.blocks
    assert (len(block), origin) == (3, [(taken[0][0], states)])
    assert split.rest == [(taken[0][0], [lane])]
    erased: list[Any] = [(partition("lead-states"), [*states, lane, Told(8, None, b"x")])]
    split = Direct(Schemas(), 100).split(erased)
    assert (split.blocks, split.rest) == ([], erased)


@pytest.mark.parametrize(
    ("name", "field", "number"),
    [
        ("SlaEvent", "moves", 2**16),
        ("SlaEvent", "cycle", -1),
        ("LeadTransition", "sequence", -1),
        ("LeadState", "cycle", -1),
    ],
)
def test_a_number_past_its_column_is_set_aside_not_narrowed(
    settings: Settings, worker: Worker, client: Client, name: str, field: str, number: int
) -> None:
    """The store refuses the block, and the client the row. The rest lands, and nothing waits for ever."""
    good: dict[str, Callable[[int], dict[str, Any]]] = {
        "SlaEvent": lambda at: instance(f"i{at}", "a", "open"),
        "LeadTransition": lambda at: transition(f"t{at}", "a", "mql"),
        "LeadState": lambda at: state(f"l{at}", "mql", journey(1)),
    }
    for at in range(20):
        worker.write(name, good[name](at) | ({field: number} if at in (3, 19) else {}))
    with running(settings) as sink:
        caught_up(sink, worker)
        assert sink.status()["refused"] == 2
    for table in TABLES[TOPIC[name]]:
        found = rows(client, "SELECT count(), uniqExact(offset), sum(offset IN (3, 19)) FROM {t:Identifier}", t=table)
        assert found == [(18, 18, 0)]
    letters = rows(client, "SELECT origin_topic, origin_offset, reason, detail FROM dead_letters FINAL ORDER BY 2")
    assert [letter[:3] for letter in letters] == [(TOPIC[name], at, "unstorable") for at in (3, 19)]
    assert field in letters[0][3]


@pytest.mark.parametrize(
    "damage", [lambda value: value[:-3], lambda value: value[:40], lambda value: value[:20] + b"\xff" * 9]
)
def test_a_poison_state_alone_is_set_aside(settings: Settings, worker: Worker, client: Client, damage: Any) -> None:
    encoder = Encoder(IDS)
    for number in range(30):
        made = encoder.encode("LeadState", state(f"l{number:02}", "mql", journey(1)))
        worker.raw("lead-states", b"l%02d" % number, damage(made) if number == 7 else made)
    worker.write("LanePosition", position(0, START))
    with running(settings) as sink:
        caught_up(sink, worker)
        assert sink.status()["refused"] == 1
    assert rows(client, "SELECT count(), uniqExact(lead_id), sum(lead_id = 'l07') FROM leads") == [(29, 29, 0)]
    assert rows(client, "SELECT count() FROM lanes") == [(1,)]
    assert rows(client, "SELECT origin_topic, origin_offset, reason FROM dead_letters FINAL") == [
        ("lead-states", 7, "undecodable")
    ]
