"""`baton topics`: creates, alters and checks the topics."""

from __future__ import annotations

from typing import Annotated

import typer

from streams import log
from streams.config import Environment, load


def register(app: typer.Typer) -> None:
    @app.command()
    def topics(
        action: Annotated[str, typer.Argument(help="apply or check.")] = "apply",
        brokers: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
        topic_prefix: Annotated[str | None, typer.Option(help="Put before every topic name.")] = None,
        partitions: Annotated[int | None, typer.Option(help="Partitions of topics yet to be made: the lanes.")] = None,
        environment: Annotated[
            Environment | None, typer.Option(help="development: 1 copy; production: 3 copies, 2 in sync.")
        ] = None,
    ) -> None:
        """Brings the topics to the settings they need (apply, the default), or tells what is wrong (check).

        apply creates what is missing, alters what differs and prints what it did; run again, it does nothing. check
        changes nothing; exit code 1 when something differs. A setting that would make a guarantee false ends a worker
        at its start: exit code 2, here as there.
        """
        settings = load(brokers=brokers, topic_prefix=topic_prefix, partitions=partitions, environment=environment)
        log.configure(json=settings.log_json)
        from streams.errors import ConfigurationError
        from streams.topic_admin import apply, check

        if action == "apply":
            for line in apply(settings) or ["nothing to do"]:
                typer.echo(line)
        elif action == "check":
            wrong, differing = check(settings)
            for line in differing:
                typer.echo(f"{line}: run `baton topics apply`")
            if wrong:
                raise ConfigurationError("\n".join(wrong))
            if differing:
                raise typer.Exit(1)
            typer.echo("as they are to be")
        else:
            raise ConfigurationError("topics: give apply or check")
