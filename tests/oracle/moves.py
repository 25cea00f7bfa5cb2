"""What a stage event does to a lead: the table of section 3, row by row. Decides only; nothing is changed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.oracle.agreement import Agreement
from tests.oracle.lead import FORWARD, Lead
from tests.oracle.records import REJECTIONS, Fact

STAGE_EVENTS: Final = frozenset(
    {
        "LeadCaptured", "LeadQualified", "LeadAccepted", "LeadSalesQualified", "OpportunityOpened", "OpportunityWon",
        "OpportunityLost", "LeadNurtured", "LeadRejected", "LeadRecycled", "LeadDisqualified", "LeadMerged",
    }
)  # fmt: skip
"""The events that count as redundant or illegal."""


@dataclass(frozen=True)
class Move:
    """What a stage event comes to."""

    enters: tuple[str, ...] = ()
    """Stages entered, in order; all but the last are implied."""
    new_cycle: bool = False
    reopens: bool = False
    refused: str | None = None
    """illegal, redundant, refused_cooldown or refused_reason"""
    confirms: str | None = None
    """For redundant: the stage it is evidence of."""
    opportunity: tuple[str, str] | None = None
    """(id, new status); known from now on."""


ILLEGAL: Final = Move(refused="illegal")
NOTHING: Final = Move()


def decide(lead: Lead, fact: Fact, agreement: Agreement) -> Move:
    """The move of a stage event (or OpportunityStageChanged); `agreement` is in force at the event."""
    if lead.stage == "erased":
        return ILLEGAL if stands_for(fact) in STAGE_EVENTS else NOTHING
    move = _tabled(lead, fact)
    if move.refused is not None or move == NOTHING:
        return move
    # Refusals come last: what is redundant or illegal is counted so.
    if fact.name == "LeadQualified" and any(fact.effective_at < cooldown.until for cooldown in lead.cooldowns):
        return Move(refused="refused_cooldown")
    if stands_for(fact) in {"LeadRecycled", "LeadDisqualified", "OpportunityLost"}:
        reached = lead.contact or lead.attempts >= agreement.attempts
        if fact.event["reason"] == "unable_to_reach" and not reached:
            return Move(refused="refused_reason")
    return move


def stands_for(fact: Fact) -> str:
    """A stage_status of won or lost acts as OpportunityWon or OpportunityLost."""
    if fact.name == "OpportunityStageChanged":
        return {"won": "OpportunityWon", "lost": "OpportunityLost"}.get(fact.event["stage_status"], fact.name)
    return fact.name


def _tabled(lead: Lead, fact: Fact) -> Move:
    stage = lead.stage
    match fact.name:
        case "LeadCaptured":
            if stage == "":
                return Move(enters=("inquiry",))
            if stage == "disqualified":
                return Move(enters=("inquiry",), reopens=True)
            return _redundant("inquiry") if stage in FORWARD else ILLEGAL
        case "LeadQualified":
            if stage in {"recycled", "won", "lost"}:
                return Move(enters=("mql",), new_cycle=True)
            if stage in {"", "inquiry", "nurture"}:
                return Move(enters=("mql",))
            return _redundant("mql") if stage in FORWARD else ILLEGAL
        case "LeadAccepted":
            return _forward(stage, "sal")
        case "LeadSalesQualified":
            return _forward(stage, "sql")
        case "LeadNurtured":
            return Move(enters=("nurture",)) if stage in {"inquiry", "recycled"} else ILLEGAL
        case "LeadRejected":
            return Move(enters=(REJECTIONS[fact.event["reason"]],)) if stage == "mql" else ILLEGAL
        case "LeadRecycled":
            return Move(enters=("recycled",)) if stage in {"mql", "sal", "sql", "lost"} else ILLEGAL
        case "LeadDisqualified":
            legal = {"inquiry", "nurture", "mql", "sal", "sql", "recycled"}
            return Move(enters=("disqualified",)) if stage in legal else ILLEGAL
        case "OpportunityOpened":
            return _opened(lead, fact.event["opportunity_id"])
        case "OpportunityWon":
            return _closed(lead, fact.event["opportunity_id"], "won")
        case "OpportunityLost":
            return _closed(lead, fact.event["opportunity_id"], "lost")
        case "OpportunityStageChanged":
            return _stage_changed(lead, fact.event["opportunity_id"], fact.event["stage_status"])
    return NOTHING


def _redundant(stage: str) -> Move:
    return Move(refused="redundant", confirms=stage)


def _forward(stage: str, target: str) -> Move:
    """Onwards to the target with what lies between implied; side states have no way forward."""
    if stage != "" and stage not in FORWARD:
        return ILLEGAL
    if stage != "" and FORWARD[stage] >= FORWARD[target]:
        return _redundant(target)
    return Move(enters=(*_between(stage, target), target))


def _between(stage: str, target: str) -> list[str]:
    """The forward stages between; from nowhere inquiry and mql are never made up."""
    after = FORWARD[stage] if stage else FORWARD["mql"]
    return [one for one, place in FORWARD.items() if after < place < FORWARD[target]]


def _opened(lead: Lead, opportunity: str) -> Move:
    known = lead.opportunities.get(opportunity)
    if known is not None:
        # Of an earlier cycle it is evidence only, and so confirms nothing of this one.
        return _redundant("opportunity") if known.cycle == lead.cycle else Move(refused="redundant")
    now_open = (opportunity, "open")
    if lead.stage in {"recycled", "won", "lost"}:
        return Move(enters=("opportunity",), new_cycle=True, opportunity=now_open)
    if lead.stage == "opportunity":
        return Move(refused="redundant", confirms="opportunity", opportunity=now_open)
    if lead.stage in {"nurture", "disqualified"}:
        return ILLEGAL
    return Move(enters=(*_between(lead.stage, "opportunity"), "opportunity"), opportunity=now_open)


def _closed(lead: Lead, opportunity: str, status: str) -> Move:
    known = lead.opportunities.get(opportunity)
    closed = (opportunity, status)
    if known is None:
        if lead.stage in {"nurture", "disqualified"}:
            return ILLEGAL
        if lead.stage in {"recycled", "won", "lost"}:
            return Move(enters=("opportunity", status), new_cycle=True, opportunity=closed)
        if lead.stage != "opportunity":
            return Move(enters=(*_between(lead.stage, status), status), opportunity=closed)
    elif known.status != "open" or known.cycle != lead.cycle:
        return Move(refused="redundant")
    others = [name for name in lead.open_opportunities() if name != opportunity]
    # Won with the first that is won; lost with the last that closes when none was won.
    if lead.stage == "opportunity" and (status == "won" or (not others and not lead.with_status("won"))):
        return Move(enters=(status,), opportunity=closed)
    return Move(opportunity=closed)


def _stage_changed(lead: Lead, opportunity: str, status: str) -> Move:
    known = lead.opportunities.get(opportunity)
    if status in {"won", "lost"}:
        if known is not None and known.status != "open":
            return NOTHING  # closed already: not counted
        return _closed(lead, opportunity, status)
    if status == "open" and known is not None and known.status == "lost" and known.cycle == lead.cycle:
        if lead.stage == "lost":
            return Move(enters=("opportunity",), reopens=True, opportunity=(opportunity, "open"))
        if lead.stage == "opportunity":
            return Move(opportunity=(opportunity, "open"))
    return NOTHING
