"""What a history covers, as words that can be counted: a table row nobody walks is a row nobody checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tests.oracle.calendar import HOUR
from tests.oracle.records import Fact, Record, body_hash, first_receipts, is_valid, settle
from tests.oracle.walk import LeadStory, TransitionTold

FORWARD: Final = ("inquiry", "mql", "sal", "sql", "opportunity", "won", "lost")
_ROWS: Final[Mapping[str, str]] = {
    "(none)": "inquiry mql sal merged erased",
    "inquiry": "mql nurture disqualified merged erased",
    "nurture": "mql disqualified merged erased",
    "mql": "sal recycled disqualified merged erased",
    "sal": "sql recycled disqualified merged erased",
    "sql": "opportunity recycled disqualified merged erased",
    "opportunity": "won lost merged erased",
    "lost": "recycled mql:new_cycle opportunity:new_cycle opportunity:reopened merged erased",
    "won": "mql:new_cycle opportunity:new_cycle merged erased",
    "recycled": "mql:new_cycle opportunity:new_cycle nurture disqualified merged erased",
    "disqualified": "inquiry:reopened merged erased",
    "merged": "erased",
}
"""Section 3's table; from (none) to sql and beyond is told by way of an implied sal."""
_IMPLIED: Final = (
    "(none)->sal", "sal->sql", "sql->opportunity", "inquiry->mql", "mql->sal", "lost->opportunity:new_cycle",
    "won->opportunity:new_cycle", "recycled->opportunity:new_cycle",
)  # fmt: skip
MOVES: Final = frozenset(
    {f"move:{start}->{end}" for start, ends in _ROWS.items() for end in ends.split()}
    | {f"move:{row}:implied" for row in _IMPLIED}
)
REFUSALS: Final = frozenset(
    f"refusal:{word}"
    for word in (
        "illegal", "redundant", "refused_cooldown", "refused_reason", "merge_cycle", "refused_erased", "disputed",
    )
)  # fmt: skip
_POLICIES: Final = (
    "assignment", "acceptance", "first_response", "owner_response", "cadence", "qualification", "next_response",
    "stage_age", "inactivity", "wake", "mend", "erasure",
)  # fmt: skip
_RUNNING: Final = ("open", "breached_open", "met", "late_met")
VERDICTS: Final = frozenset(
    {f"sla:{policy}:{verdict}" for policy in _POLICIES for verdict in _RUNNING}
    | {f"sla:{policy}:{verdict}" for policy in _POLICIES if policy != "erasure"
       for verdict in ("cancelled", "breached_ended")}
    | {"sla:acceptance:transferred", "sla:owner_response:transferred"}
)  # fmt: skip
"""Every verdict a policy can come to. mend and stage_age are ended by a merge (or erasure) only."""
OTHERS: Final = frozenset(
    {
        "late_evidence", "disputed", "clock_ahead", "copy", "identity_conflict", "tie", "received_late",
        "withdrawal:after", "withdrawal:before", "withdrawal:of_merge", "withdrawal:of_move", "met_at_deadline",
        "ended_at_deadline", "confirmed", "paused", "upgraded", "second_version", "merged_stage", "merged_into_erased",
        "merge_chain", "moved", "redirected", "superseded",
    }
)  # fmt: skip
EXPECTED: Final = MOVES | REFUSALS | VERDICTS | OTHERS
"""What a large sample must show."""


def labels(records: Iterable[Record], stories: Mapping[str, LeadStory]) -> Iterable[str]:
    """The labels of one history, each once."""
    return sorted({*_of_stories(stories), *_of_records(list(records), stories)})


def move_label(before: TransitionTold | None, now: TransitionTold) -> str:
    """`move:lost->mql:new_cycle`, with `:implied` where it is; one caused by a merge says so."""
    label = f"move:{now.from_stage or '(none)'}->{now.to_stage}"
    if now.event_type == "LeadMerged" and now.to_stage != "merged":
        return f"{label}:by_merge"
    if before is not None and now.cycle > before.cycle and now.from_stage in {"won", "lost", "recycled"}:
        label += ":new_cycle"
    elif (now.from_stage, now.to_stage) in {("disqualified", "inquiry"), ("lost", "opportunity")}:
        label += ":reopened"
    return f"{label}:implied" if now.implied else label


