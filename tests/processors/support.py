"""Histories in a few words, for tests of the fold: events with defaults, times as hours from a fixed start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from processors import lead as leads
from processors.agreement import Agreement, Agreements
from processors.facts import Fact, to_fact
from processors.folding import Outcome
from processors.state import Memory
from processors.telling import InstanceSaid

START = 1_700_000_000_000
HOUR = 3_600_000

LEAD = "lead-1"
AGREEMENT = Agreement.parse(
    """
version: test-1
effective_from: 2020-01-01T00:00:00Z
policies:
  first_response:
    targets: {hot: 1 h, warm: 4 h, cold: 24 h}
ladder: [100]
cooldowns: {no_budget: 90 d}
"""
)
AGREEMENTS = Agreements([AGREEMENT])

_DEFAULTS: dict[str, dict[str, Any]] = {
    "LeadCaptured": {"source": "website", "campaign": None, "hand_raise": False},
    "LeadEnriched": {"fields": []},
    "LeadScored": {"grade": "warm"},
    "LeadQualified": {"definition": None},
    "LeadAssigned": {"owner": "rep-1", "owner_kind": "person", "team": "north"},
    "LeadAccepted": {"performed_by": None},
    "LeadRejected": {"reason": "wrong_route", "reason_text": None, "fields": []},
    "LeadSalesQualified": {"performed_by": None},
    "LeadPaused": {"reason": "holiday", "until": None},
    "LeadNurtured": {"wake_date": None},
    "LeadRecycled": {"reason": "no_need", "reason_text": None},
    "LeadDisqualified": {"reason": "no_fit", "reason_text": None},
    "LeadMerged": {"into": "lead-2"},
    "TouchRecorded": {
        "channel": "call",
        "direction": "outbound",
        "origin": "sales",
        "actor": "human",
        "outcome": "no_answer",
        "performed_by": None,
    },
    "OpportunityOpened": {"opportunity_id": "o-1", "source": "website", "owner": None},
    "OpportunityStageChanged": {"opportunity_id": "o-1", "stage": None, "stage_status": "open", "reason": None},
    "OpportunityAmended": {"opportunity_id": "o-1"},
    "OpportunityWon": {"opportunity_id": "o-1"},
    "OpportunityLost": {"opportunity_id": "o-1", "reason": "no_need", "reason_text": None},
    "FactWithdrawn": {"withdrawn_event_id": "", "withdrawn_source_system": None},
}


def event(kind: str, hours: float, event_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """A complete event of `kind` that happened `hours` after START. Its id, unless given, says what and when."""
    return {
        "event_id": event_id or f"{kind}@{hours:g}",
        "lead_id": LEAD,
        "occurred_at": START + round(hours * HOUR),
        "source_system": "crm",
        "entered_by": "system",
        "is_test": False,
        **_DEFAULTS.get(kind, {}),
        **fields,
    }


def fact(kind: str, hours: float, *, received: float | None = None, event_id: str | None = None, **fields: Any) -> Fact:
    """The same as a fact, received `received` hours after START (default: when it happened)."""
    received_at = START + round((hours if received is None else received) * HOUR)
    return to_fact(kind, event(kind, hours, event_id, **fields), received_at)


class Told:
    """What the outputs come to once corrections and retractions have replaced what they correct."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.transitions: dict[str, Any] = {}
        self.instances: dict[str, tuple[Any, bool]] = {}
        self.kinds: list[str] = []
        self.outcomes: list[Outcome] = []

    def take(self, facts: Iterable[Fact], clock: float | None = None) -> Told:
        """Folds facts in the order given, with the lane clock `clock` hours after START (default: none known)."""
        for item in facts:
            at = 0 if clock is None else START + round(clock * HOUR)
            outcome = leads.receive(LEAD, self.memory, item, at, AGREEMENTS)
            self.outcomes.append(outcome)
            for said in outcome.transitions:
                if said.change == "retracted":
                    del self.transitions[said.transition.transition_id]
                else:
                    self.transitions[said.transition.transition_id] = said.transition
            self._hear(outcome.instances)
        return self

    def fire(self, clock: float, grace_ms: int = 0) -> Told:
        self._hear(leads.fire(LEAD, self.memory, AGREEMENTS, START + round(clock * HOUR), grace_ms).instances)
        return self

    def _hear(self, instances: Iterable[InstanceSaid]) -> None:
        for said in instances:
            self.kinds.append(said.kind)
            if said.kind in ("retracted", "moved"):
                del self.instances[said.instance.instance_id]
            else:
                self.instances[said.instance.instance_id] = (said.instance, said.announced)

    @property
    def path(self) -> list[str]:
        """Stages entered, in order; implied ones in brackets, confirmed ones with a plus."""
        ordered = sorted(self.transitions.values(), key=lambda item: item.sequence)
        return [
            f"({item.to_stage}){'+' if item.confirmed else ''}" if item.implied else item.to_stage for item in ordered
        ]
