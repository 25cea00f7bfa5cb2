"""`baton embedded`: broker and registry for one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams import log


def register(app: typer.Typer) -> None:
    @app.command()
    def embedded(
        port_file: Annotated[Path | None, typer.Option(help="Where to write the addresses, as JSON.")] = None,
    ) -> None:
        """Serves the embedded broker and schema registry on localhost (for trying out; no guarantees)."""
        log.configure(json=False)
        from streams.embedded.broker import run

        run("127.0.0.1", port_file)
