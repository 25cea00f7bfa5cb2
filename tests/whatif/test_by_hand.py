"""November 2026 under another agreement, worked out by hand. The 2nd is a Monday; offices are open 09:00-17:00."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from processors.whatif import Change, Tally
from streams.errors import InputError
from streams.whatif.period import month
from streams.whatif.report import Question, Sort, ask
from tests.explain.support import at
from tests.oracle.events import record
from tests.oracle.records import Record
from tests.support.fold import agreed
from tests.whatif.support import Given, asked

OLD: Mapping[str, Any] = {
    "version": "autumn",
    "effective_from": "2026-10-01T00:00:00+02:00",
    "calendars": {"office": {"zone": "Europe/Amsterdam", "hours": {"mon-fri": "09:00-17:00"}}},
    "default_calendar": "office",
    "policies": {"first_response": {"targets": {"hot": "15 min", "warm": "4 h"}}},
}
NOVEMBER = month("2026-11", agreed([OLD]))
FRIDAY = at(6, "12:00")


def version(**changed: Any) -> dict[str, Any]:
    """The proposed version; meant for next year."""
    return {**OLD, "version": "next", "effective_from": "2027-01-01T00:00:00+01:00", **changed}


def promising(**targets: str) -> dict[str, Any]:
    return version(policies={"first_response": {"targets": targets}})


def raised(lead: str, day: int, time: str, grade: str = "warm", **fields: Any) -> list[Record]:
    when = at(day, time)
    return [
        record("LeadScored", when - 60_000, f"{lead}-grade", lead=lead, grade=grade),
        record("LeadCaptured", when, f"{lead}-raise", lead=lead, hand_raise=True, **fields),
    ]


def called(lead: str, day: int, time: str) -> Record:
    return record("TouchRecorded", at(day, time), f"{lead}-call", lead=lead, outcome="connected")


WEEK = [
    *raised("early", 2, "10:00", "hot"),  # due 10:15, or 12:00
    called("early", 2, "10:10"),
    *raised("slow", 2, "10:00", "hot"),
    called("slow", 2, "11:00"),
    *raised("never", 2, "10:00", "hot"),
    *raised("warm", 2, "10:00"),  # due 14:00
    called("warm", 2, "12:00"),
    *raised("recent", 6, "11:00", "hot"),  # due 11:15, or 13:00; it is 12:00
    record("LeadCaptured", at(1, "00:00") - 1, "october-raise", lead="october", hand_raise=True),
    record("TouchRecorded", at(2, "16:00"), "october-call", lead="october"),  # its clock started in October
    *raised("test", 2, "10:00", "hot", is_test=True),
    *raised("gone", 2, "10:00", "hot"),
    record("LeadErased", at(3, "10:00"), "gone-erased", lead="gone"),
]


def told(changes: list[Change]) -> dict[tuple[str, str], str]:
    """(lead, policy) -> kind, verdicts."""
    return {
        (change.clock["lead_id"], change.clock["policy"]): " ".join(
            (
                change.kind,
                change.before["verdict"] if change.before else "-",
                change.after["verdict"] if change.after else "-",
            )
        )
        for change in changes
    }


def test_two_hours_instead_of_a_quarter() -> None:
    report, changes = asked(WEEK, [OLD], [promising(hot="2 h", warm="4 h")], NOVEMBER, FRIDAY)
    response = "first_response"
    assert told(changes) == {
        ("early", response): "other_deadline met met",
        ("slow", response): "no_longer_breached late_met met",
        ("never", response): "other_deadline breached_open breached_open",
        ("recent", response): "no_longer_breached breached_open open",
    }
    early = next(change for change in changes if change.clock["lead_id"] == "early")
    assert early.before
    assert early.after
    assert (early.before["deadline"], early.after["deadline"]) == (at(2, "10:15"), at(2, "12:00"))
    assert report.totals.before == Tally(started=5, met=2, breached=3, due=5, met_of_due=2)
    assert report.totals.after == Tally(started=5, open=1, met=3, breached=1, due=4, met_of_due=3)
    assert (report.totals.before.attainment, report.totals.after.attainment) == (0.4, 0.75)
    assert list(report.by["policy"]) == [response]
    assert report.leads == 8
    assert [(sort, found.clocks, list(found.leads)) for sort, found in report.ordered()] == [
        (Sort("no_longer_breached", response, "(none)", "website", "breached_open", "open"), 1, ["recent"]),
        (Sort("no_longer_breached", response, "(none)", "website", "late_met", "met"), 1, ["slow"]),
        (Sort("other_deadline", response, "(none)", "website", "breached_open", "breached_open"), 1, ["never"]),
        (Sort("other_deadline", response, "(none)", "website", "met", "met"), 1, ["early"]),
    ]
    assert report.notes == [
        "The month is not over: everything received up to 2026-11-06T11:00:00.000Z is in the numbers."
    ]


def test_a_quarter_instead_of_two_hours() -> None:
    _, changes = asked(WEEK, [promising(hot="2 h", warm="4 h")], [OLD], NOVEMBER, FRIDAY)
    assert told(changes)["slow", "first_response"] == "newly_breached met late_met"
    assert told(changes)["recent", "first_response"] == "newly_breached open breached_open"


def test_around_the_clock_instead_of_office_hours() -> None:
    records = [
        *raised("friday", 6, "16:00"),  # 1 h on Friday, 3 h on Monday: due Monday 12:00; or Friday 20:00
        called("friday", 9, "10:00"),
        *raised("saturday", 7, "10:00"),  # due Monday 13:00; or Saturday 14:00
        called("saturday", 7, "13:00"),
        *raised("monday", 9, "10:00"),  # due 14:00 by both
        called("monday", 9, "15:00"),
    ]
    report, changes = asked(records, [OLD], [version(default_calendar="24x7")], NOVEMBER, at(10, "12:00"))
    assert told(changes) == {
        ("friday", "first_response"): "newly_breached met late_met",
        ("saturday", "first_response"): "other_deadline met met",
    }
    deadlines = [
        (change.before and change.before["deadline"], change.after and change.after["deadline"]) for change in changes
    ]
    assert deadlines == [(at(9, "12:00"), at(6, "20:00")), (at(9, "13:00"), at(7, "14:00"))]
    assert report.totals.before == Tally(started=3, met=2, breached=1, due=3, met_of_due=2)
    assert report.totals.after == Tally(started=3, met=1, breached=2, due=3, met_of_due=1)


def test_other_grades_are_promised_something() -> None:
    records = [
        *raised("cold", 2, "10:00", "cold", source="event"),  # no clock; or due 18:00 of working time: Tuesday 10:00
        record("LeadAssigned", at(2, "09:30"), "cold-owner", lead="cold", team="north"),
        called("cold", 3, "09:59"),
        *raised("lukewarm", 2, "10:00", "warm", source="referral"),
        *raised("hot", 2, "10:00", "hot"),
        called("hot", 2, "10:15"),
    ]
    report, changes = asked(records, [OLD], [promising(hot="15 min", cold="8 h")], NOVEMBER, FRIDAY)
    assert told(changes) == {
        ("cold", "first_response"): "starts - met",
        ("lukewarm", "first_response"): "no_longer_starts breached_open -",
    }
    assert [(sort.kind, sort.team, sort.source) for sort, _ in report.ordered()] == [
        ("starts", "north", "event"),
        ("no_longer_starts", "(none)", "referral"),
    ]
    met, missed = Tally(1, met=1, due=1, met_of_due=1), Tally(1, breached=1, due=1)
    by_source = {name: (sides.before, sides.after) for name, sides in report.by["source"].items()}
    assert by_source == {"event": (Tally(), met), "referral": (missed, Tally()), "website": (met, met)}
    by_team = {name: (sides.before, sides.after) for name, sides in report.by["team"].items()}
    assert by_team["north"] == (Tally(), met)


def test_both_sides_have_the_same_past() -> None:
    """A shorter cool-down helps those who are recycled from the month's beginning on, and nobody before."""
    old = {**OLD, "policies": {"assignment": {"targets": "1 h"}}, "cooldowns": {"no_budget": "90 d"}}
    new = {**old, "version": "next", "cooldowns": {"no_budget": "1 d"}}
    before = at(1, "00:00") - 3_600_000

    def recycled(lead: str, when: int) -> list[Record]:
        return [
            record("LeadQualified", when - 60_000, f"{lead}-1", lead=lead),
            record("LeadRecycled", when, f"{lead}-2", lead=lead, reason="no_budget"),
            record("LeadQualified", at(5, "10:00"), f"{lead}-3", lead=lead),
        ]

    records = [*recycled("october", before), *recycled("november", at(2, "10:00"))]
    _, changes = asked(records, [old], [new], NOVEMBER, FRIDAY)
    assert told(changes) == {("november", "assignment"): "starts - breached_open"}


