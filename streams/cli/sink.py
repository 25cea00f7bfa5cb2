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
