"""A decoded event becomes a fact: checked, given its received_at and effective_at, stripped to what the fold reads.

No personal data passes this point: `details` holds the named fields and nothing else. May not import I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NoReturn

import msgspec

from processors.erasure import ERASED_PREFIX
from processors.vocabulary import ABSORBED, AHEAD, EARLIEST, END_REASONS, LATENESS, RANK, REJECT_REASONS, TICK

__all__ = ["RANK", "Fact", "Key", "RefusedFact", "check", "tick", "to_fact"]

Key = tuple[int, int, str, str, str]
"""Order of facts: effective_at, rank, source_system, event_id (by code point); then the lead, for leads that merge."""


class RefusedFact(ValueError):  # noqa: N818  # what it is, not that it is an error
    """An event that its schema allows but that cannot mean anything.

    `reason`: a closed word; `detail`: field, shape and mend.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Fact(msgspec.Struct, array_like=True, gc=False):
    """What the fold needs of one event. Times are UTC milliseconds."""

    effective_at: int
    rank: int
    source_system: str
    event_id: str
    kind: str
    """Record name."""
    lead_id: str
    received_at: int
    arrived_at: int
    """When it came to stand in the log; later than received_at for what was imported."""
    body: bytes
    """First 8 bytes of the SHA-256 of record name and event as canonical JSON: tells copies from conflicts."""
    disputed: bool
    """Dated more than 72 h before it was received."""
    clock_ahead: bool
    """Dated after it was received."""
    entered_by: str
    is_test: bool
    details: dict[str, Any]
    at: tuple[int, int]
    """(index of the input topic, offset) of the record it came from."""
    via: tuple[str, ...] = ()
    """Leads that passed it on after their merge, the first being the lead that the event names."""
    circular: bool = False
    """Of a LeadMerged: the survivor it names has merged, by earlier merges, into this lead."""
    lane: int = -1
    """Lane whose partition `at` speaks of, of a fact that another lane read and passed on: its producer put it there."""

    @property
    def key(self) -> Key:
        return (self.effective_at, self.rank, self.source_system, self.event_id, self.lead_id)

    def name_on(self, lead_id: str) -> str:
        """In whose name it acts on `lead_id`, for ids: of a merge both leads, for several may come under one event id."""
        # No lead id starts with NUL.
        return f"\0{len(self.lead_id)}:{self.lead_id}{lead_id}" if self.kind == ABSORBED else lead_id


def tick(at: int, now: int) -> Fact:
    """Stands for the lane clock having reached `at`; after every fact of that instant. `now`: the lane clock."""
    return Fact(at, len(RANK), "", "", TICK, "", at, now, b"", False, False, "system", False, {}, (-1, -1))


_DETAILS: Final[Mapping[str, tuple[str, ...]]] = {
    "LeadCaptured": ("source", "campaign", "hand_raise"),
    "LeadEnriched": ("fields",),
    "LeadScored": ("grade",),
    "LeadQualified": ("definition",),
    "LeadAssigned": ("owner", "owner_kind", "team"),
    "LeadAccepted": ("performed_by",),
    "LeadRejected": ("reason", "fields"),
    "LeadSalesQualified": ("performed_by",),
    "LeadPaused": ("reason", "until"),
    "LeadResumed": (),
    "LeadNurtured": ("wake_date",),
    "LeadRecycled": ("reason",),
    "LeadDisqualified": ("reason",),
    "LeadMerged": ("into",),
    "LeadErasureRequested": (),
    "LeadErased": (),
    "TouchRecorded": ("channel", "direction", "origin", "actor", "outcome", "performed_by"),
    "OpportunityOpened": ("opportunity_id", "source", "owner"),
    "OpportunityStageChanged": ("opportunity_id", "stage", "stage_status", "reason"),
    "OpportunityAmended": ("opportunity_id",),
    "OpportunityWon": ("opportunity_id",),
    "OpportunityLost": ("opportunity_id", "reason"),
    "FactWithdrawn": ("withdrawn_event_id", "withdrawn_source_system"),
}
"""What the fold reads of each event; never `person`, never free text."""

_NAMED: Final[Mapping[str, tuple[str, ...]]] = {
    "LeadCaptured": ("source",),
    "LeadAssigned": ("owner",),
    "LeadMerged": ("into",),
    "LeadPaused": ("reason",),
    "OpportunityOpened": ("opportunity_id", "source"),
    "OpportunityStageChanged": ("opportunity_id",),
    "OpportunityAmended": ("opportunity_id",),
    "OpportunityWon": ("opportunity_id",),
    "OpportunityLost": ("opportunity_id",),
    "FactWithdrawn": ("withdrawn_event_id",),
}
"""Strings that may not be empty, beside the common ones."""

_REASONS: Final[Mapping[str, frozenset[str]]] = {
    "LeadRejected": frozenset(REJECT_REASONS),
    "LeadRecycled": END_REASONS,
    "LeadDisqualified": END_REASONS,
    "OpportunityLost": END_REASONS,
}

