"""Plain words for events, amounts of time, promises and verdicts. Pure; may not import I/O.

Written for two readers who disagree: whoever sold promised too little time, whoever called was late, or the other way round.
So each sentence names who, what and when, and never only a status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from processors.vocabulary import DAY, HOUR

_MINUTE: Final = 60_000


def local(at: int, zone: str) -> str:
    """Mon 2 Nov 2026 14:00, with seconds where there are any."""
    moment = datetime.fromtimestamp(at // 1000, ZoneInfo(zone))
    seconds = f":{moment:%S}" if moment.second else ""
    return f"{moment:%a} {moment.day} {moment:%b %Y %H:%M}{seconds}"


def amount(milliseconds: int, *, working: bool = False) -> str:
    """3 minutes, 70 working minutes, 5 working hours 10 min, 2 days 4 h. Floored to what is shown."""
    kind = "working " if working else ""
    minutes = milliseconds // _MINUTE
    if minutes == 0:
        return _counted(milliseconds // 1000, f"{kind}second")
    if minutes < 120:
        return _counted(minutes, f"{kind}minute")
    if not working and milliseconds >= 2 * DAY:
        hours = milliseconds % DAY // HOUR
        return _counted(milliseconds // DAY, "day") + (f" {hours} h" if hours else "")
    rest = minutes % 60
    return _counted(minutes // 60, f"{kind}hour") + (f" {rest} min" if rest else "")


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


class Promise(NamedTuple):
    """Words of a policy."""

    promised: str
    """What was promised, by the deadline."""
    missing: str
    """What did not happen, before `before <deadline>`."""


PROMISES: Final[Mapping[str, Promise]] = {
    "assignment": Promise("a person owns the lead", "no person owned the lead"),
    "acceptance": Promise("its owner accepts or rejects the lead", "sales neither accepted nor rejected the lead"),
    "first_response": Promise("sales gets in touch", "nobody from sales got in touch"),
    "owner_response": Promise("sales gets in touch once the lead has this owner", "nobody from sales got in touch"),
    "cadence": Promise(
        "sales reaches the lead or has tried as often as agreed",
        "sales had neither reached the lead nor tried as often as agreed",
    ),
    "qualification": Promise(
        "the accepted lead is sales-qualified, recycled or disqualified",
        "the accepted lead was neither sales-qualified nor recycled nor disqualified",
    ),
    "next_response": Promise("sales answers the lead's reply", "the lead's reply was not answered"),
    "stage_age": Promise("the lead leaves its stage", "the lead still stood at the same stage"),
    "inactivity": Promise("somebody gets in touch again", "nobody got in touch again"),
    "wake": Promise("somebody gets in touch, for its day has come", "nobody got in touch although its day had come"),
    "mend": Promise("marketing mends the data", "marketing had not mended the data"),
    "erasure": Promise("the person's data are erased", "the person's data were not erased"),
}


def promise(policy: str) -> Promise:
    return PROMISES.get(policy) or Promise(f"{policy} is kept", f"{policy} was not kept")


def _touch(details: Mapping[str, Any]) -> str:
    outcome = str(details["outcome"]).replace("_", " ")
    actor = "" if details["actor"] == "human" else ", automated"
    by = f" ({details['performed_by']})" if details.get("performed_by") else ""
    return f"{details['direction']} {details['channel']} by {details['origin']}{by}{actor}, {outcome}"


def _captured(details: Mapping[str, Any]) -> str:
    campaign = f", campaign {details['campaign']}" if details.get("campaign") else ""
    return f"captured from {details['source']}{campaign}" + (", asked for contact" if details["hand_raise"] else "")


def _assigned(details: Mapping[str, Any]) -> str:
    team = f" (team {details['team']})" if details.get("team") else ""
    queue = "queue " if details["owner_kind"] == "queue" else ""
    return f"assigned to {queue}{details['owner']}{team}"


def _by(verb: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda details: f"{verb} by {details['performed_by']}" if details.get("performed_by") else verb


def _because(verb: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda details: f"{verb}: {details['reason']}"


def _fields(details: Mapping[str, Any]) -> str:
    return ", ".join(details["fields"]) or "no field named"


_EVENTS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "LeadCaptured": _captured,
    "LeadEnriched": lambda details: f"data filled in: {_fields(details)}",
    "LeadScored": lambda details: f"graded {details['grade']}",
    "LeadQualified": lambda details: (
        f"qualified by marketing ({details['definition']})" if details["definition"] else "qualified by marketing"
    ),
    "LeadAssigned": _assigned,
    "LeadAccepted": _by("accepted by sales"),
    "LeadRejected": lambda details: f"rejected by sales: {details['reason']} ({_fields(details)})",
    "LeadSalesQualified": _by("sales-qualified"),
    "LeadPaused": _because("paused"),
    "LeadResumed": lambda _: "resumed",
    "LeadNurtured": lambda _: "put into nurture",
    "LeadRecycled": _because("recycled"),
    "LeadDisqualified": _because("disqualified"),
    "LeadMerged": lambda details: f"merged into {details['into']}",
    "Absorbed": lambda _: "merged into this lead",
    "LeadErasureRequested": lambda _: "erasure requested",
    "LeadErased": lambda _: "erased",
    "TouchRecorded": _touch,
    "OpportunityOpened": lambda details: f"opportunity {details['opportunity_id']} opened",
    "OpportunityStageChanged": lambda details: (
        f"opportunity {details['opportunity_id']} moved to {details['stage'] or details['stage_status']}"
    ),
    "OpportunityAmended": lambda details: f"opportunity {details['opportunity_id']} amended",
    "OpportunityWon": lambda details: f"opportunity {details['opportunity_id']} won",
    "OpportunityLost": lambda details: f"opportunity {details['opportunity_id']} lost: {details['reason']}",
    "FactWithdrawn": lambda details: f"event {details['withdrawn_event_id']} withdrawn",
}


def event(kind: str, details: Mapping[str, Any]) -> str:
    """What an event says, of the fields that the fold reads: never a person, never free text."""
    words = _EVENTS.get(kind)
    return kind if words is None else words(details)


OUTCOMES: Final[Mapping[str, str]] = {
    "redirected": "counts on the lead that this one has merged into",
    "withdrawn": "was withdrawn: as if it had never come",
    "copy": "a copy: changes nothing",
    "pending": "has not reached the store yet",
    "left_out": "left out",
    "event_id_conflict": "set aside",
    "illegal": "not possible from stage {stage}: recorded, not applied",
    "redundant": "the lead was there already: changes no stage",
    "refused_cooldown": "refused: the lead was recycled, and its cool-down runs until {cooldown}",
    "refused_reason": "refused: unable_to_reach counts after {needed} attempts or a contact; there were {attempts} attempts",
    "merge_cycle": "refused: the other lead leads back to this one",
    "refused_erased": "refused: the lead is erased",
}
"""Outcome of an event -> what it means."""
