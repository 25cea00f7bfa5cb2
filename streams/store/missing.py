"""What a rollup has to add to the tables counted_… so that they say what their views …_now say, of the leads that `rolling`
names under {number:UInt64}: text of SQL. One statement for each table, and no view for it: planning goes through each view of a
view anew, and takes longer than all the rest where few leads have changed.
"""

from __future__ import annotations

from typing import Final

from streams.store.rolling import CHANGED

LEADS: Final = ("journeys", "clocks", "responses", "stays")
"""Of the tables of leads, transitions and clocks."""
STORIES: Final = ("touches", "deals", "entered", "fields", "known", "mqls", "moves", "shows")
"""Of the archive, and told by the leads that an event is part of now."""
TABLES: Final = ("merges", *LEADS, *STORIES)
"""Bare names: a table counted_…, and a view …_now."""
_SUMMED: Final = ("entered", "moves")
"""Of those several rows may be the same: they are counted, not taken back and added."""
_UNCOUNTED: Final = f"SELECT lead_id FROM uncounted_leads WHERE lead_id IN ({CHANGED})"  # noqa: S608  # names of ours
_DEALS: Final = frozenset(
    {"OpportunityOpened", "OpportunityAmended", "OpportunityStageChanged", "OpportunityWon", "OpportunityLost"}
)
_TOUCHED: Final = frozenset({"TouchRecorded"})
_TOLD_BY: Final = {
    "touches": _TOUCHED,
    "moves": _TOUCHED,
    "shows": _TOUCHED,
    "deals": _DEALS,
    "fields": frozenset({"LeadCaptured", "LeadEnriched"}),
}
"""Table -> types of events without which its view has no row."""


def now(table: str) -> str:
    """What the table has to say of the leads. Columns: its own, without `sign`."""
    if table in STORIES:
        return f"SELECT * FROM {table}_now(number = {{number:UInt64}})"  # noqa: S608  # names of ours
    counted = f" AND lead_id NOT IN ({_UNCOUNTED})" if table in ("clocks", "responses") else ""
    return f"SELECT * FROM {table}_now WHERE lead_id IN ({CHANGED}){counted}"  # noqa: S608  # names of ours


def missing(table: str, *, new: bool = False) -> str:
    """The rows that the table lacks. `new`: it says nothing of the leads yet, so that all there is has to be added."""
    if new and table not in _SUMMED:
        return f"SELECT *, toInt8(1) AS sign FROM ({now(table)})"  # noqa: S608  # names of ours
    signed = (
        f"SELECT * REPLACE (-toInt64(sign) AS sign) FROM counted_{table} WHERE lead_id IN ({CHANGED})"  # noqa: S608
        f" UNION ALL SELECT *, toInt64(1) AS sign FROM ({now(table)})"
    )
    if table in _SUMMED:
        return f"SELECT * EXCEPT (sign), sum(sign) AS sign FROM ({signed}) GROUP BY ALL HAVING sign != 0"  # noqa: S608
    return (
        "SELECT * EXCEPT (n), toInt8(sign(n)) AS sign"  # noqa: S608  # names of ours
        f" FROM (SELECT * EXCEPT (sign), sum(sign) AS n FROM ({signed}) GROUP BY ALL)"
        " ARRAY JOIN range(toUInt64(abs(n))) AS copy"
    )


def counting() -> str:
    """Which tables say anything of the leads. One column: their names."""
    return " UNION ALL ".join(
        f"(SELECT '{table}' FROM counted_{table} WHERE lead_id IN ({CHANGED}) LIMIT 1)"  # noqa: S608  # names of ours
        for table in TABLES
    )


def may_say(table: str, told: frozenset[str], *, any_mql: bool) -> bool:
    """Whether the view …_now of the table can have rows. `told`: types of events that count of the leads; `any_mql`: one of
    them ever was an mql.
    """
    if table in ("mqls", "shows") and not any_mql:
        return False
    types = _TOLD_BY.get(table)
    return types is None or not types.isdisjoint(told)
