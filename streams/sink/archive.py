"""Records of the input topics, of campaigns and of agreements as rows of the archive.

What the worker cannot read either is passed over: its dead letter tells of it, and the bytes are there. The same id may
come any number of times; every record is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import structlog

from processors import archive
from processors.archive import Came
from processors.rows import At, Row, Table
from schemas.wire import Decoder, WireError, schema_ids
from streams.sink.origins import Origin
from streams.topics import AGREEMENTS, CAMPAIGNS, END_OF_INPUT_KEY, INPUTS, RECEIVED_AT_HEADER

log = structlog.get_logger(__name__)

TABLES: Final[dict[str, tuple[Table, ...]]] = {
    **dict.fromkeys(INPUTS, (archive.EVENTS,)),
    CAMPAIGNS: (archive.CAMPAIGN_EVENTS,),
    AGREEMENTS: (archive.AGREEMENT_VERSIONS,),
}
"""Bare topic -> its table."""


class Schemas(Protocol):
    def text(self, schema_id: int) -> str | None: ...


def received_at(message: Any) -> int:
    """The record's timestamp, or the original arrival that an import's header gives, where that is earlier."""
    timestamp: int = message.timestamp()[1]
    for key, value in message.headers() or ():
        if key == RECEIVED_AT_HEADER and value is not None:
            try:
                return min(timestamp, int(value))
            except ValueError:
                return timestamp
    return timestamp


class Archive:
    """Raises UnavailableError where the registry does not answer."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._decoder = Decoder()

    def rows(self, topic: str, origin: Origin, partition: int, messages: Sequence[Any]) -> list[Row]:
        """Of one partition of `topic` (without prefix), in order."""
        unknown = self._learn(messages)
        made = []
        name = messages[0].topic() if messages else ""
        for message in messages:
            value = message.value()
            if value is None or message.key() == END_OF_INPUT_KEY:
                continue
            try:
                record_name, record = self._decoder.decode(value)
            except WireError:
                continue
            at = At(origin.topic_id, origin.generation, partition, message.offset())
            came = Came(name, message.timestamp()[1], received_at(message))
            row = self._row(topic, record_name, record, came, at)
            if row is None:
                log.warning("not archived", topic=name, partition=partition, offset=at.offset, record=record_name)
            else:
                made.append(row)
        for number in unknown:
            self._decoder.forget(number)
        return made

    def _learn(self, messages: Sequence[Any]) -> list[int]:
        """The ids under which the registry has nothing, or not yet: anyone may write to an input topic."""
        unknown = []
        for number in schema_ids(message.value() for message in messages):
            if not self._decoder.knows(number):
                text = self._schemas.text(number)
                self._decoder.learn(number, text)
                if text is None:
                    unknown.append(number)
        return unknown

    @staticmethod
    def _row(topic: str, name: str, record: Any, came: Came, at: At) -> Row | None:
        if topic == AGREEMENTS:
            return archive.agreement_version(record, at) if name == "AgreementVersion" else None
        if topic == CAMPAIGNS:
            return archive.campaign_event(name, record, came, at) if "campaign" in record else None
        return archive.event(name, record, came, at) if "lead_id" in record and "event_id" in record else None
