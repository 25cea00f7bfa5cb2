"""The words and amounts of an agreement file: each checked by itself, with what would be right. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from processors.agreement_text import meant, shape
from processors.vocabulary import DAY, GRADES, HOUR, STAGES, WORKED

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


def worded(what: str, known: Iterable[str]) -> Any:
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
_grade: Final = worded("grade", reversed(GRADES))
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


def instant(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is not None:
        if value.year < 1970:
            raise ValueError(f"expected a time after 1970; got {shape(value)}")
        return value
    missing = "lacks its offset from UTC" if isinstance(value, datetime) else "is no time"
    raise ValueError(f"{shape(value)} {missing}: expected one such as 2026-10-01T00:00:00+02:00")


def zone(name: str) -> str:
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


def percents(ladder: list[int]) -> list[int]:
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
