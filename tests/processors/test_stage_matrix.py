"""Every stage meets every stage event. One row a stage, one column an event, one test a cell.

`(x)` is an entry implied on the way; `+1` a new cycle; `=` redundant; `-` illegal; `.` nothing; `>` passed on to the
survivor of the merge; `!` refused, the lead is erased.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.processors.support import Told, fact

EVENTS = (
    "LeadCaptured", "LeadQualified", "LeadAccepted", "LeadSalesQualified", "OpportunityOpened", "OpportunityWon",
    "OpportunityLost", "LeadNurtured", "LeadRejected", "LeadRecycled", "LeadDisqualified", "LeadMerged", "LeadErased",
)  # fmt: skip
TABLE: dict[str, tuple[str, ...]] = {
    "none": (
        "inquiry", "mql", "sal", "(sal) sql", "(sal) (sql) opportunity", "(sal) (sql) (opportunity) won",
        "(sal) (sql) (opportunity) lost", "-", "-", "-", "-", "merged", "erased",
    ),
    "inquiry": (
        "=", "mql", "(mql) sal", "(mql) (sal) sql", "(mql) (sal) (sql) opportunity",
        "(mql) (sal) (sql) (opportunity) won", "(mql) (sal) (sql) (opportunity) lost", "nurture", "-", "-",
        "disqualified", "merged", "erased",
    ),
    "nurture": ("-", "mql", "-", "-", "-", "-", "-", "-", "-", "-", "disqualified", "merged", "erased"),
    "mql": (
        "=", "=", "sal", "(sal) sql", "(sal) (sql) opportunity", "(sal) (sql) (opportunity) won",
        "(sal) (sql) (opportunity) lost", "-", "recycled", "recycled", "disqualified", "merged", "erased",
    ),
    "sal": (
        "=", "=", "=", "sql", "(sql) opportunity", "(sql) (opportunity) won", "(sql) (opportunity) lost", "-", "-",
        "recycled", "disqualified", "merged", "erased",
    ),
    "sql": (
        "=", "=", "=", "=", "opportunity", "(opportunity) won", "(opportunity) lost", "-", "-", "recycled",
        "disqualified", "merged", "erased",
    ),
    # The event's opportunity is another one than the one that is open: a second opens, wins, or closes beside it.
    "opportunity": ("=", "=", "=", "=", "=", "won", ".", "-", "-", "-", "-", "merged", "erased"),
    "won": (
        "=", "+1 mql", "=", "=", "+1 opportunity", "+1 (opportunity) won", "+1 (opportunity) lost", "-", "-", "-", "-",
        "merged", "erased",
    ),
    "lost": (
        "=", "+1 mql", "=", "=", "+1 opportunity", "+1 (opportunity) won", "+1 (opportunity) lost", "-", "-",
        "recycled", "-", "merged", "erased",
    ),
    "recycled": (
        "-", "+1 mql", "-", "-", "+1 opportunity", "+1 (opportunity) won", "+1 (opportunity) lost", "nurture", "-",
        "-", "disqualified", "merged", "erased",
    ),
    "disqualified": ("inquiry", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "merged", "erased"),
    "merged": (">", ">", ">", ">", ">", ">", ">", ">", ">", ">", ">", "-", "erased"),
    "erased": ("!",) * 13,
}  # fmt: skip
WAYS: dict[str, tuple[str, ...]] = {
    "none": (),
    "inquiry": ("LeadCaptured",),
    "nurture": ("LeadCaptured", "LeadNurtured"),
    "mql": ("LeadQualified",),
    "sal": ("LeadQualified", "LeadAccepted"),
    "sql": ("LeadQualified", "LeadAccepted", "LeadSalesQualified"),
    "opportunity": ("LeadQualified", "OpportunityOpened"),
    "won": ("LeadQualified", "OpportunityOpened", "OpportunityWon"),
    "lost": ("LeadQualified", "OpportunityOpened", "OpportunityLost"),
    "recycled": ("LeadQualified", "LeadRecycled"),
    "disqualified": ("LeadCaptured", "LeadDisqualified"),
    "merged": ("LeadQualified", "LeadMerged"),
    "erased": ("LeadQualified", "LeadErased"),
}


def _met(stage: str, kind: str) -> tuple[str, Told]:
    """What `kind` does to a lead at `stage`, in the words of TABLE."""
    told = Told().take(fact(name, hour) for hour, name in enumerate(WAYS[stage]))
    assert (told.memory.state.stage or "none") == stage
    cycle, entered = told.memory.state.cycle, len(told.path)
    refusals = dict(told.memory.state.refusals)
    fields: dict[str, Any] = {"opportunity_id": "another"} if kind.startswith("Opportunity") else {}
    told.take([fact(kind, 10, event_id="tested", **fields)])
    outcome, state = told.outcomes[-1], told.memory.state
    if outcome.refused:
        assert outcome.refused[0][0] == "refused_erased"
        return "!", told
    if outcome.passed_on and outcome.passed_on[0].fact.kind == kind:
        assert outcome.passed_on[0].into == "lead-2"
        return ">", told
    counted = {name: count - refusals.get(name, 0) for name, count in state.refusals.items()}
    path = told.path[entered:]
    if state.cycle != cycle:
        path.insert(0, "+1")
    if path:
        assert not any(counted.values())
        return " ".join(path), told
    words = {"redundant": "=", "illegal": "-"}
    said = [words[name] for name, count in counted.items() if count]
    return (said[0] if said else "."), told


@pytest.mark.parametrize(
    ("stage", "kind", "expected"),
    [(stage, kind, cell) for stage, row in TABLE.items() for kind, cell in zip(EVENTS, row, strict=True)],
    ids=[f"{kind} on {stage}: {cell}" for stage, row in TABLE.items() for kind, cell in zip(EVENTS, row, strict=True)],
)
def test_move(stage: str, kind: str, expected: str) -> None:
    found, told = _met(stage, kind)
    assert found == expected
    if found in "=-.":
        assert (told.memory.state.stage or "none") == stage


@pytest.mark.parametrize(
    ("reason", "stage"),
    [
        ("wrong_route", "recycled"),
        ("incomplete_data", "recycled"),
        ("inaccurate_data", "recycled"),
        ("below_threshold", "recycled"),
        ("existing_opportunity", "disqualified"),
        ("duplicate", "disqualified"),
        ("not_target", "disqualified"),
    ],
)
def test_reason_to_reject(reason: str, stage: str) -> None:
    told = Told().take([fact("LeadQualified", 0), fact("LeadRejected", 1, reason=reason)])
    assert told.path == ["mql", stage]
    told.take([fact("LeadQualified", 2)])  # no rejection gives a cool-down
    assert told.memory.state.refusals == ({} if stage == "recycled" else {"illegal": 1})


ENDS = (
    "unable_to_reach", "inaccurate_data", "no_need", "no_budget", "no_fit", "bad_timing", "competitor", "do_not_contact",
    "other",
)  # fmt: skip


@pytest.mark.parametrize("reason", ENDS)
@pytest.mark.parametrize(
    ("kind", "stage"),
    [("LeadRecycled", "recycled"), ("LeadDisqualified", "disqualified"), ("OpportunityLost", "lost")],
)
def test_reason_to_end(kind: str, stage: str, reason: str) -> None:
    fields: dict[str, Any] = {"reason": reason, "reason_text": "as agreed by phone"}
    tried = Told().take(
        [fact("LeadQualified", 0), fact("TouchRecorded", 1, outcome="connected"), fact(kind, 2, **fields)]
    )
    assert tried.memory.state.stage == stage
    untried = Told().take([fact("LeadQualified", 0), fact(kind, 2, **fields)])
    if reason == "unable_to_reach":
        assert (untried.memory.state.stage, untried.memory.state.refusals) == ("mql", {"refused_reason": 1})
    else:
        assert untried.memory.state.stage == stage


@pytest.mark.parametrize("kind", ["LeadCaptured", "LeadQualified", "LeadAccepted", "LeadSalesQualified"])
def test_a_redundant_event_confirms_the_implied_entry(kind: str) -> None:
    stage = {"LeadQualified": "mql", "LeadAccepted": "sal", "LeadSalesQualified": "sql"}.get(kind)
    told = Told().take([fact("LeadCaptured", 0), fact("OpportunityOpened", 1), fact(kind, 2)])
    expected = ["inquiry", "(mql)", "(sal)", "(sql)", "opportunity"]
    assert told.path == [f"{item}+" if item == f"({stage})" else item for item in expected]
