"""Two leads become one: what the loser hands over, and what the survivor makes of it.

The loser's lane sends a snapshot as of the merge; with the survivor it stands as a fact of its own (ABSORBED) in the place
of the LeadMerged. Where the survivor has itself merged by then, it passes the snapshot on; where it has done so to the
loser, the snapshot comes home and tells that the merge closes a circle. Pure; may not import I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from processors import sla
from processors.agreement import Agreements
from processors.facts import Fact
from processors.instances import calendar_of, paused, resumed
from processors.state import Instance, Journey, Snapshot, State, Story, pack_snapshot, unpack_snapshot
from processors.vocabulary import ABSORBED, ENDS, FURTHEST, NEVER_PAUSED, PLACE

_SNAPSHOT: Final = "snapshot"


def hand_over(lead_id: str, state: State, fact: Fact, ids: bytes, story: Story, *, accepted: bool) -> None:
    """Lets the loser go: its open clocks move, its snapshot is passed on. `state` as before the merge; `ids`: 8 bytes for
    each event id that it has folded.

    Of a merge that is not accepted nothing moves and what is passed on is empty: where it finds its way home, the merge
    would close a circle.
    """
    into = fact.details["into"]
    packed = None
    if accepted:
        going = state.copied()
        going.clocks = {number: clock for number, clock in state.clocks.items() if clock.policy != "erasure"}
        going.journeys = [journey for journey in going.journeys if journey.cycle == going.cycle]
        going.implied = {}
        going.refusals = {}
        packed = pack_snapshot(Snapshot(going, ids))
        for clock in going.clocks.values():
            sla.end(state, clock, fact, "moved", story)
        state.merged_into, state.merged_key = into, fact.key
        state.wake, state.pauses = None, {}
    pass_on(lead_id, replace(fact, kind=ABSORBED, circular=False, details={_SNAPSHOT: packed}), into, story)


def pass_on(lead_id: str, fact: Fact, into: str, story: Story) -> None:
    """Hands a fact to the lead that this one has merged into; not to one that it has come from: the circle that this
    would close is about to be refused, and the fact stays here until then.
    """
    if into in fact.via and not (fact.kind == ABSORBED and into == fact.lead_id):
        return
    story.passed_on[(fact.lead_id, fact.source_system, fact.event_id)] = (into, replace(fact, via=(*fact.via, lead_id)))


def snapshot_of(fact: Fact) -> Snapshot | None:
    """What an ABSORBED fact brings; None: the merge was refused."""
    packed = fact.details[_SNAPSHOT]
    return None if packed is None else unpack_snapshot(packed)


def unite(state: State, snapshot: Snapshot) -> str | None:
    """The survivor takes in what the loser was, its clocks apart. Returns the stage to be entered, if any."""
    loser = snapshot.state
    state.absorbed += snapshot.ids + loser.absorbed
    united = max(state.cycle, loser.cycle)
    # Of an opportunity that both know the survivor's record counts.
    opportunities = {
        number: (united if cycle == side.cycle else 0, status)
        for side in (loser, state)
        for number, (cycle, status) in side.opportunities.items()
    }
    current = [status for cycle, status in opportunities.values() if cycle == united]
    furthest = max(state.stage, loser.stage, key=FURTHEST.index)
    stage = "opportunity" if "open" in current and "won" not in current else furthest
    if loser.cycle == state.cycle:
        state.attempts += loser.attempts
        state.contact |= loser.contact
        state.answered |= loser.answered
        state.clocked |= loser.clocked
    elif loser.cycle > state.cycle:
        state.attempts, state.contact = loser.attempts, loser.contact
        state.answered, state.clocked = loser.answered, loser.clocked
        state.implied.clear()
    state.cycle, state.opportunities = united, opportunities
    state.work = max(state.work, loser.work)
    state.is_test |= loser.is_test
    if state.first_captured_at is None:
        state.source, state.campaign, state.first_captured_at = loser.source, loser.campaign, loser.first_captured_at
    if state.owner is None:
        state.owner, state.owner_kind = loser.owner, loser.owner_kind
    state.team = state.team or loser.team
    state.grade = state.grade or loser.grade
    if stage == state.stage:
        return None
    state.cooldown_until, state.wake = loser.cooldown_until, loser.wake
    return stage


def unite_journeys(journey: Journey, state: State, loser: State) -> None:
    """The earliest of both, and the united lead's attributes; `journey`: the survivor's, of the united cycle."""
    journey.owner, journey.team, journey.grade = state.owner, state.team, state.grade
    for other in loser.journeys:
        if other.cycle == journey.cycle:
            for name in ("hand_raised_at", "first_assigned_at", "first_touched_at"):
                instants = [at for at in (getattr(journey, name), getattr(other, name)) if at is not None]
                setattr(journey, name, min(instants, default=None))


def move_clocks(state: State, loser: State, fact: Fact, agreements: Agreements, story: Story) -> None:
    """The loser's open clocks join the survivor's; all of them run under the pause of the united lead: the survivor's, else
    the loser's, where one is running.
    """
    at = fact.effective_at
    state.pauses = _running(loser.pauses, at) | _running(state.pauses, at)
    for clock in list(state.clocks.values()):
        if not (clock.pauses and clock.pauses[-1][1] > at):
            _pause(state, clock, at, agreements, story)
    for clock in loser.clocks.values():
        moved = replace(clock, moves=clock.moves + 1)
        if clock.pauses:
            moved = resumed(moved, at, calendar_of(clock, agreements))
        sla.keep(state, moved, story)
        _pause(state, moved, at, agreements, story)


def _running(pauses: Mapping[str, tuple[int, int | None]], at: int) -> dict[str, tuple[int, int | None]]:
    return {version: pause for version, pause in pauses.items() if pause[1] is None or pause[1] > at}


def _pause(state: State, clock: Instance, at: int, agreements: Agreements, story: Story) -> None:
    """The united lead's pause, as if it had been set at the merge."""
    pause = state.pauses.get(clock.agreement_version)
    if pause is None or clock.policy in NEVER_PAUSED:
        return
    calendar = calendar_of(clock, agreements)
    cap = agreements.named(clock.agreement_version).pause_cap(calendar)
    now = paused(clock, at, pause[1], cap, calendar)
    if now != clock:
        sla.keep(state, now, story)


