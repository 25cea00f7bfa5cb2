"""Every implementation of the rules tells every history as it was worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tests.histories.read import Fact, History, HistoryError, Step, Story, histories, load, read

Tell = Callable[[Sequence[Fact], Sequence[Mapping[str, Any]], int], Mapping[str, Any]]


def _oracle(records: Sequence[Fact], agreements: Sequence[Mapping[str, Any]], now: int) -> Mapping[str, Any]:
    from tests.oracle.walk import Record, tell

    return tell([Record(*fact) for fact in records], list(agreements), now=now)


def _fold(records: Sequence[Fact], agreements: Sequence[Mapping[str, Any]], now: int) -> Mapping[str, Any]:
    from tests.support.fold import lead_ids, tell

    told = tell(records, agreements, now=now, lead_ids=lead_ids(records))
    return {
        lead: SimpleNamespace(
            **{name: story["state"].get(name) for name in _ATTRIBUTES},
            refusals=story["state"].get("refusals", {}),
            transitions=[SimpleNamespace(**one) for one in story["transitions"]],
            instances=[SimpleNamespace(**one) for one in story["instances"]],
        )
        for lead, story in told.items()
    }


_ATTRIBUTES = ("stage", "cycle", "owner", "owner_kind", "team", "grade", "work_status", "source", "campaign")

# Each returns, per lead, an object with the attributes that `_told` reads.
IMPLEMENTATIONS: dict[str, Tell] = {"oracle": _oracle, "fold": _fold}

HISTORIES = histories()


def _instant(at: int | None) -> str:
    if at is None:
        return "-"
    return f"{datetime.fromtimestamp(at // 1000, UTC):%a %d %b %Y %H:%M:%S}.{at % 1000:03}"


def _expected(story: Story) -> dict[str, Any]:
    return {
        "path": [_step(step, step.entered_at is not None) for step in story.path],
        "clocks": sorted(
            (
                f"{clock.policy} {_instant(clock.started_at)} -> {_instant(clock.deadline)} {clock.verdict}"
                f" satisfied {_instant(clock.satisfied_at)} ended {_instant(clock.ended_at)} late {clock.late_evidence}"
            )
            for clock in story.clocks
        ),
        "refusals": story.refusals,
        "attributes": story.attributes,
    }


def _step(step: Step, timed: bool) -> str:
    name = f"[{step.stage}{'+' if step.confirmed else ''}]" if step.implied else step.stage
    return f"{name} cycle {step.cycle}" + (f" {_instant(step.entered_at)}" if timed else "")


def _told(lead: Any, story: Story) -> dict[str, Any]:
    """What an implementation tells of a lead, as far as the history says something about it."""
    steps = [
        Step(one.to_stage, one.implied, one.implied and one.confirmed, one.cycle, one.entered_at)
        for one in (lead.transitions if lead else ())
    ]
    timed = [step.entered_at is not None for step in story.path] + [True] * len(steps)
    return {
        "path": [_step(step, wanted) for step, wanted in zip(steps, timed, strict=False)],
        "clocks": sorted(
            (
                f"{one.policy} {_instant(one.started_at)} -> {_instant(one.deadline)} {one.verdict}"
                f" satisfied {_instant(one.satisfied_at)} ended {_instant(one.ended_at)} late {one.late_evidence}"
            )
            for one in (lead.instances if lead else ())
        ),
        "refusals": {word: count for word, count in lead.refusals.items() if count} if lead else {},
        "attributes": {word: getattr(lead, word) for word in story.attributes} if lead else {},
    }


@pytest.mark.parametrize("tell", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS.keys())
@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.title)
def test_history(history: History, tell: Tell) -> None:
    leads = tell(history.records, history.agreements, history.now)
    expected = {lead: _expected(story) for lead, story in history.expected.items()}
    told = {lead: _told(leads.get(lead), story) for lead, story in history.expected.items()}
    assert told == expected, history.why
    for lead, story in history.expected.items():
        if story.path:
            assert leads[lead].stage == story.path[-1].stage


def _nothing_is_refused(history: History) -> bool:
    """Whether a copy is always nothing: after an erasure it is refused, of a letter refused for its time it may count."""
    return not any(
        fact.name == "LeadErased" or fact.event["occurred_at"] > fact.received_at for fact in history.records
    )


@pytest.mark.parametrize("tell", IMPLEMENTATIONS.values(), ids=IMPLEMENTATIONS.keys())
@pytest.mark.parametrize(
    "history", [one for one in HISTORIES if _nothing_is_refused(one)], ids=lambda history: history.title
)
def test_a_history_told_twice_is_the_same_history(history: History, tell: Tell) -> None:
    copies = [Fact(fact.name, dict(fact.event), fact.received_at + 1) for fact in history.records]
    records = sorted([*history.records, *copies], key=lambda fact: fact.received_at)
    leads = tell(records, history.agreements, history.now)
    expected = {lead: _expected(story) for lead, story in history.expected.items()}
    assert {lead: _told(leads.get(lead), story) for lead, story in history.expected.items()} == expected


# The reader


SMALL = """
title: small
why: as an example
agreement: simple
policies: first_response
events:
  - Mon 09:00 captured hand_raise=yes
  - Mon 10:00 call outbound no_answer (received Mon 10:01)
