"""The cluster's layout of what migrations make: their one-node SQL, statement by statement. Pure; no I/O.

A table `t` becomes `t_local` on every node, with the Replicated form of its engine, and a Distributed table `t` above it. Rows
that a merge, FINAL or LIMIT BY brings together have to meet on one shard: tables sorted by lead go by the lead's hash,
those of WHOLE lie on the first shard. Views read `t`; within them IN and JOIN are GLOBAL, so that they see all shards whatever
lies where. A materialized view reads what is inserted on its node. docs/decisions/0030 says why.

Migrations are ours and plain; what is not understood here raises LayoutError, and a test renders all there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from streams.store.statements import tokens

WHOLE: Final = frozenset(
    {"agreement_versions", "campaign_events", "dead_letters", "lanes", "migrations", "output_topics", "rollups"}
)
"""Small tables whose rows do not meet by lead: all of each lies on the first shard."""
LEAD: Final = "lead_id"
SUFFIX: Final = "_local"
_PATH: Final = "'/clickhouse/tables/{database}/{table}/{uuid}/{shard}', '{replica}'"
"""Of a table in Keeper. The uuid is another one when the table is made anew; ON CLUSTER gives all nodes the same."""
_EVERY_NODE: Final = "'/clickhouse/tables/{database}/{table}/{uuid}', '{shard}-{replica}'"
_JOINED: Final = frozenset({"INNER", "LEFT", "RIGHT", "FULL", "OUTER", "CROSS", "ANY", "ALL", "SEMI", "ANTI", "ASOF"})
_CLAUSES: Final = frozenset(
    {"ON", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "SETTINGS", "COMMENT", "FINAL"}
)


class LayoutError(ValueError):
    """A statement that has no form on a cluster; the message says why."""


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int
    depth: int

    @property
    def word(self) -> str:
        """In capitals; empty where it is none."""
        return self.text.upper() if self.kind == "word" else ""


@dataclass(frozen=True, slots=True)
class Table:
    """What a CREATE TABLE says that counts here."""

    name: str
    engine: str
    key: frozenset[str]
    """Words of its ORDER BY."""

    @property
    def is_whole(self) -> bool:
        return self.name in WHOLE

    @property
    def sharding(self) -> str:
        """Raises LayoutError where its rows would not meet."""
        if self.is_whole:
            return "0"
        if LEAD not in self.key:
            raise LayoutError(
                f"table {self.name} is not sorted by {LEAD}: rows that belong together would lie on several shards; "
                "sort it by lead, or, if it is small, name it in WHOLE"
            )
        return f"cityHash64({LEAD})"


class _Statement:
    """Its tokens, and edits of its text."""

    def __init__(self, sql: str) -> None:
        self._text = sql.encode()
        self._edits: list[tuple[int, int, str]] = []
        self.tokens = list(self._read())

    def _read(self) -> Iterator[_Token]:
        depth = 0
        for kind, text, start, end in tokens(self._text):
            depth -= text in (b")", b"]")
            yield _Token(kind, text.decode(errors="replace"), start, end, depth)
            depth += text in (b"(", b"[")

    def at(self, place: int) -> _Token:
        return self.tokens[place] if 0 <= place < len(self.tokens) else _Token("", "", -1, -1, 0)

    def starts(self, *words: str) -> bool:
        return all(self.at(place).word == word for place, word in enumerate(words))

    def find(self, word: str, after: int = 0) -> int:
        """Place of a word outside of all brackets; -1: it has none."""
        found = (place for place in range(after, len(self.tokens)) if self._is(place, word))
        return next(found, -1)

    def _is(self, place: int, word: str) -> bool:
        return self.tokens[place].depth == 0 and self.tokens[place].word == word

    def put(self, text: str, *, before: int | None = None, behind: int | None = None) -> None:
        spot = self.tokens[before].start if before is not None else self.tokens[behind or 0].end
        self._edits.append((spot, spot, text))

    def replace(self, place: int, text: str) -> None:
        self._edits.append((self.tokens[place].start, self.tokens[place].end, text))

    def edited(self) -> str:
        text = self._text
        for start, end, new in sorted(self._edits, reverse=True):
            text = text[:start] + new.encode() + text[end:]
        return text.decode()

    def name(self, after: int) -> int:
        """Place of the name that is made, dropped or changed, past IF [NOT] EXISTS."""
        place = after
        while self.at(place).word in ("IF", "NOT", "EXISTS"):
            place += 1
        if self.at(place).kind != "word" or self.at(place + 1).text == ".":
            raise LayoutError(f"a plain name was expected: {self.edited()[:80]}")
        return place


def _table(statement: _Statement) -> Table | None:
    """Of a CREATE TABLE; None: it is another statement."""
    if not statement.starts("CREATE", "TABLE"):
        return None
    name = statement.at(statement.name(2)).text
    engine = statement.at(_engine(statement, name)).text
    order = statement.find("ORDER")
    key = set()
    for token in statement.tokens[order + 2 :] if order >= 0 else ():
        if token.depth == 0 and token.word in ("SETTINGS", "COMMENT", "TTL", "SAMPLE", "PARTITION", "PRIMARY"):
            break
        key.add(token.text)
    return Table(name, engine, frozenset(key))


def _engine(statement: _Statement, name: str) -> int:
    place = statement.find("ENGINE")
    if place < 0 or statement.find("AS") >= 0:
        raise LayoutError(f"table {name}: say its columns and its ENGINE")
    place += 1 + (statement.at(place + 1).text == "=")
    if not statement.at(place).text.endswith("MergeTree") or statement.at(place).text.startswith("Replicated"):
        raise LayoutError(f"table {name}: engine {statement.at(place).text} has no Replicated form")
    return place


class Layout:
    """Of one cluster and database. `made`: all statements that make tables, in whatever order."""

    def __init__(self, cluster: str, database: str, made: Iterable[str]) -> None:
        self.cluster = cluster
        self.database = database
        self.on = f" ON CLUSTER {cluster}"
        self.tables = {table.name: table for sql in made if (table := _table(_Statement(sql))) is not None}

    def render(self, sql: str) -> list[str]:
        """What to run instead, in order. Raises LayoutError."""
        statement = _Statement(sql)
        if statement.starts("CREATE", "TABLE"):
            return self._create_table(statement)
        if statement.starts("CREATE", "MATERIALIZED", "VIEW"):
            return [self._materialized(statement)]
        for beginning in (("CREATE", "VIEW"), ("CREATE", "OR", "REPLACE", "VIEW")):
            if statement.starts(*beginning):
                statement.put(self.on, behind=statement.name(len(beginning)))
                self._global(statement)
                return [statement.edited()]
        if statement.starts("INSERT", "INTO"):
            self._global(statement)
            return [statement.edited()]
        if statement.starts("DROP") and statement.at(1).word in ("TABLE", "VIEW"):
            return self._above_and_below(sql, 2, both=True)
        if statement.starts("TRUNCATE", "TABLE") or statement.starts("OPTIMIZE", "TABLE"):
            return self._above_and_below(sql, 2, both=False)
        if statement.starts("ALTER", "TABLE"):
            return self._alter(statement, sql)
        raise LayoutError(f"this has no form on a cluster yet: {' '.join(sql.split())[:80]}")

    def on_every_node(self, engine: str) -> str:
        """An engine, without arguments of its own, of a table that every node has whole: each is a replica of it."""
        return f"Replicated{engine}({_EVERY_NODE})"

    def _create_table(self, statement: _Statement) -> list[str]:
        table = self.tables[statement.at(statement.name(2)).text]
        sharding = table.sharding
        name = statement.name(2)
        only_new = "IF NOT EXISTS " if name > 2 else ""
        comment = statement.find("COMMENT", statement.find("ENGINE"))
        told = f" COMMENT {statement.at(comment + 1).text}" if comment >= 0 else ""
        engine = _engine(statement, table.name)
        arguments = statement.at(engine + 1).text == "(" and statement.at(engine + 2).text != ")"
        statement.replace(name, f"{table.name}{SUFFIX}{self.on}")
        if statement.at(engine + 1).text == "(":
            statement.replace(engine, f"Replicated{table.engine}")
            statement.put(_PATH + (", " if arguments else ""), behind=engine + 1)
        else:
            statement.replace(engine, f"Replicated{table.engine}({_PATH})")
        for place in range(engine, len(statement.tokens)):
            if statement.at(place).text.startswith("non_replicated_deduplication_"):
                statement.replace(place, statement.at(place).text.removeprefix("non_"))
        below = f"'{table.name}{SUFFIX}'"
        return [
            statement.edited(),
            f"CREATE TABLE {only_new}{table.name}{self.on} AS {table.name}{SUFFIX}\n"
            f"ENGINE = Distributed('{self.cluster}', '{self.database}', {below}, {sharding}){told}",
        ]

    def _materialized(self, statement: _Statement) -> str:
        """Reads what came to this node. Writes beside it, but where the target's rows have to meet and might not."""
        name = statement.name(3)
        to, source = statement.find("TO"), statement.find("FROM")
        if to < 0 or source < 0:
            raise LayoutError(f"materialized view {statement.at(name).text}: say TO a table, and FROM a table")
        read, target = (self.tables.get(statement.at(place + 1).text) for place in (source, to))
        if read is None or target is None:
            raise LayoutError(f"materialized view {statement.at(name).text}: FROM and TO have to name tables")
        statement.put(self.on, behind=name)
        if target.engine == "MergeTree" or read.is_whole == target.is_whole:
            statement.replace(to + 1, f"{target.name}{SUFFIX}")
        following = statement.at(source + 2)
        named = following.word == "AS" or (following.kind == "word" and following.word not in _CLAUSES)
        # Columns may be named by their table.
        statement.replace(source + 1, f"{read.name}{SUFFIX}" + ("" if named else f" AS {read.name}"))
        self._global(statement)
        return statement.edited()

    def _above_and_below(self, sql: str, after: int, *, both: bool) -> list[str]:
        """A statement about a view, or about a table: the Distributed one and what lies below, or that alone."""
        out = []
        place = _Statement(sql).name(after)
        name = _Statement(sql).at(place).text
        below = [f"{name}{SUFFIX}"] if name in self.tables else []
        for one in ([name] if both or not below else []) + below:
            statement = _Statement(sql)
            statement.replace(place, one + self.on)
            out.append(statement.edited())
        return out

    def _alter(self, statement: _Statement, sql: str) -> list[str]:
        """A change of columns is one of both; everything else is about rows and how they are kept."""
        name = statement.name(2)
        commas = [place for place, token in enumerate(statement.tokens) if token.text == "," and token.depth == 0]
        columns = {statement.at(place + 2).word == "COLUMN" for place in (name, *commas)}
        if len(columns) > 1:
            raise LayoutError(f"changes of columns and others in one statement: {' '.join(sql.split())[:80]}")
        rendered = self._above_and_below(sql, 2, both=columns == {True})
        return rendered[::-1]  # what lies below has a column first

    def _global(self, statement: _Statement) -> None:
        """IN and JOIN see the rows of all shards, also where a shard carries out its part of a query."""
        for place, token in enumerate(statement.tokens):
            following = statement.at(place + 1)
            if token.word == "IN" and (
                following.text in self.tables
                or (following.text == "(" and statement.at(place + 2).word in ("SELECT", "WITH"))
            ):
                first = place - (statement.at(place - 1).word == "NOT")
            elif token.word == "JOIN" and statement.at(place - 1).word != "ARRAY":
                first = place
                while statement.at(first - 1).word in _JOINED:
                    first -= 1
                self._check_outer(statement, first, place)
            else:
                continue
            if statement.at(first - 1).word not in ("GLOBAL", "LOCAL"):
                statement.put("GLOBAL ", before=first)

    def _check_outer(self, statement: _Statement, first: int, join: int) -> None:
        """Each shard would add the rows of the right side that it has no match for."""
        if not {"RIGHT", "FULL"} & {statement.at(place).word for place in range(first, join)}:
            return
        depth = statement.at(join).depth
        left = next(
            p for p in range(first, -1, -1) if statement.at(p).word == "FROM" and statement.at(p).depth == depth
        )
        if statement.at(left + 1).text in self.tables:
            raise LayoutError(f"RIGHT or FULL JOIN of the table {statement.at(left + 1).text}: join a subquery of it")
