"""From what the fold says to the records of the output topics. Shapes: the .avsc files in schemas/outputs. Pure."""

from __future__ import annotations

from processors import sla
from processors.agreement import Agreements
from processors.instances import calendar_of, consumed, paused_ms, rung_at
from processors.state import FOLD_VERSION, Journey, Memory, pack
from processors.telling import InstanceSaid, TransitionSaid
from processors.vocabulary import DAY, NEVER, WORK
from schemas.types import Journey as JourneyRecord
from schemas.types import LeadState, LeadTransition, SlaEvent


def lead_transition(lead_id: str, said: TransitionSaid, clock: int) -> LeadTransition:
    transition = said.transition
    return {
        "transition_id": transition.transition_id,
        "lead_id": lead_id,
        "change": said.change,
        "cycle": transition.cycle,
        "sequence": transition.sequence,
        "from_stage": transition.from_stage,
        "to_stage": transition.to_stage,
        "entered_at": transition.entered_at,
        "event_type": transition.event_type,
        "event_id": transition.event_id,
        "source_system": transition.source_system,
        "entered_by": transition.entered_by,
        "implied": transition.implied,
        "confirmed": transition.confirmed,
        "disputed": transition.disputed,
        "source": transition.source,
        "campaign": transition.campaign,
        "owner": transition.owner,
        "team": transition.team,
        "grade": transition.grade,
        "reason": transition.reason,
        "agreement_version": transition.agreement_version,
        "is_test": transition.is_test,
        "emitted_at": clock,
    }


def sla_event(lead_id: str, said: InstanceSaid, agreements: Agreements, clock: int, grace_ms: int) -> SlaEvent:
    instance = said.instance
    verdict = sla.verdict(instance, said.announced)
    late = verdict in ("breached_open", "late_met", "breached_ended")
    satisfied_at = instance.satisfied_at
    finished = satisfied_at if satisfied_at is not None else instance.ended_at
    elapsed = overrun = None
    notify = True
    if finished is not None or said.rung is not None:
        calendar = calendar_of(instance, agreements)
        if satisfied_at is not None:
            elapsed = consumed(instance, satisfied_at, calendar)
        if late and finished is not None:
            overrun = calendar.between(instance.deadline, finished)
        if said.rung is not None:
            notify = said.highest and clock - rung_at(instance, said.rung, calendar) <= DAY
    return {
        "instance_id": instance.instance_id,
        "lead_id": lead_id,
        "kind": said.kind,
        "policy": instance.policy,
        "verdict": verdict,
        "cycle": instance.cycle,
        "start_event_id": instance.start_event_id,
        "start_source_system": instance.start_source_system,
        "start_event_type": instance.start_event_type,
        "started_at": instance.started_at,
        "deadline": instance.deadline,
        "breached_at": instance.deadline if late else None,
        "satisfied_at": satisfied_at,
        "satisfied_by": instance.satisfied_by,
        "ended_at": instance.ended_at,
        "ended_by": instance.ended_by,
        "end": instance.end,
        "elapsed_ms": elapsed,
        "overrun_ms": overrun,
        "late_evidence": sla.late_evidence(instance, grace_ms),
        "notify": notify,
        "rung": said.rung,
        "agreement_version": instance.agreement_version,
        "calendar": instance.calendar,
        "target_ms": instance.target_ms,
        "budget_ms": instance.budget,
        "paused_ms": paused_ms(instance, agreements) if instance.pauses else 0,
        "moves": instance.moves,
        "grade": instance.grade,
        "owner": instance.owner,
        "team": instance.team,
        "source": instance.source,
        "is_test": instance.is_test,
        "emitted_at": clock,
    }


def _journey(journey: Journey) -> JourneyRecord:
    return {
        "cycle": journey.cycle,
        "owner": journey.owner,
        "team": journey.team,
        "grade": journey.grade,
        "entered": journey.entered,
        "implied": journey.implied,
        "hand_raised_at": journey.hand_raised_at,
        "first_assigned_at": journey.first_assigned_at,
        "first_touched_at": journey.first_touched_at,
    }


def lead_state(lead_id: str, memory: Memory, due: int | None) -> LeadState:
    """`due`: when the lane clock must look at the lead next, None: never."""
    state = memory.state
    counted = {
        "disputed": memory.disputed,
        "refused_erased": memory.refused_erased + state.refusals.get("refused_erased", 0),
        "bot": len(memory.dropped) // 8,
    }
    refusals = state.refusals | {name: count for name, count in counted.items() if count}
    return {
        "next_deadline": NEVER if due is None else due,
        "lead_id": lead_id,
        "stage": state.stage,
        "cycle": state.cycle,
        "work_status": WORK[state.work],
        "source": state.source,
        "campaign": state.campaign,
        "owner": state.owner,
        "owner_kind": state.owner_kind,
        "team": state.team,
        "grade": state.grade,
        "merged_into": None if memory.gone else state.merged_into,
        "stage_entered_at": state.stage_entered_at,
        "first_captured_at": state.first_captured_at,
        "last_received_at": memory.newest_received_at,
        "refusals": refusals,
        "journeys": [_journey(journey) for journey in state.journeys],
        "is_test": state.is_test,
        "fold_version": FOLD_VERSION,
        "fold": pack(memory),
    }
