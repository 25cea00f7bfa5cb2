"""SLA clocks: what starts, satisfies and ends them. An event first satisfies, then ends, then starts.

One function for each of the three, in that order; the arithmetic of a clock is in instances. Pure; may not import I/O.
"""

from __future__ import annotations

from msgspec.structs import replace

from processors.agreement import Agreement, Agreements
from processors.facts import Fact
from processors.ids import instance_id
from processors.instances import budgeted, calendar_of, consumed, paused, resumed
from processors.moves import Move
from processors.state import Instance, State, Story
from processors.touches import Touch
from processors.vocabulary import BY_GRADE, ENDS, GRADES, MEND_REASONS, NEVER_PAUSED, OWNERS, WORKED
from schemas.types import Verdict


class Before:
    """What of the lead an event is about to change and its clocks ask for."""

    __slots__ = ("grade", "owner")

    def __init__(self, state: State) -> None:
        self.owner = state.owner if state.owner_kind == "person" else None
        self.grade = state.grade or "warm"


def react(
    lead_id: str,
    state: State,
    before: Before,
    fact: Fact,
    touch: Touch,
    move: Move,
    agreements: Agreements,
    agreement: Agreement,
    story: Story,
) -> None:
    """Lets `fact`, which made `move`, act on the clocks of `state` (already moved). What changes goes into `story`."""
    kind = fact.kind
    if kind == "LeadPaused" or (state.pauses and (touch.human or kind == "LeadResumed")):
        _pause(state, fact, agreements, story)
    if state.clocks:
        _satisfy(state, fact, touch, move, agreements, story)
        if state.clocks:
            _end(state, before, fact, move, story)
            if kind == "LeadScored" and state.clocks:
                _upgrade(state, before, fact, agreements, story)
    _start(lead_id, state, before, fact, touch, move, agreement, story)


def _satisfy(state: State, fact: Fact, touch: Touch, move: Move, agreements: Agreements, story: Story) -> None:
    for clock in list(state.clocks.values()):
        if _satisfies(clock, state, fact, touch, move, agreements):
            satisfy(state, clock, fact, story)
        elif clock.open_fields and fact.kind == "LeadEnriched" and clock.policy == "mend":
            left = tuple(name for name in clock.open_fields if name not in fact.details["fields"])
            if left != clock.open_fields:
                keep(state, replace(clock, open_fields=left), story)


def satisfy(state: State, clock: Instance, fact: Fact, story: Story) -> None:
    del state.clocks[clock.instance_id]
    story.instances[clock.instance_id] = replace(
        clock, satisfied_at=fact.effective_at, satisfied_by=fact.event_id, satisfied_received_at=fact.received_at
    )


def end(state: State, clock: Instance, fact: Fact, why: str, story: Story) -> None:
    del state.clocks[clock.instance_id]
    story.instances[clock.instance_id] = replace(clock, ended_at=fact.effective_at, ended_by=fact.event_id, end=why)


def keep(state: State, clock: Instance, story: Story) -> None:
    state.clocks[clock.instance_id] = clock
    story.instances[clock.instance_id] = clock


def _satisfies(clock: Instance, state: State, fact: Fact, touch: Touch, move: Move, agreements: Agreements) -> bool:
    match clock.policy:
        case "first_response" | "owner_response":
            return touch.response
        case "stage_age":
            return bool(move.enters)
        case "inactivity":
            return touch.human
        case "cadence":
            if touch.contact:
                return True
            return touch.attempt and state.attempts >= agreements.named(clock.agreement_version).attempts
        case "next_response":
            return touch.attempt
        case "wake":
            return touch.attempt or "mql" in move.enters
        case "assignment":
            return fact.kind == "LeadAssigned" and state.owner_kind == "person"
        case "acceptance":
            return "sal" in move.enters or (fact.kind == "LeadRejected" and bool(move.enters))
        case "qualification":
            return not {"sql", "recycled", "disqualified"}.isdisjoint(move.enters)
        case "mend":
            return fact.kind == "LeadEnriched" and _mended(clock, fact)
        case "erasure":
            return fact.kind == "LeadErased" and bool(move.enters)
        case _:
            return False


