"""What an event says in an open vocabulary, held against the agreement. Pure; may not import I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from processors.agreement import Agreement

_SOURCED: Final = frozenset({"LeadCaptured", "OpportunityOpened"})


def refusal(agreement: Agreement, kind: str, details: Mapping[str, Any]) -> tuple[str, str] | None:
    """(reason, detail) where the event names a source or campaign that the agreement does not list; None: it does, or the
    agreement lists none. `agreement`: in force when the event took effect.
    """
    if agreement.sources is not None and kind in _SOURCED and details["source"] not in agreement.sources:
        return (
            "unknown_source",
            f"{kind}.source is not listed in agreement {agreement.version}: list it there, or mend the event; "
            f"listed are {', '.join(sorted(agreement.sources)[:20])}",
        )
    if agreement.campaigns is not None:
        campaign = details.get("campaign")
        if campaign is not None and campaign not in agreement.campaigns:
            return (
                "unknown_campaign",
                f"{kind}.campaign is not listed in agreement {agreement.version}: list it there, or mend the event",
            )
    return None
