"""`baton export`: archived events as JSON Lines."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def export(
        store: Annotated[
            str | None,
            typer.Option(help="Directory of an embedded store, or the URL of a ClickHouse.", metavar="DIR|URL"),
        ] = None,
        since: Annotated[str | None, typer.Option(help="Received at or after this time, ISO-8601.")] = None,
        until: Annotated[str | None, typer.Option(help="Received before this time, ISO-8601.")] = None,
        database: Annotated[str | None, typer.Option(help="Database.")] = None,
        user: Annotated[str | None, typer.Option(help="User; the password comes from BATON_STORE_PASSWORD.")] = None,
        wait: Annotated[float, typer.Option(help="Seconds to wait for a store that does not answer.", min=0)] = 10,
    ) -> None:
        """Writes the archive of input events to standard output as JSON Lines, in the order of their arrival.

        `baton replay` and `baton publish` read them: a replay of what Kafka keeps no longer. Personal data and free text
        are not in the archive, so they are not here; nor is what was set aside for what it is.
        """
        import logging
        import sys

        from streams import config, log
        from streams.errors import InputError
        from streams.importers.times import millis
        from streams.store.export import lines
        from streams.store.query import reachable

        settings = config.load(store_database=database, store_user=user)
        log.configure(json=settings.log_json, level=logging.WARNING)

        def instant(option: str, text: str | None) -> int | None:
            try:
                return None if text is None else millis(text)
            except ValueError as error:
                raise InputError(f"{option}: {error}") from None

        begin, end = instant("--since", since), instant("--until", until)
        count = 0
        with reachable(store or settings.store_url, settings) as reached:
            for line in lines(reached, begin, end, wait):
                sys.stdout.buffer.write(line.encode() + b"\n")
                count += 1
            sys.stdout.buffer.flush()
        print(f"{count:,} events", file=sys.stderr)
