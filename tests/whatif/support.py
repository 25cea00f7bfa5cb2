"""Archives to ask: one in memory, and rows for one in a store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from processors.facts import Fact, RefusedFact, to_fact
from processors.vocabulary import HOUR
from processors.whatif import Change, Span
from schemas.catalog import CATALOG
from streams.store.client import Client
from streams.whatif.archive import Covered
from streams.whatif.period import Period
from streams.whatif.report import Question, Report, ask
from tests.support.fold import Recorded, agreed

Mappings = Sequence[Mapping[str, Any]]


class Given:
    """An archive of a few records."""

    def __init__(self, records: Iterable[Recorded], now: int) -> None:
        self._records = sorted(records, key=lambda record: record.received_at)
        self._now = now

    def covered(self) -> Covered:
        since = self._records[0].received_at if self._records else 0
        return Covered(len(self._records), since, self._now)

    def stories(self, span: Span, until: int) -> Iterator[list[Fact]]:
        by_lead: dict[str, list[Recorded]] = {}
        for record in self._records:
            if record.received_at <= until:
                by_lead.setdefault(str(record.event["lead_id"]), []).append(record)
        for members in self._groups():
            mine = [record for lead_id in members for record in by_lead.get(lead_id, ())]
            if any(_within(record, span) for record in mine):
                facts = [fact for record in mine for fact in _facts(record)]
                facts.sort(key=lambda fact: (fact.received_at, fact.key, fact.body))
                yield facts

    def _groups(self) -> list[set[str]]:
        """Leads that merges unite, in the order of their ids; most stand alone."""
        groups = [{lead_id} for lead_id in sorted({str(record.event["lead_id"]) for record in self._records})]
        for record in self._records:
            if record.name == "LeadMerged":
                pair = {record.event["lead_id"], record.event["into"]}
                united = pair.union(*(group for group in groups if group & pair))
                groups = [group for group in groups if not group & pair] + [united]
        return sorted(groups, key=min)


def _within(record: Recorded, span: Span) -> bool:
    happened = min(max(record.event["occurred_at"], record.received_at - 72 * HOUR), record.received_at)
    wakes = record.name == "LeadNurtured" and record.event["wake_date"] is not None
    return span.start <= happened < span.end or (wakes and happened < span.start)


def _facts(record: Recorded) -> Iterator[Fact]:
    try:
        yield to_fact(record.name, record.event, record.received_at)
    except RefusedFact:
        return


def asked(
    records: Iterable[Recorded], old: Mappings, new: Mappings, period: Period, now: int
) -> tuple[Report, list[Change]]:
    """The report and every change, as `baton agreement diff` would come to them."""
    changes: list[Change] = []
    question = Question(agreed(old), agreed(new), period)
    return ask(question, Given(records, now), changes.append), changes


_COLUMNS = (
    "lead_id", "source_system", "event_id", "event_type", "occurred_at", "received_at", "entered_by", "is_test",
    "person_fields", "body_hash", "body", "topic", "timestamp", "topic_id", "partition", "offset", "version", "deleted",
)  # fmt: skip


def archive(client: Client, records: Iterable[Recorded]) -> None:
    """Puts records into the archive, as the sink does; the offset is their place."""
    rows: list[tuple[Any, ...]] = []
    for offset, record in enumerate(records):
        event = {name: value for name, value in record.event.items() if name != "person"}
        try:
            body = to_fact(record.name, record.event, record.received_at).body
        except RefusedFact:
            body = bytes(8)
        rows.append(
            (
                event["lead_id"], event["source_system"], event["event_id"], record.name, _utc(event["occurred_at"]),
                _utc(record.received_at), event["entered_by"], event["is_test"], [], int.from_bytes(body, "big"),
                json.dumps(event), CATALOG[record.name].topics[0], record.received_at, "topic", 0, offset, offset, 0,
            )
        )  # fmt: skip
    client.insert("events", rows, column_names=_COLUMNS)


def lane(client: Client, clock: int) -> None:
    """The lane clock."""
    row: tuple[Any, ...] = (0, _utc(clock), {}, {}, {}, "1", "topic", 0, 0, clock, 0)
    names = (
        "lane", "clock", "positions", "reached", "counters", "worker_version", "topic_id", "partition", "offset", "version",
        "deleted",
    )  # fmt: skip
    client.insert("lanes", [row], column_names=names)


def _utc(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
