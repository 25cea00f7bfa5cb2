"""`baton agreement check|show|publish|diff|schema`: what was promised, from file to workers."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from streams import log
from streams.config import load
from streams.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from processors.agreement import Agreements

_DIFF: Final = "\n\n".join(
    (
        "Tells what a change would have done to a month: its archived events are replayed as it was agreed (OLD), and as if "
        "NEW had been adopted at the month's beginning.",
        "Compared are the clocks that started in the month, as they stand now. Left out are test traffic and leads that "
        "were merged into others or erased, as in every KPI. Nothing is written to the store or the log.",
        "OLD may be a folder with every version that held; of NEW name the proposed version alone: whenever it is meant to "
        "take effect, it is tried on this month.",
        "Keys of the JSON: period, zone, from, until, as_of, old and new[{version, checksum}], stories, "
        "totals{before and after{started, open, met, breached, called_off, due, attainment}}, by_policy[{policy, "
        "before, after}], by_team[{team, before, after}], by_source[{source, before, after}], changes[{kind, policy, team, "
        "source, before, after, clocks, leads[], more_leads}], notes[]. Kinds: newly_breached, no_longer_breached, starts, "
        "no_longer_starts, other_verdict, other_deadline; before and after of a change are verdicts. breached: late_met, "
        "breached_open, breached_ended; called_off: cancelled, transferred; attainment: met of those due.",
    )
)

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

    @group.command(help=_DIFF)
    def diff(
        old: Annotated[str, typer.Argument(metavar="OLD", help="File or folder, or the name of a published version.")],
        new: Annotated[str, typer.Argument(metavar="NEW", help="Likewise: what is proposed.")],
        period: Annotated[str, typer.Option(help="The month, such as 2026-10.", metavar="MONTH")],
        store: Annotated[
            str | None,
            typer.Option(help="Directory of an embedded store, or the URL of a ClickHouse.", metavar="DIR|URL"),
        ] = None,
        brokers: _Brokers = None,
        registry: _Registry = None,
        topic_prefix: _Prefix = None,
        database: Annotated[str | None, typer.Option(help="Database of the store.")] = None,
        user: Annotated[str | None, typer.Option(help="Its user; the password: BATON_STORE_PASSWORD.")] = None,
        leads: Annotated[int, typer.Option(min=0, help="Name so many leads for each sort of change.")] = 1_000,
        changes: Annotated[
            Path | None, typer.Option(help="Write every clock that differs here, one JSON a line.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    ) -> None:
        settings = load(
            brokers=brokers, registry_url=registry, topic_prefix=topic_prefix, store_database=database, store_user=user,
        )  # fmt: skip
        log.configure(json=settings.log_json, level=logging.ERROR)
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        from streams.store.query import reachable
        from streams.whatif.archive import StoredArchive
        from streams.whatif.period import month
        from streams.whatif.report import Question, ask
        from streams.whatif.show import as_json as plain
        from streams.whatif.show import change_as_json, show

        held, proposed = _version(old, brokers, registry, topic_prefix), _version(new, brokers, registry, topic_prefix)
        question = Question(held, proposed, month(period, held), leads, round(settings.grace * 1000))
        screen = Console(stderr=True)
        with (
            _writing(changes) as write,
            reachable(store or settings.store_url, settings) as reached,
            contextlib.closing(StoredArchive.open(reached)) as archive,
            Progress(
                SpinnerColumn(), TextColumn("{task.completed:,.0f} leads replayed"), TimeElapsedColumn(),
                console=screen, disable=not screen.is_terminal,
            ) as progress,
        ):  # fmt: skip
            task = progress.add_task("", total=None)
            report = ask(
                question,
                archive,
                lambda change: write(change_as_json(change)),
                lambda count: progress.update(task, completed=count),
            )
        if as_json:
            typer.echo(json.dumps(plain(report), indent=2, ensure_ascii=False))
        else:
            show(report, Console(highlight=False, markup=False))

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


def _version(named: str, brokers: str | None, registry_url: str | None, prefix: str | None) -> Agreements:
    """The versions in a file or folder, or the published version of that name alone."""
    path = Path(named)
    if path.exists() or path.suffix in (".yaml", ".yml"):
        return _read(path)
    from processors.agreement import Agreements

    try:
        found = _published(brokers, registry_url, prefix)
    except UnavailableError as error:
        raise UnavailableError(f"no file {named}; and versions that are published cannot be read: {error}") from None
    try:
        return Agreements([found.named(named)])
    except KeyError:
        known = ", ".join(item.version for item in found)
        raise InputError(f"no file {named}, and no version of that name is published: there are {known}") from None


@contextlib.contextmanager
def _writing(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Takes objects, one a line of the file; drops them where there is none."""
    if path is None:
        yield lambda item: None
        return
    try:
        with path.open("w", encoding="utf-8") as file:
            yield lambda item: print(json.dumps(item, ensure_ascii=False), file=file)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def _now() -> int:
    return round(time.time() * 1000)