def test_sources_that_become_known() -> None:
    """What was set aside because its source was not agreed on is heard under a version that lists it."""
    records = [*raised("fair", 2, "10:00", source="fair"), called("fair", 2, "11:00")]
    _, changes = asked(
        records, [{**OLD, "sources": ["website"]}], [version(sources=["website", "fair"])], NOVEMBER, FRIDAY
    )
    assert told(changes) == {("fair", "first_response"): "starts - met"}


def test_a_merged_lead_is_replayed_with_its_survivor() -> None:
    records = [
        *raised("loser", 2, "10:00", "hot"),
        record("LeadMerged", at(2, "10:05"), "merge", lead="loser", into="survivor"),
        record("LeadCaptured", at(1, "00:00") - 86_400_000, "older", lead="survivor"),
        called("survivor", 2, "11:00"),
    ]
    report, changes = asked(records, [OLD], [promising(hot="2 h")], NOVEMBER, FRIDAY)
    assert told(changes) == {("survivor", "first_response"): "no_longer_breached late_met met"}
    assert (report.leads, report.totals.before.started) == (1, 1)


def test_a_wake_date_of_an_earlier_month() -> None:
    old = {**OLD, "policies": {"wake": {"targets": "1 h"}}}
    new = {**old, "version": "next", "policies": {"wake": {"targets": "2 bd"}}}
    october = at(1, "00:00") - 5 * 86_400_000
    records = [
        record("LeadCaptured", october, "one", lead="sleeper"),
        record("LeadNurtured", october + 1, "two", lead="sleeper", wake_date=at(3, "09:00")),
    ]
    _, changes = asked(records, [old], [new], NOVEMBER, at(4, "12:00"))
    assert told(changes) == {("sleeper", "wake"): "no_longer_breached breached_open open"}


