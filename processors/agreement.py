"""The sales-marketing agreement: what was promised, and when. One YAML text is one immutable version.

Pure: callers read the files and find the holidays (streams.agreements does both).
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from processors.agreement_document import document
from processors.agreement_model import CadencePolicy, Document, HolidayError, Holidays
from processors.agreement_text import AgreementError, Place, Text
from processors.agreement_words import ALWAYS_NAME, LONGEST, amount_ms
from processors.calendars import ALWAYS, Calendar, calendar
from processors.vocabulary import DAY

__all__ = ["DEFAULT", "DEFAULTS", "Agreement", "AgreementError", "Agreements", "Promise", "pinned"]

_MOST_CACHED: Final = 8_192
"""Teams and sources come from events: what is remembered about them has an end."""
_WEEK: Final = 7 * DAY


_BUILT_IN: Final = "default-2"
_DEFAULT_TEXT: Final = """\
version: default-2
effective_from: 1970-01-01T00:00:00Z
policies:
  assignment:     {targets: 5 min}
  acceptance:     {targets: 1 bd}
  first_response: {targets: {hot: 5 min, warm: 1 bd, cold: 3 bd}}
  owner_response: {targets: {hot: 5 min, warm: 1 bd, cold: 3 bd}}
  cadence:        {targets: 10 bd, attempts: 6}
  qualification:  {targets: {hot: 1 bd, warm: 3 bd}}
  next_response:  {targets: 1 bd}
  stage_age:      {targets: {inquiry: 30 d, mql: 5 bd, sal: 10 bd, opportunity: 60 d}}
  inactivity:     {targets: {sal: 30 d, sql: 30 d, opportunity: 60 d}}
  wake:           {targets: 5 bd}
  mend:           {targets: 3 bd}
  erasure:        {targets: 30 d}
pause: {reasons: [customer_request, holiday, legal]}
cooldowns: {no_budget: 90 d, competitor: 5 years}
"""


class Promise(NamedTuple):
    """How long something may take: open time of a calendar, milliseconds."""

    target_ms: int
    calendar: Calendar


class _Entry(NamedTuple):
    """A policy as it holds for a team, for a source, or else. `calendar` None: the team's."""

    targets: Mapping[str, str]
    calendar: str | None


