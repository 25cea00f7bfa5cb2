"""`baton publish`: JSON Lines to the topics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from streams import log
from streams.config import load
from streams.errors import BatonError, InputError

if TYPE_CHECKING:
    from streams.config import Settings

# One string a paragraph: the help is wrapped to the terminal.
_HELP: Final = "\n\n".join(
    (
        "Publishes events from JSON Lines.",
        "One object a line: `type` is the record's name (LeadCaptured, TouchRecorded, ...), the other keys are the "
        "schema's fields; those with a default may be left out. Times are ISO-8601 with an offset, or epoch "
        "milliseconds. `received_at`, optional, says when the event first arrived: lines that have it belong in that "
        "order. FactWithdrawn takes `topic`, that of the withdrawn event: leads (the default), touches or opportunities.",
        "Lines that are refused are reported with their numbers, the others are published; exit code 1 if any was "
        "refused. An interrupted run goes on with --resume; publishing a line again changes nothing.",
    )
)
_CHECKPOINT: Final = 10_000
"""Lines between two marks; those after the last one are published again."""
_SHOW_EVERY: Final = 500


def register(app: typer.Typer) -> None:
    @app.command(help=_HELP)
    def publish(
        path: Annotated[
            Path, typer.Argument(metavar="FILE|-", help="JSON Lines, plain or gzipped; - reads standard input.")
        ],
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line, publish nothing.")] = False,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on after the last line of an interrupted run.")
        ] = False,
        brokers: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
        registry_url: Annotated[str | None, typer.Option("--registry", help="Schema registry URL.")] = None,
        topic_prefix: Annotated[str | None, typer.Option(help="Put before every topic name.")] = None,
    ) -> None:
        settings = load(brokers=brokers, registry_url=registry_url, topic_prefix=topic_prefix)
        log.configure(json=settings.log_json)
        if resume and dry_run:
            raise InputError("--resume goes on publishing: leave out --dry-run")
        if resume and str(path) == "-":
            raise InputError("--resume needs a file: standard input cannot be read again")
        if not _run(settings, path, dry_run=dry_run, resume=resume):
            raise typer.Exit(1)


def _run(settings: Settings, path: Path, *, dry_run: bool, resume: bool) -> bool:
    """Whether every line was an event of ours."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from streams.importers.jsonl import Lines, now, parse
    from streams.importers.resume import ResumePoint
    from streams.importers.shape import RefusedEvent
    from streams.publisher import Publisher
    from streams.registry import Registry

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    lines = Lines(path)
    point = None if dry_run or str(path) == "-" else ResumePoint(path)
    mark = point.read() if point is not None and resume else None
    publisher: Publisher | None = None
    taken = refused = disordered = latest = 0

    def checkpoint() -> None:
        if publisher is not None:
            publisher.flush()
            if point is not None and not point.write(lines):
                console.print(f"{point.file}: cannot be written; --resume will not know of this run", markup=False)

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    verb = "checking" if dry_run else "publishing"
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(verb, total=None)
        try:
            for text in lines:
                if mark is not None and lines.number <= mark.lines:
                    if lines.number == mark.lines:
                        point and point.check(lines, mark)
                    continue
                if text.strip():
                    try:
                        item = parse(text, now())
                    except RefusedEvent as error:
                        refused += 1
                        console.print(f"line {lines.number}: {error}", markup=False)
                    else:
                        if not dry_run:
                            if publisher is None:  # not before there is something to publish
                                publisher = Publisher(settings, Registry(settings.registry_url))
                            publisher.publish(item.name, item.event, received_at=item.received_at, topic=item.topic)
                        taken += 1
                        if item.received_at is not None:
                            disordered += item.received_at < latest
                            latest = max(latest, item.received_at)
                if lines.number % _SHOW_EVERY == 0:
                    progress.update(
                        task, completed=lines.position, total=lines.size, description=f"{verb} {taken:,}"
                    )
                if lines.number % _CHECKPOINT == 0:
                    checkpoint()
            if mark is not None and point is not None and lines.number < mark.lines:
                point.check(lines, mark)
            if publisher is not None:
                publisher.flush()
        except KeyboardInterrupt:
            checkpoint()
            console.print(f"interrupted after line {lines.number}: {_published(publisher)}; go on with --resume")
            raise typer.Exit(130) from None
        except BatonError as error:
            if publisher is None:
                raise
            raise type(error)(f"{error} ({_settled(publisher)}; go on with --resume)") from None
    if point is not None:
        point.clear()
    before = f", {mark.lines} lines published before" if mark is not None else ""
    typer.echo(f"{taken} {'valid' if dry_run else 'published'}, {refused} refused{before}")
    if disordered:
        console.print(
            f"{disordered} lines have an earlier received_at than a line before them; a lead's events that arrive more "
            "than 72 h out of order count as disputed: sort the file by received_at"
        )
    return not refused