def test_two_attempts_instead_of_three() -> None:
    """Due on Wednesday by both; two calls are all that was promised, or one too few."""
    old, new = (
        {**OLD, "version": name, "policies": {"cadence": {"targets": "2 bd", "attempts": attempts}}}
        for name, attempts in (("autumn", 3), ("next", 2))
    )
    calls = [
        record("TouchRecorded", at(2, time), f"call-{time}", lead="one", outcome="no_answer")
        for time in ("10:00", "11:00")
    ]
    _, changes = asked([*raised("one", 2, "09:00"), *calls], [old], [new], NOVEMBER, at(3, "12:00"))
    assert told(changes) == {("one", "cadence"): "other_verdict open met"}


def test_a_copy_changes_nothing() -> None:
    report, changes = asked(WEEK, [OLD], [version()], NOVEMBER, FRIDAY)
    assert (changes, report.changes) == ([], {})
    assert report.totals.before == report.totals.after
    assert report.totals.before.started == 5


def test_a_draft_may_bear_the_name_of_what_it_was_copied_from() -> None:
    draft = {**promising(hot="2 h", warm="4 h"), "version": "autumn"}
    _, changes = asked(WEEK, [OLD], [draft], NOVEMBER, FRIDAY)
    assert told(changes)["slow", "first_response"] == "no_longer_breached late_met met"


