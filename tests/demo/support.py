"""A `baton` command as a child process, and what it started."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.poll import eventually
from tests.support.processes import Child, start


def baton(arguments: list[str], log_dir: Path) -> Child:
    return start([sys.executable, "-m", "streams", *arguments], log_dir, name="baton")


def started(output: str) -> dict[str, int]:
    """Process name -> pid, as the log tells them."""
    found = {}
    for line in output.splitlines():
        words = dict(re.findall(r"(\w+)=(\S+)", line)) if " started " in line else {}
        if "process" in words:
            found[words["process"]] = int(words["pid"])
    return found


def alive(pids: list[int]) -> list[int]:
    """Those that run; a zombie does not."""
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def wait_gone(pids: list[int], seconds: float) -> None:
    def gone() -> bool:
        try:
            return not alive(pids)
        except psutil.NoSuchProcess:
            return False

    eventually(gone, seconds)


@contextmanager
def terminal(arguments: list[str], size: tuple[int, int] = (45, 140)) -> Iterator[Terminal]:
    """A `baton` command in a terminal of its own."""
    import fcntl
    import pty
    import struct
    import termios

    pid, handle = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, "-m", "streams", *arguments])  # noqa: S606
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    shown = Terminal(pid, handle)
    try:
        yield shown
    finally:
        if shown.exit_code is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(handle)


class Terminal:
    """What a command shows, and the keys that are pressed."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle
        self._bytes = b""
        self.exit_code: int | None = None

    def read(self, seconds: float) -> bool:
        """Reads for at most so long; False when the command has closed the terminal."""
        import select

        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self._handle], [], [], left)[0]:
                return True
            try:
                data = os.read(self._handle, 65536)
            except OSError:
                data = b""
            if not data:
                return False
            self._bytes += data
        return True

    @property
    def text(self) -> str:
        """All that was shown, without colours and cursor moves."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._bytes.decode(errors="replace"))

    def press(self, keys: bytes) -> None:
        os.write(self._handle, keys)

    def wait(self, seconds: float) -> int:
        """Its exit code; AssertionError where it does not end in time."""
        deadline = time.monotonic() + seconds
        while self.read(max(0.0, deadline - time.monotonic())):
            assert time.monotonic() < deadline, f"it still ran after {seconds:g} s"
        _, status = os.waitpid(self.pid, 0)
        self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code
