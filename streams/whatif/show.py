"""The report for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processors.agreement import Agreement
from processors.vocabulary import POLICIES
from processors.whatif import PROPOSED, Change, Kind, Tally
from schemas.types import SlaEvent
from streams.whatif.period import iso
from streams.whatif.report import Found, Report, Sides, Sort

_NAMED: Final = 3
"""Leads that a line of the table names."""
_NUMBERS: Final = frozenset({"started", "met", "breached", "attainment", "clocks"})
"""Columns."""
_ALL: Final = "(all)"
_WORDS: Final[Mapping[Kind, str]] = {
    "newly_breached": "newly breached",
    "no_longer_breached": "no longer breached",
    "starts": "a clock starts",
    "no_longer_starts": "no clock starts",
    "other_verdict": "another verdict",
    "other_deadline": "another deadline",
}


def as_json(report: Report) -> dict[str, Any]:
    """Keys as `baton agreement diff --help` has them; instants ISO 8601 in UTC."""
    return {
        "period": report.period.name,
        "zone": report.period.zone,
        "from": iso(report.period.span.start),
        "until": iso(report.period.span.end),
        "as_of": iso(report.as_of),
        "old": [_version(item) for item in report.old],
        "new": [_version(item) for item in report.new],
        "stories": report.leads,
        "totals": _sides(report.totals),
        **{
            f"by_{what}": [{what: name, **_sides(sides)} for name, sides in _ordered(what, groups)]
            for what, groups in report.by.items()
        },
        "changes": [
            {**sort._asdict(), "clocks": found.clocks, "leads": list(found.leads), "more_leads": found.unnamed}
            for sort, found in report.ordered()
        ],
        "notes": report.notes,
    }


def _version(item: Agreement) -> dict[str, Any]:
    return {"version": item.version.removesuffix(PROPOSED), "checksum": item.checksum}


def _sides(sides: Sides) -> dict[str, Any]:
    return {"before": _tally(sides.before), "after": _tally(sides.after)}


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "started": tally.started,
        "open": tally.open,
        "met": tally.met,
        "breached": tally.breached,
        "called_off": tally.called_off,
        "due": tally.due,
        "attainment": None if tally.attainment is None else round(tally.attainment, 6),
    }


def _ordered(what: str, groups: Mapping[str, Sides]) -> list[tuple[str, Sides]]:
    """Policies as the domain lists them, all else by name."""
    return sorted(groups.items(), key=lambda item: (POLICIES.index(item[0]) if what == "policy" else 0, item[0]))


def change_as_json(change: Change) -> dict[str, Any]:
    """One clock that differs."""
    clock = change.clock
    return {
        "kind": change.kind,
        "lead_id": clock["lead_id"],
        "policy": clock["policy"],
        "team": clock["team"],
        "source": clock["source"],
        "owner": clock["owner"],
        "grade": clock["grade"],
        "started_at": iso(clock["started_at"]),
        "start_event_id": clock["start_event_id"],
        "instance_id": clock["instance_id"],
        "before": _side(change.before),
        "after": _side(change.after),
    }


def _side(clock: SlaEvent | None) -> dict[str, Any] | None:
    if clock is None:
        return None
    return {"verdict": clock["verdict"], "deadline": iso(clock["deadline"]), "calendar": clock["calendar"]}


def show(report: Report, console: Console) -> None:
    old, new = (", ".join(_version(item)["version"] for item in side) for side in (report.old, report.new))
    period = report.period
    console.print(Text(f"{period.name} under {new} instead of {old}", style="bold"))
    console.print(
        f"{report.totals.before.started:,} clocks started, {sum(found.clocks for found in report.changes.values()):,} differ; "
        f"{report.leads:,} leads replayed, months begin at midnight in {period.zone}, as of {iso(report.as_of)}"
    )
    for what, groups in report.by.items():
        table = _table(f"\nBy {what}", what, "started", "met", "breached", "attainment")
        for name, sides in _ordered(what, groups):
            table.add_row(name, *_cells(sides))
        if what == "policy":
            table.add_section()
            table.add_row("all", *_cells(report.totals), style="bold")
        console.print(table)
    table = _table("\nWhat changes", "what", "policy", "team", "source", "verdict", "clocks", "leads")
    for sort, found in _lines(report):
        verdict = f"{sort.before or '-'} -> {sort.after or '-'}"
        table.add_row(
            _WORDS[sort.kind], sort.policy, sort.team, sort.source, verdict, f"{found.clocks:,}", _leads(found)
        )
    console.print(table if report.changes else Text("\nNothing changes: every clock stands as it stood."))
    for note in report.notes:
        console.print(Text(f"\n{note}", style="yellow"))


def _lines(report: Report) -> Iterator[tuple[Sort, Found]]:
    """The changes; deadlines that change no verdict in one line for all teams and sources: they are many."""
    deadlines: dict[Sort, Found] = {}
    for sort, found in report.ordered():
        if sort.kind != "other_deadline":
            yield sort, found
            continue
        line = deadlines.setdefault(sort._replace(team=_ALL, source=_ALL), Found())
        line.clocks += found.clocks
        line.leads |= found.leads
        line.unnamed |= found.unnamed
    yield from deadlines.items()


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in _NUMBERS else "left")
    return table


def _cells(sides: Sides) -> Iterator[str]:
    before, after = sides.before, sides.after
    for was, now in (
        (before.started, after.started),
        (before.met, after.met),
        (before.breached, after.breached),
    ):
        yield f"{was:,}" if was == now else f"{was:,} -> {now:,}"
    share, then = _share(before), _share(after)
    yield share if share == then else f"{share} -> {then}"


def _share(tally: Tally) -> str:
    return "-" if tally.attainment is None else f"{tally.attainment:.1%}"


def _leads(found: Found) -> str:
    named = list(found.leads)[:_NAMED]
    return ", ".join(named) + (" ..." if found.unnamed or len(found.leads) > _NAMED else "")
