"""One fact, in its place in the order, changes a lead: its stage, its attributes, its clocks.

Called once per fact in order and again in a refold; it must depend on nothing but its arguments. May not import I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from processors import merging, moves, sla
from processors.agreement import Agreement, Agreements
from processors.facts import Fact
from processors.ids import event_hash, holds, transition_id
from processors.moves import Move
from processors.state import Journey, State, Story, Transition
from processors.touches import NO_TOUCH, Touch, touch_of
from processors.vocabulary import ABSORBED, REDIRECTED_NEVER, TICK, WORK


def apply(lead_id: str, state: State, fact: Fact, agreements: Agreements, story: Story, ids: bytes = b"") -> None:
    """Applies `fact`, which must follow in order all that `state` has seen, and adds what it says to `story`.

    `ids`: 8 bytes for each event id that the lead had folded before, where `fact` is a LeadMerged; its own, if it is one of
    those, where a merged lead has passed it on.
    """
    if state.wake is not None and state.wake[0] <= fact.effective_at:
        _wake(lead_id, state, fact, agreements, story)
    kind = fact.kind
    if kind == TICK:
        return
    if state.merged_into is not None and kind not in REDIRECTED_NEVER:
        merging.pass_on(lead_id, fact, state.merged_into, story)
        return
    if kind == ABSORBED:
        _absorb(lead_id, state, fact, agreements, story)
        return
    if fact.via and comes_after_erasure(state, fact):
        state.refusals["refused_erased"] = state.refusals.get("refused_erased", 0) + 1
        return
    if state.absorbed or fact.via:
        # Exported under both ids of a united lead, an event counts once.
        identity = event_hash(fact.source_system, fact.event_id)
        if holds(state.absorbed, identity) or (fact.via and ids):
            return
        if fact.via:
            state.absorbed += identity
    agreement = agreements.at(fact.effective_at)
    if fact.is_test:
        state.is_test = True
    move = moves.decide(state, fact, agreement.attempts)
    if kind == "LeadMerged":
        merging.hand_over(lead_id, state, fact, ids, story, accepted=move.refusal is None)
    if move.refusal is not None:
        state.refusals[move.refusal] = state.refusals.get(move.refusal, 0) + 1
        if move.confirms is not None:
            _confirm(state, move.confirms, story)
    if move.new_cycle:
        _new_cycle(state)
    elif move.reopens:
        state.attempts, state.contact, state.answered, state.clocked = 0, False, False, False
    journey = _journey(state)
    before = sla.Before(state)
    touch = touch_of(fact) if kind == "TouchRecorded" else NO_TOUCH
    note = _NOTES.get(kind)
    if note is not None:
        note(state, journey, fact, move, touch)
    for stage in move.enters:
        _enter(lead_id, state, journey, stage, stage != move.enters[-1], fact, agreement, story)
    if move.enters and kind == "LeadRecycled":
        length = agreement.cooldowns.get(fact.details["reason"], 0)
        state.cooldown_until = max(state.cooldown_until, fact.effective_at + length)
    if kind != "LeadMerged":
        sla.react(lead_id, state, before, fact, touch, move, agreements, agreement, story)


def comes_after_erasure(state: State, fact: Fact) -> bool:
    """Whether a merged lead's fact was received after this lead was erased, or follows a merge into it that was."""
    if state.erased_at and fact.received_at > state.erased_at:
        return True
    return any(lead_id in fact.via and key < fact.key for lead_id, key in state.nowhere)


def _wake(lead_id: str, state: State, fact: Fact, agreements: Agreements, story: Story) -> None:
    """The wake date has come before `fact`, and the lead is still in nurture: its clock starts then."""
    if state.wake is not None:
        at, event_id, source_system = state.wake
        state.wake = None
        cause = replace(fact, kind="LeadNurtured", event_id=event_id, source_system=source_system, effective_at=at)
        sla.start(lead_id, "wake", state, cause, agreements.at(at), story)


def _absorb(lead_id: str, state: State, fact: Fact, agreements: Agreements, story: Story) -> None:
    snapshot = merging.snapshot_of(fact)
    if snapshot is None:
        return
    if state.stage == "erased" or comes_after_erasure(state, fact):
        state.nowhere += ((fact.lead_id, fact.key),)
        return
    entered = merging.unite(state, snapshot)
    journey = _journey(state)
    merging.unite_journeys(journey, state, snapshot.state)
    agreement = agreements.at(fact.effective_at)
    if entered is not None:
        _enter(lead_id, state, journey, entered, False, fact, agreement, story)
    merging.move_clocks(state, snapshot.state, fact, agreements, story)
    merging.settle(state, snapshot.state, fact, entered, story)
    if entered is not None:
        sla.start(lead_id, "stage_age", state, fact, agreement, story, key=entered)


def _new_cycle(state: State) -> None:
    state.cycle += 1
    state.owner = state.owner_kind = None
    state.work = state.attempts = 0
    state.contact = state.answered = state.clocked = False
    state.cooldown_until = 0
    state.implied.clear()


def _journey(state: State) -> Journey:
    if not state.journeys or state.journeys[-1].cycle != state.cycle:
        state.journeys.append(Journey(state.cycle, owner=state.owner, team=state.team, grade=state.grade))
    return state.journeys[-1]


