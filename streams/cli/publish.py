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
    from streams.publisher import Publisher

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
        if not path.exists() and str(path) != "-":
            raise InputError(f"{path}: no such file")
        run = _Run(settings, path, dry_run=dry_run, resume=resume)
        run.run()
        if run.refused:
            raise typer.Exit(1)


class _Run:
    """One file on its way. What it says goes to stderr; a terminal also gets a progress bar."""

    def __init__(self, settings: Settings, path: Path, *, dry_run: bool, resume: bool) -> None:
        from rich.console import Console

        from streams.importers.jsonl import Lines
        from streams.importers.resume import ResumePoint

        self._settings = settings
        self._dry_run = dry_run
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
        self._lines = Lines(path)
        self._point = ResumePoint(path) if path.is_file() and not dry_run else None
        self._mark = self._point.read() if self._point and resume else None
        self._publisher: Publisher | None = None
        self._handled = 0
        self.taken = 0
        self.refused = 0
        self._disordered = 0
        self._latest = 0

    def run(self) -> None:
        """Raises BatonError for what ends it early, naming what was published before."""
        try:
            self._all()
            if self._publisher is not None:
                self._publisher.flush()
        except KeyboardInterrupt:
            self._console.print(f"interrupted after line {self._handled}: {self._settle()}")
            raise typer.Exit(130) from None
        except BatonError as error:
            if self._publisher is None:
                raise
            raise type(error)(f"{error} ({self._settle()})") from None
        if self._point is not None:
            self._point.clear()
        before = "" if self._mark is None else f", {self._mark.lines} lines published before"
        typer.echo(f"{self.taken} {'valid' if self._dry_run else 'published'}, {self.refused} refused{before}")
        if self._disordered:
            self._console.print(
                f"{self._disordered} lines have an earlier received_at than one before them: sort the file by received_at, "
                "for what reaches a lead more than 72 h out of order counts as disputed"
            )

    def _all(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        doing = "checking" if self._dry_run else "publishing"
        lines, mark = self._lines, self._mark
        with Progress(*columns, console=self._console, disable=not self._console.is_terminal) as progress:
            task = progress.add_task(doing, total=None)
            for text in lines:
                if mark is None or lines.number > mark.lines:
                    if text.strip():
                        self._line(text)
                elif lines.number == mark.lines and self._point is not None:
                    self._point.check(lines, mark)
                self._handled = lines.number
                if lines.number % _SHOW_EVERY == 0:
                    shown = f"{doing} {self.taken:,}"
                    progress.update(task, completed=lines.position, total=lines.size, description=shown)
                if lines.number % _CHECKPOINT == 0 and self._publisher is not None:
                    self._publisher.flush()
                    self._keep()
        if mark is not None and self._point is not None and lines.number < mark.lines:
            self._point.check(lines, mark)

    def _line(self, text: bytes) -> None:
        from streams.importers.jsonl import now, parse
        from streams.importers.shape import RefusedEvent

        try:
            item = parse(text, now())
        except RefusedEvent as error:
            self.refused += 1
            self._console.print(f"line {self._lines.number}: {error}")
            return
        if not self._dry_run:
            publisher = self._connected()
            publisher.publish(item.name, item.event, received_at=item.received_at, topic=item.topic)
        self.taken += 1
        if item.received_at is not None:
            self._disordered += item.received_at < self._latest
            self._latest = max(self._latest, item.received_at)

    def _connected(self) -> Publisher:
        if self._publisher is None:  # not before there is something to publish: a wrong file is told first
            from streams.publisher import Publisher
            from streams.registry import Registry

            with Registry(self._settings.registry_url) as registry:
                self._publisher = Publisher(self._settings, registry)
        return self._publisher

    def _settle(self) -> str:
        """Saves what can be saved of a run that ends early; tells it."""
        if self._publisher is None:
            return "nothing was published"
        try:
            self._publisher.flush(10)
        except BatonError:
            return f"{self._publisher.delivered} events were published before; publish the file again: copies change nothing"
        self._keep()
        mend = "; go on with --resume" if self._point is not None else ""
        return f"{self._publisher.delivered} events were published before{mend}"

    def _keep(self) -> None:
        mark = self._lines.mark(last=self._handled == self._lines.number)
        if self._point is not None and not self._point.write(mark):
            self._console.print(f"{self._point.file} cannot be written: --resume will start from the first line")
            self._point = None
