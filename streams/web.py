"""What a process shows of itself over HTTP: /metrics for Prometheus, /status as JSON, /healthz."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from prometheus_client import REGISTRY, make_asgi_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from streams.errors import ConfigurationError

log = structlog.get_logger(__name__)

Status = Callable[[], dict[str, Any]]


class Server:
    """An HTTP server in a thread of its own; `port` is the one it listens on."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="off", timeout_keep_alive=30)
        )
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # signals belong to the process
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="http")
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        if not self._server.started:
            raise ConfigurationError(f"cannot listen on {host}:{port}: is the port taken?")
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]

    def _run(self) -> None:
        try:
            self._server.run()
        except SystemExit:  # uvicorn's answer to a port that is taken; started stays False
            return

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(3)


def serve(status: Status, host: str, port: int) -> Server:
    """Serves /metrics, /status and /healthz until the process ends. `status` is called for each request, from a thread."""

    def show(request: Request) -> Response:
        return JSONResponse(status())

    def health(request: Request) -> Response:
        ready = bool(status().get("ready", True))
        return PlainTextResponse("ok\n" if ready else "not ready\n", 200 if ready else 503)

    server = Server(
        Starlette(
            routes=[Route("/status", show), Route("/healthz", health), Mount("/metrics", make_asgi_app(REGISTRY))]
        ),
        host,
        port,
    )
    log.info("listening", host=host, port=server.port)
    return server


def write_port_file(path: Path | None, content: dict[str, Any]) -> None:
    """Tells a supervisor where this process listens: one JSON object, in place at once or not at all."""
    if path is None:
        return
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_text(json.dumps({"pid": os.getpid(), **content}), encoding="utf-8")
    partial.replace(path)
