"""Why a clock stands as it stands: one paragraph, from the row of the store and what is known of its events. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processors.calendars import ALWAYS, Calendar
from streams.explain.words import amount, local, promise


@dataclass(frozen=True)
class Evidence:
    """What is known around a clock. Instants in UTC milliseconds."""

    zone: str
    calendar: Calendar | None
    """Of the pinned version; None: that version is not known here."""
    clock: int | None
    """The lane clock."""
    event: Callable[[str | None, int | None], str]
    """(event id, its instant) -> words for it."""
    received_at: Callable[[str | None, int | None], int | None]
    """Likewise -> when it arrived; None: unknown."""
    assigned: tuple[int | None] | None
    """When a person first owned the lead in the clock's cycle, if anybody did; None: unknown."""
    pauses: Sequence[tuple[int, int]] | None
    """None: unknown."""
    announced_at: int | None
    """Lane clock at which its breach was told; None: unknown, or it was not."""


def why(row: Mapping[str, Any], known: Evidence) -> str:
    """`row`: of sla_instances."""
    parts = [_VERDICTS.get(row["verdict"], _unknown)(row, known)]
    parts += [part(row, known) for part in (_taken_back, _shared, _paused, _shortened, _moved)]
    return " ".join(part for part in parts if part)


def _time(at: int, known: Evidence) -> str:
    return local(at, known.zone)


def _amount(milliseconds: int, row: Mapping[str, Any]) -> str:
    return amount(milliseconds, working=row["calendar"] != ALWAYS.name)


def _deadline(row: Mapping[str, Any], known: Evidence) -> str:
    return _time(row["deadline"], known)


def _open(row: Mapping[str, Any], known: Evidence) -> str:
    left = ""
    if known.clock is not None and known.calendar is not None and known.clock < row["deadline"]:
        left = f", {_amount(known.calendar.between(known.clock, row['deadline']), row)} from now"
    return f"Running: {promise(row['policy']).promised} by {_deadline(row, known)}{left}."


def _met(row: Mapping[str, Any], known: Evidence) -> str:
    by = known.event(row["satisfied_by"], row["satisfied_at"])
    spent = "" if row["elapsed_ms"] is None else f", {_amount(row['elapsed_ms'], row)} after the start"
    allowed = _amount(row["budget_ms"] or row["target_ms"], row)
    return f"Kept: {by} at {_time(row['satisfied_at'], known)}{spent}; {allowed} were allowed, until {_deadline(row, known)}."


def _breached(row: Mapping[str, Any], known: Evidence) -> str:
    return f"Breached: {promise(row['policy']).missing} before {_deadline(row, known)}"


def _late_met(row: Mapping[str, Any], known: Evidence) -> str:
    by = known.event(row["satisfied_by"], row["satisfied_at"])
    late = "" if row["overrun_ms"] is None else f" was {_amount(row['overrun_ms'], row)} late"
    return f"{_breached(row, known)}; {by} at {_time(row['satisfied_at'], known)}{late}."


def _breached_open(row: Mapping[str, Any], known: Evidence) -> str:
    over = ""
    if known.clock is not None and known.calendar is not None:
        over = f": {_amount(known.calendar.between(row['deadline'], known.clock), row)} by now"
    return f"{_breached(row, known)}, nor since{over}."


def _breached_ended(row: Mapping[str, Any], known: Evidence) -> str:
    late = "" if row["overrun_ms"] is None else f" {_amount(row['overrun_ms'], row)} later"
    return f"{_breached(row, known)}; it ended{late}, at {_time(row['ended_at'], known)}: {_end(row, known)}."


def _cancelled(row: Mapping[str, Any], known: Evidence) -> str:
    at = _time(row["ended_at"], known)
    return f"Called off at {at}, before the deadline {_deadline(row, known)}: {_end(row, known)}. It counts for nobody."


def _transferred(row: Mapping[str, Any], known: Evidence) -> str:
    owner = row["owner"] or "the owner"
    by = known.event(row["ended_by"], row["ended_at"])
    at = _time(row["ended_at"], known)
    return f"Passed on at {at}, before the deadline {_deadline(row, known)}: {by}. It counts for nobody (owner then: {owner})."


def _unknown(row: Mapping[str, Any], known: Evidence) -> str:
    return f"{row['verdict']}, due {_deadline(row, known)}."


def _end(row: Mapping[str, Any], known: Evidence) -> str:
    if row["end"] == "superseded":
        return "at a merge the clock of the same promise with the earlier deadline stays, and this one ends"
    by = known.event(row["ended_by"], row["ended_at"])
    if row["end"] == "transferred":
        return f"{by}, a new owner"
    return f"{by}, so the lead is {row['end']}"


_VERDICTS: Mapping[str, Callable[[Mapping[str, Any], Evidence], str]] = {
    "open": _open,
    "met": _met,
    "late_met": _late_met,
    "breached_open": _breached_open,
    "breached_ended": _breached_ended,
    "cancelled": _cancelled,
    "transferred": _transferred,
}


def _taken_back(row: Mapping[str, Any], known: Evidence) -> str:
    if row["verdict"] in ("late_met", "breached_open", "breached_ended"):
        return ""
    if not row["late_evidence"] and row["kind"] != "breach_retracted" and known.announced_at is None:
        return ""
    told = "" if known.announced_at is None else f" told at {_time(known.announced_at, known)}"
    arrived = known.received_at(row["satisfied_by"], row["satisfied_at"])
    if row["late_evidence"]:
        when = "after the deadline" if arrived is None else f"at {_time(arrived, known)}, after the deadline"
        return f"Baton heard of it only {when}: the breach{told} is taken back."
    return f"The breach{told} turned out untrue and is taken back."


def _shared(row: Mapping[str, Any], known: Evidence) -> str:
    """Whose time it was: before and after the lead had an owner."""
    if row["policy"] != "first_response" or row["verdict"] not in ("late_met", "breached_open", "breached_ended"):
        return ""
    calendar = known.calendar
    if calendar is None or known.assigned is None:
        return ""
    [at] = known.assigned
    finished = row["satisfied_at"] or row["ended_at"] or known.clock
    if at is None or (finished is not None and at > finished):
        return "No person owned the lead meanwhile."
    if at <= row["started_at"]:
        return ""
    waited = _amount(calendar.between(row["started_at"], at), row)
    if at >= row["deadline"]:
        return f"It had no owner for the first {waited}, until after the deadline."
    left = _amount(calendar.between(at, row["deadline"]), row)
    return f"It had no owner for the first {waited}; its owner then had {left} left."


def _paused(row: Mapping[str, Any], known: Evidence) -> str:
    if not row["paused_ms"]:
        return ""
    spans = ""
    if known.pauses:
        spans = " (" + ", ".join(f"{_time(a, known)} to {_time(b, known)}" for a, b in known.pauses) + ")"
    return f"A pause took out {_amount(row['paused_ms'], row)}{spans}."


def _shortened(row: Mapping[str, Any], known: Evidence) -> str:
    if not row["budget_ms"] or row["budget_ms"] >= row["target_ms"]:
        return ""
    target, budget = _amount(row["target_ms"], row), _amount(row["budget_ms"], row)
    return f"The lead became hotter meanwhile: {budget} were allowed in all instead of {target}."


def _moved(row: Mapping[str, Any], known: Evidence) -> str:
    return "It came with a lead that was merged into this one." if row["moves"] else ""
