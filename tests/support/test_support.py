"""The helpers that tests lean on: a helper that cannot fail would make its tests worthless."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.poll import eventually, never
from tests.support.processes import accepts, free_port, free_ports, running, start

_SLEEP = "import time; time.sleep(60)"


def test_eventually_returns_the_first_true_answer() -> None:
    answers = iter([0, None, 7, 8])
    assert eventually(lambda: next(answers), 5, interval=0) == 7


def test_eventually_fails_with_the_last_answer() -> None:
    with pytest.raises(AssertionError, match="last answer was 0"):
        eventually(lambda: 0, 0.05, interval=0.01)


def test_eventually_keeps_the_last_failed_assertion() -> None:
    def look() -> bool:
        raise AssertionError("3 of 4")

    with pytest.raises(AssertionError, match="3 of 4"):
        eventually(look, 0.05, interval=0.01)


def test_eventually_passes_other_exceptions_on_at_once() -> None:
    def look() -> bool:
        raise KeyError("x")

    with pytest.raises(KeyError):
        eventually(look, 60)


def test_eventually_waits_through_the_exceptions_it_was_told_of() -> None:
    answers = iter([None, None, "there"])

    def look() -> str:
        answer = next(answers)
        if answer is None:
            raise ConnectionError
        return answer

    assert eventually(look, 5, interval=0, ignore=(ConnectionError,)) == "there"


def test_never_fails_as_soon_as_it_happens() -> None:
    with pytest.raises(AssertionError, match="became true"):
        never(lambda: True, 60)


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20
    assert not accepts(free_port())


def test_output_and_exit_code_are_kept(tmp_path: Path) -> None:
    child = start([sys.executable, "-c", "import sys; print('out'); sys.exit(3)"], tmp_path)
    assert child.wait(20) == 3
    assert child.output().strip() == "out"


def test_a_process_that_ends_early_is_told_with_its_output(tmp_path: Path) -> None:
    child = start([sys.executable, "-c", "raise SystemExit('no port')"], tmp_path, name="server")
    with pytest.raises(AssertionError, match=r"server ended with code 1:\nno port"):
        child.wait_until(lambda: False, 20)


def test_stop_ends_one_that_ignores_sigterm_and_what_it_started(tmp_path: Path) -> None:
    program = (
        "import os,signal,subprocess,sys;signal.signal(signal.SIGTERM,signal.SIG_IGN);"
        f"print(subprocess.Popen([sys.executable,'-c',{_SLEEP!r}]).pid,flush=True);{_SLEEP}"
    )
    child = start([sys.executable, "-c", program], tmp_path)
    grandchild = int(eventually(child.output, 20))
    assert child.stop(timeout=0.2) == -signal.SIGKILL
    eventually(lambda: not _alive(grandchild))


def test_a_child_ends_with_the_run_that_started_it(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path;from tests.support.poll import eventually;from tests.support.processes import start;"
        f"import sys,time;child=start([sys.executable,'-c','print(1,flush=True);{_SLEEP}'],Path({str(tmp_path)!r}));"
        "eventually(child.output);print(child.pid,flush=True);time.sleep(60)"
    )
    with running([sys.executable, "-c", program], tmp_path, name="parent", cwd=Path(__file__).parents[2]) as parent:
        child = int(eventually(parent.output, 20))
        os.kill(parent.pid, signal.SIGKILL)
        eventually(lambda: not _alive(child))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
