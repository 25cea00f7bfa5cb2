"""The walk: every fact of every lead, sorted once, folded one after the other. What it tells is what must be true."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.oracle.agreement import BY_GRADE, BY_STAGE, GRADES, Agreements
from tests.oracle.clock import NEVER_PAUSED, Clock
from tests.oracle.lead import (
    WORK,
    Cooldown,
    Cycle,
    Lead,
    Opportunity,
    Pause,
    Wake,
    is_attempt,
    is_human,
    is_response,
    is_two_way,
)
from tests.oracle.merging import ENDING, unite, unite_clocks
from tests.oracle.moves import Move, decide
from tests.oracle.records import Fact, Record, body_hash, settle
from tests.oracle.routes import Routes, dropped_touches

__all__ = ["InstanceTold", "LeadStory", "Record", "TransitionTold", "tell"]

_ACTIVE: Final = frozenset({"sal", "sql", "opportunity"})


@dataclass(frozen=True)
class TransitionTold:
    """One entry of a stage."""

    cycle: int
    from_stage: str | None
    to_stage: str
    entered_at: int
    event_type: str
    event_id: str
    source_system: str
    implied: bool
    confirmed: bool
    disputed: bool
    reason: str | None
    agreement_version: str
    """In force at the effective time of the event."""


@dataclass(frozen=True)
class InstanceTold:
    """One clock and its verdict."""

    policy: str
    cycle: int
    start_event_id: str
    start_source_system: str
    start_event_type: str
    started_at: int
    deadline: int
    target_ms: int
    """The target it started with."""
    calendar: str
    agreement_version: str
    grade: str
    """No grade is told as warm: by that the target was picked."""
    owner: str | None
    team: str | None
    source: str | None
    """When it started, as grade, owner and team."""
    verdict: str
    satisfied_at: int | None
    satisfied_by: str | None
    ended_at: int | None
    ended_by: str | None
    elapsed_ms: int | None
    late_evidence: bool


@dataclass(frozen=True)
class LeadStory:
    """All that is to be told of one lead."""

    lead_id: str
    stage: str
    cycle: int
    owner: str | None
    owner_kind: str | None
    team: str | None
    grade: str | None
    work_status: str
    source: str | None
    campaign: str | None
    first_captured_at: int | None
    stage_entered_at: int | None
    opportunities: dict[str, tuple[int, str]]
    refusals: dict[str, int]
    transitions: list[TransitionTold]
    instances: list[InstanceTold]
    cycles: dict[int, Cycle]


def tell(
    records: Iterable[Record],
    agreements: Sequence[Mapping[str, Any]],
    *,
    now: int,
    grace_ms: int = 2000,
    touches_a_day: int = 256,
    body: Callable[[Record], str] = body_hash,
) -> dict[str, LeadStory]:
    """The stories of all leads named, at clock `now`. A function of the set of records: their order does not matter."""
    settled = settle(records, body)
    versions = Agreements(agreements)
    walk = Walk(versions, settled.erased)
    for name in settled.leads:
        walk.lead(name)
    for name, word in settled.refusals:
        walk.lead(name).refuse(word)
    dropped = dropped_touches(settled.facts, settled.withdrawn, touches_a_day)
    for identity in settled.disputed:
        if identity not in dropped:
            walk.lead(identity[0]).refuse("disputed")
    withdrawn = {id(fact) for fact in settled.withdrawn}
    for fact in sorted([*settled.facts, *settled.withdrawn], key=lambda one: one.place):
        walk.start_wakes(min(fact.effective_at, now))  # wake starts before the facts of that instant
        if id(fact) in withdrawn or (fact.lead, fact.source_system, fact.event_id) in dropped:
            walk.lead(fact.lead).folded.add((fact.source_system, fact.event_id))  # its id stays known
        else:
            walk.start_wakes(fact.effective_at, walk.touched_by(fact))
            walk.take(fact)
    walk.start_wakes(now)
    return {name: _story(lead, versions, now, grace_ms) for name, lead in sorted(walk.leads.items())}


class Walk:
    """The leads as they stand after the facts taken so far."""

    def __init__(self, agreements: Agreements, erased: Mapping[str, int]) -> None:
        self.agreements = agreements
        self.erased = erased
        self.leads: dict[str, Lead] = {}
        self.routes = Routes()

    def lead(self, lead_id: str) -> Lead:
        return self.leads.setdefault(lead_id, Lead(lead_id))

    # -- one fact --------------------------------------------------------------------------------------------------

    def take(self, fact: Fact) -> None:
        """Bring it to the lead that folds it."""
        named, lead = self.lead(fact.lead), self.lead(self.routes.holder(fact))
        if self.routes.goes_nowhere(fact):
            lead.refuse("refused_erased")
            return
        if lead is not named and fact.received_at > self.erased.get(lead.lead_id, fact.received_at):
            lead.refuse("refused_erased")  # redirected to a lead that was erased when it was received
            return
        identity = (fact.source_system, fact.event_id)
        if identity in lead.inherited or identity in lead.folded:
            return  # a re-keyed export: the united lead has folded it under another of its ids
        lead.folded.add(identity)
        match fact.name:
            case "LeadMerged":
                self.merge(lead, fact)
            case "LeadErased":
                self.erase(lead, fact)
            case _ if lead.stage == "erased":
                if decide(lead, fact, self.agreements.at(fact.effective_at)).refused:
                    lead.refuse("illegal")
            case _:
                self.fold(lead, fact)

    def fold(self, lead: Lead, fact: Fact) -> None:
        """An event of a lead that is neither merged nor erased (erasure requests apart)."""
        previous = (lead.owner, lead.owner_kind)
        self.learn(lead, fact)
        move = decide(lead, fact, self.agreements.at(fact.effective_at))
        self.apply(lead, fact, move)
        lead.cycles.setdefault(lead.cycle, Cycle()).note(
            lead.team,
            fact.effective_at if fact.name == "LeadCaptured" and fact.event["hand_raise"] else None,
            fact.effective_at if fact.name == "LeadAssigned" and lead.person is not None else None,
            fact.effective_at if is_response(fact) else None,
        )
        # One event first satisfies clocks, then ends them, then starts them.
        for clock in lead.open_clocks():
            if satisfies(fact, clock, lead, move):
                clock.satisfy(fact)
        if not ENDING.isdisjoint(move.enters):
            for clock in lead.open_clocks():
                if clock.policy not in {"mend", "erasure"}:
                    clock.end(fact)
        if fact.name == "LeadAssigned" and (lead.owner, lead.owner_kind) != previous:
            for clock in lead.open_clocks("acceptance", "owner_response"):
                clock.end(fact, transferred=True)
        self.start_clocks(lead, fact, move, previous)

    def learn(self, lead: Lead, fact: Fact) -> None:
        """What an event says whatever becomes of the stage."""
        event, instant = fact.event, fact.effective_at
        match fact.name:
            case "LeadCaptured":
                if lead.first_captured_at is None:
                    lead.first_captured_at = instant
                    lead.source, lead.campaign = event["source"], event["campaign"]
                if event["hand_raise"]:
                    lead.cooldowns = []  # a hand-raise ends every cool-down before it
            case "LeadScored":
                # No grade is warm; an upgrade is a hotter grade than the one before.
                if event["grade"] in GRADES:
                    if GRADES.index(event["grade"]) < GRADES.index(lead.grade or "warm"):
                        for clock in lead.open_clocks(*BY_GRADE):
                            clock.upgrade(instant, event["grade"])
                    lead.grade = event["grade"]
            case "LeadAssigned":
                lead.owner, lead.owner_kind, lead.team = event["owner"], event["owner_kind"], event["team"]
                if lead.person is not None:
                    lead.work_reached("assigned")
            case "LeadEnriched":
                for clock in lead.open_clocks("mend"):
                    clock.missing -= set(event["fields"])
            case "LeadPaused":
                self.pause(lead, fact)
            case "LeadResumed":
                self.end_pause(lead, instant)
            case "TouchRecorded" if is_human(fact):
                self.end_pause(lead, instant)
                lead.attempts += is_attempt(fact)
                lead.contact |= is_two_way(fact)
                lead.answered |= is_response(fact)
                if is_attempt(fact):
                    lead.work_reached("attempting")
                if is_two_way(fact):
                    lead.work_reached("connected")
                if event["channel"] == "meeting":
                    lead.work_reached("meeting_set")
            case _:
                pass

    def pause(self, lead: Lead, fact: Fact) -> None:
        """Whether the reason is on the list is asked of the version that is pinned to the clock."""
        instant, until = fact.effective_at, fact.event["until"]
        if until is not None and until <= instant:
            return  # no pause
        for version in self.agreements.versions:
            if fact.event["reason"] in version.pause_reasons:
                lead.pauses[version.version] = Pause(instant, until)
                for clock in lead.open_clocks():
                    if clock.agreement is version:
                        clock.pause(instant, until)

    def end_pause(self, lead: Lead, instant: int) -> None:
        lead.pauses = {}
        for clock in lead.open_clocks():
            clock.end_pause(instant)

    def apply(self, lead: Lead, fact: Fact, move: Move) -> None:
        """The move: refusals are counted, stages entered, opportunities known."""
        if move.refused is not None:
            lead.refuse(move.refused)
            if move.confirms is not None:
                lead.confirm(move.confirms)
        if move.new_cycle:
            lead.begin_cycle()
        if move.reopens:
            lead.start_anew()
        if move.opportunity is not None:
            name, status = move.opportunity
            lead.opportunities[name] = Opportunity(lead.cycle, status)
        for stage in move.enters:
            lead.enter(stage, fact, implied=stage != move.enters[-1])
        if fact.name == "LeadRecycled" and move.enters:
            length = self.agreements.at(fact.effective_at).cooldowns.get(fact.event["reason"])
            if length is not None:
                lead.cooldowns.append(Cooldown(fact.effective_at, fact.effective_at + length))

    # -- clocks ----------------------------------------------------------------------------------------------------

    def start_clocks(self, lead: Lead, fact: Fact, move: Move, previous: tuple[str | None, str | None]) -> None:
        """The column `starts` of the table of policies. Implied entries start nothing."""
        event, instant = fact.event, fact.effective_at
        entered = move.enters[-1] if move.enters else None
        if entered is not None:
            self.start("stage_age", lead, fact, instant, stage=entered)
        if entered == "sal":
            self.start("qualification", lead, fact, instant)
        match fact.name:
            case "LeadCaptured":
                if event["hand_raise"] and not lead.open_clocks("first_response"):
                    self.start_first_response(lead, fact)
            case "LeadQualified" if entered == "mql":
                if lead.person is None:
                    self.start("assignment", lead, fact, instant)
                if not lead.open_clocks("first_response") and not lead.promised and not lead.answered:
                    self.start_first_response(lead, fact)
            case "LeadAssigned":
                if lead.person is not None and (lead.owner, lead.owner_kind) != previous:
                    if lead.stage == "mql":
                        self.start("acceptance", lead, fact, instant)
                    if lead.open_clocks("first_response"):
                        self.start("owner_response", lead, fact, instant)
            case "TouchRecorded":
                self.start_by_touch(lead, fact)
            case "LeadNurtured":
                self.set_wake(lead, fact)
            case "LeadRejected" if entered is not None and event["reason"] in {"incomplete_data", "inaccurate_data"}:
                self.start("mend", lead, fact, instant, fields=event["fields"])
            case "LeadErasureRequested":
                if not lead.open_clocks("erasure"):
                    self.start("erasure", lead, fact, instant)
            case _:
                pass

    def start_first_response(self, lead: Lead, fact: Fact) -> None:
        if self.start("first_response", lead, fact, fact.effective_at) is not None:
            lead.promised = True

    def start_by_touch(self, lead: Lead, fact: Fact) -> None:
        instant = fact.effective_at
        if is_attempt(fact) and lead.attempts == 1:
            clock = self.start("cadence", lead, fact, instant)
            if clock is not None and satisfies(fact, clock, lead, Move()):
                clock.satisfy(fact)  # a first attempt that connects starts and meets it
        inbound = is_human(fact) and fact.event["direction"] == "inbound"
        if inbound and fact.event["outcome"] == "replied" and not lead.open_clocks("next_response"):
            self.start("next_response", lead, fact, instant)
        if is_human(fact) and lead.stage in _ACTIVE:
            self.start("inactivity", lead, fact, instant, stage=lead.stage)

    def start(
        self,
        policy: str,
        lead: Lead,
        fact: Fact,
        instant: int,
        *,
        stage: str = "",
        fields: Iterable[str] = (),
    ) -> Clock | None:
        """A clock by the version in force at the instant, if that promises anything; it is pinned."""
        version = self.agreements.at(instant)
        terms = version.terms(policy, lead.team, lead.source)
        grade = lead.grade or "warm"
        target = None if terms is None else terms.target(stage if policy in BY_STAGE else grade)
        if terms is None or target is None:
            return None
        clock = Clock(
            policy=policy,
            cycle=lead.cycle,
            start=fact,
            started_at=instant,
            agreement=version,
            terms=terms,
            target=target,
            grade=grade,
            owner=lead.owner,
            team=lead.team,
            source=lead.source,
            stage=stage,
            missing=set(fields),
        )
        pause = lead.pauses.get(version.version)
        if pause is not None and pause.runs_at(instant) and policy not in NEVER_PAUSED:
            clock.pause(instant, pause.until)  # a pause covers the clocks started inside it
        lead.clocks.append(clock)
        return clock

    # -- wake dates ------------------------------------------------------------------------------------------------

    def set_wake(self, lead: Lead, fact: Fact) -> None:
        """In nurture, newly or still: this date replaces the one before; one that has come starts at once."""
        if lead.stage != "nurture":
            return
        at = fact.event["wake_date"]
        lead.wake = None
        if at is not None and at <= fact.effective_at:
            self.start("wake", lead, fact, fact.effective_at)
        elif at is not None:
            lead.wake = Wake(at, fact)

    def touched_by(self, fact: Fact) -> set[str]:
        """Leads that stand at the fact's instant, be it ahead of the clock: whose it is, and with whom it unites it."""
        leads = {self.routes.holder(fact)}
        if fact.name == "LeadMerged":
            leads.add(self.routes.chain(fact.event["into"])[-1])
        return leads

    def start_wakes(self, instant: int, lead_ids: Collection[str] | None = None) -> None:
        """Wake dates that have come by then. `lead_ids`: of these leads; None: of all."""
        for lead in self.leads.values():
            if lead_ids is not None and lead.lead_id not in lead_ids:
                continue
            if lead.wake is not None and lead.wake.at <= instant:
                wake, lead.wake = lead.wake, None
                self.start("wake", lead, wake.nurtured, wake.at)

    # -- the ends of a lead ----------------------------------------------------------------------------------------

    def merge(self, loser: Lead, fact: Fact) -> None:
        """A LeadMerged, on the loser it names."""
        survivor = self.lead(self.routes.chain(fact.event["into"])[-1])
        word = self.routes.take(fact)
        if word is not None:
            loser.refuse(word)
            return
        nowhere = survivor.stage == "erased"
        entered = not nowhere and unite(survivor, loser, fact)
        loser.enter("merged", fact)
        loser.pauses = {}
        if nowhere:
            # Its content goes nowhere, and its open clocks are told no more.
            loser.clocks = [clock for clock in loser.clocks if not clock.is_open or clock.policy == "erasure"]
            return
        told = loser.cycles.get(survivor.cycle, Cycle())
        survivor.cycles.setdefault(survivor.cycle, Cycle()).note(
            survivor.team, told.hand_raised_at, told.assigned_at, told.answered_at
        )
        unite_clocks(survivor, loser, fact, entered=entered)
        if entered:
            self.start("stage_age", survivor, fact, fact.effective_at, stage=survivor.stage)

    def erase(self, lead: Lead, fact: Fact) -> None:
        """A LeadErased, on the lead it names: any but an erased one."""
        self.routes.take(fact)
        if lead.stage == "erased":
            return
        lead.enter("erased", fact)
        for clock in lead.open_clocks():
            if clock.policy in {"erasure", "stage_age"}:
                clock.satisfy(fact)  # the promise is kept; the stage is left
            else:
                clock.end(fact)


