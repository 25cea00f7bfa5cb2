"""`baton agreement check|show|publish|schema`: what was promised, from file to workers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams import log
from streams.config import load
from streams.errors import InputError

if TYPE_CHECKING:
    from processors.agreement import Agreements

_Path = Annotated[Path, typer.Argument(metavar="PATH", help="A YAML file, or a folder of them, one a version.")]
_Brokers = Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")]
_Registry = Annotated[str | None, typer.Option("--registry", help="Schema registry URL.")]
_Prefix = Annotated[str | None, typer.Option(help="Put before every topic name.")]


def _read(path: Path) -> Agreements:
    """Problems are told one a line: an editor jumps to `file:line:`."""
    from processors.agreement import AgreementError
    from streams.agreements import read

    try:
        return read(path)
    except AgreementError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        count = len(error.problems)
        raise InputError(f"{path} is no valid agreement: {count} problem{'s' if count > 1 else ''}") from None


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The sales-marketing agreement: what was promised.", no_args_is_help=True)
    app.add_typer(group, name="agreement")

    @group.command()
    def check(path: _Path) -> None:
        """Checks every version; each problem names file, line, place and what would be right. Exit code 1 if any."""
        for item in _read(path):
            typer.echo(f"{item.version} is valid, sha-256 {item.checksum}")

    @group.command()
    def show(
        path: Annotated[Path | None, typer.Argument(help="File or folder; default: what is published.")] = None,
        brokers: _Brokers = None,
        registry: _Registry = None,
        topic_prefix: _Prefix = None,
        version: Annotated[str | None, typer.Option(help="Which version; default: the one in force now.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    ) -> None:
        """Shows a version so that sales and marketing can read it: promises, calendars, ladder, goals.

        Keys of the JSON: versions[{version, effective_from, checksum, state}], agreement (as in its file, with what was
        left out), holidays{calendar: dates}.
        """
        if path is not None and brokers is not None:
            raise InputError("give a PATH, or --brokers for what is published, not both")
        from rich.console import Console

        from streams.agreements import show as shown

        agreements = _read(path) if path is not None else _published(brokers, registry, topic_prefix)
        now = _now()
        try:
            agreement = agreements.at(now) if version is None else agreements.named(version)
        except KeyError:
            raise InputError(
                f"no version {version}: there are {', '.join(item.version for item in agreements)}"
            ) from None
        if as_json:
            typer.echo(json.dumps(shown.as_json(agreements, agreement, now), indent=2, ensure_ascii=False))
        else:
            shown.show(agreements, agreement, now, Console(highlight=False))

    @group.command()
    def publish(
        path: _Path,
        brokers: _Brokers = None,
        registry: _Registry = None,
        topic_prefix: _Prefix = None,
        backdated: Annotated[
            bool, typer.Option("--backdated", help="Let versions take effect in the past: what was promised changes.")
        ] = False,
    ) -> None:
        """Puts versions that are not published yet on the topic that every worker reads. A version never changes.

        Holidays are published as they are known now, and stay so.
        """
        agreements = _read(path)
        settings = load(brokers=brokers, registry_url=registry, topic_prefix=topic_prefix)
        log.configure(json=settings.log_json)
        from streams.agreements import publish
        from streams.registry import Registry

        with Registry(settings.registry_url) as client:
            new = publish(agreements, settings, client, now=_now(), backdated=backdated)
        for item in agreements:
            typer.echo(f"{item.version} {'published' if item in new else 'was published before'}")

    @group.command()
    def schema() -> None:
        """Prints the JSON Schema of an agreement file, for editors."""
        from streams.agreements.schema import json_schema

        typer.echo(json_schema(), nl=False)


def _published(brokers: str | None, registry_url: str | None, prefix: str | None) -> Agreements:
    settings = load(brokers=brokers, registry_url=registry_url, topic_prefix=prefix)
    log.configure(json=settings.log_json)
    from processors.agreement import DEFAULTS, Agreements
    from streams.agreements import published
    from streams.registry import Registry

    with Registry(settings.registry_url) as client:
        found = published(settings, client)
    if not found:
        typer.echo("nothing is published: the built-in agreement holds", err=True)
    return Agreements(found) if found else DEFAULTS


def _now() -> int:
    return round(time.time() * 1000)
