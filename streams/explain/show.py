"""The story on a screen."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from streams.explain.shapes import ClockTold, Story
from streams.explain.words import local

_STYLES = {
    "met": "green", "open": "cyan", "late_met": "red", "breached_open": "bold red", "breached_ended": "red",
    "cancelled": "dim", "transferred": "dim",
}  # fmt: skip


def show(story: Story, console: Console) -> None:
    console.print(Text(f"Lead {story.lead_id}", style="bold"))
    for line in _heading(story):
        console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
    _stages(story, console)
    _clocks(story, console)
    _events(story, console)
    if story.dead_letters:
        console.print(Text("\nSet aside (dead letters)", style="bold"))
        table = _table("record", "reason", "what is wrong")
        for letter in story.dead_letters:
            place = f"{letter['origin_topic']}-{letter['origin_partition']} @ {letter['origin_offset']}"
            table.add_row(place, letter["reason"], letter["detail"])
        console.print(table)
    for note in story.notes:
        console.print(Text(f"\n{note}", style="yellow"))


def _heading(story: Story) -> Iterable[str]:
    lead = story.lead
    if lead is not None:
        owner = f"{lead['owner_kind']} {lead['owner']}" if lead["owner"] else "nobody"
        team = f" (team {lead['team']})" if lead["team"] else ""
        grade = f", {lead['grade']}" if lead["grade"] else ""
        yield f"{lead['stage'] or 'no stage yet'}, cycle {lead['cycle']}{grade}; work status {lead['work_status']}"
        yield f"owner: {owner}{team}; source: {lead['source'] or 'never captured'}" + (
            f", campaign {lead['campaign']}" if lead["campaign"] else ""
        )
        if lead["is_test"]:
            yield "test traffic: left out of every number"
    if story.merged_into is not None:
        yield f"merged into {story.merged_into}: what came later counts there, its open clocks too"
    if story.absorbed:
        yield f"merged into this one: {', '.join(story.absorbed)}"
    if story.erased_at is not None:
        yield f"erased {local(story.erased_at, story.zone)}: nothing here links to a person"
    counted = ", ".join(f"{word} {count}" for word, count in sorted(story.refusals.items()))
    if counted:
        yield f"recorded, not applied: {counted}"
    if story.as_of is not None:
        yield f"as of {local(story.as_of, story.zone)}; times in {story.zone} where nothing else is said"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _stages(story: Story, console: Console) -> None:
    console.print(Text("\nStages", style="bold"))
    table = _table("when", "cycle", "stage", "because")
    for stage in story.stages:
        name = f"({stage.stage})" if stage.implied else stage.stage
        table.add_row(local(stage.entered_at, story.zone), str(stage.cycle), Text(name), Text(stage.why))
    console.print(table if story.stages else Text("none"))


def _clocks(story: Story, console: Console) -> None:
    console.print(Text("\nPromises", style="bold"))
    if not story.clocks:
        console.print("none")
    for clock in story.clocks:
        console.print(Text.assemble((clock.policy, "bold"), "  ", (_verdict(clock), _STYLES.get(clock.verdict, ""))))
        measured = "around the clock" if clock.calendar == "24x7" else f"by calendar {clock.calendar}"
        whose = f", owner {clock.owner}" if clock.owner else ""
        console.print(Padding(Text(
            f"from {local(clock.started_at, clock.zone)} to {local(clock.deadline, clock.zone)} {clock.zone}, "
            f"{measured} (agreement {clock.agreement_version}){whose}", style="dim",
        ), (0, 0, 0, 2)))  # fmt: skip
        console.print(Padding(Text(clock.why), (0, 0, 0, 2)))


def _verdict(clock: ClockTold) -> str:
    return f"{clock.verdict} (late evidence)" if clock.late_evidence else clock.verdict


def _events(story: Story, console: Console) -> None:
    if story.events is None:
        return
    console.print(Text("\nEvents", style="bold"))
    table = _table("counts from", "event", "what it did")
    for event in story.events:
        at = event.effective_at if event.effective_at is not None else event.received_at
        late = ""
        if event.received_at is not None and at is not None and event.received_at - at >= 60_000:
            late = f"\nreceived {local(event.received_at, story.zone)}"
        of = "" if event.lead_id == story.lead_id else f"\nof lead {event.lead_id}"
        name = f"{event.type or event.topic} {event.event_id or event.offset}"
        table.add_row(
            Text("" if at is None else local(at, story.zone) + late), Text(f"{event.says}\n{name}{of}"),
            Text("\n".join(event.does) or "-"),
        )  # fmt: skip
    console.print(table if story.events else "the log has none")
