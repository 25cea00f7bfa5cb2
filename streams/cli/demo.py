"""`baton demo`: the whole pipeline on this machine, with simulated leads."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from streams import log

if TYPE_CHECKING:
    from streams.demo.snapshot import Snapshot
    from streams.embedded.pipeline import Pipeline

_LINE_EVERY = 2.0
"""Seconds between two lines where there is no terminal."""


def register(app: typer.Typer) -> None:
    @app.command()
    def demo(
        seconds: Annotated[
            float | None, typer.Option(min=1, help="How long the stream lasts; default: until Ctrl-C.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="No view: print a summary as JSON at the end.")] = False,
        rate: Annotated[float, typer.Option(min=0.1, max=500, help="New leads a second.")] = 20.0,
        seed: Annotated[int, typer.Option(help="Another seed gives other leads.")] = 1,
        store: Annotated[Path | None, typer.Option(help="Keep the store in this folder.")] = None,
    ) -> None:
        """Shows the whole pipeline at work on simulated leads: broker, registry, worker, sink and store, on this machine.

        First-response targets are 3 to 10 seconds here, so that clocks are met and breached while one looks.

        Keys of the JSON: events, copies, published, reached{stage:n}, current{stage:n}, dead_letters{reason:n},
        sla{policy:{verdict:n}}, met, breached, open, response_hours{n,p50,p90,min,max}, latency_ms{n,p50,p90}, places,
        seed, seconds, events_per_second.
        """
        console = Console()
        view = console.is_terminal and not as_json
        log.configure(json=False, level=logging.WARNING if view else logging.INFO)
        from streams.demo.run import Demo, Options, plan, summary
        from streams.embedded.pipeline import running

        options = Options(seconds, rate, seed, store)
        with contextlib.ExitStack() as stack:
            starting = stack.enter_context(contextlib.ExitStack())
            if view:
                starting.enter_context(console.status("starting broker, registry, store, worker and sink"))
            pipeline = stack.enter_context(running(plan(options)))
            starting.close()
            where = places(pipeline)
            run = Demo(pipeline, options)
            with contextlib.suppress(KeyboardInterrupt):
                if as_json:
                    run.run(lambda snapshot: None)
                else:
                    with _shown(console, where) as show:
                        run.run(show)
        found = {**summary(run.snapshot, seed), "places": where}
        if as_json:
            typer.echo(json.dumps(found, indent=2))
        else:
            counted = ("published", "seconds", "met", "breached", "open")
            typer.echo("ended: " + ", ".join(f"{key} {found[key]}" for key in counted))


@contextlib.contextmanager
def _shown(console: Console, where: dict[str, str]) -> Iterator[Callable[[Snapshot], None]]:
    """How snapshots are shown: alive in a terminal, else as a line now and then."""
    from rich.live import Live

    from streams.demo.view import legend, line, render

    if not console.is_terminal:
        for what, place in where.items():
            typer.echo(f"{what}: {place}")
        told_at = [0.0]

        def tell(snapshot: Snapshot) -> None:
            if time.monotonic() - told_at[0] >= _LINE_EVERY:
                told_at[0] = time.monotonic()
                typer.echo(line(snapshot))

        yield tell
        return
    console.print(legend(where), "Ctrl-C ends it")
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        yield lambda snapshot: live.update(render(snapshot), refresh=True)


def places(pipeline: Pipeline) -> dict[str, str]:
    """Where to look further."""
    settings = pipeline.settings
    found: dict[str, Any] = {
        "BI tools (ClickHouse HTTP)": f"{settings.store_url}  database {settings.store_database}, user reader, no password",
        "worker metrics": f"http://{settings.bind}:{pipeline.workers[0].ready['port']}/metrics",
        "sink metrics": f"http://{settings.bind}:{pipeline.sink.ready['port']}/metrics",
        "publish here": f"--brokers {settings.brokers} --registry {settings.registry_url}",
        "logs": str(pipeline.supervisor.run_dir),
    }
    return found
