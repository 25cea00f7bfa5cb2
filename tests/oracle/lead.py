"""What is known of one lead while the facts are walked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tests.oracle.clock import Clock
from tests.oracle.records import Fact

FORWARD: Final = {"inquiry": 1, "mql": 2, "sal": 3, "sql": 4, "opportunity": 5, "won": 6, "lost": 6}
"""How far along the forward path a stage is; side states are not on it."""
WORK: Final = ("new", "assigned", "attempting", "connected", "meeting_set")


@dataclass
class Transition:
    """An entry of a stage; `confirmed` may come later."""

    cycle: int
    from_stage: str | None
    to_stage: str
    fact: Fact
    implied: bool
    confirmed: bool = False


@dataclass
class Opportunity:
    cycle: int
    status: str
    """open, won or lost"""


@dataclass
class Cooldown:
    since: int
    until: int


@dataclass
class Wake:
    """A wake date that has not come yet."""

    at: int
    nurtured: Fact


@dataclass
class Pause:
    at: int
    until: int | None

    def runs_at(self, instant: int) -> bool:
        return self.until is None or self.until > instant


@dataclass
class Cycle:
    """What is told of a cycle besides its stages."""

    team: str | None = None
    """The last one in it."""
    hand_raised_at: int | None = None
    """The first hand-raise; likewise the first assignment to a person, and the first response evidence."""
    assigned_at: int | None = None
    answered_at: int | None = None

    def note(self, team: str | None, hand_raise: int | None, assigned: int | None, answered: int | None) -> None:
        self.team = team
        self.hand_raised_at = _earlier(self.hand_raised_at, hand_raise)
        self.assigned_at = _earlier(self.assigned_at, assigned)
        self.answered_at = _earlier(self.answered_at, answered)


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((at for at in (one, other) if at is not None), default=None)


@dataclass
class Lead:
    """A lead as it stands after the facts walked so far."""

    lead_id: str
    stage: str = ""
    cycle: int = 1
    stage_entered_at: int | None = None
    owner: str | None = None
    owner_kind: str | None = None
    team: str | None = None
    grade: str | None = None
    work: int = 0
    """Index in WORK."""
    source: str | None = None
    campaign: str | None = None
    first_captured_at: int | None = None
    opportunities: dict[str, Opportunity] = field(default_factory=dict)
    cooldowns: list[Cooldown] = field(default_factory=list)
    wake: Wake | None = None
    pauses: dict[str, Pause] = field(default_factory=dict)
    """Agreement version -> the pause that runs by its list of reasons."""
    attempts: int = 0
    """Human outbound touches of the cycle, since its last reopening; likewise the next three."""
    contact: bool = False
    """Two-way contact."""
    answered: bool = False
    """Response evidence."""
    promised: bool = False
    """A first_response has started."""
    cycles: dict[int, Cycle] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)
    clocks: list[Clock] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    folded: set[tuple[str, str]] = field(default_factory=set)
    """(source_system, event_id) of the facts folded here."""
    inherited: set[tuple[str, str]] = field(default_factory=set)
    """The same of leads merged into this one, up to their merges."""

    # -- asked -----------------------------------------------------------------------------------------------------

    @property
    def person(self) -> str | None:
        """The person who owns it; a queue is none."""
        return self.owner if self.owner_kind == "person" else None

    @property
    def is_gone(self) -> bool:
        return self.stage in {"merged", "erased"}

    def open_clocks(self, *policies: str) -> list[Clock]:
        """Open ones, of these policies, or of all."""
        return [clock for clock in self.clocks if clock.is_open and (not policies or clock.policy in policies)]

    def open_opportunities(self) -> list[str]:
        return self.with_status("open")

    def with_status(self, status: str) -> list[str]:
        """Opportunities of the current cycle."""
        return [name for name, one in self.opportunities.items() if one.cycle == self.cycle and one.status == status]

    # -- told ------------------------------------------------------------------------------------------------------

    def refuse(self, word: str) -> None:
        self.refusals[word] = self.refusals.get(word, 0) + 1

    def enter(self, stage: str, fact: Fact, *, implied: bool = False) -> None:
        self.transitions.append(Transition(self.cycle, self.stage or None, stage, fact, implied))
        if stage != "nurture":
            self.wake = None  # leaving nurture removes a pending date
        self.stage = stage
        self.stage_entered_at = fact.effective_at

    def confirm(self, stage: str) -> None:
        """The stage's own event came after all: it marks the latest implied entry in the cycle."""
        for transition in reversed(self.transitions):
            if transition.to_stage == stage and transition.cycle == self.cycle and transition.implied:
                transition.confirmed = True
                return

    def start_anew(self) -> None:
        """A reopening: attempts, contact and answers are counted from here."""
        self.attempts = 0
        self.contact = self.answered = self.promised = False

    def begin_cycle(self) -> None:
        """A new cycle clears owner and work status too, and ends cool-downs; the team stays: it is the last one named."""
        self.start_anew()
        self.cycle += 1
        self.owner = self.owner_kind = None
        self.work = 0
        self.cooldowns = []

    def work_reached(self, status: str) -> None:
        self.work = max(self.work, WORK.index(status))


# -- touches -------------------------------------------------------------------------------------------------------


def is_human(fact: Fact) -> bool:
    return fact.name == "TouchRecorded" and fact.event["actor"] == "human"


def is_attempt(fact: Fact) -> bool:
    """A human outbound touch, whatever its origin, channel and outcome."""
    return is_human(fact) and fact.event["direction"] == "outbound"


def is_two_way(fact: Fact) -> bool:
    return is_human(fact) and fact.event["outcome"] in {"connected", "replied"}


def is_response(fact: Fact) -> bool:
    """Response evidence: a salesperson reached out, or answered."""
    touch: Any = fact.event
    return (
        is_human(fact)
        and touch["origin"] == "sales"
        and touch["channel"] in {"call", "email", "sms", "meeting", "chat"}
        and touch["outcome"] != "bounced"
        and (touch["direction"] == "outbound" or touch["outcome"] == "connected")
    )
