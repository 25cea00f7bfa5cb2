"""`baton replay`: a file of history through the whole pipeline."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from streams import log
from streams.config import ClockMode
from streams.errors import ConfigurationError, InputError

logger = structlog.get_logger(__name__)


class Told:
    """Where there is no terminal, progress is a line now and then."""

    EVERY = 1.0

    def __init__(self) -> None:
        self._at = 0.0

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._at < self.EVERY:
            return False
        self._at = now
        return True


def register(app: typer.Typer) -> None:
    @app.command()
    def replay(
        paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="XES log, Olist folder or JSON Lines.")],
        kind: Annotated[str | None, typer.Option(help="xes, olist or jsonl; default: by name.")] = None,
        mapping: Annotated[Path | None, typer.Option(help="Mapping of an XES log.")] = None,
        agreement: Annotated[Path | None, typer.Option(help="Its file or folder; default: the built-in one.")] = None,
        until: Annotated[
            str | None, typer.Option(help="Advance the clock to this time; default: the end of the data.")
        ] = None,
        store: Annotated[Path | None, typer.Option(help="Keep the store in this folder.")] = None,
        brokers: Annotated[
            str | None, typer.Option(help="Kafka bootstrap servers; default: the embedded broker.")
        ] = None,
        registry: Annotated[str | None, typer.Option(help="Schema registry URL; goes with --brokers.")] = None,
        prefix: Annotated[str | None, typer.Option(help="Topic prefix; default: a new one for each replay.")] = None,
        workers: Annotated[int, typer.Option(min=1, help="Workers to start.")] = 1,
        partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of new topics, that is lanes.")] = None,
        rate: Annotated[float | None, typer.Option(min=1, help="Publish at most so many events a second.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    ) -> None:
        """Publishes files through the whole pipeline with event time as the clock, and prints what it came to.

        Keys of the JSON: events, copies, published, skipped{name:n}, dead_letters{reason:n}, reached{stage:n},
        current{stage:n}, sla{policy:{met,late_met,breached_open,breached_ended,cancelled,transferred,open}},
        response_hours{n,p50,p90,min,max}, until, seconds, events_per_second, workers, lanes.
        """
        log.configure(json=False)
        from streams.agreements.source import read_agreement
        from streams.embedded.pipeline import Plan, running
        from streams.importers import open_source
        from streams.importers.times import millis
        from streams.replay.run import Job, play
        from streams.replay.summary import show, summary

        if agreement is not None:
            read_agreement(agreement)  # a wrong one is told before anything starts
        try:
            end = None if until is None else millis(until)
        except ValueError as error:
            raise InputError(f"--until: {error}") from None
        for path in paths:
            open_source(path, kind, mapping)  # likewise a path that nothing can read
        if prefix is None:
            if brokers is not None and store is not None and store.exists() and any(store.iterdir()):
                raise ConfigurationError(
                    f"--store {store} holds something already: give an empty folder, or --prefix to go on with its topics"
                )
            prefix = "" if brokers is None else f"replay-{uuid.uuid4().hex[:8]}."
        plan = Plan(
            clock=ClockMode.EVENT, agreement=agreement, brokers=brokers, registry_url=registry, workers=workers,
            partitions=partitions, topic_prefix=prefix, store=store,
        )  # fmt: skip
        console = Console(stderr=True)
        with (
            running(plan) as pipeline,
            Progress(
                SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
                console=console, disable=not console.is_terminal,
            ) as progress,
        ):  # fmt: skip
            task = progress.add_task("published 0", total=None)
            told = Told()

            def report(phase: str, count: int) -> None:
                progress.update(task, description=f"{phase} {count:,}")
                if not console.is_terminal and told.due():
                    logger.info("replay", phase=phase, count=count)

            played = play(pipeline, Job(paths, kind, mapping, end, rate), report)
            found = summary(pipeline.settings, played)
            found |= {"workers": workers, "lanes": pipeline.lanes}
        if as_json:
            typer.echo(json.dumps(found, indent=2))
        else:
            show(found, Console())
