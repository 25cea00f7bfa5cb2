"""What becomes of two leads that are one (section 3, merge)."""

from __future__ import annotations

from typing import Final

from tests.oracle.clock import Clock
from tests.oracle.lead import FORWARD, Lead, Opportunity, Pause
from tests.oracle.records import Fact

ORDER: Final = (
    "", "nurture", "recycled", "disqualified", "inquiry", "mql", "sal", "sql", "opportunity", "lost", "won",
)  # fmt: skip
"""From the least to the furthest stage."""
ENDING: Final = frozenset({"won", "lost", "recycled", "disqualified"})


def unite(survivor: Lead, loser: Lead, merge: Fact) -> bool:
    """Everything but clocks: the survivor takes what it lacks; whether a transition was entered."""
    instant = merge.effective_at
    cycle = max(survivor.cycle, loser.cycle)
    opportunities = _united_opportunities(survivor, loser, cycle)
    stage = _united_stage(survivor, loser, cycle, opportunities)

    if survivor.owner is None:
        survivor.owner, survivor.owner_kind = loser.owner, loser.owner_kind
    survivor.team = survivor.team if survivor.team is not None else loser.team
    survivor.grade = survivor.grade if survivor.grade is not None else loser.grade
    if survivor.first_captured_at is None:
        survivor.source, survivor.campaign = loser.source, loser.campaign
        survivor.first_captured_at = loser.first_captured_at
    survivor.work = max(survivor.work, loser.work)
    survivor.pauses = _united_pauses(survivor, loser, instant)
    if survivor.cycle == loser.cycle:
        survivor.attempts += loser.attempts
        survivor.contact |= loser.contact
        survivor.answered |= loser.answered
        survivor.promised |= loser.promised
    elif loser.cycle > survivor.cycle:
        survivor.attempts, survivor.contact = loser.attempts, loser.contact
        survivor.answered, survivor.promised = loser.answered, loser.promised
    survivor.inherited |= loser.folded | loser.inherited
    survivor.opportunities = opportunities
    survivor.cycle = cycle
    if stage == survivor.stage:
        return False
    # The stage comes from the loser, and cool-down and wake date go with the stage.
    wake, cooldowns = loser.wake, loser.cooldowns
    survivor.enter(stage, merge)
    survivor.wake = wake if stage == "nurture" else None
    survivor.cooldowns = list(cooldowns)
    return True


def _united_opportunities(survivor: Lead, loser: Lead, cycle: int) -> dict[str, Opportunity]:
    """Those of both current cycles join the united one; one that both know is as the survivor knows it."""
    united: dict[str, Opportunity] = {}
    for lead in (loser, survivor):
        for name, known in lead.opportunities.items():
            united[name] = Opportunity(cycle if known.cycle == lead.cycle else known.cycle, known.status)
    return united


def _united_stage(survivor: Lead, loser: Lead, cycle: int, opportunities: dict[str, Opportunity]) -> str:
    statuses = [known.status for known in opportunities.values() if known.cycle == cycle]
    if "open" in statuses and "won" not in statuses:
        return "opportunity"
    return max(survivor.stage, loser.stage, key=ORDER.index)


def _united_pauses(survivor: Lead, loser: Lead, instant: int) -> dict[str, Pause]:
    """The survivor's pause if it runs, else the loser's if that runs, by each version's list of reasons."""
    running = {version: pause for version, pause in loser.pauses.items() if pause.runs_at(instant)}
    running |= {version: pause for version, pause in survivor.pauses.items() if pause.runs_at(instant)}
    return running


def unite_clocks(survivor: Lead, loser: Lead, merge: Fact, *, entered: bool) -> None:
    """Open clocks of the loser move; what the united lead answers is met, what it ends ends, one of a policy stays."""
    instant = merge.effective_at
    # (a) They join, but for erasure: that promise was made to the lead it names.
    own = survivor.open_clocks()
    moved = [clock for clock in loser.open_clocks() if clock.policy != "erasure"]
    loser.clocks = [clock for clock in loser.clocks if clock not in moved]
    survivor.clocks += moved
    for clock in own + moved:
        _unite_pause(survivor, clock, instant, moved=clock in moved)
    # (b) Met.
    for clock in survivor.open_clocks():
        if _met(clock, survivor, entered=entered):
            clock.satisfy(merge)
    # (c) Ended by the entry.
    if entered and survivor.stage in ENDING:
        for clock in survivor.open_clocks():
            if clock.policy not in {"mend", "erasure"}:
                clock.end(merge)
    # (d) Per policy the earliest deadline stays; of equal ones the survivor's, of its own the one started first.
    for policy in {clock.policy for clock in survivor.open_clocks() if clock.policy != "erasure"}:
        same = survivor.open_clocks(policy)
        stays = min(
            same,
            key=lambda one: (
                one.deadline,
                one in moved,
                one.started_at,
                one.start.source_system,
                one.start.event_id,
            ),
        )
        for clock in same:
            if clock is not stays:
                clock.end(merge)


def _unite_pause(survivor: Lead, clock: Clock, instant: int, *, moved: bool) -> None:
    """Past pauses stay used up; the united lead's pause then applies as if it had been set at the merge."""
    pause = survivor.pauses.get(clock.agreement.version)
    if moved:
        clock.end_pause(instant)
    if pause is not None and not clock.is_paused_at(instant):
        clock.pause(instant, pause.until)


def _met(clock: Clock, united: Lead, *, entered: bool) -> bool:
    place = FORWARD.get(united.stage, 0)
    match clock.policy:
        case "assignment":
            return united.person is not None
        case "acceptance":
            return place > FORWARD["mql"]
        case "qualification":
            return place > FORWARD["sal"] or (entered and united.stage in {"recycled", "disqualified"})
        case "stage_age":
            return clock.stage != united.stage
        case "wake":
            return entered and united.stage == "mql"
    return False
