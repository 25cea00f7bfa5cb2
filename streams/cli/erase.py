"""`baton erase`: asks for erasures, and proves them."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from streams import log
from streams.config import load
from streams.errors import InputError

if TYPE_CHECKING:
    from streams.config import Settings

_HELP: Final = "\n\n".join(
    (
        "Erases a lead and all that was merged with it: publishes one LeadErased for each, after asking. It cannot be taken "
        "back. Doing it again changes nothing.",
        "With --status: every erasure that was requested or done, with its deadline, and the proof that nothing personal is "
        "left: rows in the store, and how long the topics keep bytes. Exit code 1 when one is overdue or not proven.",
        "Keys of the JSON: now, proven, erasures[{lead_id, requested_at, deadline, erased_at, rows_left{table: n}, gone_at, "
        "state}], topics[{topic, days, problem}], tables[], notes[]. state: open, overdue, deleting, unproven, done or "
        "done_late.",
    )
)


def register(app: typer.Typer) -> None:
    @app.command(help=_HELP)
    def erase(
        lead_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The lead's id.")] = None,
        status: Annotated[bool, typer.Option("--status", help="Show erasures and their proof.")] = False,
        yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
        unknown: Annotated[bool, typer.Option("--unknown", help="Erase an id that the store does not know.")] = False,
        store: Annotated[
            str | None,
            typer.Option(help="Directory of an embedded store, or the URL of a ClickHouse.", metavar="DIR|URL"),
        ] = None,
        brokers: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
        registry: Annotated[str | None, typer.Option("--registry", help="Schema registry URL.")] = None,
        topic_prefix: Annotated[str | None, typer.Option(help="Put before every topic name.")] = None,
        database: Annotated[str | None, typer.Option(help="Database of the store.")] = None,
        user: Annotated[str | None, typer.Option(help="Its user; the password: BATON_STORE_PASSWORD.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="With --status: print it as JSON.")] = False,
    ) -> None:
        if status == (lead_id is not None):
            raise InputError("give the ID of a lead to erase, or --status")
        settings = load(
            brokers=brokers, registry_url=registry, topic_prefix=topic_prefix, store_database=database, store_user=user
        )
        log.configure(json=settings.log_json, level=logging.ERROR)
        from streams.store.query import reachable

        with reachable(store or settings.store_url, settings) as reached:
            if lead_id is not None:
                _erase(reached, lead_id, yes=yes, unknown=unknown)
            elif not _proven(reached, as_json=as_json):
                raise typer.Exit(1)


def _now() -> int:
    return round(time.time() * 1000)


def _erase(settings: Settings, lead_id: str, *, yes: bool, unknown: bool) -> None:
    from streams.erasure.publish import group, publish

    members = group(settings, lead_id)
    for member in members:
        merged = f", merged into {member.merged_into}" if member.merged_into else ""
        stage = "erased already" if member.erased else member.stage or "not known to the store"
        typer.echo(f"{member.lead_id}: {stage}{merged}")
    if members[0].erased:
        typer.echo("nothing to erase; its proof: baton erase --status")
        return
    if not members[0].stage and not unknown:
        raise InputError(f"no lead {lead_id!r} in the store: check the id; --unknown erases it all the same")
    wanted = [member.lead_id for member in members if not member.erased]
    leads = "this lead" if len(wanted) == 1 else f"these {len(wanted)} leads"
    if not yes and not typer.confirm(f"Erase {leads} for ever?"):
        raise InputError("nothing was erased")
    published = publish(settings, wanted, _now())
    typer.echo(f"asked to erase {published}; once it is done, this proves it: baton erase --status")


def _proven(settings: Settings, *, as_json: bool) -> bool:
    from rich.console import Console

    from streams.erasure.show import as_json as plain
    from streams.erasure.show import show
    from streams.erasure.status import judge, kept, read

    found = judge(read(settings), kept(settings), _now())
    if as_json:
        typer.echo(json.dumps(plain(found), indent=2, ensure_ascii=False))
    else:
        show(found, Console(highlight=False, markup=False))
    return found.proven
