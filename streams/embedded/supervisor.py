"""A tree of processes on one machine: started side by side, stopped together, gone with their parent.

Each child has a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which then stops them. A
child ends itself when the supervisor is gone, even by kill -9 (`die_with`, called in the child; Linux only: elsewhere a
supervisor that was killed leaves its children running).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

import structlog

from streams.errors import BatonError

log = structlog.get_logger(__name__)

PARENT: Final = "BATON_SUPERVISOR_PID"
"""Set for a child: the process that it may not outlive."""
_PR_SET_PDEATHSIG: Final = 1
_GRACE: Final = 3.0
"""Seconds between SIGTERM and SIGKILL."""
_TAIL: Final = 15
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def die_with(parent: int) -> None:
    """Has the kernel kill this process when the process `parent`, which started it, ends (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before
        sys.exit(1)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """SIGTERM and a closed terminal end what is inside as Ctrl-C does: by KeyboardInterrupt. Main thread only."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Stopping is short; a second Ctrl-C does not cut it off half-way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class Child:
    """One process of the tree. `ready`: what it wrote into its port file, empty before."""

    name: str
    process: subprocess.Popen[bytes]
    log_file: Path
    port_file: Path
    ready: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def obituary(self) -> str:
        """How it ended, where its log is, and the end of that."""
        code = self.process.returncode
        how = (
            f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with code {code}"
        )
        return f"{self.name} {how}; {self.ending()}"

    def ending(self) -> str:
        """Where its log is, and the last lines of it."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return f"{self.log_file} ends with:\n" + "\n".join(lines[-_TAIL:])


class Supervisor:
    """A context manager: leaving it stops every child.

    `run_dir` keeps, for each child NAME: NAME.log (all it says), NAME.pid, NAME.json (what it serves, once it does).
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        run_dir.mkdir(parents=True, exist_ok=True)
        self.children: list[Child] = []
        log.info("run directory", path=str(run_dir))

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Starts `baton ARGUMENTS --port-file ...` and returns at once: `wait_ready` says when it serves."""
        port_file = self.run_dir / f"{name}.json"
        port_file.unlink(missing_ok=True)
        log_file = self.run_dir / f"{name}.log"
        with log_file.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "streams", *arguments, "--port-file", str(port_file)],
                env={**os.environ, **environment, PARENT: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name, process, log_file, port_file)
        self.children.append(child)
        (self.run_dir / f"{name}.pid").write_text(f"{process.pid}\n", encoding="utf-8")
        log.info("started", process=name, pid=process.pid)
        return child

    def wait_ready(self, *children: Child, patience: float = 90.0) -> None:
        """Waits until each has written its port file. Raises BatonError with the end of its log where one does not."""
        deadline = time.monotonic() + patience
        for child in children:
            while not child.port_file.exists():
                if not child.alive:
                    raise BatonError(child.obituary())
                if time.monotonic() > deadline:
                    raise BatonError(f"{child.name} is not ready after {patience:.0f} s; {child.ending()}")
                time.sleep(0.02)
            child.ready = json.loads(child.port_file.read_text(encoding="utf-8"))

    def stop(self) -> None:
        """Ends every child within four seconds."""
        with _undisturbed():
            living = [child for child in self.children if child.alive]
            for child in living:
                child.process.terminate()
            _wait(living, _GRACE)
            for child in living:
                if child.alive:
                    log.warning("killed, it did not end by itself", process=child.name, pid=child.process.pid)
                    child.process.kill()
            _wait(living, 1.0)
            self.children.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _wait(children: Sequence[Child], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(child.alive for child in children) and time.monotonic() < deadline:
        time.sleep(0.02)
