"""The archive of input events, lead by lead: what a replay reads once the log is gone. Parameters only.

Leads are read in pages, in the order of their ids, so memory does not grow with the archive but by two ids for each merge;
what merges unite comes as one story. Everything is read as of one instant, the clock of the lane that is furthest behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from tempfile import SpooledTemporaryFile
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData

from processors.facts import Fact, RefusedFact, to_fact
from processors.whatif import Span
from schemas.catalog import on_topic
from streams.config import Settings
from streams.errors import BatonError
from streams.importers.times import millis
from streams.store.client import Client, connect, failure
from streams.topics import INPUTS
from streams.whatif.groups import Groups

_PAGE: Final = 1_000
"""Leads that are read at once."""
_IN_MEMORY: Final = 16 << 20
"""Bytes of lead ids; more go into a temporary file."""
_UNKNOWN_TABLE: Final = 60

_COVERED: Final = """
SELECT count(), toUnixTimestamp64Milli(min(received_at)), toUnixTimestamp64Milli(max(received_at)) FROM events
"""
_CLOCK: Final = "SELECT count(), toUnixTimestamp64Milli(min(clock)) FROM lanes FINAL"
_MERGES: Final = "SELECT DISTINCT lead_id, JSONExtractString(body, 'into') FROM events WHERE event_type = 'LeadMerged'"
# A wake date comes long after the event that set it.
_LEADS: Final = """
SELECT DISTINCT lead_id
FROM events
WHERE received_at <= fromUnixTimestamp64Milli({now:Int64}, 'UTC')
    AND effective_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    AND (
        effective_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
        OR (event_type = 'LeadNurtured' AND JSONExtractRaw(body, 'wake_date') NOT IN ('', 'null'))
    )
ORDER BY lead_id
"""
# What was set aside for what it is counts for nothing; of the rest another agreement, or the fold itself, may see it otherwise.
_EVENTS: Final = """
SELECT lead_id, event_type, toUnixTimestamp64Milli(received_at), body_hash, body
FROM events
WHERE lead_id IN wanted
    AND received_at <= fromUnixTimestamp64Milli({now:Int64}, 'UTC')
    AND (topic, partition, offset, timestamp) NOT IN letters_for_good
ORDER BY lead_id, received_at
"""
_DEFAULTS: Final = {
    contract.name: {field["name"]: field["default"] for field in contract.schema["fields"] if "default" in field}
    for topic in INPUTS
    for contract in on_topic(topic)
}
_TIMES: Final = frozenset({"occurred_at", "until", "wake_date"})
"""Fields that the fold reads as instants: epoch milliseconds, or ISO 8601."""


class Covered(NamedTuple):
    """What the archive holds; instants in UTC milliseconds."""

    events: int
    since: int
    """received_at of the first event."""
    until: int
    """Everything received up to here has been judged by the worker."""


class Archive(Protocol):
    def covered(self) -> Covered: ...

    def stories(self, span: Span, until: int) -> Iterator[list[Fact]]:
        """The whole stories, up to now, of the leads that had anything in the span; each in the order of receipt, at
        `until`.
        """
        ...


class StoredArchive:
    """In a store, embedded or not."""

    def __init__(self, client: Client, where: str) -> None:
        self._client = client
        self._where = where

    @classmethod
    def open(cls, settings: Settings) -> StoredArchive:
        """Raises BatonError where the store does not answer. To be closed."""
        return cls(connect(settings), settings.store_url)

    def close(self) -> None:
        self._client.close()

    def covered(self) -> Covered:
        [(events, since, until)] = self._rows(_COVERED)
        [(lanes, clock)] = self._rows(_CLOCK)
        return Covered(events, since, clock if lanes else until)

    def stories(self, span: Span, until: int) -> Iterator[list[Fact]]:
        groups = Groups(self._rows(_MERGES))
        done: set[str] = set()
        """One lead of each group that was handed over."""
        for page in self._pages(span, until):
            stories = []
            for lead_id in page:
                members = groups.of(lead_id)
                if members is None:
                    stories.append([lead_id])
                elif members[0] not in done:
                    done.add(members[0])
                    stories.append(members)
            yield from self._facts(stories, until)

    def _pages(self, span: Span, until: int) -> Iterator[list[str]]:
        instants = {"start": span.start, "end": span.end, "now": until}
        # Ids are put by first: an answer that is read for hours would be cut off.
        with SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8") as ids:
            with self._told(), self._client.query_row_block_stream(_LEADS, parameters=instants) as blocks:
                for block in blocks:
                    ids.writelines(f"{json.dumps(lead_id)}\n" for (lead_id,) in block)
            ids.seek(0)
            while page := [json.loads(line) for line in islice(ids, _PAGE)]:
                yield page

    def _facts(self, stories: Sequence[Sequence[str]], until: int) -> Iterator[list[Fact]]:
        wanted = [lead_id for members in stories for lead_id in members]
        rows = self._rows(_EVENTS, wanted, now=until)
        by_lead = {lead_id: list(_read(items)) for lead_id, items in groupby(rows, key=lambda row: row[0])}
        for members in stories:
            facts = [fact for lead_id in members for fact in by_lead.get(lead_id, ())]
            facts.sort(key=lambda fact: (fact.received_at, fact.key, fact.body))
            if facts:
                yield facts

    def _rows(self, sql: str, wanted: Iterable[str] | None = None, /, **parameters: object) -> list[Any]:
        """`wanted`: lead ids, the table `wanted` of the query."""
        table = None
        if wanted is not None:
            lines = "\n".join(json.dumps({"lead_id": lead_id}) for lead_id in wanted)
            table = ExternalData(file_name="wanted", data=lines.encode(), fmt="JSONEachRow", structure="lead_id String")
        with self._told():
            return list(self._client.query(sql, parameters=parameters, external_data=table).result_rows)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The store's errors in one line."""
        try:
            yield
        except ClickHouseError as error:
            if getattr(error, "code", None) == _UNKNOWN_TABLE:
                raise BatonError(f"store {self._where} has no archive of events: run `baton migrate up`") from None
            raise failure(self._where, error) from None


def _read(rows: Iterable[tuple[str, str, int, int, str]]) -> Iterator[Fact]:
    for _, name, received_at, body_hash, body in rows:
        if name not in _DEFAULTS:  # whatever somebody sent to an input topic
            continue
        # Fields that were added since it was written get their defaults.
        event = _DEFAULTS[name] | msgspec.json.decode(body)
        for field in _TIMES & event.keys():
            if isinstance(event[field], str):
                event[field] = millis(event[field])
        try:
            fact = to_fact(name, event, received_at)
        except RefusedFact:  # set aside when it came, and no agreement changes that
            continue
        fact.body = body_hash.to_bytes(8, "big")  # of the whole event, `person` included
        yield fact
