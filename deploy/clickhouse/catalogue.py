"""docs/kpis.md from the comments of the KPI views in the migrations: `python -m deploy.clickhouse.catalogue [--check]`.

A view's comment holds, between bars: what it is and its unit; the question; definition and grain; caveat. examples.json holds
what the examples came to on a simulated company: `python -m tests.kpis.examples` makes it, and a test holds it current.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
PAGE: Final = _HERE.parents[1] / "docs" / "kpis.md"
EXAMPLES: Final = _HERE / "examples.json"
_VIEW: Final = re.compile(r"CREATE OR REPLACE VIEW (kpi_\w+)\n(.*?)\nCOMMENT '((?:[^']|'')*)';", re.DOTALL)
_COLUMN: Final = re.compile(r"^    (\w+) [^\n]*?COMMENT '((?:[^']|'')*)'", re.MULTILINE)
_PARAMETER: Final = re.compile(r"\{(\w+):")
_EXAMPLES: Final = {
    "days": "30", "window_days": "90", "half_life_days": "90", "lookback_months": "27", "model": "'w'",
    "since": "'2026-10-01 00:00:00'", "until": "'2026-11-01 00:00:00'",
}  # fmt: skip
_HEAD: Final = """# KPIs

Made by `make docs` from the comments of the views in `deploy/clickhouse/migrations`; the store has the same comments.
Ask with `baton sql` or any ClickHouse client. Everywhere: merged, erased and test leads are left out; cohorts are first
entries of a stage in a lead's cycle; "now" is the clock of the lane that is furthest behind; p50 and p90 are values that
occurred, number floor(p * n) of n in order, from 0 on, as ClickHouse's quantileExact has them;
months are UTC where nothing else is said; nothing is grouped by person. Corrections show at once; in
quantiles, open clocks and what is read from the archive (touches, opportunities, fields) with the next rollup, mostly within
three seconds, later where the machine is full.

The answers below are those of a simulated company with 1,200 leads from June to October 2026, the first rows of each.
"""


def calls() -> dict[str, str]:
    """View -> what stands behind FROM in its example."""
    out = {}
    for name, body, _ in _views():
        parameters = dict.fromkeys(_PARAMETER.findall(body))
        told = ", ".join(f"{one} = {_EXAMPLES[one]}" for one in parameters)
        out[name] = f"{name}({told})" if parameters else name
    return out


def _views() -> list[tuple[str, str, str]]:
    text = "\n".join(path.read_text("utf-8") for path in sorted((_HERE / "migrations").glob("*.up.sql")))
    # Of a view that a later migration makes anew the later one holds.
    return sorted({view[0]: view for view in _VIEW.findall(text)}.values())


def example(call: str) -> str:
    return f"SELECT * FROM {call} ORDER BY ALL LIMIT 4"  # noqa: S608  # names from the migrations


def _answer(told: Mapping[str, list[list[str]]]) -> list[str]:
    [header, *rows] = told["rows"]
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] if rows else ["No rows: nothing of the kind happened."]


def _section(name: str, body: str, comment: str, call: str, told: Mapping[str, list[list[str]]]) -> str:
    what, question, definition, caveat = ([*comment.replace("''", "'").split("|"), "", "", ""])[:4]
    lines = [f"## {name}", "", what, ""]
    if question:
        lines += [f"**{question}**", "", definition, "", f"*Caveat.* {caveat}", ""]
    lines += ["```sql", example(call), "```", "", *_answer(told), ""]
    columns = _COLUMN.findall(body)
    if columns:
        lines += ["| column | meaning |", "|---|---|"]
        lines += [f"| {column} | {told.replace(chr(39) * 2, chr(39))} |" for column, told in columns]
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """The whole text."""
    told, called = json.loads(EXAMPLES.read_text("utf-8")), calls()
    sections = [_section(*view, called[view[0]], told.get(view[0], {"rows": [[]]})) for view in _views()]
    return _HEAD + "\n" + "\n".join(sections)


def main() -> int:
    made = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(made, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == made:
        return 0
    sys.stderr.write(f"{PAGE.name} is not what the views say: run `make docs`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
