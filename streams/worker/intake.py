"""Bytes to facts: decodes and checks the records of a lane; what cannot be processed becomes a dead letter, whole.

May not import Kafka clients or Faust: a record is anything with offset, timestamp, key, value and headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final, NamedTuple, Protocol

from processors.facts import Fact, RefusedFact, to_fact
from schemas.catalog import CATALOG, on_topic
from schemas.types import DeadLetter
from schemas.wire import Decoder, Encoder, WireError, schema_id
from streams.config import ClockMode
from streams.partitioner import lane_of
from streams.topics import END_OF_INPUT_KEY, INPUTS, RECEIVED_AT_HEADER

VERSION: Final = version("baton")


_ALLOWED: Final = [frozenset(contract.name for contract in on_topic(topic)) for topic in INPUTS]


class Record(Protocol):
    """What is read of a Kafka record; aiokafka's ConsumerRecord is one. `timestamp`: UTC milliseconds."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class Bare(NamedTuple):
    """A record that stands for one as it came: without its person, or without bytes that are no longer at hand."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Refused(NamedTuple):
    """A dead letter with the key of its original."""

    key: bytes | None
    letter: DeadLetter


class Taken(NamedTuple):
    """What a batch of one topic came to. `ended`: instant of an end-of-input mark in it, UTC milliseconds, or None."""

    facts: list[Fact]
    refused: list[Refused]
    ended: int | None
    strays: list[Fact]
    """Of leads that live on other lanes: their producer chose partitions in another way."""


_REMEMBERED: Final = 50_000
"""Keys whose lane is known by heart: working it out costs as much as all else that is done to a record here."""


def received_at(record: Record) -> int:
    """The record's timestamp, or the original arrival that an import's header gives, where that is earlier."""
    for key, value in record.headers:
        if key == RECEIVED_AT_HEADER and value is not None:
            try:
                return min(record.timestamp, int(value))
            except ValueError:
                return record.timestamp
    return record.timestamp


def is_stray(fact: Fact, into: str) -> bool:
    """Whether a fact passed on to `into` is its own, put on another lane by its producer; else a merge passed it on."""
    return fact.lane >= 0 and not fact.via and fact.lead_id == into


class Intake:
    """Turns the records of one lane into facts. `topic_names`: full names, in the order of INPUTS. `lanes`: how many there
    are; None: what stands on a partition belongs there.
    """

    def __init__(
        self,
        decoder: Decoder,
        encoder: Encoder,
        topic_names: Sequence[str],
        lane: int,
        *,
        clock: ClockMode,
        max_record_bytes: int,
        lanes: int | None = None,
    ) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._topic_names = topic_names
        self._lane = lane
        self._clock = clock
        self._max_record_bytes = max_record_bytes
        self._lanes = lanes
        self._at_home: dict[bytes, bool] = {}

    def take(self, topic: int, records: Sequence[Record], arrivals: Sequence[int], now: int) -> Taken:
        """Decodes and checks `records` of INPUTS[topic]; `arrivals`: their received_at; `now`: the lane clock.

        Raises UnknownSchema: learn it first.
        """
        facts: list[Fact] = []
        refused: list[Refused] = []
        strays: list[Fact] = []
        ended: int | None = None
        live = self._clock is ClockMode.BROKER
        allowed = _ALLOWED[topic]
        for record, arrived in zip(records, arrivals, strict=True):
            key, value = record.key, record.value
            if key == END_OF_INPUT_KEY and not live:
                ended = max(ended or 0, arrived)
                continue
            try:
                name, event = self._decode(key, value)
                if name not in allowed:
                    raise RefusedFact(
                        "wrong_topic", f"{name} belongs on {' or '.join(CATALOG[name].topics)}, not on {INPUTS[topic]}"
                    )
                if event["lead_id"].encode() != key:
                    raise RefusedFact(
                        "key_mismatch", f"the record's key is not {name}.lead_id: key it by lead_id, UTF-8"
                    )
                fact = to_fact(
                    name,
                    event,
                    arrived,
                    at=(topic, record.offset),
                    # History imported into a live lane has only just come to stand in the log.
                    arrived_at=record.timestamp if live else arrived,
                )
                if self._is_at_home(record.key):
                    facts.append(fact)
                else:
                    fact.lane = self._lane
                    strays.append(fact)
            except (WireError, RefusedFact) as error:
                refused.append(self.dead_letter(topic, record, error.reason, error.detail, now))
        return Taken(facts, refused, ended, strays)

    def _is_at_home(self, key: bytes | None) -> bool:
        if self._lanes is None or key is None:
            return True
        known = self._at_home.get(key)
        if known is None:
            if len(self._at_home) >= _REMEMBERED:
                self._at_home.clear()
            known = self._at_home[key] = lane_of(key, self._lanes) == self._lane
        return known

    def _decode(self, key: bytes | None, value: bytes | None) -> tuple[str, dict[str, Any]]:
        if key is None:
            raise RefusedFact("null_key", "the record has no key: key it by lead_id, UTF-8")
        if key == END_OF_INPUT_KEY:
            raise RefusedFact("unexpected_end_of_input", "an end-of-input mark means nothing outside a replay")
        if value is None:
            raise RefusedFact(
                "null_value", "the record has no value: a lead is erased by LeadErased, not by a tombstone"
            )
        if len(value) > self._max_record_bytes:
            raise RefusedFact("too_large", f"{len(value)} bytes; at most {self._max_record_bytes} are taken")
        return self._decoder.decode(value)

    def without_person(self, record: Record) -> Record:
        """The record as it may be kept of an erased lead. The bytes of one that holds no personal data stay as they are."""
        if record.value is None:
            return record
        name, event = self._decoder.decode(record.value)
        if event.get("person") is None:
            return record
        value = self._encoder.encode(name, {**event, "person": None})
        return Bare(record.offset, record.timestamp, record.key, value, tuple(record.headers))

    def dead_letter(
        self, topic: int, record: Record, reason: str, detail: str, now: int, lane: int | None = None
    ) -> Refused:
        """The dead letter of a record of INPUTS[topic]. `lane`: whose partition it stands on; None: this one's."""
        lead_id: str | None = None
        if record.key is not None:
            try:
                lead_id = record.key.decode()
            except UnicodeDecodeError:
                lead_id = None
        return Refused(
            record.key,
            {
                "reason": reason,
                "detail": detail,
                "topic": self._topic_names[topic],
                "partition": self._lane if lane is None else lane,
                "offset": record.offset,
                "timestamp": record.timestamp,
                "key": record.key,
                "value": record.value,
                "headers": [{"key": key, "value": value} for key, value in record.headers],
                "schema_id": schema_id(record.value),
                "lead_id": lead_id,
                "failed_at": now,
                "worker_version": VERSION,
            },
        )
