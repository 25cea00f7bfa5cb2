"""Puts together what the store holds and what the log still has: one lead's story, ready to be shown. Pure.

The store is what holds: stages and verdicts come from it. The log adds what each event was and did.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from processors.agreement import Agreements
from processors.calendars import Calendar
from processors.vocabulary import NEVER
from streams.explain.effects import effects
from streams.explain.heard import LeadLog
from streams.explain.retell import Line, Retold, retell
from streams.explain.shapes import ClockTold, EventTold, StageTold, Story
from streams.explain.stored import Row, Stored
from streams.explain.why import Evidence, why
from streams.explain.words import event

_UTC: Final = "UTC"
_LEAD: Final = (
    "stage", "cycle", "work_status", "source", "campaign", "owner", "owner_kind", "team", "grade", "stage_entered_at",
    "first_captured_at", "is_test",
)  # fmt: skip
_LETTER: Final = ("origin_topic", "origin_partition", "origin_offset", "reason", "detail", "failed_at")


def story(lead_id: str, stored: Stored, log: LeadLog | None, agreements: Agreements, notes: Sequence[str]) -> Story:
    """`log` None: it could not be read, and `notes` say why."""
    told = list(notes)
    erased_at = next((row["entered_at"] for row in stored.transitions if row["to_stage"] == "erased"), None)
    retold: Retold | None = None
    if log is not None and erased_at is None:
        try:
            retold = retell(lead_id, log.events, log.passed_on, agreements, stored.clock or 0, _until(stored))
        except (KeyError, OverflowError) as error:
            told.append(f"Events are not shown: {error.args[0]}.")
    if erased_at is not None:
        told.append("The lead was erased: what the log may still have of it is not shown.")
    unknown = _unknown_versions(stored, agreements)
    if unknown:
        told.append(
            f"Agreement {', '.join(unknown)} is not known here: what events did is not shown, and times may be in UTC. Name "
            "its files with --agreement, or the brokers that it is published to."
        )
    complete = retold is not None and not unknown and retold.agrees(stored.transitions, stored.clocks)
    if retold is not None and not unknown and not complete:
        told.append(
            "The log and the store differ: the log no longer has all events of this lead. What events did is not shown; "
            "stages and promises are the store's."
        )
    return _Telling(lead_id, stored, log, retold, complete, agreements).story(erased_at, told)


def _until(stored: Stored) -> int:
    """Newest arrival that the store knows of; what came later is on its way."""
    if stored.lead is not None:
        return int(stored.lead["last_received_at"])
    return NEVER if stored.transitions or stored.clocks else -1


def _unknown_versions(stored: Stored, agreements: Agreements) -> list[str]:
    named = {row["agreement_version"] for row in (*stored.transitions, *stored.clocks)}
    unknown = []
    for version in sorted(named):
        try:
            agreements.named(version)
        except KeyError:
            unknown.append(version)
    return unknown


class _Telling:
    def __init__(
        self,
        lead_id: str,
        stored: Stored,
        log: LeadLog | None,
        retold: Retold | None,
        complete: bool,
        agreements: Agreements,
    ) -> None:
        self.lead_id = lead_id
        self.stored = stored
        self.log = log
        self.retold = retold
        self.complete = complete
        self.agreements = agreements
        lines = [] if retold is None else retold.lines
        self.by_id: dict[str, list[Line]] = {}
        for line in lines:
            if line.fact is not None and line.outcome not in ("copy", "event_id_conflict"):
                self.by_id.setdefault(line.fact.event_id, []).append(line)
        team = stored.lead["team"] if stored.lead else None
        self.zone = self._zone_of(None, team)

    def story(self, erased_at: int | None, notes: list[str]) -> Story:
        stored, lead = self.stored, self.stored.lead
        events = None if self.retold is None else [self._event(line) for line in self.retold.lines]
        return Story(
            lead_id=self.lead_id,
            as_of=stored.clock,
            zone=self.zone,
            lead=None if lead is None else {name: lead[name] for name in _LEAD},
            merged_into=None if lead is None else lead["merged_into"],
            absorbed=list(stored.absorbed),
            erased_at=erased_at,
            stages=[self._stage(row) for row in stored.transitions],
            clocks=[self._clock(row) for row in stored.clocks],
            events=events,
            refusals={} if lead is None else dict(lead["refusals"]),
            dead_letters=[{name: row[name] for name in _LETTER} for row in stored.letters],
            notes=notes,
        )

    def _zone_of(self, version: str | None, team: str | None) -> str:
        """The team's own time, by the version that a clock has pinned, else by the one in force."""
        try:
            agreement = self.agreements.named(version) if version else self.agreements.at(self.stored.clock or 0)
            return agreement.zone_of(team)
        except KeyError:
            return _UTC

    def _calendar(self, row: Row) -> Calendar | None:
        try:
            return self.agreements.named(row["agreement_version"]).calendar(row["calendar"])
        except KeyError:
            return None

    def _line(self, event_id: str | None, at: int | None) -> Line | None:
        found = self.by_id.get(event_id or "", [])
        fitting = [line for line in found if line.fact is not None and line.fact.effective_at == at]
        return next(iter(fitting or found), None)

    def _words(self, event_id: str | None, at: int | None) -> str:
        line = self._line(event_id, at)
        if line is None or line.fact is None:
            return f"event {event_id}"
        return f"{event(line.fact.kind, line.fact.details)} ({event_id})"

    def _received_at(self, event_id: str | None, at: int | None) -> int | None:
        line = self._line(event_id, at)
        return None if line is None or line.fact is None else line.fact.received_at

    def _event(self, line: Line) -> EventTold:
        fact, heard = line.fact, line.heard
        return EventTold(
            effective_at=None if fact is None else fact.effective_at,
            occurred_at=None if heard is None else heard.occurred_at,
            received_at=fact.received_at if fact is not None else heard.received_at if heard is not None else None,
            type="" if fact is None else "LeadMerged" if fact.kind == "Absorbed" else fact.kind,
            event_id=None if fact is None else fact.event_id,
            source_system=None if fact is None else fact.source_system,
            lead_id=self.lead_id if fact is None else fact.lead_id,
            topic=None if heard is None else heard.topic,
            partition=None if heard is None else heard.partition,
            offset=None if heard is None else heard.offset,
            says="a record that is no event" if fact is None else event(fact.kind, fact.details),
            outcome=line.outcome,
            disputed=fact is not None and fact.disputed,
            clock_ahead=fact is not None and fact.clock_ahead,
            does=effects(line, self.zone, self.agreements) if self.complete or line.step is None else [],
        )

    def _stage(self, row: Row) -> StageTold:
        cause = self._words(row["event_id"], row["entered_at"])
        if cause.startswith("event "):
            cause = f"{row['event_type']} {row['event_id']} of {row['source_system']}"
        said = f"implied by {cause}: nobody reported this step" if row["implied"] else cause
        if row["confirmed"]:
            said += ", until its own event came later"
        if row["disputed"]:
            said += "; dated more than 72 h before it was received, so it counts from 72 h before"
        return StageTold(
            stage=row["to_stage"],
            why=said,
            **{
                name: row[name]
                for name in (
                    "entered_at", "from_stage", "cycle", "implied", "confirmed", "disputed", "event_type", "event_id",
                    "source_system", "reason",
                )
            },
        )  # fmt: skip

    def _clock(self, row: Row) -> ClockTold:
        zone = self._zone_of(row["agreement_version"], row["team"])
        mine = self.retold.clocks.get(row["instance_id"]) if self.retold is not None and self.complete else None
        told = None if self.log is None else [item for item in self.log.told if item.instance_id == row["instance_id"]]
        breaches = [item.at for item in told or () if item.kind == "breached"]
        known = Evidence(
            zone=zone,
            calendar=self._calendar(row),
            clock=self.stored.clock,
            event=self._words,
            received_at=self._received_at,
            assigned=self._assigned(row["cycle"]),
            pauses=None if mine is None else mine.pauses,
            announced_at=breaches[-1] if breaches else None,
        )
        moment = datetime.fromtimestamp(row["deadline"] / 1000, ZoneInfo(zone))
        return ClockTold(
            deadline_local=moment.isoformat(timespec="milliseconds"),
            zone=zone,
            pauses=None if mine is None else [{"from_at": begin, "until_at": end} for begin, end in mine.pauses],
            told=None if told is None else [{"at": item.at, "kind": item.kind, "verdict": item.verdict} for item in told],
            why=why(row, known),
            **{
                name: row[name]
                for name in (
                    "policy", "verdict", "started_at", "deadline", "calendar", "agreement_version", "target_ms",
                    "budget_ms", "paused_ms", "satisfied_at", "satisfied_by", "ended_at", "ended_by", "end", "elapsed_ms",
                    "overrun_ms", "late_evidence", "cycle", "grade", "owner", "team", "start_event_id", "instance_id",
                )
            },
        )  # fmt: skip

    def _assigned(self, cycle: int) -> tuple[int | None] | None:
        lead = self.stored.lead
        if lead is None or cycle not in lead["cycles.cycle"]:
            return None
        return (dict(zip(lead["cycles.cycle"], lead["cycles.first_assigned_at"], strict=True))[cycle],)
