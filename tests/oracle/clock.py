"""One running promise: its budget of open time, its pauses, its deadline and its verdict (section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tests.oracle.agreement import Agreement, Terms
from tests.oracle.records import Fact

NEVER_PAUSED: Final = frozenset(
    {"assignment", "acceptance", "first_response", "owner_response", "next_response", "erasure"}
)


@dataclass
class Clock:
    """An instance of a policy."""

    policy: str
    cycle: int
    start: Fact
    started_at: int
    agreement: Agreement
    """Pinned: the version in force at the start."""
    terms: Terms
    """Pinned: calendar and targets."""
    target: int
    grade: str
    owner: str | None
    team: str | None
    source: str | None = None
    stage: str = ""
    """For stage_age: the stage that is to be left."""
    missing: set[str] = field(default_factory=set)
    """For mend: the named fields that are not filled yet."""
    budget: int = 0
    pauses: list[tuple[int, int | None]] = field(default_factory=list)
    """(from, until at the latest); they do not overlap, and the cap is not applied yet."""
    satisfied: Fact | None = None
    ended: Fact | None = None
    transferred: bool = False
    """Ended because somebody else owns the lead now."""

    def __post_init__(self) -> None:
        self.budget = self.target
        self._deadline: int | None = None

    @property
    def is_open(self) -> bool:
        """Neither satisfied nor ended; it may be overdue."""
        return self.satisfied is None and self.ended is None

    # -- measuring -------------------------------------------------------------------------------------------------

    def paused_spans(self) -> list[tuple[int, int]]:
        """The pauses as they are, or may become: cut where all of them together reach the cap."""
        calendar = self.terms.calendar
        left = self.agreement.pause_cap(calendar)
        spans = []
        for begin, until in self.pauses:
            at_cap = calendar.add(begin, left)
            end = at_cap if until is None else min(until, at_cap)
            spans.append((begin, end))
            left -= calendar.open_between(begin, end)
        return spans

    def consumed(self, instant: int) -> int:
        """Open time from the start to the instant, pauses left out."""
        calendar = self.terms.calendar
        paused = sum(calendar.open_between(begin, min(end, instant)) for begin, end in self.paused_spans())
        return calendar.open_between(self.started_at, instant) - paused

    @property
    def deadline(self) -> int:
        """The earliest instant at which what was consumed is the budget."""
        if self._deadline is None:
            self._deadline = self._find_deadline()
        return self._deadline

    def _find_deadline(self) -> int:
        calendar = self.terms.calendar
        since, left = self.started_at, self.budget
        for begin, end in self.paused_spans():
            part = calendar.open_between(since, begin)
            if part >= left:
                break
            left -= part
            since = end
        return calendar.add(since, left)

    # -- what happens to it ----------------------------------------------------------------------------------------

    def pause(self, begin: int, until: int | None) -> None:
        """A pause stops it unless its deadline has passed; one that runs is replaced."""
        in_time = begin <= self.deadline
        self.end_pause(begin)
        if in_time and self.policy not in NEVER_PAUSED:
            self.pauses.append((begin, until))
            self._deadline = None

    def is_paused_at(self, instant: int) -> bool:
        """Whether a pause was set that may still run then, its cap apart."""
        return bool(self.pauses) and (self.pauses[-1][1] is None or self.pauses[-1][1] > instant)

    def end_pause(self, instant: int) -> None:
        """The pause that runs at the instant, if one does, ends there."""
        if self.is_paused_at(instant):
            self.pauses[-1] = (self.pauses[-1][0], instant)
            self._deadline = None

    def upgrade(self, instant: int, grade: str) -> None:
        """A hotter grade leaves at most its own target from now on."""
        target = self.terms.target(grade)
        if target is not None:
            self.budget = min(self.budget, self.consumed(instant) + target)
            self._deadline = None

    def satisfy(self, fact: Fact) -> None:
        self.satisfied = fact

    def end(self, fact: Fact, *, transferred: bool = False) -> None:
        self.ended = fact
        self.transferred = transferred

    # -- judging ---------------------------------------------------------------------------------------------------

    def verdict(self, now: int, grace: int) -> str:
        """Where it stands when the clock shows `now`."""
        if self.satisfied is not None:
            return "met" if self.satisfied.effective_at <= self.deadline else "late_met"
        if self.ended is not None:
            if self.ended.effective_at > self.deadline:
                return "breached_ended"
            return "transferred" if self.transferred else "cancelled"
        return "breached_open" if now >= self.deadline + grace else "open"

    def is_late_evidence(self, grace: int) -> bool:
        """Met in time, but received when the breach had been announced."""
        fact = self.satisfied
        return fact is not None and fact.effective_at <= self.deadline and fact.received_at > self.deadline + grace