_RESERVED: Final = ("\0", ERASED_PREFIX)
"""No lead id starts like this."""
_LAST: Final = 253_402_300_799_999
"""The end of the year 9999: what comes later has no date."""
_ABSURD_AMOUNT: Final = 10**15
"""Ten trillion of a currency with cents: a slip of the decimal point, not a deal."""
_LONGEST: Final = 512
"""Characters of any string that the fold keeps."""
_MOST_FIELDS: Final = 100
"""Names in a list of fields."""


def _missing(name: str, field: str) -> NoReturn:
    raise RefusedFact("missing_field", f"{name}.{field} is empty: give a non-empty string")


def _too_long(name: str, field: str, value: str) -> NoReturn:
    raise RefusedFact("invalid_value", f"{name}.{field} has {len(value)} characters: at most {_LONGEST} are kept")


def check(name: str, event: Mapping[str, Any]) -> None:
    """Refuses an event that its schema allows but the domain does not. `name`: record name; times in UTC milliseconds.

    What depends on received_at (more than 24 h ahead) is checked by to_fact.
    """
    for field in ("event_id", "lead_id", "source_system", *_NAMED.get(name, ())):
        value = event[field]
        if not value:
            _missing(name, field)
    for field in ("event_id", "lead_id", "source_system", *_DETAILS[name]):
        value = event[field]
        if isinstance(value, str):
            if len(value) > _LONGEST:
                _too_long(name, field, value)
        elif isinstance(value, list):
            if len(value) > _MOST_FIELDS:
                raise RefusedFact("invalid_value", f"{name}.{field} has {len(value)} names: at most {_MOST_FIELDS}")
            for item in value:
                if len(item) > _LONGEST:
                    _too_long(name, field, item)
    lead_id = event["lead_id"]
    for field in ("lead_id", "into") if name == "LeadMerged" else ("lead_id",):
        if event[field].startswith(_RESERVED):
            raise RefusedFact(
                "invalid_value",
                f"{name}.{field} starts with a NUL or with {ERASED_PREFIX}, which are kept for control records and erased "
                "leads: give the lead another id",
            )
    if event["occurred_at"] < EARLIEST:
        raise RefusedFact(
            "occurred_at_out_of_range",
            f"{name}.occurred_at is before 1990-01-01: give UTC milliseconds (not seconds) since 1970",
        )
    reasons = _REASONS.get(name)
    if reasons is not None:
        reason = event["reason"]
        if not reason:
            _missing(name, "reason")
        if reason not in reasons:
            raise RefusedFact("unknown_reason", f"{name}.reason is not one of {', '.join(sorted(reasons))}")
        if reason == "other" and not event.get("reason_text"):
            raise RefusedFact("missing_field", f"{name}.reason_text is empty: reason `other` needs the text")
    elif name == "OpportunityStageChanged" and event.get("stage_status") == "lost" and event.get("reason"):
        if event["reason"] not in END_REASONS:
            raise RefusedFact("unknown_reason", f"{name}.reason is not one of {', '.join(sorted(END_REASONS))}")
    elif name == "LeadMerged" and event["into"] == lead_id:
        raise RefusedFact("invalid_value", "LeadMerged.into is the lead itself: name the surviving lead")
    if event.get("owner") == lead_id:
        raise RefusedFact("invalid_value", f"{name}.owner is the lead itself: name the owner")
    for field in ("wake_date", "until"):
        if (event.get(field) or 0) > _LAST:
            raise RefusedFact(
                "invalid_value",
                f"{name}.{field} is after the year 9999: give UTC milliseconds (not microseconds) since 1970",
            )
    amount = event.get("amount_minor")
    if amount is not None:
        if not 0 <= amount <= _ABSURD_AMOUNT:
            raise RefusedFact("invalid_value", f"{name}.amount_minor is negative or absurd: give minor units (cents)")
        currency = event.get("currency")
        if not (currency and len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
            raise RefusedFact(
                "invalid_value", f"{name}.currency must be an ISO 4217 code such as EUR where amount_minor is given"
            )


def to_fact(
    name: str,
    event: Mapping[str, Any],
    received_at: int,
    at: tuple[int, int] = (-1, -1),
    arrived_at: int | None = None,
) -> Fact:
    """The fact that a decoded event is, received at `received_at`. Raises RefusedFact.

    effective_at = occurred_at clamped to [received_at - 72 h, received_at].
    """
    check(name, event)
    occurred_at = event["occurred_at"]
    if occurred_at > received_at + AHEAD:
        raise RefusedFact(
            "occurred_at_out_of_range",
            f"{name}.occurred_at is more than 24 h after the record was received: mend the producer's clock or unit",
        )
    floor = received_at - LATENESS
    disputed = occurred_at < floor
    clock_ahead = occurred_at > received_at
    return Fact(
        floor if disputed else received_at if clock_ahead else occurred_at,
        RANK[name],
        event["source_system"],
        event["event_id"],
        name,
        event["lead_id"],
        received_at,
        received_at if arrived_at is None else arrived_at,
        sha256(name.encode() + msgspec.json.encode(event, order="deterministic")).digest()[:8],
        disputed,
        clock_ahead,
        event["entered_by"],
        event["is_test"],
        {field: event[field] for field in _DETAILS[name]},
        at,
    )
