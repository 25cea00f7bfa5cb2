"""A version of the agreement as sales and marketing leaders read it, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from processors.agreement import Agreement, Agreements
from processors.agreement_model import AgePolicy, Condition, Goal, InactivityPolicy, Policies, Policy
from processors.agreement_words import ALWAYS_NAME
from processors.vocabulary import GRADES

_GRADES: Final = tuple(reversed(GRADES))
_NONE: Final = "no clock"
_LONG: Final = frozenset({"promise", "for"})
"""Columns that may take several lines."""
_TEAMS_OWN: Final = "the team's"


def states(agreements: Agreements, now: int) -> Iterator[tuple[Agreement, str]]:
    """Each version with `past`, `in force` or `to come`."""
    current = agreements.at(now)
    for item in agreements:
        if item is current:
            yield item, "in force" if item.effective_from <= now else "in force, as the first"
        else:
            yield item, "to come" if item.effective_from > now else "past"


def as_json(agreements: Agreements, agreement: Agreement, now: int) -> dict[str, Any]:
    """Keys: versions[{version, effective_from, checksum, state}], agreement (as in its file, complete), holidays."""
    return {
        "versions": [
            {
                "version": item.version,
                "effective_from": _utc(item.effective_from).isoformat(),
                "checksum": item.checksum,
                "state": state,
            }
            for item, state in states(agreements, now)
        ],
        "agreement": agreement.document.model_dump(mode="json", exclude_none=True),
        "holidays": {name: [day.isoformat() for day in days] for name, days in agreement.holidays.items()},
    }


def show(agreements: Agreements, agreement: Agreement, now: int, console: Console) -> None:
    """Prints the versions and one of them in full."""
    for part in (_versions(agreements, now), *_parts(agreement)):
        console.print(part)


def _utc(instant: int) -> datetime:
    return datetime.fromtimestamp(instant / 1000, UTC)


def _local(agreement: Agreement) -> str:
    zone = agreement.zone_of(None)
    return f"{_utc(agreement.effective_from).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column not in _LONG)
    return table


def _versions(agreements: Agreements, now: int) -> RenderableType:
    table = _table("Versions", "version", "from", "", "sha-256")
    for item, state in states(agreements, now):
        table.add_row(item.version, _local(item), state, item.checksum[:12])
    return table


def _parts(agreement: Agreement) -> Iterator[RenderableType]:
    found = agreement.document
    yield Text(f"\nAgreement {agreement.version}, from {_local(agreement)}", style="bold")
    if found.qualified is not None:
        yield _lines(
            f"Qualified ({found.qualified.id}): one of these holds",
            [_condition(condition) for condition in found.qualified.any_of],
        )
    if found.sources is not None:
        yield _lines("Sources", [", ".join(found.sources)])
    if found.campaigns is not None:
        yield _lines("Campaigns", [", ".join(found.campaigns)])
    yield from _promises(agreement)
    yield _calendars(agreement)
    yield _lines("Told", [f"at {', '.join(f'{percent} %' for percent in agreement.ladder)} of a target"])
    pause = ", ".join(found.pause.reasons)
    yield _lines("Pauses", [f"for {pause}; {found.pause.cap} at most for one clock" if pause else "none"])
    if found.cooldowns:
        yield _lines("Not qualified again after", [f"{reason}: for {text}" for reason, text in found.cooldowns.items()])
    if found.reasons:
        yield _lines("Reasons", [f"{reason}: {text}" for reason, text in found.reasons.items()])
    if found.currency is not None:
        rates = [f"1 {code} = {rate:g} {found.currency.base}" for code, rate in found.currency.rates.items()]
        yield _lines("Currency", [", ".join([found.currency.base, *rates])])
    if found.goals:
        yield _goals(agreement)


def _lines(title: str, lines: Iterable[str]) -> RenderableType:
    return Group(Text(f"\n{title}", style="bold"), *(Padding(Text(line), (0, 0, 0, 2), expand=False) for line in lines))


def _condition(condition: Condition) -> str:
    words = []
    if condition.hand_raise is not None:
        words.append("it asked for contact" if condition.hand_raise else "it did not ask for contact")
    if condition.grade is not None:
        words.append(f"grade {' or '.join(condition.grade)}")
    if condition.score is not None:
        words.append(f"score at least {condition.score:g}")
    if condition.sources is not None:
        words.append(f"source {' or '.join(condition.sources)}")
    if condition.campaigns is not None:
        words.append(f"campaign {' or '.join(condition.campaigns)}")
    return " and ".join(words)


def _promises(agreement: Agreement) -> Iterator[RenderableType]:
    graded = _table("\nPromises", "promise", "for", *_GRADES, "measured by")
    staged = _table("\nPromises by stage", "promise", "for", "stage", "within", "measured by")
    for name, policy in agreement.document.policies.named():
        label = f"{name}\n{Policies.model_fields[name].description}"
        if name == "cadence":
            label += f" Attempts: {agreement.attempts}."
        for who, targets, calendar in _rows(policy):
            if isinstance(policy, AgePolicy | InactivityPolicy):
                for stage, amount in targets.items():
                    staged.add_row(label, who, stage, amount, calendar)
                    label, who = "", ""
            else:
                graded.add_row(label, who, *(targets.get(grade, _NONE) for grade in _GRADES), calendar)
                label = ""
    for table in (graded, staged):
        if table.row_count:
            yield table
    missing = [name for name in Policies.model_fields if getattr(agreement.document.policies, name) is None]
    if missing:
        yield _lines("Not promised", [", ".join(missing)])


def _rows(policy: Policy) -> Iterator[tuple[str, Mapping[str, str], str]]:
    """(for whom, amount by grade or stage, calendar): the policy, then what differs."""
    yield "everybody", _targets(policy.targets), policy.calendar or _TEAMS_OWN
    entries = [(f"team {name}", item) for name, item in policy.teams.items()]
    entries += [(f"source {name}", item) for name, item in policy.sources.items()]
    for who, entry in entries:
        targets = policy.targets if entry.targets is None else entry.targets
        yield who, _targets(targets), entry.calendar or policy.calendar or _TEAMS_OWN


def _targets(targets: str | Mapping[str, str]) -> Mapping[str, str]:
    return dict.fromkeys(_GRADES, targets) if isinstance(targets, str) else targets


def _calendars(agreement: Agreement) -> RenderableType:
    found = agreement.document
    users: dict[str, list[str]] = {name: [] for name in (*found.calendars, ALWAYS_NAME)}
    for team, item in found.teams.items():
        users[item.calendar or found.default_calendar].append(f"team {team}")
    users[found.default_calendar].append("everybody else")
    lines = []
    for name, rule in found.calendars.items():
        hours = "; ".join(f"{day} {text}" for day, text in rule.hours.items())
        whom = f" for {', '.join(users[name])}" if users[name] else ""
        lines.append(f"{name}{whom}: {hours}, {rule.zone}; 1 bd is {_length(agreement.calendar(name).business_day_ms)}")
        closed = [day.isoformat() for day in rule.closed]
        if rule.holidays is not None and (days := agreement.holidays[name]):
            place = "-".join(filter(None, (rule.holidays.country, rule.holidays.subdivision)))
            closed.insert(0, f"the {len(days)} holidays of {place} from {days[0].year} to {days[-1].year}")
        if closed:
            lines.append(f"  closed on {', '.join(closed)}")
    whom = f" for {', '.join(users[ALWAYS_NAME])}" if users[ALWAYS_NAME] else ""
    return _lines("Calendars", [*lines, f"{ALWAYS_NAME}{whom}: always open; 1 bd is 24 h"])


def _length(milliseconds: int) -> str:
    hours, minutes = divmod(milliseconds // 60_000, 60)
    return " ".join(([f"{hours} h"] if hours else []) + ([f"{minutes} min"] if minutes else []))


def _goals(agreement: Agreement) -> RenderableType:
    names = list(Goal.model_fields)
    table = _table("\nGoals", "month", *names)
    for month, goal in agreement.document.goals.items():
        values = [getattr(goal, name) for name in names]
        table.add_row(month, *("" if value is None else f"{value:,.10g}" for value in values))
    return table
