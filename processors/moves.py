"""The lead-state machine: which stages an event enters, and why not where it enters none.

A move is tested in this order: reopens, legal, redundant, illegal. Pure; may not import I/O. What is decided here is
carried out in lifecycle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from processors.facts import Fact
from processors.state import State
from processors.vocabulary import FORWARD, PLACE, REJECT_REASONS


class Move(NamedTuple):
    """What an event does to the stage."""

    enters: tuple[str, ...] = ()
    """Stages entered at that instant, in order; all but the last are implied."""
    refusal: str | None = None
    """illegal, redundant, refused_cooldown, refused_reason or merge_cycle: recorded, not applied."""
    confirms: str | None = None
    """Stage whose own event this is, for a redundant one."""
    new_cycle: bool = False
    reopens: bool = False
    """Back into the same cycle: attempts, contact and answered start anew."""


STAY: Final = Move()
ILLEGAL: Final = Move(refusal="illegal")
_REFUSED_REASON: Final = Move(refusal="refused_reason")
_RECYCLABLE: Final = frozenset({"mql", "sal", "sql", "lost"})
_DISQUALIFIABLE: Final = frozenset({"inquiry", "nurture", "mql", "sal", "sql", "recycled"})


def _redundant(stage: str | None) -> Move:
    return Move(refusal="redundant", confirms=stage)


def _forward(state: State, target: str) -> Move | None:
    """The move up the forward path to `target` with the implied stages between; None: not below it on that path.

    From nothing, inquiry and mql are never implied: sales found the lead itself.
    """
    place = PLACE[target]
    if not state.stage:
        return Move(enters=(*FORWARD[2 : place - 1], target))
    here = PLACE.get(state.stage)
    if here is None or here >= place:
        return None
    return Move(enters=(*FORWARD[here : place - 1], target))


def _stage_event(state: State, target: str) -> Move:
    """A stage event that reopens nothing: legal, redundant or illegal."""
    return _forward(state, target) or (_redundant(target) if state.stage in PLACE else ILLEGAL)


def _captured(state: State, fact: Fact, attempts: int) -> Move:
    if state.stage == "disqualified":
        return Move(enters=("inquiry",), reopens=True)
    if not state.stage:
        return Move(enters=("inquiry",))
    return _redundant("inquiry") if state.stage in PLACE else ILLEGAL


def _qualified(state: State, fact: Fact, attempts: int) -> Move:
    if state.stage in ("recycled", "won", "lost"):
        move = Move(enters=("mql",), new_cycle=True)
    elif state.stage in ("", "inquiry", "nurture"):
        move = Move(enters=("mql",))
    else:
        return _stage_event(state, "mql")
    return Move(refusal="refused_cooldown") if fact.effective_at < state.cooldown_until else move


def _accepted(state: State, fact: Fact, attempts: int) -> Move:
    return _stage_event(state, "sal")


def _sales_qualified(state: State, fact: Fact, attempts: int) -> Move:
    return _stage_event(state, "sql")


def _opens(state: State, target: str) -> Move:
    """What an opportunity new to the lead does: it opens and, for `target` won or lost, closes at once."""
    closing = target != "opportunity"
    if state.stage in ("recycled", "won", "lost"):
        return Move(enters=("opportunity", target) if closing else ("opportunity",), new_cycle=True)
    if state.stage == "opportunity":
        return STAY if closing else _redundant("opportunity")
    return _forward(state, target) or ILLEGAL


def _opened(state: State, fact: Fact, attempts: int) -> Move:
    known = state.opportunities.get(fact.details["opportunity_id"])
    if state.stage == "erased":
        return ILLEGAL
    if known is not None:
        return _redundant("opportunity" if known[0] == state.cycle else None)
    return _opens(state, "opportunity")


def _unreachable(state: State, reason: str | None, attempts: int) -> bool:
    """Nobody tried hard enough to give this reason."""
    return reason == "unable_to_reach" and state.attempts < attempts and not state.contact


def _closed(state: State, fact: Fact, status: str, attempts: int) -> Move:
    known = state.opportunities.get(fact.details["opportunity_id"])
    if state.stage == "erased":
        return ILLEGAL
    if known is not None and known != (state.cycle, "open"):
        return _redundant(None)
    move = _opens(state, status) if known is None else STAY
    if move.refusal is not None:
        return move
    if status == "lost" and _unreachable(state, fact.details.get("reason"), attempts):
        return _REFUSED_REASON
    if move.enters or state.stage != "opportunity":
        return move
    # At opportunity, one of the cycle's opportunities closes: the first won wins, the last lost loses.
    if status == "won":
        return Move(enters=("won",))
    others = (
        other
        for other, (cycle, at) in state.opportunities.items()
        if other != fact.details["opportunity_id"] and cycle == state.cycle and at == "open"
    )
    return Move(enters=("lost",)) if next(others, None) is None else STAY


def _won(state: State, fact: Fact, attempts: int) -> Move:
    return _closed(state, fact, "won", attempts)


def _lost(state: State, fact: Fact, attempts: int) -> Move:
    return _closed(state, fact, "lost", attempts)


def _stage_changed(state: State, fact: Fact, attempts: int) -> Move:
    status = fact.details["stage_status"]
    known = state.opportunities.get(fact.details["opportunity_id"])
    if status != "open":
        if state.stage == "erased":
            return ILLEGAL
        if known is not None and known[1] != "open":
            return STAY
        return _closed(state, fact, status, attempts)
    if known == (state.cycle, "lost") and state.stage == "lost":
        return Move(enters=("opportunity",), reopens=True)
    return STAY


def _nurtured(state: State, fact: Fact, attempts: int) -> Move:
    return Move(enters=("nurture",)) if state.stage in ("inquiry", "recycled") else ILLEGAL


def _rejected(state: State, fact: Fact, attempts: int) -> Move:
    return Move(enters=(REJECT_REASONS[fact.details["reason"]],)) if state.stage == "mql" else ILLEGAL


def _recycled(state: State, fact: Fact, attempts: int) -> Move:
    if state.stage not in _RECYCLABLE:
        return ILLEGAL
    return _REFUSED_REASON if _unreachable(state, fact.details["reason"], attempts) else Move(enters=("recycled",))


def _disqualified(state: State, fact: Fact, attempts: int) -> Move:
    if state.stage not in _DISQUALIFIABLE:
        return ILLEGAL
    return _REFUSED_REASON if _unreachable(state, fact.details["reason"], attempts) else Move(enters=("disqualified",))


def _merged(state: State, fact: Fact, attempts: int) -> Move:
    if fact.circular:
        return Move(refusal="merge_cycle")
    return ILLEGAL if state.stage in ("merged", "erased") else Move(enters=("merged",))


def _erased(state: State, fact: Fact, attempts: int) -> Move:
    return STAY if state.stage == "erased" else Move(enters=("erased",))


_MOVES: Final[dict[str, Callable[[State, Fact, int], Move]]] = {
    "LeadCaptured": _captured,
    "LeadQualified": _qualified,
    "LeadAccepted": _accepted,
    "LeadSalesQualified": _sales_qualified,
    "OpportunityOpened": _opened,
    "OpportunityStageChanged": _stage_changed,
    "OpportunityWon": _won,
    "OpportunityLost": _lost,
    "LeadNurtured": _nurtured,
    "LeadRejected": _rejected,
    "LeadRecycled": _recycled,
    "LeadDisqualified": _disqualified,
    "LeadMerged": _merged,
    "LeadErased": _erased,
}


def decide(state: State, fact: Fact, attempts: int) -> Move:
    """The move that `fact` makes of a lead in `state`; STAY for events that are no stage events.

    `attempts`: human outbound touches after which a lead counts as unable to be reached.
    """
    rule = _MOVES.get(fact.kind)
    return STAY if rule is None else rule(state, fact, attempts)
