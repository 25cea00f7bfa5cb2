"""The embedded store as a server: owns a directory, listens, ends in time. One per process, as the engine is."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Final, NoReturn, Self

import structlog
import uvicorn

from streams.errors import ConfigurationError
from streams.store.addresses import is_loopback
from streams.store.engine import Engine
from streams.store.execution import Executor
from streams.store.guard import Users
from streams.store.http import Interface
from streams.store.ownership import Ownership

log = structlog.get_logger(__name__)

_PATIENCE: Final = 1.0
"""Seconds that running requests are given at the end. What was acknowledged is safe without them."""


class StoreServer:
    """Serves `directory` from `start` (or `with`) to `stop`. Raises BatonError where it cannot."""

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        database: str = "baton",
        users: Users | None = None,
    ) -> None:
        users = users or Users()
        if not is_loopback(host) and not users.owner_password:
            raise ConfigurationError(
                f"bind {host}: the store would be open to the network: set a password (BATON_STORE_PASSWORD) "
                "or bind to 127.0.0.1"
            )
        self._directory, self._database, self._users = directory, database, users
        self._host, self._port = host, port
        self._stack = contextlib.ExitStack()

    def start(self) -> Self:
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(self._listen())
            ownership = stack.enter_context(Ownership(self._directory))
            engine = Engine(ownership.engine_path, self._database)
            executor = Executor(engine, self._users)

            def close() -> None:
                # Closing waits for what runs, and holds the interpreter's lock meanwhile: then only the process's end helps.
                if executor.idle:
                    executor.sessions.close()
                    engine.close()

            stack.callback(close)
            interface = Interface(engine, executor, local_only=is_loopback(self._host))
            server = uvicorn.Server(
                uvicorn.Config(
                    interface.app(),
                    log_config=None,
                    access_log=False,
                    lifespan="off",
                    ws="none",
                    timeout_keep_alive=75,
                    timeout_graceful_shutdown=1,
                )
            )
            # Not in the main thread: uvicorn would take the process's signals there.
            thread = threading.Thread(target=server.run, args=([listener],), name="store-http", daemon=True)
            thread.start()

            def end() -> None:
                server.should_exit = True
                thread.join(_PATIENCE / 2)
                if not executor.idle:
                    engine.cancel_all()
                    thread.join(_PATIENCE / 2)

            stack.callback(end)
            self.port = listener.getsockname()[1]
            ownership.announce(self.url, self._database)
            log.info("store ready", url=self.url, directory=str(self._directory), engine=engine.version)
            self._stack = stack.pop_all()
        return self

    def _listen(self) -> socket.socket:
        try:
            listener = socket.create_server(
                (self._host, self._port), family=socket.AF_INET6 if ":" in self._host else socket.AF_INET, backlog=128
            )
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {self._host}:{self._port}: {error.strerror}") from None
        # Accepted sockets inherit it; without it each small answer waits for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener

    @property
    def url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._host, self._host)  # noqa: S104  # where it can be reached
        return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"

    def stop(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def wait_for_signal() -> None:
    """Returns at SIGTERM or SIGINT. From the main thread."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()


def end_process(server: StoreServer, seconds: float) -> NoReturn:
    """Stops the server and ends the process, at the latest after `seconds`: what was acknowledged is stored already."""
    # The kernel's own action: no thread of the interpreter is needed for it.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    server.stop()
    logging.shutdown()
    os._exit(0)  # the engine's own threads may still be busy with a query that does not stop
