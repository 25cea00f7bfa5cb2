"""From records to the facts that count: validity, identity, erasure, withdrawals, effective time, order (section 2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.oracle.calendar import DAY, HOUR

SINCE_1990: Final = 631_152_000_000
WINDOW: Final = 72 * HOUR

RANKS: Final = (
    "LeadCaptured", "LeadEnriched", "LeadScored", "LeadQualified", "LeadAssigned", "LeadAccepted",
    "LeadSalesQualified", "LeadPaused", "LeadResumed", "TouchRecorded", "OpportunityOpened", "OpportunityAmended",
    "OpportunityStageChanged", "OpportunityWon", "OpportunityLost", "LeadNurtured", "LeadRejected", "LeadRecycled",
    "LeadDisqualified", "LeadMerged", "LeadErasureRequested", "LeadErased",
)  # fmt: skip
REJECTIONS: Final = {
    "wrong_route": "recycled",
    "incomplete_data": "recycled",
    "inaccurate_data": "recycled",
    "below_threshold": "recycled",
    "existing_opportunity": "disqualified",
    "duplicate": "disqualified",
    "not_target": "disqualified",
}
"""Reason to reject -> the stage it leads to."""
REASONS: Final = frozenset(
    {
        "unable_to_reach", "inaccurate_data", "no_need", "no_budget", "no_fit", "bad_timing", "competitor",
        "do_not_contact", "other",
    }
)  # fmt: skip
"""Reasons to recycle, disqualify or lose."""


@dataclass(frozen=True)
class Record:
    """One record as it was received."""

    name: str
    """Record name, e.g. LeadCaptured."""
    event: Mapping[str, Any]
    """Every field of the schema; times are UTC milliseconds, enums their symbols."""
    received_at: int

    @property
    def lead(self) -> str:
        return str(self.event["lead_id"])

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.lead, str(self.event["source_system"]), str(self.event["event_id"])


@dataclass(frozen=True)
class Fact:
    """A record that counts, with the time that orders and judges it."""

    name: str
    event: Mapping[str, Any]
    received_at: int
    effective_at: int
    disputed: bool
    clock_ahead: bool

    @property
    def lead(self) -> str:
        return str(self.event["lead_id"])

    @property
    def event_id(self) -> str:
        return str(self.event["event_id"])

    @property
    def source_system(self) -> str:
        return str(self.event["source_system"])

    @property
    def place(self) -> tuple[int, int, str, str, str]:
        """Its place in the one order of all facts of all leads; the lead last, so that the order is total."""
        return self.effective_at, RANKS.index(self.name), self.source_system, self.event_id, self.lead


@dataclass
class Settled:
    """What is left to walk, and what was refused on the way."""

    leads: set[str]
    """All that are named by valid records."""
    facts: list[Fact]
    """In the one order."""
    withdrawn: list[Fact]
    refusals: list[tuple[str, str]]
    """(lead, word)"""
    disputed: list[tuple[str, str, str]]
    """The facts whose withdrawal came too late."""
    erased: dict[str, int]
    """lead -> received_at of its LeadErased"""


def body_hash(record: Record) -> str:
    """SHA-256 of the record's name and the event as canonical JSON; the time of receipt is no part of it."""
    text = json.dumps(record.event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((record.name + text).encode()).hexdigest()


def settle(records: Iterable[Record], body: Callable[[Record], str] = body_hash) -> Settled:
    """What counts of the records, whatever order they come in."""
    refusals: list[tuple[str, str]] = []
    counted = first_receipts([record for record in records if is_valid(record)], body)

    # After a LeadErased everything for that lead is refused, whatever its time ("after": received later).
    erased: dict[str, int] = {}
    for record in counted:
        if record.name == "LeadErased":
            erased[record.lead] = min(record.received_at, erased.get(record.lead, record.received_at))
    kept: list[Record] = []
    for record in counted:
        if record.lead in erased and record.received_at > erased[record.lead]:
            refusals.append((record.lead, "refused_erased"))
        else:
            kept.append(record)

    facts = {record.identity: fact_of(record) for record in kept if record.name != "FactWithdrawn"}
    withdrawals = [record for record in kept if record.name == "FactWithdrawn"]
    withdrawn: dict[tuple[str, str, str], Fact] = {}
    disputed: list[tuple[str, str, str]] = []
    # Of two withdrawals of one event the one received first counts.
    for withdrawal in sorted(withdrawals, key=lambda record: (record.received_at, record.identity)):
        system = withdrawal.event["withdrawn_source_system"] or withdrawal.event["source_system"]
        identity = (withdrawal.lead, str(system), str(withdrawal.event["withdrawn_event_id"]))
        fact = facts.get(identity)
        if fact is None or identity in withdrawn or fact.name == "LeadErased":
            continue
        if fact.effective_at < withdrawal.received_at - WINDOW:
            disputed.append(identity)
        else:
            withdrawn[identity] = fact
    left = [fact for identity, fact in facts.items() if identity not in withdrawn]
    return Settled(
        leads={record.lead for record in counted},
        facts=sorted(left, key=lambda fact: fact.place),
        withdrawn=list(withdrawn.values()),
        refusals=refusals,
        disputed=disputed,
        erased=erased,
    )


def first_receipts(records: Sequence[Record], body: Callable[[Record], str] = body_hash) -> list[Record]:
    """Of the records under one id the one received first; of several at that instant the smaller body hash."""
    under: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        under.setdefault(record.identity, []).append(record)
    return [min(same, key=lambda one: (one.received_at, body(one) if len(same) > 1 else "")) for same in under.values()]


def fact_of(record: Record) -> Fact:
    """effective_at is occurred_at, clamped to the 72 h before the receipt."""
    occurred_at, received_at = int(record.event["occurred_at"]), record.received_at
    return Fact(
        name=record.name,
        event=record.event,
        received_at=received_at,
        effective_at=min(max(occurred_at, received_at - WINDOW), received_at),
        disputed=occurred_at < received_at - WINDOW,
        clock_ahead=occurred_at > received_at,
    )


def is_valid(record: Record) -> bool:
    """Whether it may count at all: what is refused for its meaning takes no id and moves nothing."""
    event = record.event
    if event["occurred_at"] < SINCE_1990 or event["occurred_at"] > record.received_at + DAY:
        return False
    if record.name == "LeadRejected":
        return event["reason"] in REJECTIONS
    if record.name in {"LeadRecycled", "LeadDisqualified", "OpportunityLost"}:
        return event["reason"] in REASONS and (event["reason"] != "other" or bool(event["reason_text"]))
    if record.name == "OpportunityStageChanged" and event["reason"] is not None:
        return event["reason"] in REASONS and (event["reason"] != "other" or bool(event["reason_text"]))
    if record.name == "LeadMerged":
        return bool(event["into"] != event["lead_id"])
    if record.name == "LeadAssigned":
        return bool(event["owner"] != event["lead_id"])
    return True
