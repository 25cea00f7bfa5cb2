"""The twelve policies and the eleven rules of the clocks, one test each at least, named after the rule.

Times are hours after START, round the clock unless a test says otherwise; the targets are round numbers of hours.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from processors.erasure import Erased
from processors.facts import to_fact
from processors.lane import LaneFold
from processors.vocabulary import POLICIES
from tests.processors.support import HOUR, LEAD, START, event
from tests.support.fold import KEY, Lanes, Stood, agreed

AGREEMENT: dict[str, Any] = {
    "version": "rules",
    "effective_from": datetime(2020, 1, 1, tzinfo=UTC),
    "policies": {
        "assignment": {"targets": "1 h"},
        "acceptance": {"targets": "4 h"},
        "first_response": {"targets": {"hot": "2 h", "warm": "10 h", "cold": "20 h"}},
        "owner_response": {"targets": {"hot": "1 h", "warm": "5 h", "cold": "9 h"}},
        "cadence": {"targets": "100 h"},
        "qualification": {"targets": {"hot": "10 h", "warm": "30 h"}},
        "next_response": {"targets": "8 h"},
        "stage_age": {"targets": {"inquiry": "50 h", "mql": "40 h", "opportunity": "60 h"}},
        "inactivity": {"targets": {"sal": "20 h", "sql": "20 h", "opportunity": "30 h"}},
        "wake": {"targets": "12 h"},
        "mend": {"targets": "24 h"},
        "erasure": {"targets": "30 d"},
    },
    "ladder": [50, 75, 100, 200, 300],
    "pause": {"reasons": ["customer_request"], "cap": "48 h"},
}


class Given(NamedTuple):
    name: str
    event: dict[str, Any]
    received_at: int


def at(hours: float, kind: str, *, received: float | None = None, **fields: Any) -> Given:
    body = event(kind, hours, **fields)
    return Given(kind, body, START + round((hours if received is None else received) * HOUR))


def touch(hours: float, **fields: Any) -> Given:
    return at(hours, "TouchRecorded", **fields)


def lanes(*given: Given, now: float, **changes: Any) -> Lanes:
    agreement = {**AGREEMENT, **changes}
    ordered = sorted(given, key=lambda item: item.received_at)
    return Lanes(agreed([agreement]), 1, lambda lead_id: 0).run(ordered, START + round(now * HOUR))


def stood(*given: Given, now: float, **changes: Any) -> Stood:
    return lanes(*given, now=now, **changes).stood([LEAD])[LEAD]


def clocks(*given: Given, policy: str, now: float, **changes: Any) -> list[tuple[float, float, str]]:
    """(start, deadline, verdict) of each clock of a policy, hours after START."""
    return [
        ((item["started_at"] - START) / HOUR, (item["deadline"] - START) / HOUR, item["verdict"])
        for item in stood(*given, now=now, **changes).instances
        if item["policy"] == policy
    ]


QUALIFIED = at(0, "LeadQualified")
RAISED = at(0, "LeadCaptured", hand_raise=True)
HUMAN_IN = {"direction": "inbound", "outcome": "replied", "channel": "email", "origin": "marketing"}

EPISODES: dict[str, tuple[list[Given], tuple[float, float], Given | None]] = {
    # policy: what starts it, (start, deadline), what meets it an hour later
    "assignment": ([QUALIFIED], (0, 1), at(1, "LeadAssigned")),
    "acceptance": ([QUALIFIED, at(1, "LeadAssigned")], (1, 5), at(2, "LeadAccepted")),
    "first_response": ([RAISED], (0, 10), touch(1)),
    "owner_response": ([RAISED, at(1, "LeadAssigned")], (1, 6), touch(2)),
    "cadence": ([touch(0)], (0, 100), touch(1, outcome="connected")),
    "qualification": ([QUALIFIED, at(1, "LeadAccepted")], (1, 31), at(2, "LeadSalesQualified")),
    "next_response": ([touch(0, **HUMAN_IN)], (0, 8), touch(1)),
    "stage_age": ([at(0, "LeadCaptured")], (0, 50), at(1, "LeadNurtured")),
    "inactivity": ([at(0, "LeadAccepted"), touch(1)], (1, 21), at(2, "OpportunityWon")),
    "wake": ([at(0, "LeadCaptured"), at(1, "LeadNurtured", wake_date=START + 5 * HOUR)], (5, 17), touch(6)),
    "mend": (
        [QUALIFIED, at(1, "LeadRejected", reason="incomplete_data")],
        (1, 25),
        at(2, "LeadEnriched", fields=["x"]),
    ),
    "erasure": ([at(0, "LeadErasureRequested")], (0, 720), at(1, "LeadErased")),
}


def test_every_policy_has_its_episode() -> None:
    assert set(EPISODES) == set(POLICIES)


@pytest.mark.parametrize("policy", POLICIES)
def test_policy_starts_and_breaches(policy: str) -> None:
    given, (start, deadline), _ = EPISODES[policy]
    assert clocks(*given, policy=policy, now=deadline) == [(start, deadline, "open")]
    assert clocks(*given, policy=policy, now=deadline + 1) == [(start, deadline, "breached_open")]


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "inactivity"])
def test_policy_is_met_at_the_deadline_and_late_after_it(policy: str) -> None:
    given, (start, deadline), meets = EPISODES[policy]
    assert meets is not None
    for hours, verdict in ((deadline, "met"), (deadline + 0.001, "late_met")):
        body = {**meets.event, "occurred_at": START + round(hours * HOUR), "event_id": "meets"}
        then = Given(meets.name, body, body["occurred_at"])
        assert clocks(*given, then, policy=policy, now=deadline + 1) == [(start, deadline, verdict)]


def test_inactivity_is_met_by_the_next_human_touch_which_starts_another() -> None:
    given = [at(0, "LeadAccepted"), touch(1), touch(5, **HUMAN_IN), touch(6, actor="automated")]
    assert clocks(*given, policy="inactivity", now=10) == [(1, 21, "met"), (5, 25, "open")]


def test_an_implied_entry_starts_no_clock() -> None:
    given = [at(0, "LeadCaptured"), at(1, "OpportunityOpened")]
    assert clocks(*given, policy="stage_age", now=2) == [(0, 50, "met"), (1, 61, "open")]
    assert clocks(*given, policy="qualification", now=2) == []


# The eleven rules.


@pytest.mark.parametrize(
    ("then", "verdict"),
    [
        ([], "breached_open"),
        ([touch(10)], "met"),
        ([touch(10.5)], "late_met"),
        ([at(10, "LeadDisqualified")], "cancelled"),
        ([at(10.5, "LeadDisqualified")], "breached_ended"),
    ],
)
def test_rule_verdicts(then: list[Given], verdict: str) -> None:
    assert clocks(RAISED, *then, policy="first_response", now=12) == [(0, 10, verdict)]


def test_rule_verdicts_transferred_at_the_deadline_and_not_after_it() -> None:
    given = [RAISED, at(1, "LeadAssigned")]
    for hours, verdict in ((6.0, "transferred"), (6.001, "breached_ended")):
        found = clocks(*given, at(hours, "LeadAssigned", owner="rep-2"), policy="owner_response", now=7)
        assert found[0] == (1, 6, verdict)


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, True),
        ({"channel": "email"}, True),
        ({"channel": "web"}, False),
        ({"channel": "ad"}, False),
        ({"origin": "marketing"}, False),
        ({"actor": "automated"}, False),
        ({"outcome": "bounced"}, False),
        ({"outcome": "attempted"}, True),
        ({"direction": "inbound", "outcome": "connected"}, True),
        ({"direction": "inbound", "outcome": "replied"}, False),
    ],
)
def test_rule_response_evidence(fields: dict[str, Any], counts: bool) -> None:
    verdict = "met" if counts else "open"
    assert clocks(RAISED, touch(1, **fields), policy="first_response", now=2) == [(0, 10, verdict)]


def test_rule_response_evidence_of_any_salesperson_satisfies_every_open_response_clock() -> None:
    given = [RAISED, at(1, "LeadAssigned"), touch(2, performed_by="somebody else")]
    assert clocks(*given, policy="first_response", now=3) == [(0, 10, "met")]
    assert clocks(*given, policy="owner_response", now=3) == [(1, 6, "met")]


def test_rule_calendars_a_promise_counts_the_hours_of_the_team() -> None:
    # START is Tuesday 14 November 2023, 22:13:20 UTC.
    office = {
        "calendars": {"office": {"zone": "UTC", "hours": {"mon-fri": "09:00-17:00"}}},
        "default_calendar": "office",
    }
    (found,) = clocks(RAISED, policy="first_response", now=1, **office)
    opening = 10 + 46 / 60 + 40 / 3600  # Wednesday 09:00
    assert found[1] == pytest.approx(opening + 24 + 2)  # ten office hours: all of Wednesday, two on Thursday


def test_rule_grade_an_upgrade_shortens_and_a_downgrade_never_extends() -> None:
    hot, cold = at(4, "LeadScored", grade="hot"), at(5, "LeadScored", grade="cold")
    assert clocks(RAISED, hot, policy="first_response", now=5.5) == [(0, 6, "open")]
    assert clocks(RAISED, hot, cold, policy="first_response", now=5.5) == [(0, 6, "open")]
    assert clocks(RAISED, cold, policy="first_response", now=5.5) == [(0, 10, "open")]
    assert clocks(RAISED, at(9, "LeadScored", grade="hot"), policy="first_response", now=9) == [(0, 10, "open")]


def test_rule_reassignment() -> None:
    first, same = at(1, "LeadAssigned"), at(2, "LeadAssigned", event_id="again")
    other, queue = at(3, "LeadAssigned", owner="rep-2"), at(3, "LeadAssigned", owner="pool", owner_kind="queue")
    back = at(4, "LeadAssigned", event_id="back")
    assert clocks(RAISED, first, same, policy="owner_response", now=3) == [(1, 6, "open")]
    assert clocks(RAISED, first, other, policy="owner_response", now=4) == [(1, 6, "transferred"), (3, 8, "open")]
    assert clocks(RAISED, first, queue, policy="owner_response", now=4) == [(1, 6, "transferred")]
    assert clocks(RAISED, first, queue, back, policy="owner_response", now=4) == [(1, 6, "transferred"), (4, 9, "open")]
    assert clocks(RAISED, first, other, policy="first_response", now=4) == [(0, 10, "open")]


SAL = [QUALIFIED, at(1, "LeadAccepted")]


@pytest.mark.parametrize(
    ("then", "deadline"),
    [
        ([], 31),
        ([at(11, "LeadPaused", reason="customer_request")], 31 + 48),  # the cap
        ([at(11, "LeadPaused", reason="customer_request", until=START + 16 * HOUR)], 36),
        ([at(11, "LeadPaused", reason="customer_request"), at(14, "LeadResumed")], 34),
        ([at(11, "LeadPaused", reason="customer_request"), touch(13, **HUMAN_IN)], 33),
        ([at(11, "LeadPaused", reason="tired")], 31),  # not on the list
        (
            [  # the second replaces the first
                at(11, "LeadPaused", reason="customer_request"),
                at(12, "LeadPaused", reason="customer_request", until=START + 14 * HOUR, event_id="second"),
            ],
            34,
        ),
    ],
)
def test_rule_pause(then: list[Given], deadline: float) -> None:
    assert clocks(*SAL, *then, policy="qualification", now=20) == [(1, deadline, "open")]


@pytest.mark.parametrize("policy", ["assignment", "acceptance", "first_response", "owner_response", "next_response"])
def test_rule_pause_never_of_a_response(policy: str) -> None:
    given, (start, deadline), _ = EPISODES[policy]
    pause = at(start + 0.5, "LeadPaused", reason="customer_request")
    assert clocks(*given, pause, policy=policy, now=start + 0.5) == [(start, deadline, "open")]


def test_rule_pause_covers_clocks_that_start_inside_it_and_none_past_its_deadline() -> None:
    pause = at(0.5, "LeadPaused", reason="customer_request", until=START + 6 * HOUR)
    assert clocks(QUALIFIED, pause, at(1, "LeadAccepted"), policy="qualification", now=2) == [(1, 36, "open")]
    late = at(32, "LeadPaused", reason="customer_request")
    assert clocks(*SAL, late, policy="qualification", now=40) == [(1, 31, "breached_open")]


def test_rule_ladder_each_rung_once_and_satisfaction_stops_it() -> None:
    assert _rungs(RAISED, now=4.9) == []
    assert _rungs(RAISED, now=5.1) == [50]
    assert _rungs(RAISED, now=11) == [50, 75, 100]
    assert _rungs(RAISED, now=100) == [50, 75, 100, 200, 300]
    assert _rungs(RAISED, touch(12), now=100) == [50, 75, 100]
    assert _rungs(RAISED, touch(2), now=100) == []


def _rungs(*given: Given, now: float) -> list[int]:
    """Rungs of first_response that were told as the lane clock went on, a tenth of an hour at a time."""
    fold = LaneFold(agreed([AGREEMENT]), lambda value: value, Erased(KEY))
    told: list[int] = []
    for tenth in range(round(now * 10) + 1):
        clock = START + tenth * HOUR // 10
        fold.fold([to_fact(*item) for item in given if item.received_at == clock])
        fold.advance(clock)
        said = [item for item in fold.drain().sla_events if item["policy"] == "first_response"]
        told += [item["rung"] for item in said if item["rung"] is not None]
    return told


def test_rule_late_evidence_takes_the_breach_back() -> None:
    late = touch(9, received=15)
    run = lanes(RAISED, late, now=20)
    (found,) = run.stood([LEAD])[LEAD].instances[:1]
    assert (found["policy"], found["verdict"], found["late_evidence"]) == ("first_response", "met", True)
    kinds = [kind for kind, number in run.lanes[0].kinds if number == found["instance_id"]]
    assert kinds == ["started", "rung", "rung", "breached", "breach_retracted"]


def test_rule_late_evidence_is_told_as_a_retraction_where_the_breach_was_told() -> None:
    run = Lanes(agreed([AGREEMENT]), 1, lambda lead_id: 0)
    run.run([RAISED], START + 12 * HOUR)
    run.run([touch(9, received=15)], START + 20 * HOUR)
    kinds = [kind for kind, _ in run.lanes[0].kinds if kind.startswith("breach")]
    assert kinds == ["breached", "breach_retracted"]
    run.run([at(16, "FactWithdrawn", withdrawn_event_id="TouchRecorded@9")], START + 20 * HOUR)
    kinds = [kind for kind, _ in run.lanes[0].kinds if kind.startswith("breach")]
    assert kinds == ["breached", "breach_retracted", "breached"]  # reinstated, and told again


def test_rule_after_a_breach_the_overrun_is_told() -> None:
    (found,) = [item for item in stood(RAISED, touch(13), now=20).instances if item["policy"] == "first_response"]
    assert (found["verdict"], found["overrun_ms"], found["breached_at"]) == ("late_met", 3 * HOUR, START + 10 * HOUR)
    assert found["elapsed_ms"] == 13 * HOUR


def test_rule_after_a_breach_the_overrun_counts_open_hours() -> None:
    office = {
        "calendars": {"office": {"zone": "UTC", "hours": {"mon-fri": "09:00-17:00"}}},
        "default_calendar": "office",
    }
    opening = 10 + 46 / 60 + 40 / 3600  # Wednesday 09:00; ten office hours later it is Thursday 11:00
    late = stood(RAISED, touch(opening + 24 + 2 + 24), now=opening + 96, **office)  # Friday 11:00
    (found,) = [item for item in late.instances if item["policy"] == "first_response"]
    assert (found["verdict"], found["overrun_ms"], found["elapsed_ms"]) == ("late_met", 8 * HOUR, 18 * HOUR)


def test_rule_a_cancelled_clock_stays_cancelled_and_reopening_starts_anew() -> None:
    given = [RAISED, at(2, "LeadDisqualified"), at(3, "LeadCaptured", event_id="back", hand_raise=True), touch(4)]
    assert clocks(*given, policy="first_response", now=5) == [(0, 10, "cancelled"), (3, 13, "met")]


def test_routing_delay_and_rep_delay_are_told_apart() -> None:
    given = [RAISED, at(3, "LeadAssigned"), touch(5)]
    (lead_clock,) = clocks(*given, policy="first_response", now=6)
    (rep_clock,) = clocks(*given, policy="owner_response", now=6)
    assert rep_clock[0] - lead_clock[0] == 3
    assert {lead_clock[2], rep_clock[2]} == {"met"}
