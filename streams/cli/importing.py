"""`baton import olist|xes`: files of other systems to the topics, with their original arrival times."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from streams import log
from streams.config import load
from streams.errors import BatonError

_Brokers = Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")]
_Registry = Annotated[str | None, typer.Option("--registry", help="Schema registry URL.")]
_Prefix = Annotated[str | None, typer.Option(help="Put before every topic name.")]


def _import(
    kind: str, path: Path, mapping: Path | None, brokers: str | None, registry: str | None, prefix: str | None
) -> None:
    settings = load(brokers=brokers, registry_url=registry, topic_prefix=prefix)
    log.configure(json=settings.log_json)
    from streams.importers import open_source
    from streams.publisher import Publisher
    from streams.registry import Registry

    source = open_source(path, kind, mapping)
    console = Console(stderr=True)
    publisher = Publisher(settings, Registry(settings.registry_url))
    try:
        with Progress(
            SpinnerColumn(), TextColumn("{task.description} {task.completed:,}"), TimeElapsedColumn(),
            console=console, disable=not console.is_terminal,
        ) as progress:  # fmt: skip
            task = progress.add_task("publishing", total=None)
            for item in source.events():
                publisher.publish(item.name, item.event, received_at=item.received_at, topic=item.topic)
                progress.advance(task)
        publisher.flush()
    except (BatonError, KeyboardInterrupt) as error:
        publisher.flush()
        raise BatonError(f"{error or 'interrupted'} ({publisher.delivered} events were published before)") from None
    typer.echo(f"{publisher.delivered} published, {source.skipped.total()} skipped")
    for name, count in source.skipped.most_common():
        typer.echo(f"  skipped {name}: {count}")


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Publishes files of other systems, with their original arrival times.", no_args_is_help=True
    )
    app.add_typer(group, name="import")

    @group.command()
    def olist(
        folder: Annotated[Path, typer.Argument(help="Folder with the two CSV files.")],
        brokers: _Brokers = None, registry: _Registry = None, topic_prefix: _Prefix = None,
    ) -> None:  # fmt: skip
        """Imports the Olist marketing funnel."""
        _import("olist", folder, None, brokers, registry, topic_prefix)

    @group.command()
    def xes(
        file: Annotated[Path, typer.Argument(help="An XES log, plain or gzipped.")],
        mapping: Annotated[Path | None, typer.Option(help="Mapping file; default: the BPI Challenge 2012 log.")] = None,
        brokers: _Brokers = None, registry: _Registry = None, topic_prefix: _Prefix = None,
    ) -> None:  # fmt: skip
        """Imports an event log in XES by a mapping file."""
        _import("xes", file, mapping, brokers, registry, topic_prefix)
