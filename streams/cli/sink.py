"""`baton sink`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def sink(
        brokers: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
        registry_url: Annotated[str | None, typer.Option("--registry", help="Schema registry URL.")] = None,
        store_url: Annotated[str | None, typer.Option(help="ClickHouse over HTTP(S).")] = None,
        group: Annotated[str | None, typer.Option(help="Consumer group.")] = None,
        topic_prefix: Annotated[str | None, typer.Option(help="Put before every topic name.")] = None,
        metrics_port: Annotated[int | None, typer.Option(help="Port of /metrics and /status; 0: any.")] = None,
        port_file: Annotated[Path | None, typer.Option(help="Where to write the port that was chosen.")] = None,
    ) -> None:
        """Writes the worker's outputs into the store, each exactly once. The store needs `baton migrate` before."""
        from streams import config, log
        from streams.sink.process import run

        settings = config.load(
            brokers=brokers, registry_url=registry_url, store_url=store_url, sink_group=group, topic_prefix=topic_prefix,
            metrics_port=metrics_port,
        )  # fmt: skip
        log.configure(json=settings.log_json)
        run(settings, port_file)

    @app.command()
    def rollup(
        check: Annotated[bool, typer.Option(help="Change nothing: look for rows that differ, in all leads.")] = False,
        rebuild: Annotated[bool, typer.Option(help="Look at all leads again, not only at those that changed.")] = False,
        store_url: Annotated[str | None, typer.Option(help="ClickHouse over HTTP(S).")] = None,
        wait: Annotated[float, typer.Option(help="Seconds to wait for a store that does not answer.", min=0)] = 60,
    ) -> None:
        """Rolls up the KPI tables, as the sink does all the time; or proves that they are right."""
        from streams import config, log
        from streams.erasure.rows import sweep
        from streams.errors import BatonError
        from streams.store.client import connect, patiently
        from streams.store.reconcile import Reconciliation
        from streams.store.rollup import Rollups

        settings = config.load(store_url=store_url)
        log.configure(json=settings.log_json)
        with patiently(lambda: connect(settings), wait) as client:
            if check:
                differing = Reconciliation(client, settings.store_url).differing()
                for table, rows in differing.items():
                    typer.echo(f"counted_{table}: {rows} rows differ")
                if any(differing.values()):
                    raise BatonError("rollups differ from what they are made of: `baton rollup --rebuild` mends them")
                return
            rollups = Rollups(client, settings.store_url)
            leads = rollups.rebuild() if rebuild else rollups.roll()
            sweep(client, settings.store_url, rollups.gone)
            typer.echo("another process is at it" if leads is None else f"{leads} leads rolled up")