def test_a_folder_may_be_proposed() -> None:
    """Of its versions the one that holds at the month's beginning is tried from there, a later one from its day on."""
    records = [*raised("tuesday", 3, "10:00"), called("tuesday", 3, "11:30"), *raised("thursday", 5, "10:00"),
               called("thursday", 5, "11:30")]  # fmt: skip
    spring = {**promising(warm="3 h"), "version": "spring", "effective_from": "2026-03-01T00:00:00+01:00"}
    summer = {**promising(warm="1 h"), "version": "summer", "effective_from": "2026-06-01T00:00:00+02:00"}
    midweek = {**promising(warm="2 h"), "version": "midweek", "effective_from": "2026-11-04T00:00:00+01:00"}
    report, changes = asked(records, [OLD], [spring, summer, midweek], NOVEMBER, FRIDAY)
    assert told(changes) == {
        ("tuesday", "first_response"): "newly_breached met late_met",
        ("thursday", "first_response"): "other_deadline met met",
    }
    assert [item.version for item in report.new] == ["summer (proposed)", "midweek (proposed)"]


def test_of_each_sort_so_many_leads_are_named() -> None:
    records = [item for number in range(5) for item in raised(f"lead-{number}", 2, "10:00", "hot")]
    question = Question(agreed([OLD]), agreed([promising(warm="4 h")]), NOVEMBER, named=3)
    [(_, found)] = ask(question, Given(records, FRIDAY)).ordered()
    assert (found.clocks, list(found.leads), found.unnamed) == (5, ["lead-0", "lead-1", "lead-2"], True)


@pytest.mark.parametrize(
    ("old", "new", "records", "now", "message"),
    [
        ([OLD], [OLD], WEEK, FRIDAY, "OLD and NEW say the same in 2026-11 \\(autumn\\)"),
        ([OLD], [OLD, version()], WEEK, FRIDAY, "name the file of the proposed version alone"),
        ([OLD], [version()], [], FRIDAY, "the archive holds no events yet"),
        ([OLD], [version()], [record("LeadCaptured", at(30, "23:59") + 60_000, "a")],
         at(30, "23:59") + 60_000, "the archive begins at 2026-11-30T23:00:00.000Z, after 2026-11"),
        ([OLD], [version()], [record("LeadCaptured", at(1, "00:00") - 1, "a")], at(1, "00:00") - 1,
         "2026-11 has not begun: everything received up to 2026-10-31T22:59:59.999Z"),
        ([OLD], [version()], [record("LeadCaptured", at(1, "00:00") - 1, "a")], FRIDAY, "nothing happened in 2026-11"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_told(
    old: list[Mapping[str, Any]], new: list[Mapping[str, Any]], records: list[Record], now: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        asked(records, old, new, NOVEMBER, now)


def test_an_archive_that_begins_within_the_month_says_so() -> None:
    report, _ = asked(WEEK, [OLD], [version()], NOVEMBER, FRIDAY)
    assert not any("begins" in note for note in report.notes)  # WEEK has an event of October
    report, _ = asked(raised("one", 2, "10:00"), [OLD], [version()], NOVEMBER, at(30, "23:59") + 60_000)
    assert report.notes == [
        "The archive begins at 2026-11-02T08:59:00.000Z: what was received before, of this month or of earlier ones, is not "
        "in it."
    ]


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "october", "2026-1", "2026", "2026-10-01", "", "9999-12"])
def test_no_month(text: str) -> None:
    with pytest.raises(InputError, match="expected year and month, such as 2026-10"):
        month(text, agreed([OLD]))


def test_a_month_begins_where_the_agreement_is_at_home() -> None:
    found = month("2026-10", agreed([OLD]))
    assert (found.zone, found.span) == ("Europe/Amsterdam", (1790805600000, 1793487600000))  # 31 days and an hour
    found = month("2026-12", agreed([{**OLD, "default_calendar": "24x7"}]))
    assert (found.zone, found.span) == ("UTC", (1796083200000, 1798761600000))