def settle(state: State, loser: State, fact: Fact, entered: str | None, story: Story) -> None:
    """What the merge means for the clocks of the united lead: some are satisfied, some ended, and of each policy the one
    with the earliest deadline stays.
    """
    for clock in list(state.clocks.values()):
        if _satisfied(clock, state, entered):
            sla.satisfy(state, clock, fact, story)
    if entered is not None and entered in ENDS:
        for clock in list(state.clocks.values()):
            if clock.policy not in ("erasure", "mend"):
                sla.end(state, clock, fact, entered, story)
    stays: dict[str, Instance] = {}
    for clock in sorted(
        state.clocks.values(),
        key=lambda clock: (
            clock.deadline,
            clock.instance_id in loser.clocks,
            clock.started_at,
            clock.start_source_system,
            clock.start_event_id,
        ),
    ):
        if clock.policy not in stays:
            stays[clock.policy] = clock
        else:
            sla.end(state, clock, fact, "superseded", story)


def _satisfied(clock: Instance, state: State, entered: str | None) -> bool:
    match clock.policy:
        case "assignment":
            return state.owner_kind == "person"
        case "acceptance":
            return PLACE.get(state.stage, 0) > PLACE["mql"]
        case "qualification":
            return PLACE.get(state.stage, 0) > PLACE["sal"]
        case "stage_age":
            return clock.stage != state.stage
        case "wake":
            return entered == "mql"
        case _:
            return False
