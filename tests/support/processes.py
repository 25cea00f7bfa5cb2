"""Child processes of tests: free ports, captured output, stopped by process id. Imports nothing of the product."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.poll import eventually

_DIE_WITH_PARENT = (
    "import ctypes,os,signal,sys;"
    "ctypes.CDLL(None).prctl(1,int(signal.SIGKILL));"
    "os.getppid()==int(sys.argv[1]) or sys.exit('parent is gone');"
    "os.execvp(sys.argv[2],sys.argv[2:])"
)
"""PR_SET_PDEATHSIG survives exec, so a killed test run leaves no server behind. Linux only."""


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that were free just now, all different."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            ports.append(int(listener.getsockname()[1]))
        return ports


def free_port() -> int:
    return free_ports(1)[0]


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


class Child:
    """A started process with its own session (signals to the test run do not reach it) and one log file."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.popen = popen
        self.log = log
        self._cleared = False

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def returncode(self) -> int | None:
        return self.popen.poll()

    @property
    def running(self) -> bool:
        return self.returncode is None

    def output(self, lines: int | None = None) -> str:
        """What it wrote so far (stdout and stderr as they came), or the last `lines` of it."""
        text = self.log.read_text(errors="replace")
        return text if lines is None else "\n".join(text.splitlines()[-lines:])

    def wait_until(self, ready: Callable[[], object], timeout: float = 30.0) -> None:
        """Waits until `ready` is truthy; AssertionError with the end of the log if it ends before or takes too long."""

        def state() -> bool:
            ended = not self.running
            return bool(ready()) or ended

        try:
            eventually(state, timeout)
        except AssertionError:
            raise AssertionError(f"{self.name} was not ready after {timeout:g} s:\n{self.output(40)}") from None
        assert self.running, f"{self.name} ended with code {self.returncode}:\n{self.output(40)}"

    def wait(self, timeout: float = 30.0) -> int:
        """Waits for its end; returns the exit code."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still ran after {timeout:g} s:\n{self.output(40)}") from None

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to the process and what it started in its own process group; waits for the end."""
        if not self._cleared:  # once: later the number may be another's
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait(10)
        self._cleared = True

    def stop(self, timeout: float = 10.0) -> int:
        """SIGTERM, after `timeout` SIGKILL; returns the exit code. Harmless when it has ended already."""
        if self.running:
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout)
        self.kill()
        code = self.returncode
        assert code is not None
        return code


def start(
    argv: Sequence[str | Path],
    log_dir: Path,
    *,
    name: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Child:
    """Starts `argv`. `env` is added to the environment; output goes to a new file in `log_dir`.

    Call it from the main thread: the kernel ends the child with the thread that started it.
    """
    command = [str(part) for part in argv]
    name = name or Path(command[0]).name
    log_dir.mkdir(parents=True, exist_ok=True)
    number = 0
    while (log := log_dir / f"{name}-{number}.log").exists():
        number += 1
    with log.open("wb") as out:
        popen = subprocess.Popen(
            [sys.executable, "-c", _DIE_WITH_PARENT, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    return Child(name, popen, log)


@contextlib.contextmanager
def running(
    argv: Sequence[str | Path],
    log_dir: Path,
    *,
    name: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Child]:
    """`start`, stopped at the end of the block."""
    child = start(argv, log_dir, name=name, env=env, cwd=cwd)
    try:
        yield child
    finally:
        child.stop()
