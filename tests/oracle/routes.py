"""Which lead folds a fact: merges redirect what comes after them in the order (section 3, merge)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.oracle.calendar import DAY
from tests.oracle.records import Fact

NEVER_REDIRECTED: Final = frozenset({"LeadMerged", "LeadErasureRequested", "LeadErased", "FactWithdrawn"})


@dataclass
class Routes:
    """The merges and erasures walked so far."""

    into: dict[str, str] = field(default_factory=dict)
    """Loser -> the lead its accepted LeadMerged names."""
    nowhere: set[str] = field(default_factory=set)
    """Losers whose survivor was erased already: their content went nowhere."""
    erased: set[str] = field(default_factory=set)

    def chain(self, lead: str) -> list[str]:
        """The lead, the one it was merged into, and so on to the survivor."""
        chain = [lead]
        while chain[-1] in self.into:
            chain.append(self.into[chain[-1]])
        return chain

    def holder(self, fact: Fact) -> str:
        """The lead that folds it."""
        return fact.lead if fact.name in NEVER_REDIRECTED else self.chain(fact.lead)[-1]

    def goes_nowhere(self, fact: Fact) -> bool:
        """Whether it comes after a merge into a lead that was erased by then."""
        return fact.name not in NEVER_REDIRECTED and not self.nowhere.isdisjoint(self.chain(fact.lead))

    def take(self, fact: Fact) -> str | None:
        """A LeadMerged or LeadErased is taken in the order; the word by which a merge is refused, if it is."""
        if fact.name == "LeadErased":
            self.erased.add(fact.lead)
        elif fact.name == "LeadMerged":
            chain = self.chain(fact.event["into"])
            if fact.lead in chain:
                return "merge_cycle"
            if fact.lead in self.into or fact.lead in self.erased:
                return "illegal"
            if chain[-1] in self.erased:
                self.nowhere.add(fact.lead)
            self.into[fact.lead] = fact.event["into"]
        return None


def dropped_touches(facts: Iterable[Fact], withdrawn: Iterable[Fact], limit: int) -> set[tuple[str, str, str]]:
    """The touches a bot made too many: they meet and start nothing.

    Of those that name one lead in one UTC day the first `limit` are kept, of the rest the first and last of each kind. A
    withdrawn touch keeps its place in that count: its withdrawal brings none back.
    """
    days: dict[tuple[str, int], list[Fact]] = {}
    for fact in sorted([*facts, *withdrawn], key=lambda one: one.place):
        if fact.name == "TouchRecorded":
            days.setdefault((fact.lead, fact.effective_at // DAY), []).append(fact)
    dropped: set[tuple[str, str, str]] = set()
    for touches in days.values():
        kinds: dict[tuple[str, ...], list[Fact]] = {}
        for fact in touches[limit:]:
            words = ("channel", "direction", "origin", "actor", "outcome")
            kinds.setdefault(tuple(fact.event[word] for word in words), []).append(fact)
        for same in kinds.values():
            dropped.update((fact.lead, fact.source_system, fact.event_id) for fact in same[1:-1])
    return dropped
