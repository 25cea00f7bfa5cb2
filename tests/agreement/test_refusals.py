"""What is no agreement: every problem with its file, its line, its place, what stands there and what would be right."""

from __future__ import annotations

import pytest

from processors.agreement import Agreement, AgreementError
from tests.agreement.support import TEXT, parse


def problems(text: str) -> list[str]:
    with pytest.raises(AgreementError) as error:
        parse(text)
    return list(error.value.problems)


def changed(old: str, new: str) -> tuple[str, int]:
    """The text with one thing changed, and the line of the change."""
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new), TEXT[: TEXT.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "place", "what"),
    [
        # amounts
        ("acceptance: {targets: 1 bd}", "acceptance: {targets: 0 bd}", "policies.acceptance.targets",
         "the text '0 bd' is no time at all: expected more than zero, such as 5 min, 4 h, 1 bd or 90 d"),
        ("cold: 3 bd", "cold: -3 bd", "policies.first_response.targets.cold",
         "the text '-3 bd' is no time at all: expected more than zero, such as 5 min, 4 h, 1 bd or 90 d"),
        ("cold: 3 bd", "cold: 3 days", "policies.first_response.targets.cold",
         "the text '3 days' has the unknown unit days: one of ms, s, min, h, d, bd, month, months, year, years "
         "(did you mean d?)"),
        ("cold: 3 bd", "cold: 3", "policies.first_response.targets.cold",
         "expected an amount and a unit, such as 5 min, 4 h, 1 bd or 90 d; got the number 3"),
        ("cold: 3 bd", "cold: [3 bd]", "policies.first_response.targets.cold",
         "expected an amount and a unit, such as 5 min, 4 h, 1 bd or 90 d; got a list of 1"),
        ("acceptance: {targets: 1 bd}", "acceptance: {targets: soon}", "policies.acceptance.targets",
         "expected an amount and a unit, such as 5 min, 4 h, 1 bd or 90 d; got the text 'soon'"),
        ("acceptance: {targets: 1 bd}", "acceptance: {targets: 21 years, calendar: 24x7}",
         "policies.acceptance.targets.hot", "21 years takes more than 20 years in calendar 24x7: expected less"),
        ("cap: 2 bd", "cap: 10 years", "pause.cap", "10 years takes more than 20 years in calendar amsterdam: "
         "expected less"),
        ("no_budget: 90 d", "no_budget: 90 bd", "cooldowns.no_budget",
         "the text '90 bd' counts business days, and no calendar measures this: use d, months or years"),
        ("competitor: 5 years", "competitor: 50 years", "cooldowns.competitor",
         "the text '50 years' is more than 20 years: expected less"),
        # policies, stages, grades, reasons
        ("  acceptance:", "  acceptence:", "policies.acceptence",
         "unknown key: one of assignment, acceptance, first_response, owner_response, cadence, qualification, "
         "next_response, stage_age, inactivity, wake, mend, erasure (did you mean acceptance?)"),
        ("cold: 3 bd", "kold: 3 bd", "policies.first_response.targets.kold",
         "kold is no grade: one of hot, warm, cold (did you mean cold?)"),
        ("{mql: 5 bd, opportunity: 60 d}", "{mkl: 5 bd}", "policies.stage_age.targets.mkl",
         "mkl is no stage: one of inquiry, mql, sal, sql, opportunity, won, lost, nurture, recycled, disqualified "
         "(did you mean mql?)"),
        ("{mql: 5 bd, opportunity: 60 d}", "{merged: 5 bd}", "policies.stage_age.targets.merged",
         "no lead ever leaves merged: a clock there would never end; leave it out"),
        ("{mql: 5 bd, opportunity: 60 d}", "{erased: 5 bd}", "policies.stage_age.targets.erased",
         "no lead ever leaves erased: a clock there would never end; leave it out"),
        ("{mql: 5 bd, opportunity: 60 d}", "5 bd", "policies.stage_age.targets",
         "expected an amount for each stage, such as {sal: 10 bd}; got the text '5 bd'"),
        ("{sal: 30 d}", "{mql: 30 d}", "policies.inactivity.targets.mql",
         "inactivity starts at sal, sql, opportunity only: a target for mql would never be used; leave it out"),
        ("{sal: 30 d}", "{sla: 30 d}", "policies.inactivity.targets.sla",
         "sla is no stage: one of sal, sql, opportunity (did you mean sql?)"),
        ("{sal: 30 d}", "{}", "policies.inactivity.targets", "is empty: expected at least one; got a mapping of 0"),
        ("erasure: {targets: 30 d,", "erasure: {targets: {hot: 30 d},", "policies.erasure.targets",
         "expected an amount and a unit, such as 5 min, 4 h, 1 bd or 90 d; got a mapping of 1"),
        ("attempts: 4", "attempts: 0", "policies.cadence.attempts",
         "Input should be greater than or equal to 1; got the number 0"),
        ("attempts: 4", "attempts: six", "policies.cadence.attempts", "expected a whole number; got the text 'six'"),
        ("{no_budget: 90 d,", "{no_buget: 90 d,", "cooldowns.no_buget",
         "no_buget is no recycle reason: one of bad_timing, competitor, do_not_contact, inaccurate_data, no_budget, no_fit, "
         "no_need, other, unable_to_reach (did you mean no_budget?)"),
        ("  no_budget: No money", "  no_cash: No money", "reasons.no_cash",
         "no_cash is no reason: one of bad_timing, below_threshold, competitor, customer_request, do_not_contact, duplicate, "
         "existing_opportunity, holiday, inaccurate_data, incomplete_data, no_budget, no_fit, no_need, not_target, other, "
         "unable_to_reach, wrong_route"),
        # calendars
        ('sat: "10:00-12:00, 13:00-15:00"', 'sat: "10:00-13:30, 13:00-15:00"', "calendars.amsterdam.hours.sat",
         "10:00-13:30, 13:00-15:00 overlaps itself: expected spans that do not share time"),
        ('sat: "10:00-12:00, 13:00-15:00"', 'fri: "10:00-12:00"', "calendars.amsterdam.hours.fri",
         "fri and mon-fri both give hours for fri: give a day's hours once"),
        ('sat: "10:00-12:00, 13:00-15:00"', 'sat: "22:00-06:00"', "calendars.amsterdam.hours.sat",
         "22:00-06:00 closes at or before it opens: hours may not cross midnight; close at 24:00 and open the next day "
         "at 00:00"),
        ('sat: "10:00-12:00, 13:00-15:00"', 'sat: "9-12"', "calendars.amsterdam.hours.sat",
         "expected hours such as \"09:00-17:30\" or \"09:00-12:00, 13:00-17:00\"; got the text '9-12'"),
        ('sat: "10:00-12:00, 13:00-15:00"', 'sat: "10:00-25:00"', "calendars.amsterdam.hours.sat",
         "10:00-25:00 is no time of day: expected 00:00 to 24:00"),
        ('sat: "10:00-12:00, 13:00-15:00"', 'sat: "10:00-24:30"', "calendars.amsterdam.hours.sat",
         "10:00-24:30 is no time of day: expected 00:00 to 24:00"),
        ('sat: "10:00-12:00, 13:00-15:00"', 'sta: "10:00-12:00"', "calendars.amsterdam.hours.sta",
         "sta is no weekday: one of mon, tue, wed, thu, fri, sat, sun (did you mean sat?)"),
        ("zone: Europe/Amsterdam", "zone: Europe/Amsterdan", "calendars.amsterdam.zone",
         "Europe/Amsterdan is no time zone: expected a name such as Europe/Amsterdam"),
        ("zone: Europe/Amsterdam", "zone: europe/amsterdam", "calendars.amsterdam.zone",
         "europe/amsterdam is no time zone (did you mean Europe/Amsterdam?): expected a name such as Europe/Amsterdam"),
        ("zone: Europe/Amsterdam", "zone: Amsterdam", "calendars.amsterdam.zone",
         "Amsterdam is no time zone (did you mean Europe/Amsterdam?): expected a name such as Europe/Amsterdam"),
        ("closed: [2026-12-31]", "closed: [New Year]", "calendars.amsterdam.closed[0]",
         "expected a date, such as 2026-12-31; got the text 'New Year'"),
        ("closed: [2026-12-31]", "closed: [2026-12-32]", "calendars.amsterdam.closed[0]",
         "2026-12-32 is no date or time: day is out of range for month"),
        ("closed: [2026-12-31]", "closed: 2026-12-31", "calendars.amsterdam.closed",
         "expected a list, such as [one, two]; got the date 2026-12-31"),
        ("  new_york:\n", "  24x7:\n", "calendars.24x7", "24x7 is built in: give this calendar another name"),
        ("default_calendar: amsterdam", "default_calendar: amsterdm", "default_calendar",
         "amsterdm is no calendar of this agreement: one of 24x7, amsterdam, new_york (did you mean amsterdam?)"),
        ("north: {calendar: amsterdam}", "north: {calendar: berlin}", "teams.north.calendar",
         "berlin is no calendar of this agreement: one of 24x7, amsterdam, new_york"),
        ("assignment: {targets: 5 min, calendar: 24x7}", "assignment: {targets: 5 min, calendar: 24/7}",
         "policies.assignment.calendar",
         "24/7 is no calendar of this agreement: one of 24x7, amsterdam, new_york (did you mean 24x7?)"),
        ("warm: 2 bd}, calendar: new_york}", "warm: 2 bd}, calendar: york}",
         "policies.first_response.sources.event.calendar",
         "york is no calendar of this agreement: one of 24x7, amsterdam, new_york (did you mean new_york?)"),
        # teams and sources
        ("      north: {calendar: 24x7}", "      nord: {calendar: 24x7}", "policies.first_response.teams.nord",
         "nord is no team of this agreement: one of north, overseas, roving (did you mean north?)"),
        ("      event: {targets", "      events: {targets", "policies.first_response.sources.events",
         "events is no source of this agreement: one of website, event, referral (did you mean event?)"),
        ("score: 60, sources: [website, event]}", "score: 60, sources: [website, evnet]}",
         "qualified.any_of[1].sources[1]",
         "evnet is not among the sources of this agreement: one of website, event, referral (did you mean event?)"),
        # the rest
        ("ladder: [50, 75, 200]", "ladder: [75, 50]", "ladder",
         "expected ascending percents from 1 to 1000, such as [50, 75, 100, 200]; got [75, 50]"),
        ("ladder: [50, 75, 200]", "ladder: [0, 50]", "ladder",
         "expected ascending percents from 1 to 1000, such as [50, 75, 100, 200]; got [0, 50]"),
        ("ladder: [50, 75, 200]", "ladder: [50, 50]", "ladder",
         "expected ascending percents from 1 to 1000, such as [50, 75, 100, 200]; got [50, 50]"),
        ("ladder: [50, 75, 200]", "ladder: [50 %]", "ladder[0]", "expected a whole number; got the text '50 %'"),
        ("pause: {reasons: [customer_request, holiday],", "pause: {reasons: holiday,", "pause.reasons",
         "expected a list, such as [one, two]; got the text 'holiday'"),
        ("pause: {reasons:", "pause: {reason:", "pause.reason",
         "unknown key: one of reasons, cap (did you mean reasons?)"),
        ("ladder: [50", "leader: [50", "leader",
         "unknown key: one of version, effective_from, qualified, sources, campaigns, reasons, calendars, default_calendar, "
         "teams, policies, ladder, pause, cooldowns, currency, goals (did you mean ladder?)"),
        ("north: {calendar: amsterdam}", "north: {calender: amsterdam}", "teams.north.calender",
         "unknown key: one of calendar (did you mean calendar?)"),
        ("      overseas: {targets: {hot", "      overseas: {target: {hot",
         "policies.first_response.teams.overseas.target", "unknown key: one of calendar, targets (did you mean targets?)"),
        ("  id: mql-3\n", "  name: mql-3\n", "qualified.name", "unknown key: one of id, any_of"),
        ('version: "2026-10"', "version: 2026", "version", "expected a text; got the number 2026: put it in quotes"),
        ('version: "2026-10"', "version: 2026 10", "version",
         "expected letters, digits, points, dashes and underscores, 64 at most; got the text '2026 10'"),
        ("effective_from: 2026-10-01T00:00:00+02:00", "effective_from: 2026-10-01", "effective_from",
         "the date 2026-10-01 is no time: expected one such as 2026-10-01T00:00:00+02:00"),
        ("effective_from: 2026-10-01T00:00:00+02:00", "effective_from: 2026-10-01T00:00:00", "effective_from",
         "the time 2026-10-01T00:00:00 lacks its offset from UTC: expected one such as 2026-10-01T00:00:00+02:00"),
        ("effective_from: 2026-10-01T00:00:00+02:00", "effective_from: october", "effective_from",
         "the text 'october' is no time: expected one such as 2026-10-01T00:00:00+02:00"),
        ("base: EUR", "base: euro", "currency.base", "expected an ISO 4217 code, such as EUR; got the text 'euro'"),
        ("{2026-10: {mql", "{october: {mql", "goals.october", "expected a month, such as 2026-10; got the text 'october'"),
        ("{hand_raise: true}", "{hand_raise: yes}", "qualified.any_of[0].hand_raise",
         "expected true or false; got the text 'yes'"),
        ("{hand_raise: true}", "{}", "qualified.any_of[0]",
         "an empty condition takes every lead: name hand_raise, grade, score, sources or campaigns"),
        ("  acceptance: {targets: 1 bd}", "  acceptance:", "policies.acceptance",
         "has no value: give it one, or leave the key out"),
        ("  acceptance: {targets: 1 bd}", "  acceptance: 1 bd", "policies.acceptance",
         "expected a mapping; got the text '1 bd'"),
        # YAML that would say something else than it seems to
        ("  acceptance: {targets: 1 bd}", "  assignment: {targets: 1 bd}", "policies.assignment",
         "stands twice, first on line 27: keep one"),
        ("warm: 1 bd, cold: 3 bd", "warm: 1 bd, warm: 3 bd", "policies.first_response.targets.warm",
         "stands twice, first on line 30: keep one"),
        ("  overseas: {calendar: new_york}", "  7: {calendar: new_york}", "teams",
         'the key 7 is no text: put it in quotes, "7"'),
    ],
)  # fmt: skip
def test_a_problem_is_told_with_its_line_and_its_mend(old: str, new: str, place: str, what: str) -> None:
    text, line = changed(old, new)
    assert f"a.yaml:{line}: {place}: {what}" in problems(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "a.yaml:1: agreement: expected a mapping with version, effective_from and policies; got nothing"),
        ("- a", "a.yaml:1: agreement: expected a mapping with version, effective_from and policies; got a list of 1"),
        ("a: [1", "a.yaml:1: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("version: a\npolicies: *all\n", "a.yaml:2: not valid YAML: found an alias (*name): write out what it stands for"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: not valid YAML: but found another document"),
        ("a: \0", "a.yaml:1: not valid YAML: unacceptable character #x0000: special characters are not allowed in "
         '"<unicode string>", position 3'),
        ("[" * 5000, "a.yaml:1: nested too deeply"),
    ],
)  # fmt: skip
def test_what_is_no_mapping_at_all(text: str, what: str) -> None:
    assert problems(text) == [what]


