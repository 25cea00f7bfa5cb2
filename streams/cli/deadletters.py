"""`baton dead-letters`: what was set aside, and publishing it again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from streams import log
from streams.config import load
from streams.errors import InputError

if TYPE_CHECKING:
    from streams.config import Settings
    from streams.deadletters.reading import Letter, Letters, Wanted

_REPLAY: Final = "\n\n".join(
    (
        "Publishes dead letters again, each exactly once: neither a second run nor one after a crash doubles anything. They "
        "keep the arrival that they had.",
        "Unchanged as they are, for what a newer worker understands; or mended: --set gives fields of all chosen letters "
        "other values, --mended is a file of JSON Lines as `baton publish` takes them, each with the key `letter` "
        "(PARTITION/OFFSET); `baton dead-letters show --event` prints such a line. Mended events are keyed by lead_id.",
        "Letters of erased leads are left alone. Exit code 1 if any letter was passed over.",
    )
)

Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only these; may be given several times.")]
OfTopic = Annotated[str | None, typer.Option("--topic", help="Only originals of this topic: leads, touches, ...")]
Since = Annotated[str | None, typer.Option(help="Set aside at or after: ISO-8601 with an offset.")]
Until = Annotated[str | None, typer.Option(help="Set aside before: ISO-8601 with an offset.")]
Brokers = Annotated[str | None, typer.Option("--brokers", help="Kafka bootstrap servers.")]
RegistryUrl = Annotated[str | None, typer.Option("--registry", help="Schema registry URL.")]
Prefix = Annotated[str | None, typer.Option("--topic-prefix", help="Put before every topic name.")]


@contextmanager
def _letters(brokers: str | None, registry_url: str | None, prefix: str | None) -> Iterator[tuple[Settings, Letters]]:
    settings = load(brokers=brokers, registry_url=registry_url, topic_prefix=prefix)
    log.configure(json=settings.log_json, level=logging.WARNING)
    from streams.deadletters.reading import Letters
    from streams.registry import Registry

    with Registry(settings.registry_url) as registry:
        yield settings, Letters(settings, registry)


def _wanted(reasons: list[str] | None, topic: str | None, since: str | None, until: str | None) -> Wanted:
    from streams.deadletters.reading import Wanted
    from streams.importers.times import millis

    try:
        start, end = (None if text is None else millis(text) for text in (since, until))
    except ValueError as error:
        raise InputError(f"--since, --until: {error}") from None
    return Wanted(frozenset(reasons or ()), topic, start, end)


def _about(letter: Letter, *, replayed: bool) -> dict[str, Any]:
    record = letter.record
    return {
        "letter": str(letter.place),
        "set_aside_at": datetime.fromtimestamp(letter.written_at / 1000, UTC).isoformat(timespec="milliseconds"),
        "reason": record["reason"],
        "detail": record["detail"],
        "topic": record["topic"],
        "partition": record["partition"],
        "offset": record["offset"],
        "timestamp": record["timestamp"],
        "bytes": None if record["value"] is None else len(record["value"]),
        "headers": [header["key"] for header in record["headers"]],
        "schema_id": record["schema_id"],
        "lead_id": record["lead_id"],
        "worker_version": record["worker_version"],
        "replayed": replayed,
    }


def register(app: typer.Typer) -> None:
    family = typer.Typer(help="What was set aside: list, show, replay.", no_args_is_help=True)
    app.add_typer(family, name="dead-letters")

    @family.command("list")
    def list_letters(
        reason: Reasons = None, topic: OfTopic = None, since: Since = None, until: Until = None,
        as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
        brokers: Brokers = None, registry: RegistryUrl = None, topic_prefix: Prefix = None,
    ) -> None:  # fmt: skip
        """Lists dead letters; nothing of their payloads is shown."""
        with _letters(brokers, registry, topic_prefix) as (_, letters):
            replayed = letters.replayed()
            for letter in letters.read(_wanted(reason, topic, since, until)):
                about = _about(letter, replayed=letter.place in replayed)
                if as_json:
                    typer.echo(json.dumps(about, ensure_ascii=False))
                else:
                    mark = " (replayed)" if about["replayed"] else ""
                    origin = f"{about['topic']}/{about['partition']}/{about['offset']}"
                    typer.echo(
                        f"{about['letter']}  {about['set_aside_at']}  {about['reason']}{mark}  {origin}  "
                        f"{about['lead_id'] or '-'}  {about['detail']}"
                    )

    @family.command()
    def show(
        letter: Annotated[str, typer.Argument(metavar="PARTITION/OFFSET")],
        event: Annotated[
            bool, typer.Option("--event", help="Its event as a line to mend; it may hold personal data.")
        ] = False,
        brokers: Brokers = None, registry: RegistryUrl = None, topic_prefix: Prefix = None,
    ) -> None:  # fmt: skip
        """Shows one dead letter: everything but its payload, or with --event the event in it."""
        from schemas.wire import WireError
        from streams.deadletters.mending import line, place
        from streams.deadletters.reading import Wanted

        where = place(letter)
        with _letters(brokers, registry, topic_prefix) as (_, letters):
            found = next(letters.read(Wanted(places=frozenset([where]))), None)
            if found is None:
                raise InputError(f"there is no dead letter {where}: letters are kept for 24 days")
            if not event:
                about = _about(found, replayed=where in letters.replayed())
                typer.echo(json.dumps(about, ensure_ascii=False, indent=2))
                return
            try:
                typer.echo(line(found, *letters.decoded(found.record["value"])))
            except WireError as error:
                raise InputError(f"dead letter {where} cannot be read as an event: {error.detail}") from None

    @family.command(help=_REPLAY)
    def replay(
        reason: Reasons = None, topic: OfTopic = None, since: Since = None, until: Until = None,
        every: Annotated[bool, typer.Option("--all", help="Every letter: no filter.")] = False,
        change: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE")] = None,
        mended: Annotated[Path | None, typer.Option(help="JSON Lines of mended events.")] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Publish nothing.")] = False,
        brokers: Brokers = None, registry: RegistryUrl = None, topic_prefix: Prefix = None,
    ) -> None:  # fmt: skip
        from dataclasses import replace

        from schemas.wire import Encoder
        from streams.deadletters import mending
        from streams.deadletters.replay import replay as publish_again
        from streams.importers.shape import EVENTS
        from streams.registry import Registry

        wanted = _wanted(reason, topic, since, until)
        if not (every or mended or reason or topic or since or until):
            raise InputError("say which: --reason, --topic, --since, --until, --mended, or --all")
        if change and mended:
            raise InputError("--set and --mended are two ways of mending: give one")
        fields = mending.settings_of(change or ())
        events = mending.read_file(mended) if mended is not None else None
        if events is not None:
            wanted = replace(wanted, places=frozenset(events))
        with _letters(brokers, registry, topic_prefix) as (settings, letters):
            with Registry(settings.registry_url) as client:
                encoder = Encoder(client.ids(letters.topics, [*EVENTS, "LetterReplayed"]))
            mend = (
                mending.from_file(letters, encoder, events)
                if events is not None
                else mending.with_fields(letters, encoder, fields)
                if fields
                else mending.unchanged(letters)
            )
            done = publish_again(
                settings, letters, encoder, wanted, mend, dry_run=dry_run,
                passed_over=lambda letter, why: typer.echo(f"{letter.place}: {why}", err=True),
            )  # fmt: skip
        doing = "to replay" if dry_run else "replayed"
        typer.echo(
            f"{done.replayed} {doing} ({done.mended} mended), {done.before} before, {done.erased} of erased leads, "
            f"{done.passed_over.total()} passed over"
        )
        if done.passed_over:
            raise typer.Exit(1)
