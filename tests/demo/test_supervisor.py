"""The process tree: told when a part fails, stopped in time, gone with its parent."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from streams.embedded.supervisor import Supervisor
from streams.errors import BatonError
from tests.demo.support import alive, wait_gone
from tests.support.processes import start

_PARENT = """
import sys, time
from pathlib import Path
from streams.embedded.supervisor import Supervisor
supervisor = Supervisor(Path(sys.argv[1]))
supervisor.wait_ready(supervisor.start("embedded", ["embedded"], {}))
Path(sys.argv[1], "up").touch()
time.sleep(600)
"""


def test_a_child_serves_has_a_session_of_its_own_and_is_told_in_the_run_directory(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("embedded", ["embedded"], {})
        supervisor.wait_ready(child)
        assert set(child.ready) >= {"brokers", "registry_url"}
        assert os.getsid(child.process.pid) == child.process.pid
        assert (tmp_path / "embedded.pid").read_text() == f"{child.process.pid}\n"
        assert "embedded broker ready" in (tmp_path / "embedded.log").read_text()
        pid = child.process.pid
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert alive([pid]) == []


def test_a_child_that_fails_to_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("worker-1", ["worker"], {"BATON_BROKERS": "nonsense"})
        with pytest.raises(BatonError) as error:
            supervisor.wait_ready(child)
    message = str(error.value)
    assert "worker-1 ended with code 2" in message
    assert str(tmp_path / "worker-1.log") in message
    assert "brokers (BATON_BROKERS)" in message


def test_a_child_that_was_killed_is_told_by_the_signal(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        child = supervisor.start("embedded", ["embedded"], {})
        supervisor.wait_ready(child)
        child.process.kill()
        child.process.wait()
        assert "embedded was ended by SIGKILL" in child.obituary()


def test_a_child_that_does_not_answer_is_killed_in_time(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        children = [supervisor.start(name, ["embedded"], {}) for name in ("a", "b")]
        supervisor.wait_ready(*children)
        for child in children:
            child.process.send_signal(signal.SIGSTOP)
        pids = [child.process.pid for child in children]
        began = time.monotonic()
        supervisor.stop()
        assert time.monotonic() - began < 5
        assert alive(pids) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_children_are_gone_when_the_parent_is_killed(tmp_path: Path) -> None:
    parent = start([sys.executable, "-c", _PARENT, tmp_path], tmp_path / "log", name="parent")
    try:
        parent.wait_until((tmp_path / "up").exists)
        pid = int((tmp_path / "embedded.pid").read_text())
        assert alive([pid]) == [pid]
        os.kill(parent.pid, signal.SIGKILL)
        wait_gone([pid], 5)
    finally:
        parent.kill()


def test_a_child_whose_parent_is_gone_does_not_start(tmp_path: Path) -> None:
    orphan = start(
        [sys.executable, "-m", "streams", "embedded"], tmp_path, env={"BATON_SUPERVISOR_PID": "1"}, name="orphan"
    )
    assert orphan.wait(20) == 1
