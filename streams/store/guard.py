"""Who may do what on the embedded store. Judged by the engine's own parser, so that spelling cannot fool it.

The engine knows one user and grants that hold for everybody (engine.py). On top of them, whoever asks: one statement a
request, and nothing that reaches the machine's files through a door the grants leave open. The user `reader`, for BI:
reads only, with settings that cannot undo it, and of the data the KPI views alone (readable.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from streams.store.engine import CONTROL, READ_ONLY, UNPARSED, Connection, Statement
from streams.store.faults import (
    ACCESS_DENIED,
    AUTHENTICATION_FAILED,
    INTO_OUTFILE_NOT_ALLOWED,
    READONLY,
    SYNTAX_ERROR,
    Fault,
)
from streams.store.readable import check_readable
from streams.store.sessions import quoted

OWNER: Final = "default"
READER: Final = "reader"

_FORBIDDEN: Final = frozenset(
    {"file", "filesystem", "executable", "executablepool", "python", "url", "http", "mysql", "mongodb", "redis", "odbc"}
)
"""Functions, table functions, engines and dictionary sources that leave the store, as the parser names them."""
_SUSPECT: Final = re.compile(r"\b(?:" + "|".join(sorted(_FORBIDDEN)) + r"|outfile|attach)\b|dialect|\\", re.IGNORECASE)
"""A text without any of these cannot name one: an identifier can hide its letters behind a backslash only."""
_NAMED: Final = re.compile(r"\b(?:Function|FunctionWithKeyValueArguments)\s+(\S+)")
_ATTACH: Final = re.compile(r"\battach\b.*\bfrom\b", re.IGNORECASE | re.DOTALL)
_OUTFILE: Final = re.compile(r"\boutfile\b", re.IGNORECASE)
_DIALECT: Final = re.compile(r"\w*dialect", re.IGNORECASE)
"""Another dialect would have another parser than the one that judges here."""
_SESSION: Final = re.compile(r"\A\s*(SET|USE)\s", re.IGNORECASE)

_READER_SETTINGS: Final = re.compile(
    r"(?:input_format|output_format|format|date_time|http|send_progress|cross_to_inner_join)_\w+"
    r"|allow_experimental_analyzer|asterisk_include_\w+|compile_expressions|enable_analyzer|extremes|final|implicit_select"
    r"|join_(?:use_nulls|algorithm|default_strictness)|limit|offset|log_comment|max_(?:block_size|threads|execution_time)"
    r"|max_(?:rows|bytes)_to_read|max_result_(?:rows|bytes)|network_compression_method|result_overflow_mode"
    r"|prefer_column_name_to_alias|select_sequential_consistency|session_timezone|timeout_overflow_mode|use_client_time_zone"
    r"|union_default_mode|wait_for_async_insert|async_insert|readonly|connect_timeout|\w*_timeout"
)
"""What a reading client may set: how an answer looks and how long it may take."""
READER_LIMITS: Final = {"max_execution_time": "60", "max_memory_usage": "4000000000"}


@dataclass(frozen=True, slots=True)
class Users:
    """Passwords; empty: none asked for. A reader without one is refused where the owner has one."""

    owner_password: str = ""
    reader_password: str = ""

    def authenticate(self, user: str, password: str) -> str:
        """The user's name. Raises Fault."""
        name = user or OWNER
        wanted = {OWNER: self.owner_password, READER: self.reader_password}.get(name)
        open_reader = name == READER and not self.reader_password and not self.owner_password
        if (
            wanted is not None
            and (wanted or name == OWNER or open_reader)
            and compare_digest(wanted.encode(), password.encode())
        ):
            return name
        raise Fault(
            *AUTHENTICATION_FAILED,
            f"{name}: Authentication failed: password is incorrect, or there is no user with such name.",
        )


