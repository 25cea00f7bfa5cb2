"""What an agreement file may say: its keys, words and amounts, and that they fit together. Pure.

Open time has no part in it: what an amount comes to in a calendar is worked out in agreement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, get_args, get_origin
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from processors.agreement_text import AgreementError, Place, Text, meant, shape
from processors.vocabulary import DAY, END_REASONS, GRADES, HOUR, POLICIES, REJECT_REASONS, STAGES, WORKED

ALWAYS_NAME: Final = "24x7"
"""The calendar that is built in."""
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
UNITS: Final[Mapping[str, int]] = {
    "ms": 1, "s": 1_000, "min": 60_000, "h": HOUR, "d": DAY, "bd": 0,
    "month": 30 * DAY, "months": 30 * DAY, "year": 365 * DAY, "years": 365 * DAY,
}  # fmt: skip
"""Unit -> milliseconds; of a business day (bd) the calendar says how many."""
_SPELLED: Final = {
    "msec": "ms", "sec": "s", "second": "s", "seconds": "s", "m": "min", "mins": "min", "minute": "min",
    "minutes": "min", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d", "business day": "bd",
    "business days": "bd", "w": "d", "week": "d", "weeks": "d", "y": "years", "mo": "months",
}  # fmt: skip
"""Units as people spell them -> as they are spelled here."""
_AMOUNT: Final = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*([^\d\s].*)")
_EXAMPLES: Final = "such as 5 min, 4 h, 1 bd or 90 d"
LONGEST: Final = 20 * 365 * DAY
"""No promise and no cool-down may be longer, in plain time."""
AGED: Final = tuple(stage for stage in STAGES if stage not in ("merged", "erased"))
"""Stages that a lead can leave: stage_age counts there."""
_SPAN: Final = re.compile(r"(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)")


def amount_ms(text: str, business_day_ms: int) -> int:
    """Milliseconds of an amount that the model has taken."""
    number, unit = text.split()
    return round(Decimal(number) * (UNITS[unit] or business_day_ms))


def _amount(value: object) -> str:
    match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected an amount and a unit, {_EXAMPLES}; got {shape(value)}")
    unit = match[2].strip()
    if unit not in UNITS:
        near = _SPELLED.get(unit.casefold())
        hint = f" (did you mean {near}?)" if near else ""
        raise ValueError(f"{shape(value)} has the unknown unit {unit}: one of {', '.join(UNITS)}{hint}")
    if Decimal(match[1]) * (UNITS[unit] or DAY) < 1:
        raise ValueError(f"{shape(value)} is no time at all: expected more than zero, {_EXAMPLES}")
    return f"{match[1].removeprefix('+')} {unit}"


def _plain_amount(value: object) -> str:
    amount = _amount(value)
    if amount.endswith(" bd"):
        raise ValueError(f"{shape(value)} counts business days, and no calendar measures this: use d, months or years")
    if amount_ms(amount, 0) > LONGEST:
        raise ValueError(f"{shape(value)} is more than 20 years: expected less")
    return amount


def _one_of(what: str, known: Iterable[str]) -> Callable[[str], str]:
    names = tuple(known)

    def check(word: str) -> str:
        if word not in names:
            raise ValueError(f"{word} is no {what}{meant(word, names)}")
        return word

    return check


def _worded(what: str, known: Iterable[str]) -> Any:
    """Annotations of a text that must be one of `known`."""
    names = list(known)
    return AfterValidator(_one_of(what, names)), WithJsonSchema({"type": "string", "enum": names})


def _aged(word: str) -> str:
    if word in STAGES and word not in AGED:
        raise ValueError(f"no lead ever leaves {word}: a clock there would never end; leave it out")
    return _one_of("stage", AGED)(word)


def _worked(word: str) -> str:
    if word in STAGES and word not in WORKED:
        raise ValueError(
            f"inactivity starts at {', '.join(_WORKED)} only: a target for {word} would never be used; leave it out"
        )
    return _one_of("stage", _WORKED)(word)


_WORKED: Final = tuple(stage for stage in STAGES if stage in WORKED)
_AMOUNT_SCHEMA: Final = {
    "type": "string",
    "pattern": rf"^\s*[+]?[0-9]+(\.[0-9]+)?\s*({'|'.join(UNITS)})\s*$",
    "examples": ["5 min", "4 h", "1 bd", "90 d"],
    "description": "An amount of open time: a number and a unit. bd: business day; d: 24 h; months: 30 d; years: 365 d.",
}
_PLAIN_SCHEMA: Final = {
    "type": "string",
    "pattern": rf"^\s*[+]?[0-9]+(\.[0-9]+)?\s*({'|'.join(unit for unit in UNITS if unit != 'bd')})\s*$",
    "examples": ["90 d", "5 years"],
    "description": "An amount of plain time: a number and a unit. d: 24 h; months: 30 d; years: 365 d.",
}

Name = Annotated[str, Field(min_length=1, max_length=512)]
AmountText = Annotated[str, BeforeValidator(_amount), WithJsonSchema(_AMOUNT_SCHEMA)]
PlainAmount = Annotated[str, BeforeValidator(_plain_amount), WithJsonSchema(_PLAIN_SCHEMA)]
_grade: Final = _worded("grade", reversed(GRADES))
Grade = Annotated[str, _grade[0], _grade[1]]
AgedStage = Annotated[str, AfterValidator(_aged), WithJsonSchema({"type": "string", "enum": list(AGED)})]
WorkedStage = Annotated[str, AfterValidator(_worked), WithJsonSchema({"type": "string", "enum": list(_WORKED)})]


def _for_every_grade(value: object) -> object:
    if isinstance(value, dict):
        return value
    return dict.fromkeys(reversed(GRADES), _amount(value))


def _by_stage(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError(f"expected an amount for each stage, such as {{sal: 10 bd}}; got {shape(value)}")
    return value


def _keyed(names: Iterable[str], amount: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "pattern": amount["pattern"]} for name in names},
        "additionalProperties": False,
        "minProperties": 1,
    }


_GRADED_SCHEMA: Final = {
    "anyOf": [_AMOUNT_SCHEMA, _keyed(reversed(GRADES), _AMOUNT_SCHEMA)],
    "description": "One amount for every grade, or an amount by grade; a grade without one starts no clock.",
}
GradeTargets = Annotated[
    dict[Grade, AmountText], BeforeValidator(_for_every_grade), Field(min_length=1), WithJsonSchema(_GRADED_SCHEMA)
]
AgeTargets = Annotated[
    dict[AgedStage, AmountText],
    BeforeValidator(_by_stage),
    Field(min_length=1),
    WithJsonSchema(_keyed(AGED, _AMOUNT_SCHEMA)),
]
InactivityTargets = Annotated[
    dict[WorkedStage, AmountText],
    BeforeValidator(_by_stage),
    Field(min_length=1),
    WithJsonSchema(_keyed(_WORKED, _AMOUNT_SCHEMA)),
]


def _instant(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is not None:
        if value.year < 1970:
            raise ValueError(f"expected a time after 1970; got {shape(value)}")
        return value
    missing = "lacks its offset from UTC" if isinstance(value, datetime) else "is no time"
    raise ValueError(f"{shape(value)} {missing}: expected one such as 2026-10-01T00:00:00+02:00")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        names = {zone.casefold(): zone for zone in available_timezones()}
        last = {zone.rpartition("/")[2].casefold(): zone for zone in sorted(names.values(), reverse=True)}
        word = name.casefold().replace(" ", "_")
        near = names.get(word) or last.get(word.rpartition("/")[2])
        hint = f" (did you mean {near}?)" if near else ""
        raise ValueError(f"{name} is no time zone{hint}: expected a name such as Europe/Amsterdam") from None
    return name


def _percents(ladder: list[int]) -> list[int]:
    if any(not 0 < percent <= 1000 for percent in ladder) or any(a >= b for a, b in pairwise(ladder)):
        raise ValueError(f"expected ascending percents from 1 to 1000, such as [50, 75, 100, 200]; got {ladder}")
    return ladder


def days_of(key: str) -> list[int]:
    """Weekdays, Monday 0, of `mon`, `mon-fri`, `sat, sun`; a range may pass Sunday (`sun-thu`). Raises ValueError."""
    days: list[int] = []
    for part in key.split(","):
        first, dash, last = (word.strip().casefold() for word in part.partition("-"))
        for word in (first, last) if dash else (first,):
            if word not in WEEKDAYS:
                raise ValueError(f"{word or key} is no weekday{meant(word, WEEKDAYS)}")
        begin, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        days += [day % 7 for day in range(begin, end + 1 if begin <= end else end + 8)]
    return days


def spans_of(text: str) -> list[tuple[int, int]]:
    """Minutes [open, close) of `09:00-12:00, 13:00-17:30`, in order. Raises ValueError."""
    spans: list[tuple[int, int]] = []
    for part in text.split(","):
        match = _SPAN.fullmatch(part.strip())
        if match is None:
            raise ValueError(f'expected hours such as "09:00-17:30" or "09:00-12:00, 13:00-17:00"; got {shape(text)}')
        open_hour, open_minute, close_hour, close_minute = map(int, match.groups())
        begin, end = open_hour * 60 + open_minute, close_hour * 60 + close_minute
        if max(open_minute, close_minute) > 59 or begin >= 1440 or end > 1440:
            raise ValueError(f"{part.strip()} is no time of day: expected 00:00 to 24:00")
        if end <= begin:
            raise ValueError(
                f"{part.strip()} closes at or before it opens: hours may not cross midnight; close at 24:00 and open the "
                "next day at 00:00"
            )
        spans.append((begin, end))
    spans.sort()
    for (_, end), (begin, _) in pairwise(spans):
        if begin < end:
            raise ValueError(f"{text} overlaps itself: expected spans that do not share time")
    return spans


class _Faults:
    """Problems with their places below the model that finds them; raised all at once."""

    def __init__(self) -> None:
        self._found: list[InitErrorDetails] = []

    def add(self, place: Place, what: str) -> None:
        # The text is an argument, so that braces in it are not taken for fields.
        kind = PydanticCustomError("agreement", "{what}", {"what": what})
        self._found.append(InitErrorDetails(type=kind, loc=place, input=None))

    def raise_any(self) -> None:
        if self._found:
            raise ValidationError.from_exception_data("agreement", self._found)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class HolidayRule(_Model):
    """Public holidays, which close the calendar."""

    country: Annotated[str, Field(min_length=1, description="ISO 3166 code: NL, US, GB.")]
    subdivision: Annotated[str | None, Field(description="Part of the country: NY, ENG.")] = None


class CalendarRule(_Model):
    """When a team works."""

    zone: Annotated[
        str, AfterValidator(_zone), Field(description="Time zone by its IANA name, such as Europe/Amsterdam.")
    ]
    hours: Annotated[
        dict[str, str],
        Field(
            min_length=1,
            description='Local opening hours by day: mon-fri: "09:00-17:30". Several spans are separated by commas; none '
            "crosses midnight; a day may close at 24:00.",
        ),
    ]
    holidays: Annotated[HolidayRule | None, Field(description="Public holidays to close on.")] = None
    closed: Annotated[list[date], Field(description="Other days to close on.")] = []  # frozen

    @model_validator(mode="after")
    def _week(self) -> CalendarRule:
        faults = _Faults()
        taken: dict[int, str] = {}
        for key, text in self.hours.items():
            try:
                days = days_of(key)
            except ValueError as error:
                faults.add(("hours", key), str(error))
                continue
            for day in days:
                if day in taken:
                    both = f"{key} and {taken[day]}" if taken[day] != key else key
                    faults.add(("hours", key), f"{both} both give hours for {WEEKDAYS[day]}: give a day's hours once")
                    break
                taken[day] = key
            try:
                spans_of(text)
            except ValueError as error:
                faults.add(("hours", key), str(error))
        faults.raise_any()
        return self

    def week(self) -> dict[int, list[tuple[int, int]]]:
        """Weekday (Monday 0) -> its opening minutes."""
        return {day: spans_of(text) for key, text in self.hours.items() for day in days_of(key)}


class TeamRule(_Model):
    """A team, by the name that LeadAssigned gives it."""

    calendar: Annotated[str | None, Field(description="Its calendar; absent: default_calendar.")] = None


_CALENDAR: Final = Field(description="Calendar that measures it; absent: the team's, else default_calendar.")


class _Entry(_Model):
    calendar: Annotated[str | None, _CALENDAR] = None


class GradeEntry(_Entry):
    """What differs for a team or a source; what is left out comes from the policy."""

    targets: GradeTargets | None = None


class AgeEntry(_Entry):
    """What differs for a team or a source; what is left out comes from the policy."""

    targets: AgeTargets | None = None


class InactivityEntry(_Entry):
    """What differs for a team or a source; what is left out comes from the policy."""

    targets: InactivityTargets | None = None


class ErasureEntry(_Entry):
    """What differs for a team or a source; what is left out comes from the policy."""

    targets: AmountText | None = None


_TEAMS: Final = Field(description="What differs for a team.")
_SOURCES: Final = Field(description="What differs for a source, where the team has no entry of its own.")


class GradePolicy(_Entry):
    """A promise whose target hangs on the lead's grade."""

    targets: GradeTargets
    teams: Annotated[dict[Name, GradeEntry], _TEAMS] = {}
    sources: Annotated[dict[Name, GradeEntry], _SOURCES] = {}