class _Rules(NamedTuple):
    """A policy with what differs for teams and sources, complete."""

    own: _Entry
    teams: Mapping[str, _Entry]
    sources: Mapping[str, _Entry]


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """One version; made by `parse`."""

    version: str
    effective_from: int
    """UTC milliseconds."""
    text: str
    """The YAML."""
    checksum: str
    """SHA-256 in hex of what the YAML says; comments and layout do not count, nor do the dates of holidays."""
    ladder: tuple[int, ...]
    """Ascending percents, 100 among them."""
    attempts: int
    """Human outbound attempts that the cadence promises."""
    pause_reasons: frozenset[str]
    cooldowns: Mapping[str, int]
    """Recycle reason -> milliseconds. A reason not listed has none."""
    sources: frozenset[str] | None
    """None: any."""
    campaigns: frozenset[str] | None
    """None: any."""
    holidays: Mapping[str, tuple[date, ...]]
    """Calendar -> the dates it closes on because of its country, in order: what a publication pins."""
    document: Document
    """The file, validated."""
    _calendars: Mapping[str, Calendar] = field(repr=False)
    _rules: Mapping[str, _Rules] = field(repr=False)
    _cache: dict[tuple[str, str | None, str | None, str], Promise | None] = field(repr=False)

    def pause_cap(self, calendar: Calendar) -> int:
        """The most that all pauses of one clock may take: milliseconds of open time of its calendar."""
        return amount_ms(self.document.pause.cap, calendar.business_day_ms)

    def promise(self, policy: str, team: str | None, source: str | None, key: str) -> Promise | None:
        """What is promised to a lead of that team and source. None: no clock.

        `key`: the grade; for stage_age and inactivity the stage; anything for erasure.
        """
        asked = (policy, team, source, key)
        try:
            return self._cache[asked]
        except KeyError:
            if len(self._cache) >= _MOST_CACHED:
                self._cache.clear()
            found = self._cache[asked] = self._promise(*asked)
            return found

    def _promise(self, policy: str, team: str | None, source: str | None, key: str) -> Promise | None:
        rules = self._rules.get(policy)
        if rules is None:
            return None
        entry = rules.teams.get(team or "") or rules.sources.get(source or "") or rules.own
        amount = entry.targets.get("" if policy == "erasure" else key)
        if amount is None:
            return None
        measured = self._calendars[entry.calendar or self._calendar_of(team)]
        return Promise(amount_ms(amount, measured.business_day_ms), measured)

    def _calendar_of(self, team: str | None) -> str:
        rule = self.document.teams.get(team or "")
        return self.document.default_calendar if rule is None or rule.calendar is None else rule.calendar

    def zone_of(self, team: str | None) -> str:
        """Time zone of the team's calendar, for showing times."""
        return self._calendars[self._calendar_of(team)].zone

    def calendar(self, name: str) -> Calendar:
        """Raises KeyError that names the version and its calendars."""
        try:
            return self._calendars[name]
        except KeyError:
            known = ", ".join(self._calendars)
            raise KeyError(f"agreement {self.version} has no calendar {name}; it has {known}") from None

    @staticmethod
    def parse(text: str, *, source: str = "agreement", holidays: Holidays | None = None) -> Agreement:
        """The version that a YAML text states. Raises AgreementError with every problem found.

        `source`: what errors call the text, such as its file. `holidays`: where the dates come from of calendars that
        close on a country's holidays; those of a publication are `pinned`.
        """
        read = Text(text, source)
        found = document(read)
        closed, problems = _holidays(read, found, holidays)
        calendars, more = _calendars(read, found, closed)
        problems += more
        if not problems:
            problems = _too_long(read, found, calendars)
        if problems:
            raise AgreementError(problems)
        cadence = found.policies.cadence
        return Agreement(
            version=found.version,
            effective_from=_milliseconds(found.effective_from),
            text=text,
            checksum=_checksum(read.data),
            ladder=tuple(sorted({*found.ladder, 100})),
            attempts=CadencePolicy.model_fields["attempts"].default if cadence is None else cadence.attempts,
            pause_reasons=frozenset(found.pause.reasons),
            cooldowns=MappingProxyType({reason: amount_ms(text, 0) for reason, text in found.cooldowns.items()}),
            sources=None if found.sources is None else frozenset(found.sources),
            campaigns=None if found.campaigns is None else frozenset(found.campaigns),
            holidays=MappingProxyType(closed),
            document=found,
            _calendars=calendars,
            _rules=_rules(found),
            _cache={},
        )


def pinned(dates: Mapping[str, Iterable[str]]) -> Holidays:
    """The holidays that a publication carries: calendar -> ISO dates."""

    def find(calendar: str, country: str, subdivision: str | None) -> Iterable[date]:
        try:
            return [date.fromisoformat(text) for text in dates[calendar]]
        except KeyError:
            raise HolidayError("country", f"no dates were given for the holidays of {calendar}") from None
        except ValueError as error:
            raise HolidayError("country", f"the dates given for the holidays of {calendar}: {error}") from None

    return find


def _unknown(calendar: str, country: str, subdivision: str | None) -> Iterable[date]:
    raise HolidayError("country", f"the holidays of {country} are not known here: hand their dates in")


def _milliseconds(time: datetime) -> int:
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _checksum(data: Any) -> str:
    def plain(value: date) -> str:
        return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value.isoformat()

    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _holidays(text: Text, found: Document, holidays: Holidays | None) -> tuple[dict[str, tuple[date, ...]], list[str]]:
    closed: dict[str, tuple[date, ...]] = {}
    problems = []
    for name, rule in found.calendars.items():
        if rule.holidays is None:
            continue
        try:
            dates = (holidays or _unknown)(name, rule.holidays.country, rule.holidays.subdivision)
            closed[name] = tuple(sorted(set(dates)))
        except HolidayError as error:
            problems.append(text.problem(("calendars", name, "holidays", error.field), str(error)))
    return closed, problems


def _calendars(
    text: Text, found: Document, closed: Mapping[str, tuple[date, ...]]
) -> tuple[Mapping[str, Calendar], list[str]]:
    calendars = {ALWAYS_NAME: ALWAYS}
    problems = []
    for name, rule in found.calendars.items():
        try:
            calendars[name] = calendar(name, rule.zone, rule.week(), {*rule.closed, *closed.get(name, ())})
        except ValueError as error:
            problems.append(text.problem(("calendars", name), str(error)))
    return MappingProxyType(calendars), problems


