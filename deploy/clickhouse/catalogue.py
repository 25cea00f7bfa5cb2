"""docs/kpis.md from the comments of the KPI views in the migrations: `python -m deploy.clickhouse.catalogue [--check]`.

A view's comment holds, between bars: what it is and its unit; the question; definition and grain; caveat.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
PAGE: Final = _HERE.parents[1] / "docs" / "kpis.md"
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
entries of a stage in a lead's cycle; "now" is the clock of the lane that is furthest behind; p50 and p90 are nearest rank;
months are UTC where nothing else is said; nothing is grouped by person. Corrections show at once; in
quantiles, open clocks and what is read from the archive (touches, opportunities, fields) with the next rollup, mostly within
three seconds.
"""


def _section(name: str, body: str, comment: str) -> str:
    what, question, definition, caveat = ([*comment.replace("''", "'").split("|"), "", "", ""])[:4]
    parameters = list(dict.fromkeys(_PARAMETER.findall(body)))
    call = f"{name}({', '.join(f'{one} = {_EXAMPLES[one]}' for one in parameters)})" if parameters else name
    lines = [f"## {name}", "", what, ""]
    if question:
        lines += [f"**{question}**", "", definition, "", f"*Caveat.* {caveat}", ""]
    lines += ["```sql", f"SELECT * FROM {call}", "```", ""]  # noqa: S608  # shown, not run
    columns = _COLUMN.findall(body)
    if columns:
        lines += ["| column | meaning |", "|---|---|"]
        lines += [f"| {column} | {told.replace(chr(39) * 2, chr(39))} |" for column, told in columns]
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """The whole text."""
    text = "\n".join(path.read_text("utf-8") for path in sorted((_HERE / "migrations").glob("*.up.sql")))
    return _HEAD + "\n" + "\n".join(_section(*view) for view in sorted(_VIEW.findall(text)))


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
