"""Sessions of the HTTP interface: one connection kept for each (user, session_id); other requests get one of their own.

A kept connection remembers SET, USE and temporary tables; what a request sets through its URL holds for that request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Final

from streams.store.engine import Connection, Engine
from streams.store.faults import SESSION_IS_LOCKED, SESSION_NOT_FOUND, TOO_MANY_SESSIONS, Fault

LARGEST_TIMEOUT: Final = 3600
DEFAULT_TIMEOUT: Final = 60
MOST_SESSIONS: Final = 256


def quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


class Session:
    """A connection and what was set on it."""

    def __init__(self, connection: Connection, database: str) -> None:
        self.connection = connection
        self.lock = threading.Lock()
        self.used = time.monotonic()
        self.timeout = DEFAULT_TIMEOUT
        self._home = database
        self._database: str | None = None
        self._applied: dict[str, str] = {}
        self._own_sets: list[str] = []

    def prepare(self, settings: Mapping[str, str], database: str | None) -> None:
        """Puts the request's settings and database in force, and takes the last request's out."""
        wanted = database or (self._home if self._database is None else None)
        if wanted and wanted != self._database:
            self.connection.run(f"USE {identifier(wanted)}")
            self._database = wanted
        gone = [name for name in self._applied if name not in settings]
        if gone:
            self.connection.run("SET " + ", ".join(f"{name} = DEFAULT" for name in gone))
            for sql in self._own_sets:
                self.connection.run(sql)
        # readonly last: nothing can be set after it.
        new = sorted((name == "readonly", name) for name in settings if self._applied.get(name) != settings[name])
        for locks in (False, True):
            pairs = [f"{name} = {quoted(settings[name])}" for last, name in new if last is locks]
            if pairs:
                self.connection.run("SET " + ", ".join(pairs))
        self._applied = dict(settings)

    def ran(self, sql: str) -> None:
        """Tells the session of a statement that succeeded and may change what it remembers."""
        word = sql.lstrip()[:4].upper()
        if word.startswith("SET"):
            self._own_sets.append(sql)
        elif word.startswith("USE"):
            self._database = ""  # whatever it is now: a request that names one says USE again


class Sessions:
    """Gives each request a session to itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: dict[tuple[str, str], Session] = {}
        self._guard = threading.Lock()

    def _new(self) -> Session:
        return Session(self._engine.connection(), self._engine.database)

    def take(
        self, user: str, session_id: str | None, *, timeout: int = DEFAULT_TIMEOUT, must_exist: bool = False
    ) -> Session:
        """A session that is the caller's until `give_back`. Raises Fault: unknown, busy, or too many."""
        if session_id is None:
            return self._new()
        with self._guard:
            self._expire()
            session = self._kept.get((user, session_id))
            if session is None:
                if must_exist:
                    raise Fault(*SESSION_NOT_FOUND, f"Session {session_id} not found")
                if len(self._kept) >= MOST_SESSIONS and not self._drop_oldest():
                    raise Fault(*TOO_MANY_SESSIONS, f"{MOST_SESSIONS} sessions are in use: end some, or wait")
                session = self._kept[user, session_id] = self._new()
            if not session.lock.acquire(blocking=False):
                raise Fault(*SESSION_IS_LOCKED, f"Session {session_id} is locked by a concurrent client")
            session.timeout = min(max(timeout, 1), LARGEST_TIMEOUT)
            return session

    def give_back(self, session: Session, *, close: bool = False) -> None:
        with self._guard:
            kept = next((key for key, other in self._kept.items() if other is session), None)
            if kept is not None and not close:
                session.used = time.monotonic()
                session.lock.release()
                return
            if kept is not None:
                del self._kept[kept]
        session.connection.close()

    def _expire(self) -> None:
        now = time.monotonic()
        for key, session in list(self._kept.items()):
            if now - session.used > session.timeout and session.lock.acquire(blocking=False):
                del self._kept[key]
                session.connection.close()

    def _drop_oldest(self) -> bool:
        for key, session in sorted(self._kept.items(), key=lambda item: item[1].used):
            if session.lock.acquire(blocking=False):
                del self._kept[key]
                session.connection.close()
                return True
        return False

    def close(self) -> None:
        """Closes those that nobody uses."""
        with self._guard:
            while self._drop_oldest():
                pass
