"""What the catalogue's examples come to on the simulated company: `python -m tests.kpis.examples` writes examples.json."""

from __future__ import annotations

import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.clickhouse.catalogue import EXAMPLES, calls, example
from streams.store.client import Client, connect
from streams.store.migrations import Migrator
from streams.store.rollup import Rollups
from tests.kpis.fill import fill
from tests.kpis.simulated import simulated
from tests.store.fixtures import fresh, start_store


def _text(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")[:19]
    if isinstance(value, float) or hasattr(value, "as_tuple"):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value)


def answers(client: Client) -> dict[str, Any]:
    """View -> its answer as text: names of columns, then rows."""
    out = {}
    for name, call in calls().items():
        told = client.query(example(call))
        rows = [[_text(value) for value in row] for row in told.result_rows]
        out[name] = {"rows": [list(told.column_names), *rows]}
    return out


def written(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="baton-examples-"))
    child, url = start_store(folder / "data", folder)
    try:
        settings = fresh(url)
        Migrator(settings).up()
        client = connect(settings)
        fill(client, simulated())
        Rollups(client, settings.store_url).roll()
        EXAMPLES.write_text(written(answers(client)), "utf-8")
        client.close()
    finally:
        child.stop()


if __name__ == "__main__":
    main()