class CadencePolicy(GradePolicy):
    """Sales tries often enough before it gives up."""

    attempts: Annotated[int, Field(ge=1, le=100, description="Human outbound attempts promised.")] = 6


class AgePolicy(_Entry):
    """How long a lead may stand at a stage."""

    targets: AgeTargets
    teams: Annotated[dict[Name, AgeEntry], _TEAMS] = {}
    sources: Annotated[dict[Name, AgeEntry], _SOURCES] = {}


class InactivityPolicy(_Entry):
    """How long a lead that sales works may see nobody."""

    targets: InactivityTargets
    teams: Annotated[dict[Name, InactivityEntry], _TEAMS] = {}
    sources: Annotated[dict[Name, InactivityEntry], _SOURCES] = {}


class ErasurePolicy(_Entry):
    """How long an erasure may take."""

    targets: AmountText
    teams: Annotated[dict[Name, ErasureEntry], _TEAMS] = {}
    sources: Annotated[dict[Name, ErasureEntry], _SOURCES] = {}


Policy = GradePolicy | AgePolicy | InactivityPolicy | ErasurePolicy


def _about(text: str) -> Any:
    return Field(description=text)


class Policies(_Model):
    """The promises. One that is not here starts no clock."""

    assignment: Annotated[GradePolicy | None, _about("From qualified until a person owns the lead.")] = None
    acceptance: Annotated[GradePolicy | None, _about("From assigned to a person until accepted or rejected.")] = None
    first_response: Annotated[
        GradePolicy | None, _about("From the hand-raise, or qualified, until somebody responds.")
    ] = None
    owner_response: Annotated[
        GradePolicy | None, _about("From each assignment to a new person until somebody responds.")
    ] = None
    cadence: Annotated[
        CadencePolicy | None, _about("From the first attempt until enough attempts were made, or there is contact.")
    ] = None
    qualification: Annotated[
        GradePolicy | None, _about("From accepted until sales-qualified, recycled or disqualified.")
    ] = None
    next_response: Annotated[GradePolicy | None, _about("From a lead's reply until the next human touch.")] = None
    stage_age: Annotated[AgePolicy | None, _about("From entering a stage until leaving it.")] = None
    inactivity: Annotated[InactivityPolicy | None, _about("From each human touch until the next.")] = None
    wake: Annotated[
        GradePolicy | None, _about("From the wake date of a nurtured lead until a touch, or qualified.")
    ] = None
    mend: Annotated[
        GradePolicy | None, _about("Marketing's promise: from a rejection for poor data until the data is mended.")
    ] = None
    erasure: Annotated[ErasurePolicy | None, _about("From a request to erase until erased.")] = None

    def named(self) -> Iterator[tuple[str, Policy]]:
        """The policies that are there, in the order of the domain."""
        for name in POLICIES_IN_ORDER:
            policy = getattr(self, name)
            if policy is not None:
                yield name, policy


