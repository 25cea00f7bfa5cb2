"""Events with every field of their schema, so that tests state only what matters to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from schemas.catalog import CATALOG
from tests.oracle.records import RANKS, Record

_PLAIN: Final = {
    "LeadCaptured": {"source": "website"},
    "LeadScored": {"grade": "warm"},
    "LeadAssigned": {"owner": "ann"},
    "LeadRejected": {"reason": "below_threshold"},
    "LeadRecycled": {"reason": "no_need"},
    "LeadDisqualified": {"reason": "no_fit"},
    "LeadPaused": {"reason": "customer_request"},
    "LeadMerged": {"into": "other"},
    "TouchRecorded": {
        "channel": "call", "direction": "outbound", "origin": "sales", "actor": "human", "outcome": "attempted",
    },
    "OpportunityOpened": {"opportunity_id": "o1", "source": "website"},
    "OpportunityStageChanged": {"opportunity_id": "o1", "stage_status": "open"},
    "OpportunityAmended": {"opportunity_id": "o1"},
    "OpportunityWon": {"opportunity_id": "o1"},
    "OpportunityLost": {"opportunity_id": "o1", "reason": "no_need"},
    "FactWithdrawn": {"withdrawn_event_id": ""},
}  # fmt: skip
"""Values of fields without a default."""


def _defaults(name: str) -> dict[str, Any]:
    fields = CATALOG[name].schema["fields"]
    return {field["name"]: field["default"] for field in fields if "default" in field} | _PLAIN.get(name, {})


_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {name: _defaults(name) for name in (*RANKS, "FactWithdrawn")}


def record(
    name: str,
    at: int,
    event_id: str,
    *,
    lead: str = "a",
    received: int | None = None,
    system: str = "crm",
    **fields: Any,
) -> Record:
    """An event that happened at `at`, received then unless another time is named."""
    event = {
        **_DEFAULTS[name],
        **fields,
        "event_id": event_id,
        "lead_id": lead,
        "occurred_at": at,
        "source_system": system,
    }
    return Record(name, event, at if received is None else received)
