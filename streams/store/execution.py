"""Runs one request on the engine. Synchronous: http.py calls it from worker threads.

Three ways through the engine, for data must never go through the query text (the engine takes what follows a blank line
of inline data for another statement): an INSERT's data is streamed into an inserter; a SELECT in a format without header
and footer is streamed out; everything else is answered whole.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from streams.store import guard, statements
from streams.store.engine import CONTROL, READ_ONLY, Connection, Engine
from streams.store.faults import BAD_ARGUMENTS, QUERY_IS_TOO_LARGE, SYNTAX_ERROR, Fault
from streams.store.request import External, Request
from streams.store.sessions import Session, Sessions, quoted

_STREAMED: Final = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})
"""Formats whose chunks can be joined; others repeat their headers in each."""
_SELECT: Final = re.compile(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/|\()*(?:SELECT|WITH)\b", re.IGNORECASE | re.DOTALL)
LARGEST_QUERY: Final = 64 << 20
"""Bytes of a query text; an INSERT's data is not counted."""


class Stream:
    """Chunks of an answer. `close` it whatever happens: until then its session is busy."""

    def __init__(self, chunks: Generator[bytes, None, None]) -> None:
        self._chunks = chunks
        self._first: bytes | None = next(chunks, b"")
        self.on_close: Callable[[], None] = lambda: None
        self._closed = False

    def next(self) -> bytes | None:
        """The next chunk; None at the end."""
        first, self._first = self._first, None
        return first if first else next(self._chunks, None)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._chunks.close()
            self.on_close()


@dataclass(slots=True)
class Answer:
    """Whole (`body`), or still to come (`stream`)."""

    form: str
    body: bytes = b""
    stream: Stream | None = None
    summary: Mapping[str, int] = field(default_factory=dict)


class Executor:
    def __init__(self, engine: Engine, users: guard.Users) -> None:
        self._engine = engine
        self._users = users
        self.sessions = Sessions(engine)
        self._running = 0
        self._guard = threading.Lock()

    @property
    def idle(self) -> bool:
        """Nothing runs on the engine."""
        return self._running == 0

    def _count(self, change: int) -> None:
        with self._guard:
            self._running += change

    def _give_back(self, session: Session, *, close: bool) -> None:
        self.sessions.give_back(session, close=close)
        self._count(-1)

    def run(self, request: Request, body: Iterator[bytes], tag: str) -> Answer:
        """`body`: decoded; `tag`: by which `Engine.cancel` finds it. Raises Fault or the engine's exceptions."""
        user = self._users.authenticate(request.user, request.password)
        settings = guard.settings_for(user, request.settings)
        settings["log_comment"] = tag
        head, text, rest = _read(request.query.encode(), body)
        if head is not None:
            guard.check_insert(user, read_only=request.read_only)
        # What makes a connection read-only cannot be undone on it; a table that comes with a query is for that alone.
        keeps = user != guard.READER and "readonly" not in settings and not request.external
        session = self.sessions.take(
            user,
            request.session_id if keeps else None,
            timeout=request.session_timeout,
            must_exist=request.session_check and keeps,
        )
        self._count(1)
        stream = None
        try:
            for table in request.external:
                _load(session.connection, table)
            session.prepare(settings, request.database)
            if head is not None:
                return _insert(session.connection, request, head, text, rest)
            answer = _query(session, request, user, text.decode("utf-8", "surrogateescape"))
            stream = answer.stream
            return answer
        finally:
            if stream is None:
                self._give_back(session, close=request.close_session)
            else:
                stream.on_close = lambda: self._give_back(session, close=request.close_session)


def _read(query: bytes, body: Iterator[bytes]) -> tuple[statements.InsertHead | None, bytes, Iterator[bytes]]:
    """(head of an INSERT with data, what was read, what was not); without a head everything was read. Raises Fault."""
    text = query
    for piece in body:
        text = text + b"\n" + piece if text is query and query else text + piece
        if len(text) <= statements.LARGEST_HEAD and statements.is_insert(text):
            head = statements.split_insert(text, complete=False)
            if head is not None:
                return head, text, body
        if len(text) > LARGEST_QUERY:
            raise Fault(*QUERY_IS_TOO_LARGE, f"the query is longer than {LARGEST_QUERY} bytes")
    if not text.strip():
        raise Fault(*SYNTAX_ERROR, "Syntax error: Empty query")
    head = statements.split_insert(text, complete=True) if statements.is_insert(text) else None
    return head, text, iter(())


def _insert(
    connection: Connection, request: Request, head: statements.InsertHead, text: bytes, rest: Iterator[bytes]
) -> Answer:
    data, later = text[head.data_from :], next(rest, b"")
    if head.form == "Values" and not later and connection.parse(text.decode("utf-8", "surrogateescape")).count > 1:
        raise Fault(*SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
    if request.parameters:
        pairs = (f"param_{name} = {quoted(value)}" for name, value in request.parameters.items())
        connection.run("SET " + ", ".join(pairs))
    started = time.monotonic_ns()
    rows, size = connection.insert(head.sql, head.form, chain((data, later) if later else (data,), rest))
    return Answer(
        head.form,
        summary={
            "read_rows": rows,
            "read_bytes": size,
            "written_rows": rows,
            "written_bytes": size,
            "total_rows_to_read": 0,
            "result_rows": rows,
            "result_bytes": size,
            "elapsed_ns": time.monotonic_ns() - started,
        },
    )


def _query(session: Session, request: Request, user: str, sql: str) -> Answer:
    connection = session.connection
    statement = guard.check(connection, user, sql, request.parameters, read_only=request.read_only)
    form = statements.output_format(sql) or request.default_format
    streams = statement.kind == READ_ONLY and form in _STREAMED and _SELECT.match(sql) is not None
    if streams and not request.wait_end_of_query:
        # What fails before the first chunk still gets a status of its own: Stream takes it at once.
        return Answer(form, stream=Stream(connection.stream(sql, request.default_format, request.parameters)))
    started = time.monotonic_ns()
    result = connection.query(sql, request.default_format, request.parameters)
    if statement.kind == CONTROL:
        session.ran(sql)
    return Answer(
        form,
        result.data,
        summary={
            "read_rows": result.read_rows,
            "read_bytes": result.read_bytes,
            "written_rows": result.written_rows,
            "written_bytes": result.written_bytes,
            "total_rows_to_read": 0,
            "result_rows": result.rows,
            "result_bytes": len(result.data),
            "elapsed_ns": time.monotonic_ns() - started,
        },
    )


def _load(connection: Connection, table: External) -> None:
    """Makes the temporary table and fills it. Its structure is the client's text and is judged as any statement is."""
    if "`" in table.name or "\\" in table.name:
        raise Fault(*BAD_ARGUMENTS, "the name of an external table holds a quote or a backslash")
    create = f"CREATE TEMPORARY TABLE `{table.name}` ({table.structure})"
    guard.check(connection, guard.OWNER, create, {}, read_only=False)
    connection.run(create)
    connection.insert(f"INSERT INTO `{table.name}`", table.form, iter((table.data,)))
