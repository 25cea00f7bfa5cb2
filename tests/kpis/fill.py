"""A world into the store: the pure fold's statements as rows, corrections and retractions among them, and the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import yaml

from processors import archive, rows
from processors.archive import Came
from processors.facts import Fact, RefusedFact, to_fact
from processors.lane import RefusedByFold
from processors.rows import At, Row
from processors.telling import PassedOn
from streams.store.client import INSERT_SETTINGS, Client
from streams.store.missing import TABLES as ROLLED
from streams.topics import INPUTS
from tests.kpis.data import World
from tests.support.fold import Lanes, _Lane, agreed, dated

LANES: Final = 3
TABLES: Final = {
    table.name: table
    for table in (*(table for made in rows.BY_RECORD.values() for table, _ in made), archive.EVENTS, archive.CAMPAIGN_EVENTS,
                  archive.AGREEMENT_VERSIONS)
}  # fmt: skip


class _Teller(_Lane):
    """Keeps every statement as a row."""

    def watch(self, number: int) -> _Teller:
        self.number = number
        self.rows: dict[str, list[Row]] = {name: [] for name in TABLES}
        self.refused: list[RefusedByFold] = []
        fold = self.fold.fold

        def folding(facts: Sequence[Fact]) -> list[RefusedByFold]:
            self.refused += (refused := fold(facts))
            return refused

        self.fold.fold = folding  # type: ignore[method-assign]
        return self

    def _at(self) -> At:
        return At("topic", 1, self.number, sum(map(len, self.rows.values())))

    def drain(self) -> list[PassedOn]:
        said = self.fold.drain()
        for told in said.transitions:
            self.rows["lead_transitions"].append(rows.transition(told, self._at()))
        for event in said.sla_events:
            at = self._at()
            self.rows["sla_instances"].append(rows.instance(event, at))
            self.rows["sla_events"].append(rows.sla_event(event, at))
        for name, record in self.fold.changed():
            at = self._at()
            self.rows["leads"].append(rows.lead_gone(name, at) if record is None else rows.lead(record, at))
        return said.passed_on


def _place(lead_id: str) -> int:
    return sum(lead_id.encode()) % LANES


def _identity(fact: Fact) -> tuple[Any, ...]:
    return fact.lead_id, fact.source_system, fact.event_id, fact.received_at, fact.body


def _folded(world: World) -> dict[str, list[Row]]:
    agreements = agreed([world.agreement])
    lanes = Lanes(agreements, LANES, _place)
    tellers = [_Teller(agreements, 2_000).watch(number) for number in range(LANES)]
    lanes.lanes = list(tellers)
    if any(record.name == "LeadMerged" for record in world.records):
        lanes.run(world.records, world.now)
    else:
        for lane in tellers:
            for record in world.records:
                if _place(record.event["lead_id"]) == lane.number:
                    try:
                        lane.fold.fold([to_fact(record.name, record.event, record.received_at)])
                    except RefusedFact:
                        continue
            lane.fold.advance(world.now)
            lane.drain()
    out: dict[str, list[Row]] = {name: [] for name in TABLES}
    offsets: dict[Any, list[int]] = {}
    for offset, record in enumerate(world.records):
        offsets.setdefault(_identity(to_fact(record.name, record.event, record.received_at)), []).append(offset)
    for lane in tellers:
        for fact, reason, detail in lane.refused:
            for offset in offsets[_identity(fact)]:
                letter = {
                    "topic": INPUTS[0], "partition": 0, "offset": offset, "timestamp": fact.received_at, "reason": reason,
                    "detail": detail, "schema_id": None, "lead_id": fact.lead_id, "failed_at": 0, "worker_version": "1",
                }  # fmt: skip
                lane.rows["dead_letters"].append(rows.dead_letter(letter, lane._at()))
        position = {
            "lane": lane.number, "clock": world.now, "positions": {}, "reached": {}, "counters": {}, "worker_version": "1"
        }  # fmt: skip
        lane.rows["lanes"].append(rows.lane(position, lane._at()))
        for name, made in lane.rows.items():
            out[name] += made
    return out


def _archived(world: World) -> Iterable[tuple[str, Row]]:
    for offset, record in enumerate(world.records):
        came = Came(INPUTS[0], record.received_at, record.received_at)
        yield "events", archive.event(record.name, record.event, came, At("in", 1, 0, offset))
    for offset, (name, event) in enumerate(world.campaigns):
        came = Came("campaigns", event["occurred_at"], event["occurred_at"])
        yield "campaign_events", archive.campaign_event(name, event, came, At("campaigns", 1, 0, offset))
    version = agreed([world.agreement]).at(0)
    text = yaml.safe_dump(dated(world.agreement), sort_keys=True)
    holidays = {name: [day.isoformat() for day in days] for name, days in version.holidays.items()}
    said: Mapping[str, Any] = {
        "version": version.version, "effective_from": version.effective_from, "published_at": 0, "checksum": version.checksum,
        "text": text, "holidays": holidays,
    }  # fmt: skip
    row = archive.agreement_version(said, At("agreements", 1, 0, 0))
    assert row is not None
    yield "agreement_versions", row


def fill(client: Client, world: World, between: Callable[[], object] = lambda: None) -> None:
    """In several parts that nothing merges, the last of them twice. `between`: is called when the first part is there."""
    made = _folded(world)
    for name, row in _archived(world):
        made[name].append(row)
    for name in made:
        client.command(f"SYSTEM STOP MERGES {name}")
    for part in range(3):
        for name, all_rows in made.items():
            half = len(all_rows) // 2
            told = all_rows[half:] if part else all_rows[:half]
            if told:
                client.insert(
                    name, told, column_names=TABLES[name].columns, settings={**INSERT_SETTINGS, "insert_deduplicate": 0}
                )
        if part == 0:
            between()


def merge_parts(client: Client) -> None:
    for name in TABLES:
        client.command(f"SYSTEM START MERGES {name}")
        client.command(f"OPTIMIZE TABLE {name} FINAL")
    for name in ROLLED:
        client.command(f"OPTIMIZE TABLE counted_{name} FINAL")
