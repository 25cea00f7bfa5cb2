"""`baton worker`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams import log
from streams.config import ClockMode, load


def register(app: typer.Typer) -> None:
    @app.command()
    def worker(
        brokers: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
        registry_url: Annotated[str | None, typer.Option("--registry", help="Schema registry URL.")] = None,
        agreement: Annotated[Path | None, typer.Option(help="Its file or folder; default: what is published.")] = None,
        clock: Annotated[ClockMode | None, typer.Option(help="broker: live; event: replay.")] = None,
        group: Annotated[str | None, typer.Option(help="Consumer group.")] = None,
        topic_prefix: Annotated[str | None, typer.Option(help="Put before every topic name.")] = None,
        metrics_port: Annotated[int | None, typer.Option(help="Port of /metrics and /status; 0: any.")] = None,
        port_file: Annotated[Path | None, typer.Option(help="Where to write the port that was chosen.")] = None,
    ) -> None:
        """Folds events into lead states, transitions and SLA events."""
        settings = load(
            brokers=brokers, registry_url=registry_url, agreement=agreement, clock=clock, group=group,
            topic_prefix=topic_prefix, metrics_port=metrics_port,
        )  # fmt: skip
        log.configure(json=settings.log_json)
        from streams.worker.app import run

        run(settings, port_file)