POLICIES_IN_ORDER: Final = tuple(Policies.model_fields)
assert set(POLICIES_IN_ORDER) == set(POLICIES)  # noqa: S101


class Condition(_Model):
    """What must all hold."""

    hand_raise: Annotated[bool | None, _about("The lead asked for contact or a demo.")] = None
    grade: Annotated[list[Grade] | None, Field(min_length=1, description="One of these grades.")] = None
    score: Annotated[float | None, _about("At least this score.")] = None
    sources: Annotated[list[Name] | None, Field(min_length=1, description="From one of these sources.")] = None
    campaigns: Annotated[list[Name] | None, Field(min_length=1, description="From one of these campaigns.")] = None

    @model_validator(mode="after")
    def _says_something(self) -> Condition:
        if not self.model_fields_set:
            raise ValueError("an empty condition takes every lead: name hand_raise, grade, score, sources or campaigns")
        return self


class Qualified(_Model):
    """When marketing and sales call a lead qualified."""

    id: Annotated[Name, _about("Name of the definition; LeadQualified carries it.")]
    any_of: Annotated[list[Condition], Field(min_length=1, description="One of these must hold.")]


class Pause(_Model):
    """When a clock may stand still."""

    reasons: Annotated[list[Name], _about("Reasons of LeadPaused that pause clocks.")] = []
    cap: Annotated[AmountText, _about("The most that all pauses of one clock may take.")] = "5 bd"