def _mended(clock: Instance, fact: Fact) -> bool:
    # Where the rejection named no field, any enrichment mends.
    return all(name in fact.details["fields"] for name in clock.open_fields)


def _end(state: State, before: Before, fact: Fact, move: Move, story: Story) -> None:
    for stage in move.enters:
        if stage in ENDS:
            for clock in list(state.clocks.values()):
                if clock.policy != "erasure" and (clock.policy != "mend" or stage == "erased"):
                    end(state, clock, fact, stage, story)
            return
    if fact.kind == "LeadAssigned" and not _same_owner(before, fact):
        for clock in list(state.clocks.values()):
            if clock.policy in OWNERS:
                end(state, clock, fact, "transferred", story)


def _same_owner(before: Before, fact: Fact) -> bool:
    kind, owner = fact.details["owner_kind"], fact.details["owner"]
    return bool(kind == "person" and before.owner == owner)


def _upgrade(state: State, before: Before, fact: Fact, agreements: Agreements, story: Story) -> None:
    """A hotter grade shortens what is open; a cooler one never extends it."""
    grade = fact.details["grade"]
    if GRADES.index(grade) <= GRADES.index(before.grade):
        return
    for clock in list(state.clocks.values()):
        if clock.policy not in BY_GRADE:
            continue
        promise = agreements.named(clock.agreement_version).promise(clock.policy, clock.team, clock.source, grade)
        if promise is None:
            continue
        calendar = calendar_of(clock, agreements)
        budget = consumed(clock, fact.effective_at, calendar) + promise.target_ms
        if budget < clock.budget:
            keep(state, budgeted(clock, budget, calendar), story)


def _pause(state: State, fact: Fact, agreements: Agreements, story: Story) -> None:
    """Sets a pause, or ends it. Whether its reason is on the list is asked of the version that each clock has pinned."""
    at = fact.effective_at
    if fact.kind != "LeadPaused":
        state.pauses = {}
        for clock in list(state.clocks.values()):
            if clock.pauses:
                now = resumed(clock, at, calendar_of(clock, agreements))
                if now is not clock:
                    keep(state, now, story)
        return
    until = fact.details["until"]
    if until is not None and until <= at:
        return
    for version in agreements:
        if fact.details["reason"] in version.pause_reasons:
            state.pauses[version.version] = (at, until)
            for clock in list(state.clocks.values()):
                if clock.agreement_version == version.version and clock.policy not in NEVER_PAUSED:
                    calendar = version.calendar(clock.calendar)
                    now = paused(clock, at, until, version.pause_cap(calendar), calendar)
                    if now != clock:
                        keep(state, now, story)


