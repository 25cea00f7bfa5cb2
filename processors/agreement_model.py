"""What an agreement file may say: its keys, and that they fit together. Pure.

Open time has no part in it: what an amount comes to in a calendar is worked out in agreement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from processors.agreement_text import Place, meant
from processors.agreement_words import (
    ALWAYS_NAME,
    WEEKDAYS,
    AgeTargets,
    AmountText,
    Grade,
    GradeTargets,
    InactivityTargets,
    Name,
    PlainAmount,
    days_of,
    instant,
    percents,
    spans_of,
    worded,
    zone,
)
from processors.vocabulary import END_REASONS, POLICIES, REJECT_REASONS


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
        str, AfterValidator(zone), Field(description="Time zone by its IANA name, such as Europe/Amsterdam.")
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
_recycle: Final = worded("recycle reason", _END)
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
        BeforeValidator(instant),
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
        AfterValidator(percents),
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


Holidays = Callable[[str, str, str | None], Iterable[date]]
"""(calendar, country, subdivision) -> its holidays. Raises HolidayError."""


class HolidayError(ValueError):
    """A country or subdivision without known holidays. `field`: country or subdivision."""

    def __init__(self, field: Literal["country", "subdivision"], message: str) -> None:
        super().__init__(message)
        self.field: Final = field
