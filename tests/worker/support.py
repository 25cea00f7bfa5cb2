"""A lane on plain lists, and records as a broker would hand them over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from processors.agreement import Agreements
from processors.erasure import Erased
from processors.lane import LaneFold
from schemas.catalog import CATALOG
from schemas.wire import Decoder, Encoder
from streams.config import ClockMode
from streams.topics import READ_BY_LANES, RECEIVED_AT_HEADER, SLA_EVENTS, TRANSITIONS
from streams.worker.intake import Intake
from streams.worker.lane import Batch, Lane
from tests.processors.support import AGREEMENTS, START, event

HOUR = 3_600_000
IDS = {name: number for number, name in enumerate(CATALOG, 1)}
ENCODER = Encoder(IDS)


def decoder() -> Decoder:
    """Knows every contract under IDS."""
    made = Decoder()
    for name, number in IDS.items():
        made.learn(number, CATALOG[name].text)
    return made


@dataclass(frozen=True)
class Rec:
    """A record of an input topic."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = field(default=())


def complete(kind: str, hours: float, **fields: Any) -> dict[str, Any]:
    """An event with every field of its schema."""
    defaults = {item["name"]: item["default"] for item in CATALOG[kind].schema["fields"] if "default" in item}
    return defaults | event(kind, hours, **fields)


def record(offset: int, kind: str, hours: float, *, received: float | None = None, **fields: Any) -> Rec:
    """`received`: hours after START at which the broker stamped it; default: when it happened."""
    body = complete(kind, hours, **fields)
    stamped = START + round((hours if received is None else received) * HOUR)
    return Rec(offset, stamped, body["lead_id"].encode(), ENCODER.encode(kind, body))


def imported(rec: Rec, received: float, stamped: float) -> Rec:
    """The same record as an import publishes it: stamped later, with its original arrival in the header."""
    header = (RECEIVED_AT_HEADER, str(START + round(received * HOUR)).encode())
    return Rec(rec.offset, START + round(stamped * HOUR), rec.key, rec.value, (header,))


def lane(
    clock: ClockMode = ClockMode.BROKER,
    *,
    grace_ms: int = 2_000,
    most: int = 1_048_576,
    agreements: Agreements = AGREEMENTS,
) -> Lane:
    """An empty lane, number 0."""
    known = decoder()
    fold = LaneFold(agreements, lambda value: known.decode(value)[1]["fold"], Erased(b"key"), grace_ms=grace_ms)
    intake = Intake(known, ENCODER, READ_BY_LANES, 0, clock=clock, max_record_bytes=most)
    return Lane(0, fold, intake, known, ENCODER, None)


class Read:
    """What a consumer of a lane's outputs has, batch after batch."""

    def __init__(self, made: Lane) -> None:
        self.lane = made
        self.known = decoder()
        self.transitions: list[dict[str, Any]] = []
        self.sla: list[dict[str, Any]] = []
        self.letters: list[dict[str, Any]] = []

    def commit(self) -> Batch:
        """Takes the lane's batch and reads it."""
        batch = self.lane.batch()
        for message in batch.messages:
            if message.value is None:
                continue
            _, body = self.known.decode(message.value)
            if message.topic == TRANSITIONS:
                self.transitions.append(body)
            elif message.topic == SLA_EVENTS:
                self.sla.append(body)
            elif message.topic == "dead-letters":
                self.letters.append(body)
        return batch

    @property
    def kinds(self) -> list[str]:
        return [item["kind"] for item in self.sla]
