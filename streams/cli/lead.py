"""`baton lead show`: one lead's story, and why its clocks stand as they stand."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from streams import log
from streams.config import load
from streams.errors import BatonError, InputError, UnavailableError

if TYPE_CHECKING:
    from processors.agreement import Agreements
    from streams.config import Settings
    from streams.explain.heard import LeadLog

_HELP: Final = "\n\n".join(
    (
        "Tells one lead's story: its stages and what caused them, every promise with its deadline in the team's own time, "
        "what became of it and why, and every event with what it did.",
        "Stages and promises come from the store, events from the log where brokers and registry answer. Nothing shown "
        "names a person. Exit code 1 for a lead that neither knows.",
        "Keys of the JSON: lead_id, as_of, zone, lead{stage, cycle, work_status, source, campaign, owner, owner_kind, team, "
        "grade, stage_entered_at, first_captured_at, is_test} or null, merged_into, absorbed[], erased_at, stages[{entered_at, "
        "stage, from_stage, cycle, implied, confirmed, disputed, event_type, event_id, source_system, reason, why}], "
        "clocks[{policy, verdict, started_at, deadline, deadline_local, zone, calendar, agreement_version, target_ms, "
        "budget_ms, paused_ms, pauses[{from_at, until_at}] or null, satisfied_at, satisfied_by, ended_at, ended_by, end, "
        "elapsed_ms, overrun_ms, late_evidence, cycle, grade, owner, team, start_event_id, instance_id, told[{at, kind, "
        "verdict}] or null, why}], events[{effective_at, occurred_at, received_at, type, event_id, source_system, lead_id, "
        "topic, partition, offset, says, outcome, disputed, clock_ahead, does[]}] or null, refusals{word: n}, "
        "dead_letters[{origin_topic, origin_partition, origin_offset, reason, detail, failed_at}], notes[]. Instants are "
        "ISO-8601 in UTC; null: not known.",
    )
)
_PATIENCE: Final = 3.0
"""Seconds for brokers and registry to answer: the store alone tells most of it."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="One lead, and why it stands as it stands.", no_args_is_help=True)
    app.add_typer(group, name="lead")

    @group.callback()
    def lead() -> None:
        """One lead, and why it stands as it stands."""

    @group.command(help=_HELP)
    def show(
        lead_id: Annotated[str, typer.Argument(metavar="ID", help="The lead's id.")],
        store: Annotated[
            str | None,
            typer.Option(help="Directory of an embedded store, or the URL of a ClickHouse.", metavar="DIR|URL"),
        ] = None,
        brokers: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
        registry: Annotated[str | None, typer.Option("--registry", help="Schema registry URL.")] = None,
        topic_prefix: Annotated[str | None, typer.Option(help="Put before every topic name.")] = None,
        agreement: Annotated[Path | None, typer.Option(help="Its file or folder; default: what is published.")] = None,
        events: Annotated[bool, typer.Option("--events/--no-events", help="Read the log, too.")] = True,
        database: Annotated[str | None, typer.Option(help="Database of the store.")] = None,
        user: Annotated[str | None, typer.Option(help="Its user; the password: BATON_STORE_PASSWORD.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    ) -> None:
        settings = load(
            brokers=brokers, registry_url=registry, topic_prefix=topic_prefix, agreement=agreement,
            store_database=database, store_user=user,
        )  # fmt: skip
        log.configure(json=settings.log_json, level=logging.ERROR)
        from rich.console import Console

        from streams.explain import stored
        from streams.explain.shapes import as_json as plain
        from streams.explain.show import show as shown
        from streams.explain.story import story
        from streams.store.query import reachable

        with reachable(store or settings.store_url, settings) as reached:
            found = stored.read(reached, lead_id)
        heard, agreements, notes = _heard(settings, lead_id, events=events)
        if not found.known and not (heard and (heard.events or heard.passed_on)):
            where = "" if heard is None else f", nor does the log at {settings.brokers}"
            raise InputError(f"no lead {lead_id!r}: the store at {store or settings.store_url} does not know it{where}")
        told = story(lead_id, found, heard, agreements, notes)
        if as_json:
            typer.echo(json.dumps(plain(told), indent=2, ensure_ascii=False))
        else:
            shown(told, Console(highlight=False, markup=False))


def _heard(settings: Settings, lead_id: str, *, events: bool) -> tuple[LeadLog | None, Agreements, list[str]]:
    """What the log and the agreement say; where something does not answer, a note tells what is missing."""
    from processors.agreement import DEFAULTS, Agreements
    from streams.agreements import published
    from streams.agreements.source import read_agreement
    from streams.explain.heard import hear
    from streams.registry import Registry

    given = None if settings.agreement is None else read_agreement(settings.agreement)
    if not events:
        return None, given or DEFAULTS, []
    notes: list[str] = []
    heard: LeadLog | None = None
    agreements = given
    with Registry(settings.registry_url, patience=_PATIENCE) as client:
        try:
            if agreements is None:
                versions = published(settings, client, patience=_PATIENCE)
                agreements = Agreements(versions) if versions else DEFAULTS
            heard = hear(settings, client, lead_id, patience=_PATIENCE)
        except UnavailableError as error:
            notes.append(f"Events are not shown, the log cannot be read: {error}.")
        except BatonError as error:
            notes.append(f"Events are not shown: {error}.")
    if agreements is None:
        agreements = DEFAULTS
    return heard, agreements, notes
