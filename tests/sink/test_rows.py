"""Rows are made of records and places alone."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import rows
from processors.rows import LARGEST_GENERATION, At, Table
from schemas.catalog import CATALOG
from schemas.wire import Encoder
from streams.sink.batch import Partition, Reader
from streams.sink.origins import Origin
from tests.sink.support import IDS, NEVER, Schemas, instance, journey, letter, position, state, transition

AT = At("topic-id", 3, 1, 77)


@dataclass(frozen=True)
class Written:
    """A message of an output topic."""

    place: int
    content: bytes

    def offset(self) -> int:
        return self.place

    def key(self) -> bytes | None:
        return b"lead"

    def value(self) -> bytes | None:
        return self.content

    def timestamp(self) -> tuple[int, int]:
        return 0, 0


def named(table: Table, row: rows.Row) -> dict[str, object]:
    return dict(zip(table.columns, row, strict=True))


@given(
    st.integers(1, LARGEST_GENERATION),
    st.integers(1, LARGEST_GENERATION),
    st.integers(0, 2**48 - 1),
    st.integers(0, 2**48 - 1),
)
def test_versions_order_generations_then_offsets(one: int, other: int, here: int, there: int) -> None:
    first, second = At("a", one, 0, here), At("b", other, 0, there)
    assert (first.version < second.version) == ((one, here) < (other, there))
    assert 0 <= first.version < 2**64


def test_every_field_of_a_statement_has_a_column() -> None:
    for name, table in (
        ("LeadTransition", rows.TRANSITIONS),
        ("SlaEvent", rows.INSTANCES),
        ("SlaEvent", rows.SLA_EVENTS),
        ("LanePosition", rows.LANES),
    ):
        assert set(CATALOG[name].field_names) <= set(table.columns)
    kept = set(CATALOG["LeadState"].field_names) - {"journeys", "fold", "fold_version"}
    assert kept <= set(rows.LEADS.columns)


def test_a_transition() -> None:
    row = named(rows.TRANSITIONS, rows.transition(transition("t", "l", "mql", source="web"), AT))
    assert (row["transition_id"], row["lead_id"], row["to_stage"], row["source"], row["owner"]) == (
        "t",
        "l",
        "mql",
        "web",
        None,
    )
    assert (row["topic_id"], row["partition"], row["offset"], row["version"], row["deleted"]) == (
        "topic-id", 1, 77, (3 << 48) + 77, 0,
    )  # fmt: skip
    assert named(rows.TRANSITIONS, rows.transition(transition("t", "l", "mql", change="retracted"), AT))["deleted"] == 1


@pytest.mark.parametrize(
    ("kind", "deleted"), [("started", 0), ("breach_retracted", 0), ("cancelled", 0), ("retracted", 1)]
)
def test_an_instance(kind: str, deleted: int) -> None:
    told = instance("i", "l", "open", kind=kind)
    assert named(rows.INSTANCES, rows.instance(told, AT))["deleted"] == deleted
    assert named(rows.SLA_EVENTS, rows.sla_event(told, AT)) == named(rows.INSTANCES, rows.instance(told, AT)) | {
        "deleted": 0
    }


def test_a_lead_and_its_cycles() -> None:
    row = named(rows.LEADS, rows.lead(state("l", "mql", journey(1, mql_at=5, won_at=9), journey(2, mql_at=11)), AT))
    assert row["cycles.cycle"] == (1, 2)
    assert row["cycles.mql_at"] == (5, 11)
    assert row["cycles.won_at"] == (9, None)
    assert row["cycles.implied"] == ([], [])
    assert row["next_deadline"] is None
    none = named(rows.LEADS, rows.lead(state("l", "", next_deadline=4), AT))
    assert (none["cycles.cycle"], none["next_deadline"]) == ((), 4)
    gone = named(rows.LEADS, rows.lead_gone("l", AT))
    assert (gone["lead_id"], gone["deleted"], gone["version"]) == ("l", 1, AT.version)


def test_a_dead_letter_leaves_its_bytes_behind() -> None:
    row = named(rows.DEAD_LETTERS, rows.dead_letter(letter("leads", 9, "undecodable"), AT))
    assert (row["origin_topic"], row["origin_offset"], row["offset"]) == ("leads", 9, 77)
    assert not any(isinstance(value, bytes) for value in row.values())
    assert "personal" not in str(row)


def test_a_lane() -> None:
    row = named(rows.LANES, rows.lane(position(2, NEVER // 10**6, events=5), AT))
    assert (row["lane"], row["counters"]) == (2, {"events": 5})


def test_a_clock_that_moves_within_a_batch_leaves_the_one_lead_and_stands_with_the_other() -> None:
    """Loser and survivor of a merge may live on one lane: both statements are kept, each under its lead."""
    encoder = Encoder(IDS)
    told = [
        instance("i", "loser", "breached_open"),
        instance("i", "loser", "cancelled", kind="moved"),
        instance("i", "survivor", "met"),
    ]
    messages = [Written(offset, encoder.encode("SlaEvent", one)) for offset, one in enumerate(told)]
    partition = Partition("sla-events", 0, Origin("topic-id", 1), {})
    made = Reader(Schemas()).read([(partition, messages)]).rows
    assert [row[2] for row in made["sla_events"]] == ["breached", "moved", "met"]
    shown = [named(rows.INSTANCES, row) for row in made["sla_instances"]]
    assert [(row["lead_id"], row["kind"], row["deleted"]) for row in shown] == [
        ("loser", "moved", 1),
        ("survivor", "met", 0),
    ]
