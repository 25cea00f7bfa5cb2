"""Records that become rows as they stand, without being decoded: their Avro bytes are what the store is sent (avro.py).

A table whose columns are the record's own fields, or can be had of them in SQL, needs nothing of this process but the
record's place, written in Avro before each body. That is a tenth of the work of decoding and encoding anew.

What is not plain goes the other way, through batch.Reader: records under a schema that is not ours to the letter, other
tables, ids of unusual length, leads that are erased; and, when the store refuses a block, all of the block, so that a
record that cannot be read is found and set aside. Both ways make the same rows; tests/sink compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from processors import rows
from processors.rows import Table
from processors.vocabulary import NEVER, STAGES
from schemas.catalog import CATALOG
from schemas.wire import HEADER, Decoder, WireError
from schemas.writers import judge
from streams.errors import UnavailableError
from streams.sink.avro import Block, Form, blob, natural, varint
from streams.sink.batch import Message, Partition, Schemas
from streams.topics import LANE_KEY, SLA_EVENTS, STATES, TRANSITIONS

Taken = tuple[Partition, Sequence[Message]]

_GROUP: Final = 64
"""The lowest 6 bits of an offset stand in the first byte of its varint; the rest changes once in so many records."""
_LOWEST: Final = [bytes([bits << 1 | 0x80]) for bits in range(_GROUP)]
_MORE: Final = 0x80


class _Statements:
    """A topic of statements: of what holds the newest under each id is kept, and all of them in the table of what was told."""

    def __init__(self, record: str, holding: Table, deleted: Iterable[str], trail: Table | None = None) -> None:
        """`deleted`: the kinds (third field) that take a row of `holding` away."""
        identity, lead, kind = (item["type"] for item in CATALOG[record].schema["fields"][:3])
        self.form = Form(record, [holding] if trail is None else [trail, holding], {})
        self.plain = (
            self.form.fits
            and identity == lead == "string"
            and isinstance(kind, dict)
            and kind["type"] == "enum"
        )  # fmt: skip
        """The columns are fields, and the places where this module looks are what it takes them for."""
        self.deleted = {2 * kind["symbols"].index(word) for word in deleted} if self.plain else set()
        self.holding = holding.name
        self.trail = None if trail is None else trail.name


_STATEMENTS: Final = {
    TRANSITIONS: _Statements("LeadTransition", rows.TRANSITIONS, ("retracted",)),
    SLA_EVENTS: _Statements("SlaEvent", rows.INSTANCES, ("retracted", "moved"), rows.SLA_EVENTS),
}
"""By bare topic."""
_LEADS: Final = Form(
    "LeadState",
    [rows.LEADS],
    {
        # Some clients also look at what lies under a NULL: it must be an instant.
        "next_deadline": f"if(next_deadline = {NEVER}, NULL, "
        f"fromUnixTimestamp64Milli(if(next_deadline = {NEVER}, 0, next_deadline), 'UTC'))",
        **{name: f"journeys.{name.partition('.')[2]}" for name in rows.LEADS.columns if name.startswith("cycles.")},
        "cycles.cycle": "accurateCast(journeys.cycle, 'Array(UInt32)')",
        "cycles.source": "arrayWithConstant(length(journeys), source)",
        "cycles.campaign": "arrayWithConstant(length(journeys), campaign)",
        **{
            f"cycles.{stage}_at": f"arrayMap(at -> if(mapContains(at, '{stage}'), at['{stage}'], NULL), journeys.entered)"
            for stage in STAGES
        },
    },
    unused=("fold", "fold_version"),
)


@dataclass(slots=True)
class Split:
    """What a batch is made of."""

    blocks: list[tuple[list[Block], list[Taken]]] = field(default_factory=list)
    """By topic: blocks, and what all of them were made of. All that was told comes first: what the store cannot read is in
    that block, if in any."""
    rest: list[Taken] = field(default_factory=list)
    """What has to be read."""


class _Place:
    """Writes where records of a partition stand, but for the last field."""

    def __init__(self, partition: Partition) -> None:
        origin = partition.origin
        self._generation = rows.At(origin.topic_id, origin.generation, 0, 0).version
        self._before = blob(origin.topic_id.encode()) + natural(partition.number)
        self._group = -1
        self._offset = self._version = b""

    @property
    def fits(self) -> bool:
        """The version is not past what an Avro long can hold."""
        return not self._generation >> 63

    def at(self, offset: int) -> bytes:
        group, lowest = divmod(offset, _GROUP)
        if group != self._group:
            self._group = group
            self._offset, self._version = varint(group), varint((self._generation | offset) // _GROUP)
        low = _LOWEST[lowest]
        return b"".join((self._before, low, self._offset, low, self._version))


class Direct:
    """Takes out of a batch what can go as it is. Raises UnavailableError where the registry does not answer."""

    def __init__(self, schemas: Schemas, most_rows: int) -> None:
        self._schemas = schemas
        self._most = most_rows
        self._records: dict[bytes, str] = {}
        """Header of a value -> the record, where its schema is ours to the letter."""
        self._judged: set[bytes] = set()
        self._decoder = Decoder()

    def split(self, taken: Iterable[Taken]) -> Split:
        split = Split()
        bodies: dict[str, dict[str, list[bytes]]] = {}
        origins: dict[str, list[Taken]] = {}
        for partition, messages in taken:
            topic = partition.topic
            used = messages
            found = None
            statements = _STATEMENTS.get(topic)
            if statements is not None and statements.plain:
                found = self._stated(statements, partition, messages)
            elif topic == STATES and _LEADS.fits:
                used = [message for message in messages if message.key() != LANE_KEY]
                found = self._states(partition, used)
                if found is not None and len(used) < len(messages):
                    split.rest.append((partition, [message for message in messages if message.key() == LANE_KEY]))
            if found is None:
                split.rest.append((partition, messages))
                continue
            for table, of_table in found.items():
                bodies.setdefault(topic, {}).setdefault(table, []).extend(of_table)
            if used:
                origins.setdefault(topic, []).append((partition, used))
        # Where leads stand comes first: most of what a board asks.
        for topic, by_table in sorted(bodies.items(), key=lambda item: item[0] != STATES):
            if max(map(len, by_table.values())) > self._most:  # more than one insert: simpler to read, and rare
                split.rest += origins[topic]
                continue
            form = _LEADS if topic == STATES else _STATEMENTS[topic].form
            made = [form.block(table, of_table) for table, of_table in by_table.items() if of_table]
            if made:
                split.blocks.append((made, origins[topic]))
        return split

    def _is_ours(self, header: bytes, record: str) -> bool:
        if header not in self._judged and header[:1] == b"\0" and len(header) == HEADER.size:
            number = HEADER.unpack(header)[1]
            text = self._schemas.text(number)
            if text is None:
                raise UnavailableError(f"schema registry: it does not know schema {number} of an output topic")
            self._judged.add(header)
            try:
                writer = judge(number, text)
            except WireError:
                return False
            self._decoder.learn(number, text)
            if writer.reader is None:
                self._records[header] = writer.contract.name
        return self._records.get(header) == record

    def _ends_well(self, value: bytes | None) -> bool:
        """Bytes too many in a body shift all that follows, and the store fails on that; but for the last one."""
        if value is not None:
            try:
                self._decoder.decode(value)
            except WireError:
                return False
        return True

    def _states(self, partition: Partition, messages: Sequence[Message]) -> dict[str, list[bytes]] | None:
        """Of each lead the newest state, in the order of offsets. None: has to be read."""
        place = _Place(partition)
        after = partition.held.get(rows.LEADS.name, -1)
        newest = {message.key(): message for message in messages if message.offset() > after}
        made = []
        header = b""
        value: bytes | None = None
        for message in sorted(newest.values(), key=lambda message: message.offset()):
            value = message.value()
            if value is None:
                return None  # erased: its rows have to go, too
            if value[:5] != header:
                header = value[:5]
                if not self._is_ours(header, _LEADS.record):
                    return None
            made.append(b"".join((place.at(message.offset()), b"\0", value[5:])))
        return {rows.LEADS.name: made} if place.fits and self._ends_well(value) else None

    def _stated(
        self, topic: _Statements, partition: Partition, messages: Sequence[Message]
    ) -> dict[str, list[bytes]] | None:
        """By table, one body for each row in the order of offsets. None: has to be read."""
        place = _Place(partition)
        after = partition.held.get(topic.holding, -1)
        told_after = NEVER if topic.trail is None else partition.held.get(topic.trail, -1)
        told: list[bytes] = []
        newest: dict[bytes, bytes] = {}
        header = b""
        last: bytes | None = None
        if not place.fits:
            return None
        for message in messages:
            value = message.value()
            offset = message.offset()
            if value is None or (offset <= after and offset <= told_after):
                continue
            last = value
            if value[:5] != header:
                header = value[:5]
                if not self._is_ours(header, topic.form.record):
                    return None
            try:
                # The identity and the lead, each a length and so many bytes; then the number of the kind.
                end = 6 + (value[5] >> 1)
                at = end + 1 + (value[end] >> 1)
                if value[5] & 0x81 or value[end] & 0x81:
                    if value[5] & 0x81 or value[end] & 1 or value[end + 1] & _MORE:
                        return None
                    at = end + 2 + ((value[end + 1] << 7 | value[end] & 0x7F) >> 1)
                kind = value[at]
            except IndexError:
                return None
            before, body = place.at(offset), value[5:]
            stated = b"".join((before, b"\0", body))
            if offset > told_after:
                told.append(stated)
            if offset > after:
                identity = value[5:at]  # and the lead: the sort key of what holds
                newest.pop(identity, None)  # so that the newest stands at its own place in the order
                newest[identity] = b"".join((before, b"\2", body)) if kind in topic.deleted else stated
        if not self._ends_well(last):
            return None
        holding = {topic.holding: list(newest.values())}
        return holding if topic.trail is None else {topic.trail: told, **holding}
