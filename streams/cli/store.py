"""`baton store`, `baton sql`, `baton migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def store(
        path: Annotated[Path, typer.Option(help="Directory that holds the data; made when missing.")],
        port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8123,
        bind: Annotated[
            str, typer.Option(help="Address to listen on; not only this machine: needs a password.")
        ] = "127.0.0.1",
        port_file: Annotated[
            Path | None, typer.Option(help="Where to write, as JSON, the port that was taken.")
        ] = None,
        database: Annotated[str | None, typer.Option(help="Database that holds Baton's tables.")] = None,
    ) -> None:
        """Serves an embedded ClickHouse over ClickHouse's HTTP interface.

        Users: `default` (password: BATON_STORE_PASSWORD) and, for BI, the read-only `reader`
        (BATON_STORE_READER_PASSWORD).
        """
        from streams import config, log
        from streams.store.guard import Users
        from streams.store.server import StoreServer, end_process, wait_for_signal
        from streams.web import write_port_file

        settings = config.load(store_database=database)
        log.configure(json=settings.log_json)
        users = Users(settings.store_password.get_secret_value(), settings.store_reader_password.get_secret_value())
        server = StoreServer(path, host=bind, port=port, database=settings.store_database, users=users).start()
        write_port_file(port_file, {"port": server.port, "url": server.url})
        wait_for_signal()
        end_process(server, 1.9)

    @app.command()
    def sql(
        query: Annotated[str, typer.Argument(help="One statement; - reads it from standard input.")],
        store: Annotated[
            str | None,
            typer.Option(help="Directory of an embedded store, or the URL of a ClickHouse.", metavar="DIR|URL"),
        ] = None,
        form: Annotated[str, typer.Option("--format", help="ClickHouse output format.")] = "PrettyCompact",
        database: Annotated[str | None, typer.Option(help="Database.")] = None,
        user: Annotated[str | None, typer.Option(help="User; the password comes from BATON_STORE_PASSWORD.")] = None,
        wait: Annotated[float, typer.Option(help="Seconds to wait for a store that does not answer.", min=0)] = 10,
    ) -> None:
        """Queries a store: by address, or by directory, served by another process or not."""
        import logging
        import sys

        from streams import config, log
        from streams.store.query import reachable, run

        settings = config.load(store_database=database, store_user=user)
        log.configure(json=settings.log_json, level=logging.WARNING)
        text = sys.stdin.read() if query == "-" else query
        with reachable(store or settings.store_url, settings) as reached:
            for piece in run(text, reached, form, wait):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()

    @app.command()
    def migrate(
        action: Annotated[str, typer.Argument(help="up, status, down or access.")] = "up",
        store_url: Annotated[str | None, typer.Option(help="ClickHouse over HTTP(S).")] = None,
        database: Annotated[str | None, typer.Option(help="Database; made when missing.")] = None,
        to: Annotated[int | None, typer.Option(help="With down: the last migration to keep.", min=0)] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="With up and access: show the SQL, change nothing.")
        ] = False,
        wait: Annotated[float, typer.Option(help="Seconds to wait for a store that does not answer.", min=0)] = 60,
    ) -> None:
        """Brings a store's tables and views to this version. Any number may run it at once; only one changes anything."""
        from streams import config, log
        from streams.errors import ConfigurationError
        from streams.store.client import patiently
        from streams.store.migrations import Migrator

        settings = config.load(store_url=store_url, store_database=database)
        log.configure(json=settings.log_json)
        migrator = Migrator(settings)
        if action == "up" and dry_run:
            for migration in (missing := patiently(migrator.missing, wait)):
                print(f"-- {migration.label}", *migrator.up_statements(migration), sep="\n\n", end="\n\n")
            print(f"-- {len(missing)} to apply" if missing else "-- up to date")
        elif action == "up":
            done = patiently(migrator.up, wait)
            print(f"applied {', '.join(item.label for item in done)}" if done else "up to date")
        elif action == "access":
            from streams.store.access import access_statements, apply_access
            from streams.store.migrations import layout_of

            if dry_run:
                told = access_statements(layout_of(settings))
                print(*(f"-- {name}\n{statement};\n" for name, statement in told), sep="\n")
            else:
                print(f"applied {patiently(lambda: apply_access(settings), wait)} statements")
        elif action == "status":
            for standing in patiently(migrator.status, wait):
                print(f"{standing.migration.label}  {standing.state}")
        elif action == "down" and to is not None:
            undone = patiently(lambda: migrator.down(to), wait)
            print(f"undone {', '.join(item.label for item in undone)}" if undone else "nothing to undo")
        else:
            raise ConfigurationError("migrate: give up, status, access, or down --to N")