def _enter(
    lead_id: str,
    state: State,
    journey: Journey,
    stage: str,
    implied: bool,
    fact: Fact,
    agreement: Agreement,
    story: Story,
) -> None:
    state.sequence += 1
    transition = Transition(
        transition_id=transition_id(fact.name_on(lead_id), fact.source_system, fact.event_id, stage),
        cycle=state.cycle,
        sequence=state.sequence,
        from_stage=state.stage or None,
        to_stage=stage,
        entered_at=fact.effective_at,
        event_type="LeadMerged" if fact.kind == ABSORBED else fact.kind,
        event_id=fact.event_id,
        source_system=fact.source_system,
        entered_by=fact.entered_by,
        implied=implied,
        confirmed=False,
        disputed=fact.disputed,
        source=state.source,
        campaign=state.campaign,
        owner=state.owner,
        team=state.team,
        grade=state.grade,
        reason=fact.details.get("reason"),
        agreement_version=agreement.version,
        is_test=state.is_test,
    )
    story.transitions[transition.transition_id] = transition
    if state.stage == "nurture" and fact.kind != ABSORBED:
        state.wake = None
    state.stage = stage
    state.stage_entered_at = fact.effective_at
    if stage not in journey.entered:
        journey.entered[stage] = fact.effective_at
        if implied:
            journey.implied.append(stage)
    if implied:
        state.implied[stage] = transition


def _confirm(state: State, stage: str, story: Story) -> None:
    implied = state.implied.pop(stage, None)
    if implied is not None:
        confirmed = replace(implied, confirmed=True)
        story.transitions[implied.transition_id] = confirmed
        journey = _journey(state)
        # Where a reopening led to the stage again, the journey tells of the first entry.
        if stage in journey.implied and journey.entered[stage] == implied.entered_at:
            journey.implied.remove(stage)


def _note_captured(state: State, journey: Journey, fact: Fact, move: Move, touch: Touch) -> None:
    if state.first_captured_at is None:
        state.first_captured_at = fact.effective_at
        state.source = fact.details["source"]
        state.campaign = fact.details["campaign"]
    if fact.details["hand_raise"]:
        state.cooldown_until = 0
        if journey.hand_raised_at is None:
            journey.hand_raised_at = fact.effective_at


def _note_scored(state: State, journey: Journey, fact: Fact, move: Move, touch: Touch) -> None:
    state.grade = journey.grade = fact.details["grade"]


def _note_assigned(state: State, journey: Journey, fact: Fact, move: Move, touch: Touch) -> None:
    state.owner = journey.owner = fact.details["owner"]
    state.owner_kind = fact.details["owner_kind"]
    state.team = journey.team = fact.details["team"]
    if state.owner_kind == "person":
        _work(state, "assigned")
        if journey.first_assigned_at is None:
            journey.first_assigned_at = fact.effective_at


def _note_touch(state: State, journey: Journey, fact: Fact, move: Move, touch: Touch) -> None:
    if not touch.human:
        return
    if touch.attempt:
        state.attempts += 1
        _work(state, "attempting")
    if touch.contact:
        state.contact = True
        _work(state, "connected")
    if touch.meeting:
        _work(state, "meeting_set")
    if touch.response:
        state.answered = True
        if journey.first_touched_at is None:
            journey.first_touched_at = fact.effective_at


def _note_nurtured(state: State, journey: Journey, fact: Fact, move: Move, touch: Touch) -> None:
    if move.enters or state.stage == "nurture":
        wake_date = fact.details["wake_date"]
        state.wake = (
            None if wake_date is None else (max(wake_date, fact.effective_at), fact.event_id, fact.source_system)
        )


def _note_opened(state: State, journey: Journey, fact: Fact, move: Move, touch: Touch) -> None:
    opportunity = fact.details["opportunity_id"]
    if opportunity not in state.opportunities and move.refusal != "illegal":
        state.opportunities[opportunity] = (state.cycle, "open")


def _note_closed(state: State, journey: Journey, fact: Fact, move: Move, touch: Touch) -> None:
    status = fact.details.get("stage_status") or ("won" if fact.kind == "OpportunityWon" else "lost")
    opportunity = fact.details["opportunity_id"]
    known = state.opportunities.get(opportunity)
    if move.refusal is not None:
        return
    if status == "open":
        if move.reopens or (known == (state.cycle, "lost") and state.stage == "opportunity"):
            state.opportunities[opportunity] = (state.cycle, "open")
    elif known is None or known == (state.cycle, "open"):
        state.opportunities[opportunity] = (state.cycle, status)


def _work(state: State, reached: str) -> None:
    state.work = max(state.work, WORK.index(reached))


_NOTES: Final[dict[str, Callable[[State, Journey, Fact, Move, Touch], None]]] = {
    "LeadCaptured": _note_captured,
    "LeadScored": _note_scored,
    "LeadAssigned": _note_assigned,
    "TouchRecorded": _note_touch,
    "LeadNurtured": _note_nurtured,
    "OpportunityOpened": _note_opened,
    "OpportunityStageChanged": _note_closed,
    "OpportunityWon": _note_closed,
    "OpportunityLost": _note_closed,
}
"""What an event leaves on the lead apart from its move; carried out before the stages are entered."""