def test_what_is_missing_is_named_where_it_is_missing() -> None:
    assert problems("policies:\n  mend: {calendar: 24x7}\n") == [
        "a.yaml:1: version: is missing: every agreement needs it",
        "a.yaml:1: effective_from: is missing: every agreement needs it",
        "a.yaml:2: policies.mend.targets: is missing: every mend needs it",
    ]


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        TEXT.replace("cold: 3 bd", "cold: 3").replace("attempts: 4", "attemps: 4").replace("no_budget: 90 d", "x: 90")
    )
    found = problems(text)
    assert [problem.split(": ")[1] for problem in found] == [
        "policies.first_response.targets.cold", "policies.cadence.attemps", "cooldowns.x", "cooldowns.x",
    ]  # fmt: skip
    assert str(AgreementError(found)) == "; ".join(found)


def test_a_country_whose_holidays_nobody_knows() -> None:
    with pytest.raises(AgreementError) as error:
        Agreement.parse(TEXT, source="a.yaml")
    assert error.value.problems == (
        "a.yaml:16: calendars.amsterdam.holidays.country: the holidays of NL are not known here: hand their dates in",
    )
    with pytest.raises(AgreementError) as error:
        parse(holidays={})
    assert error.value.problems == (
        "a.yaml:16: calendars.amsterdam.holidays.country: no dates were given for the holidays of amsterdam",
    )
    with pytest.raises(AgreementError, match="the dates given for the holidays of amsterdam: Invalid isoformat"):
        parse(holidays={"amsterdam": ["Easter"]})


def test_norway_is_no_boolean_and_nine_thirty_no_number() -> None:
    text = TEXT.replace("country: NL", "country: NO").replace('{mon-fri: "09:00-17:00"}', "{mon-fri: 09:00-17:00}")
    found = parse(text)
    rule = found.document.calendars["amsterdam"].holidays
    assert rule is not None
    assert rule.country == "NO"
    assert found.document.calendars["new_york"].week()[0] == [(540, 1020)]