def _of_stories(stories: Mapping[str, LeadStory]) -> Iterator[str]:
    for story in stories.values():
        yield from (f"refusal:{word}" for word in story.refusals)
        yield f"stage:{story.stage or '(none)'}"
        yield f"work:{story.work_status}"
        for number, move in enumerate(story.transitions):
            label = move_label(story.transitions[number - 1] if number else None, move)
            yield label
            if label.endswith(":by_merge"):
                yield "merged_stage"
            if move.confirmed:
                yield "confirmed"
        for one in story.instances:
            yield f"sla:{one.policy}:{one.verdict}"
            if one.late_evidence:
                yield "late_evidence"
                yield f"late_evidence:{one.policy}"
            if one.satisfied_at == one.deadline:
                yield "met_at_deadline"
            if one.ended_at == one.deadline:
                yield "ended_at_deadline"
            if one.deadline < one.started_at + one.target_ms:
                yield "upgraded"  # nothing else brings a deadline nearer than its target
            if one.calendar == "24x7" and one.deadline > one.started_at + one.target_ms:
                yield "paused"  # and nothing else moves it away where it is always open
        if len({one.agreement_version for one in story.instances}) > 1:
            yield "second_version"


def _of_records(records: list[Record], stories: Mapping[str, LeadStory]) -> Iterator[str]:
    valid = [record for record in records if is_valid(record)]
    counted = first_receipts(valid)
    bodies = {(record.identity, body_hash(record)) for record in valid}
    if len(bodies) > len(counted):
        yield "identity_conflict"
    if len(valid) > len(bodies):
        yield "copy"
    settled = settle(records)
    yield from _of_facts(settled.facts, settled.erased)
    received = {record.identity: record.received_at for record in counted}
    for fact in settled.withdrawn:
        yield f"withdrawal:of:{fact.name}"
        if fact.name == "LeadMerged":
            yield "withdrawal:of_merge"
        elif fact.name != "TouchRecorded":
            yield "withdrawal:of_move"
    for record in counted:
        if record.name == "FactWithdrawn":
            system = record.event["withdrawn_source_system"] or record.event["source_system"]
            of = received.get((record.lead, system, record.event["withdrawn_event_id"]))
            if of is not None:
                yield "withdrawal:before" if record.received_at < of else "withdrawal:after"
    yield from _of_moves_between_leads(settled.facts, stories)


def _of_facts(facts: list[Fact], erased: Mapping[str, int]) -> Iterator[str]:
    instants = [fact.effective_at for fact in facts]
    if len(set(instants)) < len(instants):
        yield "tie"
    for fact in facts:
        yield f"kind:{fact.name}"
        if fact.disputed:
            yield "disputed"
        if fact.clock_ahead:
            yield "clock_ahead"
        if fact.received_at >= fact.effective_at + HOUR:
            yield "received_late"
    if erased:
        yield "erased"


def _of_moves_between_leads(facts: list[Fact], stories: Mapping[str, LeadStory]) -> Iterator[str]:
    merges = {fact.event_id: fact for fact in facts if fact.name == "LeadMerged"}
    merged = {
        story.lead_id: merges[move.event_id]
        for story in stories.values()
        for move in story.transitions
        if move.to_stage == "merged"
    }
    for fact in merged.values():
        into = str(fact.event["into"])
        if into in merged:
            yield "merge_chain"
        for move in stories[into].transitions:
            if move.to_stage == "erased" and move.entered_at < fact.effective_at:
                yield "merged_into_erased"
    own = {(fact.lead, fact.source_system, fact.event_id) for fact in facts}
    leads = {(fact.source_system, fact.event_id): fact.lead for fact in facts}
    for story in stories.values():
        for one in story.instances:
            if one.ended_by in merges and story.lead_id not in {merges[one.ended_by].lead}:
                yield "superseded"
            start = (one.start_source_system, one.start_event_id)
            if (story.lead_id, *start) not in own:
                merge = merged.get(leads[start])
                moved = merge is not None and one.started_at <= merge.effective_at
                yield f"moved:{one.policy}:{one.verdict}" if moved else f"redirected:{one.policy}"
                yield "moved" if moved else "redirected"