path: inquiry
clocks:
  - first_response Mon 09:00 -> 10:00 met at 10:00
"""


def test_reads_a_history() -> None:
    history = read(load(SMALL))
    captured, call = history.records
    assert captured.name == "LeadCaptured"
    assert captured.event == {
        "event_id": "e001",
        "lead_id": "A",
        "occurred_at": 1_793_610_000_000,  # Mon 2 Nov 2026 09:00 UTC
        "source_system": "crm",
        "entered_by": "system",
        "is_test": False,
        "source": "website",
        "campaign": None,
        "channel": None,
        "landing_page": None,
        "person": None,
        "account": None,
        "region": None,
        "hand_raise": True,
    }
    assert call.event["outcome"] == "no_answer"
    assert call.received_at == call.event["occurred_at"] + 60_000
    assert history.now == call.received_at + 3_600_000
    assert list(history.agreements[0]["policies"]) == ["first_response"]
    (clock,) = history.expected["A"].clocks
    assert (clock.satisfied_at, clock.ended_at) == (call.event["occurred_at"], None)


def test_reads_times_in_a_zone() -> None:
    local = read(load(SMALL.replace("agreement: simple", "agreement: simple\ntimes: Europe/Amsterdam")))
    assert local.records[0].received_at == read(load(SMALL)).records[0].received_at - 3_600_000


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("why:", "way:", "unknown word 'way'"),
        ("agreement: simple", "agreement: simpel", "unknown agreement 'simpel'"),
        ("policies: first_response", "policies: first_respone", "unknown policy 'first_respone'"),
        ("policies: first_response", "policies: wake", "leaves first_response out"),
        ("- first_response", "- first_respones", "unknown policy 'first_respones'"),
        ("met at 10:00", "meet at 10:00", "unknown verdict 'meet'"),
        ("met at 10:00", "met at 10:01", "does not fit the deadline"),
        ("met at 10:00", "met", "goes with `at`"),
        ("met at 10:00", "late_met at 10:01, late evidence", "only met has late evidence"),
        ("path: inquiry", "path: enquiry", "unknown stage 'enquiry'"),
        ("path: inquiry", "path: inquiry+", "is no entry of a stage"),
        ("path: inquiry", "lead B:\n  path: inquiry", "no `lead` block for A"),
        ("path: inquiry", "path: inquiry\nafter: {ovner: anna}", "unknown attribute 'ovner'"),
        ("path: inquiry", "path: inquiry\nrefusals: {ilegal: 1}", "unknown refusal 'ilegal'"),
        ("path: inquiry", "path: inquiry\nclock: Mon 10:00", "the clock stands before e002"),
        ("captured", "catched", "unknown event 'catched'"),
        ("hand_raise=yes", "hand_raise=ja", "unknown hand_raise 'ja'"),
        ("hand_raise=yes", "handraise=yes", "'handraise=' is not understood"),
        ("hand_raise=yes", "gladly", "'gladly' is not understood"),
        ("outbound", "outward", "unknown direction 'outward'"),
        ("no_answer", "noanswer", "unknown outcome 'noanswer'"),
        ("no_answer", "no_answer repeat=3", "repeat and every go together"),
        ("- Mon 09:00 captured", "- 09:00 captured", "names no day"),
        ("- Mon 09:00 captured", "- Mon 3 Nov 09:00 captured", "03 Nov 2026 is a Tue"),
        ("- Mon 09:00 captured", "- Mon 25:00 captured", "is no time"),
    ],
)
def test_refuses_a_typo(right: str, wrong: str, message: str) -> None:
    assert right in SMALL
    with pytest.raises(HistoryError, match=message.replace("(", r"\(")):
        read(load(SMALL.replace(right, wrong, 1)))


def test_refuses_a_key_that_is_written_twice() -> None:
    with pytest.raises(HistoryError, match="'path' is written twice"):
        load(SMALL + "path: inquiry\n")


def test_every_policy_verdict_stage_and_refusal_occurs() -> None:
    from tests.histories import read as words

    stories = [story for history in HISTORIES for story in history.expected.values()]
    assert {clock.policy for story in stories for clock in story.clocks} == words.POLICIES
    assert {clock.verdict for story in stories for clock in story.clocks} == words.VERDICTS
    assert {step.stage for story in stories for step in story.path} == words.STAGES
    assert {word for story in stories for word in story.refusals} == words.REFUSALS
