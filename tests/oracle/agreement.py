"""What the agreement promises, read from the parsed YAML of its versions (section 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from tests.oracle.calendar import DAY, EPOCH, HOUR, MINUTE, SECOND, Calendar, OfficeHours, RoundTheClock

GRADES: Final = ("hot", "warm", "cold")
BY_STAGE: Final = frozenset({"stage_age", "inactivity"})
"""Policies whose targets are per stage."""
BY_GRADE: Final = frozenset(
    {
        "assignment", "acceptance", "first_response", "owner_response", "cadence", "qualification", "next_response",
        "wake", "mend",
    }
)  # fmt: skip
"""Policies whose targets are per grade; erasure is neither: it has one."""
_UNITS: Final = {
    "ms": 1, "s": SECOND, "min": MINUTE, "h": HOUR, "d": DAY,
    "month": 30 * DAY, "months": 30 * DAY, "year": 365 * DAY, "years": 365 * DAY,
}  # fmt: skip


def amount(text: str, business_day: int = DAY) -> int:
    """Milliseconds of `5 min`, `1 bd`, `5 years`."""
    number, unit = str(text).split()
    return int(Decimal(number) * (business_day if unit == "bd" else _UNITS[unit]))


class Terms:
    """What one policy promises to one lead at one instant: a calendar and targets by grade or stage."""

    def __init__(self, policy: str, calendar: Calendar, targets: str | Mapping[str, str]) -> None:
        self.policy = policy
        self.calendar = calendar
        self._targets = targets

    def target(self, kind: str) -> int | None:
        """Open time allowed for a grade or stage; None: there is no such promise."""
        stated = self._targets.get(kind) if isinstance(self._targets, Mapping) else self._targets
        return None if stated is None else amount(stated, self.calendar.business_day)


class Agreement:
    """One version."""

    def __init__(self, stated: Mapping[str, Any]) -> None:
        self.version = str(stated["version"])
        since = stated["effective_from"]
        moment = since if isinstance(since, datetime) else datetime.fromisoformat(since)
        self.effective_from = (moment - EPOCH) // timedelta(milliseconds=1)
        self.calendars: dict[str, Calendar] = {"24x7": RoundTheClock()}
        for name, hours in (stated.get("calendars") or {}).items():
            self.calendars[name] = OfficeHours(name, hours)
        self.default_calendar = stated.get("default_calendar") or "24x7"
        self.teams: Mapping[str, Any] = stated.get("teams") or {}
        self.policies: Mapping[str, Any] = stated.get("policies") or {}
        self.cooldowns = {reason: amount(length) for reason, length in (stated.get("cooldowns") or {}).items()}
        pause = stated.get("pause") or {}
        self.pause_reasons = frozenset(pause.get("reasons") or ())
        self._pause_cap = pause.get("cap") or "5 bd"
        self.attempts = int((self.policies.get("cadence") or {}).get("attempts") or 6)

    def pause_cap(self, calendar: Calendar) -> int:
        """How long all pauses of one instance may last together, in open time of its calendar."""
        return amount(self._pause_cap, calendar.business_day)

    def terms(self, policy: str, team: str | None, source: str | None) -> Terms | None:
        """The policy's entry for the team, else for the source, else the policy itself (rule of calendars and targets)."""
        itself = self.policies.get(policy)
        if itself is None:
            return None
        by_team, by_source = itself.get("teams") or {}, itself.get("sources") or {}
        if team is not None and team in by_team:
            entry = by_team[team]
        elif source is not None and source in by_source:
            entry = by_source[source]
        else:
            entry = itself
        own = (self.teams.get(team) or {}).get("calendar") if team is not None else None
        name = entry.get("calendar") or itself.get("calendar") or own or self.default_calendar
        return Terms(policy, self.calendars[name], entry.get("targets") or itself["targets"])


class Agreements:
    """All versions."""

    def __init__(self, stated: Sequence[Mapping[str, Any]]) -> None:
        self.versions = sorted(map(read, stated), key=lambda version: version.effective_from)

    def at(self, instant: int) -> Agreement:
        """The version in force; before the first one, the first."""
        in_force = self.versions[0]
        for version in self.versions:
            if version.effective_from <= instant:
                in_force = version
        return in_force


def read(stated: Mapping[str, Any]) -> Agreement:
    """The version, read once for equal texts: its calendars remember the days they worked out."""
    return _read(json.dumps(stated, sort_keys=True, default=lambda value: value.isoformat()))


@lru_cache(maxsize=64)
def _read(text: str) -> Agreement:
    return Agreement(json.loads(text))
