"""What a version says: whose target and calendar hold, amounts, checksum, versions in time."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from processors import agreement as module
from processors.agreement import DEFAULT, DEFAULTS, Agreement, AgreementError, Agreements
from processors.agreement_model import Document
from processors.agreement_words import AGED, amount_ms, days_of, spans_of
from processors.calendars import ALWAYS
from processors.vocabulary import BY_GRADE, DAY, GRADES, HOUR, POLICIES, WORKED
from tests.agreement.support import TEXT, dates, ms, parse, small

AGREED = parse()
MINUTE = 60_000
AMSTERDAM_DAY = 8 * HOUR + 30 * MINUTE
"""Its longest day."""


def promised(policy: str, team: str | None, source: str | None, key: str) -> tuple[int, str] | None:
    found = AGREED.promise(policy, team, source, key)
    return None if found is None else (found.target_ms, found.calendar.name)


@pytest.mark.parametrize(
    ("policy", "team", "source", "key", "expected"),
    [
        ("first_response", None, None, "hot", (5 * MINUTE, "amsterdam")),
        ("first_response", None, None, "warm", (AMSTERDAM_DAY, "amsterdam")),
        ("first_response", None, "website", "cold", (3 * AMSTERDAM_DAY, "amsterdam")),
        # a team's entry replaces the targets whole
        ("first_response", "overseas", None, "hot", (15 * MINUTE, "new_york")),
        ("first_response", "overseas", None, "warm", (8 * HOUR, "new_york")),
        ("first_response", "overseas", None, "cold", None),
        # or the calendar alone
        ("first_response", "north", None, "warm", (DAY, "24x7")),
        # a source's holds where the team has none
        ("first_response", "roving", "event", "hot", (HOUR, "new_york")),
        ("first_response", None, "event", "warm", (16 * HOUR, "new_york")),
        ("first_response", None, "event", "cold", None),
        ("first_response", "overseas", "event", "hot", (15 * MINUTE, "new_york")),
        # calendars: the policy's, the team's, the default
        ("assignment", "overseas", None, "hot", (5 * MINUTE, "24x7")),
        ("acceptance", "overseas", None, "cold", (8 * HOUR, "new_york")),
        ("acceptance", "roving", None, "cold", (AMSTERDAM_DAY, "amsterdam")),
        ("acceptance", "nobody knows them", "nor this", "cold", (AMSTERDAM_DAY, "amsterdam")),
        # by stage, and neither
        ("stage_age", None, None, "mql", (5 * AMSTERDAM_DAY, "amsterdam")),
        ("stage_age", "overseas", None, "opportunity", (60 * DAY, "new_york")),
        ("stage_age", None, None, "sal", None),
        ("inactivity", None, None, "sal", (30 * DAY, "amsterdam")),
        ("erasure", "overseas", "event", "anything", (30 * DAY, "24x7")),
        ("mend", None, None, "hot", None),
    ],
)
def test_whose_target_and_calendar_hold(
    policy: str, team: str | None, source: str | None, key: str, expected: tuple[int, str] | None
) -> None:
    assert promised(policy, team, source, key) == expected
    assert promised(policy, team, source, key) == expected  # remembered


def test_a_promise_is_worked_out_once() -> None:
    assert AGREED.promise("acceptance", "north", None, "hot") is AGREED.promise("acceptance", "north", None, "hot")


def test_sources_that_nobody_listed_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_CACHED", 10)
    found = parse()
    for number in range(100):
        promise = found.promise("acceptance", None, f"source-{number}", "hot")
        assert promise is not None
        assert promise.target_ms == AMSTERDAM_DAY
    assert len(found._cache) <= 10


def test_the_rest_of_a_version() -> None:
    assert (AGREED.version, AGREED.effective_from, AGREED.text) == ("2026-10", ms(2026, 9, 30, 22), TEXT)
    assert AGREED.ladder == (50, 75, 100, 200)
    assert AGREED.attempts == 4
    assert AGREED.pause_reasons == {"customer_request", "holiday"}
    assert AGREED.pause_cap(AGREED.calendar("amsterdam")) == 2 * AMSTERDAM_DAY
    assert AGREED.pause_cap(ALWAYS) == 2 * DAY
    assert AGREED.cooldowns == {"no_budget": 90 * DAY, "competitor": 5 * 365 * DAY}
    assert AGREED.sources == frozenset({"website", "event", "referral"})
    assert AGREED.campaigns == frozenset({"spring", "fair"})
    assert AGREED.holidays == {"amsterdam": dates(["2026-12-25", "2027-01-01"])}
    assert [AGREED.zone_of(team) for team in (None, "north", "overseas", "roving", "unknown")] == [
        "Europe/Amsterdam", "Europe/Amsterdam", "America/New_York", "Europe/Amsterdam", "Europe/Amsterdam",
    ]  # fmt: skip
    assert AGREED.calendar("24x7") is ALWAYS


def test_a_calendar_has_its_hours_its_holidays_and_its_own_days_off() -> None:
    calendar = AGREED.calendar("amsterdam")
    assert calendar.business_day_ms == AMSTERDAM_DAY
    # Thursday 24 December 2026 16:30 in Amsterdam: one hour is left, Friday is a holiday, Saturday has two spans.
    start = ms(2026, 12, 24, 15) + 30 * MINUTE
    assert calendar.add(start, 3 * HOUR) == ms(2026, 12, 26, 11)
    assert calendar.between(start, ms(2026, 12, 26, 13)) == 4 * HOUR
    # Wednesday the 30th at its end, one hour on: the 31st is closed by ourselves, the 1st is a holiday.
    assert calendar.add(ms(2026, 12, 30, 16) + 30 * MINUTE, HOUR) == ms(2027, 1, 2, 10)


def test_a_calendar_that_is_not_there() -> None:
    with pytest.raises(KeyError, match=r"agreement 2026-10 has no calendar berlin; it has 24x7, amsterdam, new_york"):
        AGREED.calendar("berlin")


def test_what_is_left_out() -> None:
    found = Agreement.parse(small("a"))
    assert found.ladder == (50, 75, 100, 200, 300)
    assert found.attempts == 6
    assert found.pause_reasons == frozenset()
    assert found.pause_cap(ALWAYS) == 5 * DAY
    assert found.cooldowns == {}
    assert found.sources is None
    assert found.campaigns is None
    assert found.zone_of("north") == ALWAYS.zone
    promise = found.promise("mend", "north", "web", "cold")
    assert promise is not None
    assert (promise.target_ms, promise.calendar) == (HOUR, ALWAYS)


@pytest.mark.parametrize(
    ("amount", "milliseconds"),
    [
        ("250 ms", 250), ("90 s", 90_000), ("5 min", 5 * MINUTE), ("1.5 h", 90 * MINUTE), ("2 d", 2 * DAY),
        ("3 months", 90 * DAY), ("1 month", 30 * DAY), ("2 years", 730 * DAY), ("1 year", 365 * DAY), ("2 bd", 16 * HOUR),
        ("0.5 bd", 4 * HOUR),
    ],
)  # fmt: skip
def test_amounts(amount: str, milliseconds: int) -> None:
    assert amount_ms(amount, 8 * HOUR) == milliseconds


def test_an_amount_needs_no_space() -> None:
    found = Agreement.parse(small("a", target="90min")).promise("mend", None, None, "hot")
    assert found is not None
    assert found.target_ms == 90 * MINUTE


@pytest.mark.parametrize(
    ("key", "days"),
    [("mon", [0]), ("mon-fri", [0, 1, 2, 3, 4]), ("sat, sun", [5, 6]), ("sun-thu", [6, 0, 1, 2, 3]), ("Sat", [5])],
)
def test_weekdays(key: str, days: list[int]) -> None:
    assert days_of(key) == days


def test_spans_touch_but_do_not_overlap_and_stand_in_order() -> None:
    assert spans_of("12:00-24:00, 00:00-12:00") == [(0, 720), (720, 1440)]


def test_a_version_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        AGREED.version = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        AGREED.cooldowns["no_budget"] = 0  # type: ignore[index]
    with pytest.raises(TypeError):
        AGREED.holidays["new_york"] = ()  # type: ignore[index]


def test_the_checksum_is_of_what_is_said() -> None:
    laid_out = TEXT.replace("ladder: [50, 75, 200]", "# percents\nladder:\n  - 50\n  - 75   # of the target\n  - 200\n")
    lines = laid_out.splitlines()
    other_order = "\n".join([*lines[2:], *lines[:2]])
    same_instant = TEXT.replace("2026-10-01T00:00:00+02:00", "2026-09-30T22:00:00Z")
    assert parse(laid_out).checksum == parse(other_order).checksum == parse(same_instant).checksum == AGREED.checksum
    assert parse(TEXT.replace("75, 200", "75, 250")).checksum != AGREED.checksum
    assert len(AGREED.checksum) == 64


def test_the_checksum_knows_nothing_of_the_dates_of_holidays() -> None:
    assert parse(holidays={"amsterdam": ["2026-04-27"]}).checksum == AGREED.checksum


def test_the_default_has_every_policy_of_the_domain() -> None:
    assert {name for name, _ in DEFAULT.document.policies.named()} == set(POLICIES)
    for policy in BY_GRADE:
        assert DEFAULT.promise(policy, None, None, "hot") is not None, policy
    assert [DEFAULT.promise("first_response", None, None, grade) for grade in reversed(GRADES)] == [
        (5 * MINUTE, ALWAYS), (DAY, ALWAYS), (3 * DAY, ALWAYS),
    ]  # fmt: skip
    assert DEFAULT.promise("qualification", None, None, "cold") is None
    assert {stage for stage in AGED if DEFAULT.promise("stage_age", None, None, stage)} == {
        "inquiry", "mql", "sal", "opportunity",
    }  # fmt: skip
    assert {stage for stage in AGED if DEFAULT.promise("inactivity", None, None, stage)} == WORKED
    assert DEFAULT.promise("erasure", None, None, "") == (30 * DAY, ALWAYS)
    assert DEFAULT.ladder == (50, 75, 100, 200, 300)
    assert DEFAULT.attempts == 6
    assert DEFAULT.pause_reasons == {"customer_request", "holiday", "legal"}
    assert DEFAULT.cooldowns == {"no_budget": 90 * DAY, "competitor": 5 * 365 * DAY}
    assert list(DEFAULTS) == [DEFAULT]


def version(name: str, effective_from: str, target: str = "1 h") -> Agreement:
    return Agreement.parse(small(name, effective_from, target))


FIRST = version("a", "2026-01-01T00:00:00Z")
SECOND = version("b", "2026-02-01T00:00:00Z")
THIRD = version("c", "2026-03-01T00:00:00Z")


@pytest.mark.parametrize("order", [[FIRST, SECOND, THIRD], [THIRD, FIRST, SECOND], [SECOND, THIRD, FIRST, SECOND]])
def test_the_version_in_force(order: list[Agreement]) -> None:
    found = Agreements(order)
    assert list(found) == [FIRST, SECOND, THIRD]
    assert len(found) == 3
    assert found.at(0) is FIRST  # before the first, the first
    assert found.at(SECOND.effective_from - 1) is FIRST
    assert found.at(SECOND.effective_from) is SECOND
    assert found.at(THIRD.effective_from - 1) is SECOND
    assert found.at(THIRD.effective_from + 10**12) is THIRD


def test_one_version_holds_always() -> None:
    found = Agreements([SECOND])
    assert found.at(0) is found.at(SECOND.effective_from) is SECOND


def test_versions_by_name() -> None:
    found = Agreements([FIRST, SECOND])
    assert found.named("b") is SECOND
    with pytest.raises(KeyError, match="agreement version z is not known; known are a, b: publish it again"):
        found.named("z")


def test_clocks_of_the_time_before_any_agreement_keep_the_default() -> None:
    assert Agreements([FIRST]).named(DEFAULT.version) is DEFAULT


def test_versions_that_contradict_each_other() -> None:
    with pytest.raises(AgreementError, match="version a stands twice and says different things"):
        Agreements([FIRST, version("a", "2026-01-01T00:00:00Z", "2 h")])
    with pytest.raises(AgreementError, match="versions a and d have the same effective_from"):
        Agreements([FIRST, version("d", "2026-01-01T00:00:00Z")])
    with pytest.raises(AgreementError, match="there is no version"):
        Agreements([])
    with pytest.raises(AgreementError, match=f"version {DEFAULT.version} is the built-in one"):
        Agreements([version(DEFAULT.version, "2026-01-01T00:00:00Z")])


def test_the_documents_words_are_the_domains() -> None:
    assert set(Document.model_fields["policies"].annotation.model_fields) == set(POLICIES)  # type: ignore[union-attr]