def _rules(found: Document) -> Mapping[str, _Rules]:
    def entry(own: _Entry, item: Any) -> _Entry:
        targets = item.targets
        if isinstance(targets, str):
            targets = {"": targets}
        return _Entry(targets or own.targets, item.calendar or own.calendar)

    rules = {}
    for name, policy in found.policies.named():
        own = entry(_Entry({}, None), policy)
        rules[name] = _Rules(
            own,
            {team: entry(own, item) for team, item in policy.teams.items()},
            {source: entry(own, item) for source, item in policy.sources.items()},
        )
    return MappingProxyType(rules)


def _too_long(text: Text, found: Document, calendars: Mapping[str, Calendar]) -> list[str]:
    """Promises that no calendar can measure in a lifetime: a target of years in a calendar that opens an hour a week."""
    weekly = {ALWAYS_NAME: _WEEK}
    for name, rule in found.calendars.items():
        weekly[name] = sum((end - begin) * 60_000 for spans in rule.week().values() for begin, end in spans)
    problems = []

    def check(place: Place, amount: str, names: Iterable[str]) -> None:
        for name in names:
            if amount_ms(amount, calendars[name].business_day_ms) * _WEEK > LONGEST * weekly[name]:
                problems.append(
                    text.problem(place, f"{amount} takes more than 20 years in calendar {name}: expected less")
                )
                return

    by_team = {found.default_calendar, *(rule.calendar for rule in found.teams.values() if rule.calendar)}
    for name, policy in found.policies.named():
        place: Place = ("policies", name)
        entries: list[tuple[Place, Any]] = [(place, policy)]
        entries += [((*place, "teams", team), item) for team, item in policy.teams.items()]
        entries += [((*place, "sources", origin), item) for origin, item in policy.sources.items()]
        for where, item in entries:
            named = item.calendar or policy.calendar
            targets = item.targets or {}
            for key, amount in {"": targets}.items() if isinstance(targets, str) else targets.items():
                check((*where, "targets", key), amount, [named] if named else sorted(by_team))
    check(("pause", "cap"), found.pause.cap, calendars)
    return problems


class Agreements:
    """The versions of an agreement, the earliest first; immutable."""

    __slots__ = ("_by_name", "_from", "_only", "_versions")

    def __init__(self, versions: Iterable[Agreement]) -> None:
        """Raises AgreementError where two versions contradict each other, or there is none."""
        by_name: dict[str, Agreement] = {}
        for item in versions:
            if item.version == _BUILT_IN and item.text != _DEFAULT_TEXT:
                raise AgreementError([f"version {item.version} is the built-in one: give this one another name"])
            known = by_name.setdefault(item.version, item)
            if known.checksum != item.checksum:
                raise AgreementError(
                    [f"version {item.version} stands twice and says different things: a version never changes; give the "
                     "newer one another name"]
                )  # fmt: skip
        ordered = sorted(by_name.values(), key=lambda item: item.effective_from)
        if not ordered:
            raise AgreementError(["there is no version: an agreement has at least one"])
        for one, other in pairwise(ordered):
            if one.effective_from == other.effective_from:
                both = f"versions {one.version} and {other.version}"
                raise AgreementError([f"{both} have the same effective_from: only one can be in force"])
        self._versions: Final = tuple(ordered)
        self._by_name: Final[Mapping[str, Agreement]] = by_name
        self._from: Final = [item.effective_from for item in ordered]
        self._only: Final = ordered[0] if len(ordered) == 1 else None

    def at(self, instant: int) -> Agreement:
        """The version in force at an instant (UTC milliseconds); before the first one, the first."""
        if self._only is not None:
            return self._only
        return self._versions[max(bisect_right(self._from, instant) - 1, 0)]

    def named(self, version: str) -> Agreement:
        """The version that a verdict names. Raises KeyError that names those there are."""
        found = self._by_name.get(version)
        if found is not None:
            return found
        if version == _BUILT_IN:  # clocks that started before there was an agreement keep it
            return DEFAULT
        known = ", ".join(self._by_name)
        raise KeyError(f"agreement version {version} is not known; known are {known}: publish it again") from None

    def __iter__(self) -> Iterator[Agreement]:
        return iter(self._versions)

    def __len__(self) -> int:
        return len(self._versions)


DEFAULT: Final = Agreement.parse(_DEFAULT_TEXT, source="built-in agreement")
"""What holds where no agreement was given. All of it on the 24x7 calendar, where a business day is 24 h."""

DEFAULTS: Final = Agreements([DEFAULT])
