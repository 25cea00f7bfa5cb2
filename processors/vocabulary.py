"""The words of the domain: stages, ranks, reasons. No imports but the standard library."""

from __future__ import annotations

from typing import Final

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
LATENESS: Final = 72 * HOUR
"""How far back an event may reach: effective_at is never earlier than received_at less this."""
AHEAD: Final = 24 * HOUR
"""An occurred_at further than this after received_at is refused."""
EARLIEST: Final = 631_152_000_000
"""1990-01-01T00:00:00Z; an occurred_at before it is refused."""
NEVER: Final = 2**63 - 1
"""The largest Avro long: no deadline."""

FORWARD: Final = ("inquiry", "mql", "sal", "sql", "opportunity", "won", "lost")
PLACE: Final = {"inquiry": 1, "mql": 2, "sal": 3, "sql": 4, "opportunity": 5, "won": 6, "lost": 6}
"""Place on the forward path; won and lost share the last."""
STAGES: Final = (*FORWARD, "nurture", "recycled", "disqualified", "merged", "erased")
ENDS: Final = frozenset({"won", "lost", "recycled", "disqualified", "merged", "erased"})
"""Entering one of these ends every open response clock."""

RANK: Final = {
    name: rank
    for rank, name in enumerate(
        (
            "LeadCaptured",
            "LeadEnriched",
            "LeadScored",
            "LeadQualified",
            "LeadAssigned",
            "LeadAccepted",
            "LeadSalesQualified",
            "LeadPaused",
            "LeadResumed",
            "TouchRecorded",
            "OpportunityOpened",
            "OpportunityAmended",
            "OpportunityStageChanged",
            "OpportunityWon",
            "OpportunityLost",
            "LeadNurtured",
            "LeadRejected",
            "LeadRecycled",
            "LeadDisqualified",
            "LeadMerged",
            "LeadErasureRequested",
            "LeadErased",
            "FactWithdrawn",
        )
    )
}
"""Order of facts at an equal instant. FactWithdrawn has no place in a story; it is last so that files can be sorted."""

REJECT_REASONS: Final = {
    "wrong_route": "recycled",
    "incomplete_data": "recycled",
    "inaccurate_data": "recycled",
    "below_threshold": "recycled",
    "existing_opportunity": "disqualified",
    "duplicate": "disqualified",
    "not_target": "disqualified",
}
"""Reason of a LeadRejected -> the stage it leads to."""
MEND_REASONS: Final = frozenset({"incomplete_data", "inaccurate_data"})
"""Reasons of a LeadRejected that marketing can mend."""
END_REASONS: Final = frozenset(
    {
        "unable_to_reach",
        "inaccurate_data",
        "no_need",
        "no_budget",
        "no_fit",
        "bad_timing",
        "competitor",
        "do_not_contact",
        "other",
    }
)
"""Reasons to recycle, disqualify or lose."""

GRADES: Final = ("cold", "warm", "hot")
"""From cool to hot: an upgrade is a move to the right."""
WORK: Final = ("new", "assigned", "attempting", "connected", "meeting_set")

BY_GRADE: Final = (
    "assignment", "acceptance", "first_response", "owner_response", "cadence", "qualification", "next_response", "wake",
    "mend",
)  # fmt: skip
"""Policies whose target hangs on the lead's grade."""
BY_STAGE: Final = ("stage_age", "inactivity")
"""Policies whose target hangs on the lead's stage."""
POLICIES: Final = (*BY_GRADE, *BY_STAGE, "erasure")
OWNERS: Final = frozenset({"acceptance", "owner_response"})
"""Clocks of an owner: a new owner ends them."""
NEVER_PAUSED: Final = frozenset(
    {"assignment", "acceptance", "first_response", "owner_response", "next_response", "erasure"}
)
WORKED: Final = frozenset({"sal", "sql", "opportunity"})
"""Stages in which sales works a lead: inactivity counts there."""
FURTHEST: Final = (
    "", "nurture", "recycled", "disqualified", "inquiry", "mql", "sal", "sql", "opportunity", "lost", "won",
)  # fmt: skip
"""From least to furthest, for the survivor of a merge."""
ABSORBED: Final = "Absorbed"
"""Kind of the fact that stands, with the survivor, for the loser's LeadMerged."""
TICK: Final = "Tick"
"""Kind of the fact that stands for the lane clock having reached an instant."""
MOST_TOUCHES: Final = 256
"""Touches of a lead in one UTC day that are kept whole; of the rest first and last of each sort."""
REDIRECTED_NEVER: Final = frozenset({"LeadMerged", "LeadErasureRequested", "LeadErased", "FactWithdrawn"})
"""These act on the lead they name, also after its merge."""
