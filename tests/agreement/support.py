"""An agreement with everything in it, to change one thing at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime

from processors.agreement import Agreement, pinned

NL = ["2026-12-25", "2027-01-01"]
HOLIDAYS = {"amsterdam": NL}

TEXT = """\
version: "2026-10"
effective_from: 2026-10-01T00:00:00+02:00
qualified:
  id: mql-3
  any_of:
    - {hand_raise: true}
    - {grade: [hot, warm], score: 60, sources: [website, event]}
sources: [website, event, referral]
campaigns: [spring, fair]
reasons:
  no_budget: No money this year
calendars:
  amsterdam:
    zone: Europe/Amsterdam
    hours: {mon-fri: "09:00-17:30", sat: "10:00-12:00, 13:00-15:00"}
    holidays: {country: NL}
    closed: [2026-12-31]
  new_york:
    zone: America/New_York
    hours: {mon-fri: "09:00-17:00"}
default_calendar: amsterdam
teams:
  north: {calendar: amsterdam}
  overseas: {calendar: new_york}
  roving: {}
policies:
  assignment: {targets: 5 min, calendar: 24x7}
  acceptance: {targets: 1 bd}
  first_response:
    targets: {hot: 5 min, warm: 1 bd, cold: 3 bd}
    teams:
      overseas: {targets: {hot: 15 min, warm: 1 bd}}
      north: {calendar: 24x7}
    sources:
      event: {targets: {hot: 1 h, warm: 2 bd}, calendar: new_york}
  cadence: {targets: 10 bd, attempts: 4}
  stage_age: {targets: {mql: 5 bd, opportunity: 60 d}}
  inactivity: {targets: {sal: 30 d}}
  erasure: {targets: 30 d, calendar: 24x7}
ladder: [50, 75, 200]
pause: {reasons: [customer_request, holiday], cap: 2 bd}
cooldowns: {no_budget: 90 d, competitor: 5 years}
currency: {base: EUR, rates: {USD: 0.92}}
goals: {2026-10: {mql: 400, won_amount: 250000}}
"""


def parse(text: str = TEXT, holidays: Mapping[str, Iterable[str]] = HOLIDAYS) -> Agreement:
    return Agreement.parse(text, source="a.yaml", holidays=pinned(holidays))


def small(version: str, effective_from: str = "2026-10-01T00:00:00Z", target: str = "1 h") -> str:
    """A version that promises one thing."""
    return f"version: {version}\neffective_from: {effective_from}\npolicies:\n  mend: {{targets: {target}}}\n"


def ms(year: int, month: int, day: int, hour: int = 0) -> int:
    return round(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


def dates(texts: Iterable[str]) -> tuple[date, ...]:
    return tuple(date.fromisoformat(text) for text in texts)