class Currency(_Model):
    """The currency that money is shown in."""

    base: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")]
    rates: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], Annotated[float, Field(gt=0)]],
        _about("What one unit of another currency is worth in the base."),
    ] = {}


class Goal(_Model):
    """What both sides want of a month."""

    inquiry: Annotated[int | None, Field(ge=0, description="Inquiries.")] = None
    mql: Annotated[int | None, Field(ge=0, description="Leads that marketing qualifies.")] = None
    sal: Annotated[int | None, Field(ge=0, description="Leads that sales accepts.")] = None
    sql: Annotated[int | None, Field(ge=0, description="Leads that sales qualifies.")] = None
    opportunity: Annotated[int | None, Field(ge=0, description="Opportunities opened.")] = None
    won: Annotated[int | None, Field(ge=0, description="Opportunities won.")] = None
    won_amount: Annotated[float | None, Field(ge=0, description="Amount won, in the base currency.")] = None


_END: Final = sorted(END_REASONS)
_recycle: Final = _worded("recycle reason", _END)
Month = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]


class Document(_Model):
    """One version of the sales-marketing agreement."""

    version: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
            description="Its name, for ever: what is published under it never changes.",
        ),
    ]
    effective_from: Annotated[
        datetime,
        BeforeValidator(_instant),
        Field(description="The instant from which it holds, with its offset: 2026-10-01T00:00:00+02:00."),
    ]
    qualified: Annotated[Qualified | None, _about("The agreed definition of a qualified lead.")] = None
    sources: Annotated[list[Name] | None, _about("The sources that are known; absent: any is taken.")] = None
    campaigns: Annotated[list[Name] | None, _about("The campaigns that are known; absent: any is taken.")] = None
    reasons: Annotated[dict[str, str], _about("What each reason means, for people.")] = {}
    calendars: Annotated[dict[Name, CalendarRule], _about("Opening hours by name; 24x7 is built in.")] = {}
    default_calendar: Annotated[str, _about("For leads without a team and teams without a calendar.")] = ALWAYS_NAME
    teams: Annotated[dict[Name, TeamRule], _about("The teams, by the names that LeadAssigned gives them.")] = {}
    policies: Policies
    ladder: Annotated[
        list[int],
        AfterValidator(_percents),
        _about("Percents of a target at which people are told; 100 is always there."),
    ] = [50, 75, 100, 200, 300]
    pause: Annotated[Pause, _about("When clocks may stand still; absent: never.")] = Pause()
    cooldowns: Annotated[
        dict[Annotated[str, _recycle[0], _recycle[1]], PlainAmount],
        _about("How long a lead recycled for a reason may not be qualified again."),
    ] = {}
    currency: Annotated[Currency | None, _about("Base currency and rates.")] = None
    goals: Annotated[dict[Month, Goal], _about("Joint goals by month, such as 2026-10.")] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Document:
        faults = _Faults()
        calendars = [ALWAYS_NAME, *self.calendars]

        def known_calendar(place: Place, name: str | None) -> None:
            if name is not None and name not in calendars:
                faults.add(place, f"{name} is no calendar of this agreement{meant(name, calendars)}")

        if ALWAYS_NAME in self.calendars:
            faults.add(("calendars", ALWAYS_NAME), f"{ALWAYS_NAME} is built in: give this calendar another name")
        known_calendar(("default_calendar",), self.default_calendar)
        for name, team in self.teams.items():
            known_calendar(("teams", name, "calendar"), team.calendar)
        for policy_name, policy in self.policies.named():
            place: Place = ("policies", policy_name)
            known_calendar((*place, "calendar"), policy.calendar)
            for part, known, what in (("teams", self.teams, "team"), ("sources", self.sources, "source")):
                entries: Mapping[str, _Entry] = getattr(policy, part)
                for name, entry in entries.items():
                    known_calendar((*place, part, name, "calendar"), entry.calendar)
                    if known is not None and name not in known:
                        hint = meant(name, known) if known else f": list it under {part}"
                        faults.add((*place, part, name), f"{name} is no {what} of this agreement{hint}")
        reasons = sorted({*END_REASONS, *REJECT_REASONS, *self.pause.reasons})
        for reason in self.reasons:
            if reason not in reasons:
                faults.add(("reasons", reason), f"{reason} is no reason{meant(reason, reasons)}")
        for index, condition in enumerate(self.qualified.any_of if self.qualified else ()):
            for part, known in (("sources", self.sources), ("campaigns", self.campaigns)):
                for at, name in enumerate(getattr(condition, part) or ()):
                    if known is not None and name not in known:
                        where: Place = ("qualified", "any_of", index, part, at)
                        faults.add(where, f"{name} is not among the {part} of this agreement{meant(name, known)}")
        faults.raise_any()
        return self


