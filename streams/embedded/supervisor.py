"""A tree of processes on one machine: started in order, stopped in the opposite one, gone with their parent.

Each child has a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which then stops them.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import structlog

from streams.errors import BatonError

log = structlog.get_logger(__name__)

_PR_SET_PDEATHSIG: Final = 1
_GRACE: Final = 3.0
"""Seconds between SIGTERM and SIGKILL."""
_TAIL: Final = 15


def _die_with_parent() -> None:
    """Runs in the child before it becomes the program (Linux: prctl(2)); elsewhere only a clean stop ends children."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Child:
    """One process of the tree. `ready` is what it wrote into its port file."""

    name: str
    process: subprocess.Popen[bytes]
    log_file: Path
    ready: dict[str, Any]

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def tail(self) -> str:
        """The last lines of its log."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_TAIL:])


class Supervisor:
    """A context manager: leaving it stops every child. `run_dir` keeps logs, port files and pid files."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        run_dir.mkdir(parents=True, exist_ok=True)
        self.children: list[Child] = []

    def start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], *, patience: float = 60.0
    ) -> Child:
        """Starts `baton ARGUMENTS --port-file ...` and waits until it has written that file. Raises BatonError."""
        port_file = self.run_dir / f"{name}.json"
        port_file.unlink(missing_ok=True)
        log_file = self.run_dir / f"{name}.log"
        with log_file.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "streams", *arguments, "--port-file", str(port_file)],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # nothing but prctl runs in there
            )
        child = Child(name, process, log_file, {})
        self.children.append(child)
        (self.run_dir / f"{name}.pid").write_text(f"{process.pid}\n", encoding="utf-8")
        deadline = time.monotonic() + patience
        while not port_file.exists():
            if not child.alive:
                raise BatonError(f"{name} ended with {process.returncode}; {log_file} ends with:\n{child.tail()}")
            if time.monotonic() > deadline:
                raise BatonError(f"{name} is not ready after {patience:.0f} s; {log_file} ends with:\n{child.tail()}")
            time.sleep(0.02)
        child.ready = json.loads(port_file.read_text(encoding="utf-8"))
        log.info("started", process=name, pid=process.pid)
        return child

    def stop(self) -> None:
        """Ends every child, those started last first, within about four seconds."""
        living = [child for child in reversed(self.children) if child.alive]
        for child in living:
            child.process.terminate()
        deadline = time.monotonic() + _GRACE
        for child in living:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("killed", process=child.name, pid=child.process.pid)
                child.process.kill()
                child.process.wait(1)
        self.children.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
