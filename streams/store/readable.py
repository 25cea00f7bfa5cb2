"""What BI's user may read of the embedded store: the KPI views and the engine's own words, nothing of one lead or person.

The engine knows one user, so its grants cannot tell BI from the owner; a statement's syntax tree, as the engine's own parser
gives it, names whatever is read. The rule goes by that, and lets through what it knows, not what it does not: a table by its
name, a function that stands for a table by its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Set
from typing import Final

from streams.store.faults import ACCESS_DENIED, Fault

_SYSTEM: Final = frozenset({"system", "information_schema", "INFORMATION_SCHEMA"})
_ABOUT: Final = frozenset(
    {
        "build_options", "character_sets", "collations", "columns", "contributors", "data_type_families", "databases",
        "formats", "functions", "key_column_usage", "keywords", "licenses", "merge_tree_settings", "numbers", "numbers_mt",
        "one", "referential_constraints", "schemata", "settings", "statistics", "table_engines", "table_functions", "tables",
        "time_zones", "views", "zeros", "zeros_mt",
    }
)  # fmt: skip
"""Tables of the engine about itself and about the names of tables; no row of one holds data or another's query."""
_GENERATORS: Final = frozenset(
    {"generate_series", "generateseries", "null", "numbers", "numbers_mt", "values", "view", "zeros", "zeros_mt"}
)
"""Table functions that read nothing; `view` holds a query, which the tree shows."""
_TABLE: Final = re.compile(r"\A *TableIdentifier (.*?)(?: \(alias .*\))?(?: \(children \d+\))?\Z")
_FUNCTION: Final = re.compile(r"\A *Function (.*?)(?: \(alias .*\))?(?: \(children \d+\))?\Z")
_IDENTIFIER: Final = re.compile(r"\A *Identifier (.*?)(?: \(alias .*\))?(?: \(children \d+\))?\Z")
_IN: Final = re.compile(r"(?:global)?(?:not)?(?:null)?in(?:ignoreset)?", re.IGNORECASE)
_NODE: Final = re.compile(r"\A( *)[A-Z]\w*(?: .*?)??(?: \(children (\d+)\))?\Z")
_OTHERS: Final = re.compile(r"\A\s*(?:ShowProcesslist|CheckQuery)")


def _is_kpi(name: str) -> bool:
    return name.startswith("kpi_") or name == "as_of"


def _read(tree: str) -> tuple[set[str], set[str]]:
    """(names of tables, names of functions that stand for a table). Raises Fault where the tree is not whole.

    Depth and number of children are checked line by line, so that no output format can make another tree of it.
    """
    tables, functions = set(), set()
    above: list[str] = []
    missing: list[int] = [1]
    for line in tree.removesuffix("\n").split("\n"):
        node = _NODE.match(line)
        while missing and not missing[-1]:
            missing.pop()
            del above[len(missing) - 1 if missing else 0 :]
        depth = len(missing) - 1
        if node is None or not missing or len(node[1]) != depth:
            raise Fault(*ACCESS_DENIED, "reader: the statement's syntax tree is not whole: write it without a format")
        missing[-1] -= 1
        if found := _TABLE.match(line):
            tables.add(found[1])
        elif found := _FUNCTION.match(line):
            if above and above[-1].lstrip().startswith(("TableExpression", "DescribeQuery")):
                functions.add(found[1])
        elif (found := _IDENTIFIER.match(line)) and len(above) > 1 and not missing[-1]:
            # x IN name: what stands last may be a table's name.
            function = _FUNCTION.match(above[-2])
            if function and _IN.fullmatch(function[1]):
                tables.add(found[1])
        above.append(line)
        missing.append(int(node[2] or 0))
    if any(missing):
        raise Fault(*ACCESS_DENIED, "reader: the statement's syntax tree is not whole: write it without a format")
    return tables, functions


def check_readable(tree: str, database: Callable[[], str], there: Callable[[Collection[str]], Set[str]]) -> None:
    """Raises Fault for what BI may not read. `there`: those of the names that are tables of the current database."""
    if _OTHERS.match(tree):
        raise Fault(*ACCESS_DENIED, "reader: others' queries and the parts of tables are not BI's")
    tables, functions = _read(tree)
    unknown = set()
    for name in tables:
        owner, _, table = name.partition(".")
        if table:
            if not (table in _ABOUT if owner in _SYSTEM else _is_kpi(table)):
                raise _refused(name)
        elif not _is_kpi(name):
            unknown.add(name)
    for name in functions:
        if not _is_kpi(name.rpartition(".")[2]) and name.lower() not in _GENERATORS:
            raise _refused(name)
    # What is left is named within the query, or a table of the current database.
    if unknown and database() in _SYSTEM:
        unknown -= _ABOUT
    if unknown and (found := there(unknown)):
        raise _refused(min(found))


def _refused(name: str) -> Fault:
    return Fault(
        *ACCESS_DENIED, f"reader: Not enough privileges to read {name}: BI reads the views kpi_..., as `reader`"
    )
