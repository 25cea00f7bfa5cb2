"""A sink and its store: the sink's protocol (streams/sink) in simulated time, with the production code that makes rows.

Where to read on is asked of the store; a batch of a table is one insert, sent again under the same token until the answer
has come; of the rows under one key the highest version holds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final

from processors.rows import LEADS, Row, Table
from streams.sink.batch import _KEY, TABLES, Partition, Reader
from streams.sink.origins import Origin
from streams.topics import DEAD_LETTERS, SLA_EVENTS, STATES, TRANSITIONS
from tests.simulation.broker import Broker
from tests.simulation.clients import Message
from tests.simulation.loop import Loop
from tests.simulation.workers import decoder

_READ: Final = (TRANSITIONS, SLA_EVENTS, STATES, DEAD_LETTERS)
_TABLES: Final = {table.name: table for topic in _READ for table in TABLES[topic]}
_JUDGED: Final = ("lead_transitions", "sla_instances", LEADS.name)


class Store:
    """Tables that keep, under each key, the row of the highest version."""

    def __init__(self, loop: Loop, random: Random, told: Counter[str]) -> None:
        self._loop, self._random, self._told = loop, random, told
        self.away_until = 0.0
        """Until then it fails, or does what it is asked and does not say so."""
        self.slow_until = 0.0
        self._rows: dict[str, dict[Row, Row]] = {name: {} for name in _TABLES}
        self._held: dict[str, dict[int, int]] = {name: {} for name in _TABLES}
        self._tokens: set[str] = set()
        self.twice: Counter[str] = Counter()
        """Rows under a key and version that were there already."""

    async def _answer(self) -> None:
        slow = self._loop.now < self.slow_until
        await asyncio.sleep(self._random.uniform(0.5, 4) if slow else self._random.uniform(0.002, 0.05))

    async def held(self, table: Table) -> dict[int, int]:
        """By partition: the highest offset of which it has a row."""
        await self._answer()
        if self._loop.now < self.away_until:
            raise OSError
        return dict(self._held[table.name])

    async def insert(self, name: str, rows: Sequence[Row], token: str) -> None:
        """All of them or none; a token is taken once."""
        await self._answer()
        away = self._loop.now < self.away_until
        if away and self._random.random() < 0.5:
            self._told["inserts that failed"] += 1
            raise OSError
        if token not in self._tokens:
            self._tokens.add(token)
            self._take(name, rows)
        if away:
            self._told["inserts whose answer is lost"] += 1
            raise OSError

    def _take(self, name: str, rows: Sequence[Row]) -> None:
        columns = _TABLES[name].columns
        version, partition, offset = (columns.index(one) for one in ("version", "partition", "offset"))
        stored, held = self._rows[name], self._held[name]
        for row in rows:
            key = tuple(row[place] for place in _KEY[name])
            before = stored.get(key)
            if before is not None and before[version] == row[version]:
                self.twice[name] += 1
            if before is None or before[version] <= row[version]:
                stored[key] = row
            held[row[partition]] = max(held.get(row[partition], -1), row[offset])

    def stands(self, name: str) -> dict[tuple[str, ...], int]:
        """Key -> offset of the record that the row is of, as a view reads it (FINAL)."""
        columns = _TABLES[name].columns
        deleted, offset = columns.index("deleted"), columns.index("offset")
        return {key: row[offset] for key, row in self._rows[name].items() if not row[deleted]}

    def stored(self) -> dict[str, dict[tuple[str, ...], int]]:
        return {name: self.stands(name) for name in _JUDGED}

    def is_current(self, broker: Broker, lanes: int) -> bool:
        """Whether it holds everything that is committed."""
        for topic in _READ:
            for number in range(lanes):
                entries, _ = broker.partitions[topic, number].read((topic, number), 0, 10**9)
                held = max((self._held[table.name].get(number, -1) for table in TABLES[topic]), default=-1)
                if entries and entries[-1].offset > held:
                    return False
        return True


class Sink:
    """One sink process; several may be at it for a while."""

    def __init__(self, name: str, broker: Broker, store: Store, random: Random, lanes: int, told: Counter[str]) -> None:
        self._name, self._broker, self._store = name, broker, store
        self._random, self._lanes, self._told = random, lanes, told
        self._inserts = 0
        self.revoked = False
        """The group has given its partitions to another: it learns so between two batches."""

    def text(self, schema_id: int) -> str | None:
        raise LookupError(schema_id)

    async def run(self) -> None:
        reader = Reader(self)
        reader._decoder = decoder()
        while not self.revoked:
            try:
                partitions = await self._position()
            except OSError:
                await asyncio.sleep(self._random.uniform(0.1, 1))
                continue
            positions = {(one.topic, one.number): one.start for one in partitions}
            while not self.revoked:
                await asyncio.sleep(self._random.uniform(0.2, 1.5))
                if self._broker.unreachable_until <= self._broker.time():
                    await self._batch(reader, partitions, positions)

    async def _position(self) -> list[Partition]:
        held = {topic: {table.name: await self._store.held(table) for table in TABLES[topic]} for topic in _READ}
        return [
            Partition(
                topic, number, Origin(f"id-{topic}", 1),
                {table: offsets.get(number, -1) for table, offsets in held[topic].items()},
            )
            for topic in _READ
            for number in range(self._lanes)
        ]  # fmt: skip

    async def _batch(
        self, reader: Reader, partitions: Sequence[Partition], positions: dict[tuple[str, int], int]
    ) -> None:
        taken = []
        for one in partitions:
            place = (one.topic, one.number)
            entries, positions[place] = self._broker.partitions[place].read(
                place, positions[place], self._random.choice((5, 100, 1000))
            )
            if entries:
                taken.append((one, [Message(entry) for entry in entries]))
        made = reader.read(taken)
        for name, rows in made.rows.items():
            self._inserts += 1
            token = f"{self._name}-{self._inserts}"
            while True:
                try:
                    await self._store.insert(name, rows, token)
                    break
                except OSError:
                    await asyncio.sleep(self._random.uniform(0.05, 0.5))
        self._told["batches stored"] += bool(made.rows)
