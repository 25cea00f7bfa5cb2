"""`baton import olist|xes`: files of other systems to the topics, with their original arrival times."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams import log
from streams.config import load
from streams.errors import BatonError

if TYPE_CHECKING:
    from streams.publisher import Publisher

_Brokers = Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")]
_Registry = Annotated[str | None, typer.Option("--registry", help="Schema registry URL.")]
_Prefix = Annotated[str | None, typer.Option(help="Put before every topic name.")]


def _import(
    kind: str, path: Path, mapping: Path | None, brokers: str | None, registry_url: str | None, prefix: str | None
) -> None:
    settings = load(brokers=brokers, registry_url=registry_url, topic_prefix=prefix)
    log.configure(json=settings.log_json)
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from streams.importers import open_source
    from streams.publisher import Publisher
    from streams.registry import Registry

    source = open_source(path, kind, mapping)
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    publisher: Publisher | None = None
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("reading and sorting", total=None)
            for count, item in enumerate(source.events(), 1):
                if publisher is None:  # the file was read to its end: it is whole
                    with Registry(settings.registry_url) as registry:
                        publisher = Publisher(settings, registry)
                publisher.publish(item.name, item.event, received_at=item.received_at, topic=item.topic)
                if count % 500 == 0:
                    progress.update(task, description=f"publishing {count:,}")
        if publisher is not None:
            publisher.flush()
    except KeyboardInterrupt:
        console.print(f"interrupted: {_published(publisher)}")
        raise typer.Exit(130) from None
    except BatonError as error:
        raise type(error)(f"{error} ({_published(publisher)})") from None
    typer.echo(f"{0 if publisher is None else publisher.delivered} published, {source.skipped.total()} skipped")
    for name, number in source.skipped.most_common():
        typer.echo(f"  skipped {name}: {number}")


def _published(publisher: Publisher | None) -> str:
    if publisher is None:
        return "nothing was published"
    with suppress(BatonError):  # it is what is being told
        publisher.flush(10)
    return f"{publisher.delivered} events were published before; import again: copies change nothing"


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
