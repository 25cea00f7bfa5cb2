"""From Kafka messages to rows by table. No I/O but the registry's, which is asked for schemas it has not told yet.

Of several statements under one key only the newest is decoded and kept where Kafka's own key tells (lead states), or only
the newest kept where it takes decoding: the others would be replaced in the store anyway. sla_events keeps them all.

A sink reads what workers of its own version or an older one write: upgrade it before them. What it cannot read at all is
no statement of a worker's; it becomes a row of dead_letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from processors import rows
from processors.rows import At, Row, Table
from schemas.wire import Decoder, WireError, schema_id, schema_ids
from streams.errors import UnavailableError
from streams.sink import archive
from streams.sink.origins import Origin
from streams.topics import DEAD_LETTERS, LANE_KEY, SLA_EVENTS, STATES, TRANSITIONS

log = structlog.get_logger(__name__)

TABLES: Final[Mapping[str, tuple[Table, ...]]] = {
    TRANSITIONS: (rows.TRANSITIONS,),
    SLA_EVENTS: (rows.INSTANCES, rows.SLA_EVENTS),
    STATES: (rows.LEADS, rows.LANES),
    DEAD_LETTERS: (rows.DEAD_LETTERS,),
    **archive.TABLES,
}
"""Bare topic -> the tables its records go to."""
_EXPECTED: Final = {
    TRANSITIONS: {"LeadTransition"},
    SLA_EVENTS: {"SlaEvent"},
    STATES: {"LeadState", "LanePosition"},
    DEAD_LETTERS: {"DeadLetter"},
}
_KEY: Final = {
    # Columns that tell a table's statements apart, as places in a row: of those under one key the newest holds.
    table.name: tuple(table.columns.index(column) for column in columns)
    for table, columns in (
        (rows.TRANSITIONS, ("lead_id", "transition_id")),
        (rows.INSTANCES, ("lead_id", "instance_id")),
        (rows.SLA_EVENTS, ("partition", "offset")),
        (rows.LEADS, ("lead_id",)),
        (rows.LANES, ("lane",)),
        (rows.DEAD_LETTERS, ("origin_topic", "origin_partition", "origin_offset", "origin_timestamp")),
    )
}


_OFFSET: Final = rows.PLACE.index("offset") - len(rows.PLACE)


class Message(Protocol):
    """What is read of a Kafka message; confluent_kafka's is one."""

    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def timestamp(self) -> tuple[int, int]: ...


class Schemas(Protocol):
    def text(self, schema_id: int) -> str | None: ...


@dataclass(slots=True)
class Partition:
    """A partition that is read. Offsets: of records of its topic."""

    topic: str
    """Without prefix."""
    number: int
    origin: Origin
    held: dict[str, int]
    """By table: highest offset the store holds."""

    @property
    def start(self) -> int:
        """Where to read on: after what every table of the topic has."""
        return min(self.held.values()) + 1


@dataclass(slots=True)
class Batch:
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """Table name -> rows, by partition in the order of their offsets."""
    refused: int = 0
    erased: list[str] = field(default_factory=list)
    """Leads whose state was given up: their personal rows go."""


class Reader:
    """Turns messages into rows. Raises UnavailableError where the registry does not tell a schema."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._decoder = Decoder()
        self._archive = archive.Archive(schemas)

    def read(self, taken: Iterable[tuple[Partition, Sequence[Message]]]) -> Batch:
        batch = Batch()
        for partition, messages in taken:
            if partition.topic in archive.TABLES:
                (table,) = archive.TABLES[partition.topic]
                after = partition.held.get(table.name, -1)
                new = [message for message in messages if message.offset() > after]
                made = self._archive.rows(partition.topic, partition.origin, partition.number, new)
                if made:
                    batch.rows.setdefault(table.name, []).extend(made)
                continue
            newest: Sequence[Message] = messages
            if partition.topic == STATES:
                by_key = {message.key(): message for message in messages}
                newest = sorted(by_key.values(), key=lambda message: message.offset())
            self._learn(newest)
            kept: dict[str, dict[Any, Row]] = {}
            for message in newest:
                self._take(partition, message, kept, batch)
            for name, by_identity in kept.items():
                batch.rows.setdefault(name, []).extend(by_identity.values())
        return batch

    def _learn(self, messages: Sequence[Message]) -> None:
        for number in schema_ids(message.value() for message in messages):
            if self._decoder.knows(number):
                continue
            text = self._schemas.text(number)
            if text is None:
                # Our own worker wrote under it: the registry has lost it, or is another one. Nothing may be skipped.
                raise UnavailableError(f"schema registry: it does not know schema {number} of an output topic")
            self._decoder.learn(number, text)

    def _take(self, partition: Partition, message: Message, kept: dict[str, dict[Any, Row]], batch: Batch) -> None:
        at = At(partition.origin.topic_id, partition.origin.generation, partition.number, message.offset())
        value = message.value()
        if value is None:
            key = message.key()
            if partition.topic != STATES or key is None or key == LANE_KEY:
                return
            lead_id = key.decode("utf-8", "replace")
            batch.erased.append(lead_id)
            self._keep(partition, rows.LEADS, rows.lead_gone(lead_id, at), kept)
        else:
            try:
                name, record = self._decoder.decode(value)
                if name not in _EXPECTED[partition.topic]:
                    raise WireError("wrong_topic", f"{name} does not belong on {partition.topic}", schema_id(value))
            except WireError as error:
                # No record of the worker's: told where dead letters are looked for, and counted.
                log.error(
                    "refused", topic=partition.topic, partition=at.partition, offset=at.offset, reason=error.reason
                )
                batch.refused += 1
                self._keep(partition, rows.DEAD_LETTERS, _refusal(partition, message, error, at), kept)
            else:
                for table, make in rows.BY_RECORD[name]:
                    self._keep(partition, table, make(record, at), kept)

    @staticmethod
    def _keep(partition: Partition, table: Table, row: Row, kept: dict[str, dict[Any, Row]]) -> None:
        if row[_OFFSET] <= partition.held.get(table.name, -1):
            return
        place = _KEY[table.name]
        identity = row[place[0]] if len(place) == 1 else tuple(row[column] for column in place)
        same = kept.setdefault(table.name, {})
        same.pop(identity, None)  # so that the newest stands at its own place in the order
        same[identity] = row


def _refusal(partition: Partition, message: Message, error: WireError, at: At) -> Row:
    return rows.dead_letter(
        {
            "topic": partition.topic,
            "partition": at.partition,
            "offset": at.offset,
            "timestamp": message.timestamp()[1],
            "reason": error.reason,
            "detail": error.detail,
            "schema_id": error.schema_id,
            "lead_id": None,
            "failed_at": max(message.timestamp()[1], 0),
            "worker_version": "",
        },
        at,
    )