def document(text: Text) -> Document:
    """The document that a text states. Raises AgreementError with every problem found."""
    if not isinstance(text.data, dict):
        what = f"expected a mapping with version, effective_from and policies; got {shape(text.data)}"
        raise AgreementError([text.problem((), what)])
    empty = list(_empty(text.data, ()))
    problems = [(place, "has no value: give it one, or leave the key out") for place in empty]
    found = None
    try:
        found = Document.model_validate(_without_empty(text.data))
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            place = tuple(part for part in problem["loc"] if part != "[key]")
            if place not in empty:
                problems.append((place, _right(place, problem)))
    if found is None or problems:
        problems.sort(key=lambda problem: text.line(problem[0]))
        raise AgreementError(text.problem(place, what) for place, what in problems)
    return found


def _empty(data: Any, place: Place) -> Iterator[Place]:
    if isinstance(data, dict):
        for key, value in data.items():
            if value is None:
                yield (*place, key)
            else:
                yield from _empty(value, (*place, key))


def _without_empty(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_empty(value) for key, value in data.items() if value is not None}
    return data


_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list, such as [one, two]",
    "date_type": "a date, such as 2026-12-31",
    "date_from_datetime_inexact": "a date, such as 2026-12-31",
}
_PATTERNS: Final[Mapping[str, str]] = {
    "version": "letters, digits, points, dashes and underscores, 64 at most",
    "goals": "a month, such as 2026-10",
    "currency": "an ISO 4217 code, such as EUR",
}


