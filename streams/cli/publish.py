"""`baton publish`: JSON Lines to the topics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from streams import log
from streams.config import load
from streams.errors import BatonError, InputError


def _resume_file(path: Path) -> Path:
    return path.with_name(path.name + ".baton-resume")


def _done_before(path: Path) -> int:
    """Lines of this very file that an interrupted run had published."""
    file = _resume_file(path)
    if not file.exists():
        return 0
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        lines, size = int(state["lines"]), int(state["bytes"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file}: no resume record; delete it to start from the first line") from None
    if path.stat().st_size < size:
        raise InputError(
            f"{path} is shorter than when it was interrupted; delete {file.name} to start from the first line"
        )
    return lines


def register(app: typer.Typer) -> None:
    @app.command()
    def publish(
        path: Annotated[Path, typer.Argument(metavar="FILE|-", help="JSON Lines; - reads standard input.")],
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line, publish nothing.")] = False,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on after the last line of an interrupted run.")
        ] = False,
        brokers: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
        registry_url: Annotated[str | None, typer.Option("--registry", help="Schema registry URL.")] = None,
        topic_prefix: Annotated[str | None, typer.Option(help="Put before every topic name.")] = None,
    ) -> None:
        """Publishes events from JSON Lines.

        One object a line: `type` is the record's name (LeadCaptured, TouchRecorded, ...), the other keys are the
        schema's fields; times are ISO-8601 with an offset, or epoch milliseconds. `received_at`, optional, says when
        the event first arrived. FactWithdrawn takes `topic` (leads, touches, opportunities; leads when absent).
        Lines that are refused are reported with their numbers; the others are published. Exit code 1 if any was.
        """
        settings = load(brokers=brokers, registry_url=registry_url, topic_prefix=topic_prefix)
        log.configure(json=settings.log_json)
        from streams.importers.jsonl import RefusedLine, lines, parse
        from streams.publisher import Publisher
        from streams.registry import Registry

        console = Console(stderr=True)
        from_file = str(path) != "-"
        if resume and not from_file:
            raise InputError("--resume needs a file: standard input cannot be read again")
        skip = _done_before(path) if resume else 0
        publisher = None if dry_run else Publisher(settings, Registry(settings.registry_url))
        taken = refused = last = 0

        def checkpoint() -> None:
            if publisher is not None:
                publisher.flush()
                if from_file:
                    record = {"lines": last, "bytes": path.stat().st_size}
                    _resume_file(path).write_text(json.dumps(record), encoding="utf-8")

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("checking" if dry_run else "publishing", total=None)
            try:
                for number, text in lines(path):
                    if number <= skip:
                        continue
                    try:
                        item = parse(text)
                    except RefusedLine as error:
                        refused += 1
                        console.print(f"line {number}: {error}", markup=False, highlight=False, soft_wrap=True)
                    else:
                        if publisher is not None:
                            publisher.publish(item.name, item.event, received_at=item.received_at, topic=item.topic)
                        taken += 1
                    last = number
                    progress.update(task, completed=number)
                    if taken and taken % 10_000 == 0:
                        checkpoint()
            except (KeyboardInterrupt, BatonError):
                checkpoint()
                console.print(f"stopped after line {last}: {taken} published; go on with --resume", highlight=False)
                raise
        if publisher is not None:
            publisher.flush()
        if from_file and not dry_run:
            _resume_file(path).unlink(missing_ok=True)
        verb = "valid" if dry_run else "published"
        typer.echo(f"{taken} {verb}, {refused} refused" + (f", {skip} published before" if skip else ""))
        if refused:
            raise typer.Exit(1)
