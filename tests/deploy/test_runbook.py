"""The runbook's queries run on the tables as the migrations make them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.tools import ROOT

_PROGRAM = """
import sys, chdb
connection = chdb.connect(sys.argv[1])
connection.query("CREATE DATABASE baton; USE baton")
for file in sys.argv[2:]:
    connection.query(open(file, encoding="utf-8").read())
"""


def test_the_queries_of_the_runbook_run(tmp_path: Path) -> None:
    queries = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    assert len(queries) >= 2
    files = sorted((ROOT / "deploy" / "clickhouse" / "migrations").glob("*.up.sql"))
    for number, query in enumerate(queries):
        files.append(tmp_path / f"query-{number}.sql")
        files[-1].write_text(query)
    # A process of its own: the engine keeps hundreds of megabytes for as long as its process lives.
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, tmp_path / "store", *files],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