def satisfies(fact: Fact, clock: Clock, lead: Lead, move: Move) -> bool:
    """The column `met by` of the table of policies; `lead` and its attempts include the event already."""
    match clock.policy:
        case "assignment":
            return fact.name == "LeadAssigned" and lead.person is not None
        case "acceptance":
            return "sal" in move.enters or (fact.name == "LeadRejected" and bool(move.enters))
        case "first_response" | "owner_response":
            return is_response(fact)
        case "cadence":
            return is_two_way(fact) or (is_attempt(fact) and lead.attempts >= clock.agreement.attempts)
        case "qualification":
            return not {"sql", "recycled", "disqualified"}.isdisjoint(move.enters)
        case "next_response":
            return is_attempt(fact)
        case "stage_age":
            return any(stage != clock.stage for stage in move.enters)
        case "inactivity":
            return is_human(fact)
        case "wake":
            return is_attempt(fact) or "mql" in move.enters
        case "mend":
            return fact.name == "LeadEnriched" and not clock.missing
    return False


# -- telling -------------------------------------------------------------------------------------------------------


def _story(lead: Lead, versions: Agreements, now: int, grace: int) -> LeadStory:
    return LeadStory(
        lead_id=lead.lead_id,
        stage=lead.stage,
        cycle=lead.cycle,
        owner=lead.owner,
        owner_kind=lead.owner_kind,
        team=lead.team,
        grade=lead.grade,
        work_status=WORK[lead.work],
        source=lead.source,
        campaign=lead.campaign,
        first_captured_at=lead.first_captured_at,
        stage_entered_at=lead.stage_entered_at,
        opportunities={name: (one.cycle, one.status) for name, one in lead.opportunities.items()},
        refusals=dict(lead.refusals),
        transitions=[
            TransitionTold(
                cycle=one.cycle,
                from_stage=one.from_stage,
                to_stage=one.to_stage,
                entered_at=one.fact.effective_at,
                event_type=one.fact.name,
                event_id=one.fact.event_id,
                source_system=one.fact.source_system,
                implied=one.implied,
                confirmed=one.confirmed,
                disputed=one.fact.disputed,
                reason=one.fact.event.get("reason"),
                agreement_version=versions.at(one.fact.effective_at).version,
            )
            for one in lead.transitions
        ],
        instances=[_instance(clock, now, grace) for clock in lead.clocks],
        cycles=lead.cycles,
    )


def _instance(clock: Clock, now: int, grace: int) -> InstanceTold:
    satisfied, ended = clock.satisfied, clock.ended
    return InstanceTold(
        policy=clock.policy,
        cycle=clock.cycle,
        start_event_id=clock.start.event_id,
        start_source_system=clock.start.source_system,
        start_event_type=clock.start.name,
        started_at=clock.started_at,
        deadline=clock.deadline,
        target_ms=clock.target,
        calendar=clock.terms.calendar.name,
        agreement_version=clock.agreement.version,
        grade=clock.grade,
        owner=clock.owner,
        team=clock.team,
        source=clock.source,
        verdict=clock.verdict(now, grace),
        satisfied_at=None if satisfied is None else satisfied.effective_at,
        satisfied_by=None if satisfied is None else satisfied.event_id,
        ended_at=None if ended is None else ended.effective_at,
        ended_by=None if ended is None else ended.event_id,
        elapsed_ms=None if satisfied is None else clock.consumed(satisfied.effective_at),
        late_evidence=clock.is_late_evidence(grace),
    )