def _right(place: Place, found: ErrorDetails) -> str:
    """What is wrong at a place and what would be right."""
    value, context = found["input"], found.get("ctx", {})
    match found["type"]:
        case "agreement":
            return str(context["what"])
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            return f"unknown key{meant(str(place[-1]), _keys(place[:-1]))}"
        case "missing":
            return f"is missing: every {'agreement' if len(place) == 1 else place[-2]} needs it"
        case "too_short":
            return f"is empty: expected at least one; got {shape(value)}"
        case "string_too_short":
            return f"expected a text that is not empty; got {shape(value)}"
        case "string_pattern_mismatch":
            return f"expected {_PATTERNS[str(place[0])]}; got {shape(value)}"
        case "string_type" if isinstance(value, int | float | date):
            return f"expected a text; got {shape(value)}: put it in quotes"
        case kind if kind in _EXPECTED:
            return f"expected {_EXPECTED[kind]}; got {shape(value)}"
    return f"{found['msg']}; got {shape(value)}"


def _keys(place: Place) -> list[str]:
    """The keys that the mapping at a place may have."""
    here: Any = Document
    for part in place:
        here = here.model_fields[part].annotation if _is_model(here) else get_args(here)[-1]
        while not _is_model(here) and get_origin(here) not in (dict, list):
            here = get_args(here)[0]  # of Optional and Annotated
    return list(here.model_fields)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


Holidays = Callable[[str, str, str | None], Iterable[date]]
"""(calendar, country, subdivision) -> its holidays. Raises HolidayError."""


class HolidayError(ValueError):
    """A country or subdivision without known holidays. `field`: country or subdivision."""

    def __init__(self, field: Literal["country", "subdivision"], message: str) -> None:
        super().__init__(message)
        self.field: Final = field
