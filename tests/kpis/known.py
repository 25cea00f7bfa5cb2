"""What is true of a world, from its raw events by the oracle alone: never from the pipeline's tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.kpis.data import World
from tests.oracle.records import Fact, settle
from tests.oracle.walk import LeadStory, TransitionTold, tell


@dataclass
class Journey:
    lead: LeadStory
    cycle: int
    entered: dict[str, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return self.lead.source or "(none)"

    @property
    def team(self) -> str:
        """The last one in the cycle."""
        return self.lead.cycles[self.cycle].team or "(none)"

    def at(self, stage: str) -> int | None:
        return self.entered.get(stage)


@dataclass
class Deal:
    """An opportunity as its own events tell it."""

    name: str
    lead: str
    status: str = ""
    opened: int = 0
    closed: int | None = None
    source: str = ""
    amount_minor: int | None = None
    told_currency: str = ""
    roles: list[str] = field(default_factory=list)
    amount: float | None = None
    currency: str = ""


class Known:
    def __init__(self, world: World) -> None:
        self.world = world
        self.now = world.now
        self.stories = tell(world.records, [world.agreement], now=world.now)
        self._settled = settle(world.records)
        test = {record.lead for record in world.records if record.event["is_test"]}
        there = {
            name: story
            for name, story in self.stories.items()
            if story.stage not in ("merged", "erased") and name not in test
        }
        self.leads = {name: story for name, story in there.items() if story.stage}
        self.heard = there.keys()
        """Leads whose events count, those that nothing has moved among them."""

    def of_team(self, team: str) -> Known:
        """What that team may know: of the leads that are its own now, all that was told of them."""
        out = Known.__new__(Known)
        out.world, out.now, out.stories, out._settled = self.world, self.now, self.stories, self._settled
        out.leads = {name: story for name, story in self.leads.items() if story.team == team}
        out.heard = out.leads.keys()
        return out

    @cached_property
    def into(self) -> dict[str, str]:
        """Merged lead -> the one it is part of in the end."""
        named = {(fact.lead, fact.event_id, fact.source_system): fact for fact in self._settled.facts}
        step = {
            name: str(named[name, told.event_id, told.source_system].event["into"])
            for name, story in self.stories.items()
            for told in story.transitions
            if told.to_stage == "merged"
        }

        def last(name: str) -> str:
            # What led over a lead that is erased by now is told nowhere any more: it counts for nobody.
            while name in step and self.stories[name].stage != "erased":
                name = step[name]
            return name

        return {name: last(name) for name in step}

    @cached_property
    def facts(self) -> list[tuple[str, Fact]]:
        """(lead it is part of now, fact), in order; copies under another lead id left out."""
        out, seen = [], set()
        both = [*self._settled.facts, *self._settled.withdrawn]
        withdrawn = {id(fact) for fact in self._settled.withdrawn}
        for fact in sorted(both, key=lambda one: one.place):
            lead = self.into.get(fact.lead, fact.lead)
            if (lead, fact.source_system, fact.event_id) in seen:
                continue
            seen.add((lead, fact.source_system, fact.event_id))
            if id(fact) not in withdrawn and lead in self.heard:
                out.append((lead, fact))
        return out

    def touches(self, lead: str) -> list[Fact]:
        return self._touches.get(lead, [])

    @cached_property
    def _touches(self) -> dict[str, list[Fact]]:
        out: dict[str, list[Fact]] = {}
        for lead, fact in self.facts:
            if fact.name == "TouchRecorded":
                out.setdefault(lead, []).append(fact)
        return out

    @cached_property
    def captured(self) -> dict[str, int]:
        """Lead -> its first LeadCaptured, of all that are part of it."""
        out: dict[str, int] = {}
        for lead, fact in self.facts:
            if fact.name == "LeadCaptured":
                out.setdefault(lead, fact.effective_at)
        return out

    @cached_property
    def journeys(self) -> list[Journey]:
        out: dict[tuple[str, int], Journey] = {}
        for lead, told in self.transitions():
            journey = out.setdefault((lead, told.cycle), Journey(self.leads[lead], told.cycle))
            journey.entered.setdefault(told.to_stage, told.entered_at)
        return list(out.values())

    def transitions(self) -> Iterator[tuple[str, TransitionTold]]:
        for lead, story in self.leads.items():
            for told in story.transitions:
                yield lead, told

    @cached_property
    def deals(self) -> list[Deal]:
        out: dict[tuple[str, str], Deal] = {}
        for lead, fact in self.facts:
            if not fact.name.startswith("Opportunity"):
                continue
            event = fact.event
            name = event["opportunity_id"]
            deal = out.setdefault((lead, name), Deal(name, lead))
            word = {"OpportunityOpened": "open", "OpportunityWon": "won", "OpportunityLost": "lost"}.get(fact.name)
            if fact.name == "OpportunityStageChanged":
                word = {"open": "reopen", "won": "won", "lost": "lost"}[event["stage_status"]]
            if word == "open" and not deal.status:
                deal.status, deal.opened = "open", fact.effective_at
            elif word == "reopen" and deal.status == "lost":
                deal.status = "open"
            elif word in ("won", "lost") and deal.status in ("", "open"):
                if not deal.status:
                    deal.opened = fact.effective_at
                deal.status, deal.closed = word, fact.effective_at
            if fact.name == "OpportunityOpened" and not deal.source:
                deal.source = event["source"]
            if event.get("amount_minor") is not None:
                deal.amount_minor, deal.told_currency = event["amount_minor"], event["currency"]
            if event.get("contact_roles"):
                deal.roles = [role["lead_id"] for role in event["contact_roles"]]
        for deal in out.values():
            if deal.status == "open":
                deal.closed = None
            if deal.amount_minor is None:
                rule: Any = self.world.agreement.get("currency")
                deal.currency = rule["base"] if rule else ""
            else:
                deal.amount, deal.currency = money(self.world, deal.amount_minor, deal.told_currency)
        return [deal for deal in out.values() if deal.status]


def money(world: World, minor: int, currency: str) -> tuple[float, str]:
    """In the base currency where there is a rate."""
    rule: Any = world.agreement.get("currency")
    amount = minor / (1 if currency == "JPY" else 100)
    if rule is None or currency == rule["base"] or currency not in rule.get("rates", {}):
        return amount, currency
    return amount * rule["rates"][currency], rule["base"]
