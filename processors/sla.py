"""SLA clocks: what starts, satisfies and ends them. An event first satisfies, then ends, then starts.

This cut holds one policy, first_response: the lead's clock, from a hand-raise (or from becoming an MQL without one) to
the first human answer of sales. Pure; may not import I/O.
"""

from __future__ import annotations

from typing import Final

import msgspec

from processors.agreement import Agreement
from processors.facts import Fact
from processors.ids import instance_id
from processors.moves import Move
from processors.state import Instance, State
from processors.vocabulary import ENDS
from schemas.types import Verdict

FIRST_RESPONSE: Final = "first_response"
_CONVERSATION: Final = frozenset({"call", "email", "sms", "meeting", "chat"})


def is_human(fact: Fact) -> bool:
    return fact.kind == "TouchRecorded" and fact.details["actor"] == "human"


def is_attempt(fact: Fact) -> bool:
    """A human outbound touch, of any origin, channel and outcome."""
    return is_human(fact) and fact.details["direction"] == "outbound"


def is_contact(fact: Fact) -> bool:
    """Two-way contact: a human touch that connected or was replied to."""
    return is_human(fact) and fact.details["outcome"] in ("connected", "replied")


def is_response(fact: Fact) -> bool:
    """Response evidence: sales really turned to the lead; an answered inbound call counts, an auto-reply never."""
    touch = fact.details
    return (
        is_human(fact)
        and touch["origin"] == "sales"
        and touch["channel"] in _CONVERSATION
        and touch["outcome"] != "bounced"
        and (touch["direction"] == "outbound" or touch["outcome"] == "connected")
    )


def react(state: State, fact: Fact, move: Move, agreement: Agreement) -> list[Instance]:
    """Lets `fact`, which made `move`, act on the clocks of `state` (already moved). The instances that changed."""
    changed: list[Instance] = []
    if is_response(fact):
        changed += [
            msgspec.structs.replace(
                clock,
                satisfied_at=fact.effective_at,
                satisfied_by=fact.event_id,
                satisfied_received_at=fact.received_at,
            )
            for clock in state.clocks.values()
        ]
        state.clocks.clear()
        state.answered = True
    end = next((stage for stage in move.enters if stage in ENDS), None)
    if end is not None:
        changed += [
            msgspec.structs.replace(clock, ended_at=fact.effective_at, ended_by=fact.event_id, end=end)
            for clock in state.clocks.values()
        ]
        state.clocks.clear()
    if _starts(state, fact, move):
        clock = _started(state, fact, agreement)
        if clock is not None:
            state.clocked = True
            state.clocks[clock.instance_id] = clock
            changed.append(clock)
    return changed


def _starts(state: State, fact: Fact, move: Move) -> bool:
    if fact.kind == "LeadCaptured" and fact.details["hand_raise"]:
        # Nobody answers a merged or erased lead: its clock could only breach.
        return not state.clocks and state.stage not in ("merged", "erased")
    # An implied entry never starts a clock, so only the last entered stage counts.
    return bool(move.enters) and move.enters[-1] == "mql" and not state.clocked and not state.answered


def _started(state: State, fact: Fact, agreement: Agreement) -> Instance | None:
    policy = agreement.policies.first_response
    grade = state.grade or "warm"
    target = policy.targets.get(grade)  # type: ignore[call-overload]  # grades are a closed set, checked by the schema
    if target is None:
        return None
    return Instance(
        instance_id=instance_id(FIRST_RESPONSE, fact.lead_id, fact.source_system, fact.event_id),
        policy=FIRST_RESPONSE,
        cycle=state.cycle,
        start_event_id=fact.event_id,
        start_source_system=fact.source_system,
        started_at=fact.effective_at,
        deadline=fact.effective_at + target,
        target_ms=target,
        calendar=policy.calendar,
        agreement_version=agreement.version,
        grade=grade,
        owner=state.owner,
        team=state.team,
        source=state.source,
        is_test=state.is_test,
    )


def verdict(instance: Instance, announced: bool) -> Verdict:
    """Where the instance stands. `announced`: its breach was told, for the deadline it has now."""
    if instance.satisfied_at is not None:
        return "met" if instance.satisfied_at <= instance.deadline else "late_met"
    if instance.ended_at is not None:
        return "cancelled" if instance.ended_at <= instance.deadline else "breached_ended"
    return "breached_open" if announced else "open"


def late_evidence(instance: Instance, grace_ms: int) -> bool:
    """Met in time by an event that was received after deadline and grace."""
    return (
        instance.satisfied_at is not None
        and instance.satisfied_received_at is not None
        and instance.satisfied_at <= instance.deadline
        and instance.satisfied_received_at > instance.deadline + grace_ms
    )