def settings_for(user: str, given: Mapping[str, str]) -> dict[str, str]:
    """The settings a request runs under. Raises Fault for one that a reader may not touch."""
    settings = dict(given)
    if any(_DIALECT.fullmatch(name) for name in settings):
        raise Fault(*READONLY, "Cannot modify the 'dialect' setting: the embedded store speaks ClickHouse SQL")
    # A bare expression is not a query on a server either.
    settings.setdefault("implicit_select", "0")
    if user != READER:
        return settings
    for name in settings:
        if not _READER_SETTINGS.fullmatch(name):
            raise Fault(*READONLY, f"Cannot modify '{name}' setting in readonly mode.")
    if settings.get("readonly", "1") not in ("1", "2"):
        raise Fault(*READONLY, "Cannot modify 'readonly' setting in readonly mode.")
    for name, limit in READER_LIMITS.items():
        given_limit = settings.get(name, "")
        if not given_limit.isdigit() or not 0 < int(given_limit) <= int(limit):
            settings[name] = limit
    settings["readonly"] = "1"
    return settings


def check(connection: Connection, user: str, sql: str, parameters: Mapping[str, str], *, read_only: bool) -> Statement:
    """Raises Fault where `user` may not run `sql`. `read_only`: the request itself asks for it (GET, readonly=…)."""
    statement = connection.parse(sql)
    if statement.count > 1:
        raise Fault(*SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
    if _SUSPECT.search(sql):
        _check_suspect(connection, statement, sql, parameters)
    if statement.kind == READ_ONLY and user == READER:
        _check_reader(connection, sql, parameters)
    if statement.kind in (READ_ONLY, UNPARSED):  # what does not parse fails in the engine, with its own message
        return statement
    harmless = _SESSION.match(sql) if statement.kind == CONTROL else None
    if user == READER and (harmless is None or harmless.group(1).upper() != "USE"):
        raise Fault(*READONLY, f"{READER}: Cannot execute query in readonly mode.")
    if read_only and harmless is None:
        raise Fault(*READONLY, f"{user}: Cannot execute query in readonly mode.")
    return statement


def check_insert(user: str, *, read_only: bool) -> None:
    if user == READER or read_only:
        raise Fault(*READONLY, f"{user}: Cannot execute query in readonly mode.")


def _check_suspect(connection: Connection, statement: Statement, sql: str, parameters: Mapping[str, str]) -> None:
    if statement.kind == UNPARSED:
        return
    if statement.kind == CONTROL and _OUTFILE.search(sql):
        raise Fault(*INTO_OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed")
    if statement.kind == CONTROL and _DIALECT.search(sql):
        raise Fault(*READONLY, "Cannot modify the 'dialect' setting: the embedded store speaks ClickHouse SQL")
    if statement.kind != READ_ONLY and _ATTACH.search(sql):
        raise Fault(*ACCESS_DENIED, "ATTACH ... FROM takes over files outside the store: not allowed")
    for name in _NAMED.findall(_tree(connection, sql, parameters)):
        if name.lower() in _FORBIDDEN:
            raise Fault(*ACCESS_DENIED, f"{name} reaches outside the store: not allowed here")


def _check_reader(connection: Connection, sql: str, parameters: Mapping[str, str]) -> None:
    def database() -> str:
        return connection.query("SELECT currentDatabase()", "TabSeparatedRaw").data.decode().strip()

    def there(names: Collection[str]) -> set[str]:
        named = "[" + ",".join(quoted(name) for name in names) + "]"
        answer = connection.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND has({names:Array(String)}, name)",
            "TabSeparatedRaw",
            {"names": named},
        )
        return set(answer.data.decode().split("\n")) - {""}

    check_readable(_tree(connection, sql, parameters), database, there)


def _tree(connection: Connection, sql: str, parameters: Mapping[str, str]) -> str:
    """The engine's own syntax tree. Raises what the engine raises: where it cannot be had, the statement is not run."""
    tree = connection.query(f"EXPLAIN AST {sql}", "TabSeparated", parameters).data.decode("utf-8", "replace")
    if not tree.strip() or "\0" in tree:
        raise Fault(*ACCESS_DENIED, "the statement's syntax tree cannot be read: write it without an output format")
    return tree