def _start(
    lead_id: str,
    state: State,
    before: Before,
    fact: Fact,
    touch: Touch,
    move: Move,
    agreement: Agreement,
    story: Story,
) -> None:
    kind = fact.kind
    stage = state.stage
    if stage in ("merged", "erased"):
        # Nobody answers such a lead: a clock of it could only breach. Its erasure is still owed.
        if kind == "LeadErasureRequested" and stage == "merged":
            _erasure(lead_id, state, fact, agreement, story)
        return
    # An implied entry never starts a clock, so only the last entered stage counts.
    entered = move.enters[-1] if move.enters else None
    raised = kind == "LeadCaptured" and fact.details["hand_raise"]
    if (raised or (entered == "mql" and not state.clocked and not state.answered)) and not _is_open(
        state, "first_response"
    ):
        first = start(lead_id, "first_response", state, fact, agreement, story)
        state.clocked |= first is not None
    if entered is not None:
        if entered == "mql" and kind == "LeadQualified" and state.owner_kind != "person":
            start(lead_id, "assignment", state, fact, agreement, story)
        elif entered == "sal":
            start(lead_id, "qualification", state, fact, agreement, story)
        start(lead_id, "stage_age", state, fact, agreement, story, key=entered)
    if kind == "LeadAssigned":
        if fact.details["owner_kind"] == "person" and not _same_owner(before, fact):
            if stage == "mql":
                start(lead_id, "acceptance", state, fact, agreement, story)
            if _is_open(state, "first_response"):
                start(lead_id, "owner_response", state, fact, agreement, story)
    elif touch.human:
        if touch.attempt and state.attempts == 1:
            cadence = start(lead_id, "cadence", state, fact, agreement, story)
            if cadence is not None and (touch.contact or agreement.attempts <= 1):
                satisfy(state, cadence, fact, story)
        if touch.reply and not _is_open(state, "next_response"):
            start(lead_id, "next_response", state, fact, agreement, story)
        if stage in WORKED:
            start(lead_id, "inactivity", state, fact, agreement, story, key=stage)
    elif kind == "LeadRejected":
        if entered is not None and fact.details["reason"] in MEND_REASONS:
            mend = start(lead_id, "mend", state, fact, agreement, story)
            if mend is not None:
                keep(state, replace(mend, open_fields=tuple(sorted(set(fact.details["fields"])))), story)
    elif kind == "LeadErasureRequested":
        _erasure(lead_id, state, fact, agreement, story)


def _erasure(lead_id: str, state: State, fact: Fact, agreement: Agreement, story: Story) -> None:
    if not _is_open(state, "erasure"):
        start(lead_id, "erasure", state, fact, agreement, story)


def _is_open(state: State, policy: str) -> bool:
    return any(clock.policy == policy for clock in state.clocks.values())


def start(
    lead_id: str,
    policy: str,
    state: State,
    fact: Fact,
    agreement: Agreement,
    story: Story,
    *,
    key: str | None = None,
    at: int | None = None,
) -> Instance | None:
    """Starts a clock, unless the agreement promises nothing. `key`: stage, for policies by stage; `at`: default now.

    `agreement`: the version in force at that instant.
    """
    grade = state.grade or "warm"
    promise = agreement.promise(policy, state.team, state.source, grade if key is None else key)
    if promise is None:
        return None
    began = fact.effective_at if at is None else at
    target, calendar = promise
    clock = Instance(
        instance_id=instance_id(policy, fact.name_on(lead_id), fact.source_system, fact.event_id),
        policy=policy,
        cycle=state.cycle,
        start_event_id=fact.event_id,
        start_source_system=fact.source_system,
        started_at=began,
        deadline=calendar.add(began, target),
        target_ms=target,
        calendar=calendar.name,
        agreement_version=agreement.version,
        grade=grade,
        owner=state.owner,
        team=state.team,
        source=state.source,
        is_test=state.is_test,
        budget=target,
        stage=state.stage or None,
        start_event_type=fact.kind,
    )
    if state.pauses and policy not in NEVER_PAUSED:
        pause = state.pauses.get(agreement.version)
        if pause is not None and (pause[1] is None or pause[1] > began):
            clock = paused(clock, began, pause[1], agreement.pause_cap(calendar), calendar)
    keep(state, clock, story)
    return clock


def verdict(instance: Instance, announced: bool) -> Verdict:
    """Where the instance stands. `announced`: its breach was told, for the deadline it has now."""
    if instance.satisfied_at is not None:
        return "met" if instance.satisfied_at <= instance.deadline else "late_met"
    if instance.ended_at is not None:
        if instance.ended_at > instance.deadline:
            return "breached_ended"
        return "transferred" if instance.end == "transferred" else "cancelled"
    return "breached_open" if announced else "open"


def late_evidence(instance: Instance, grace_ms: int) -> bool:
    """Met in time by an event that was received after deadline and grace."""
    return (
        instance.satisfied_at is not None
        and instance.satisfied_received_at is not None
        and instance.satisfied_at <= instance.deadline
        and instance.satisfied_received_at > instance.deadline + grace_ms
    )
