"""A store that is not there when a command starts: one line with address and cause, and another try a little later."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.config import load
from streams.errors import BatonError, UnavailableError
from streams.store.client import connect, patiently
from tests.store.fixtures import start_store
from tests.support.processes import free_port, start


@pytest.mark.parametrize(
    "command",
    [
        ["migrate", "up", "--store-url"],
        ["migrate", "status", "--store-url"],
        ["migrate", "access", "--store-url"],
        ["sql", "SELECT 1", "--store"],
        ["rollup", "--store-url"],
    ],
)
def test_one_line_with_address_and_cause(command: list[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = subprocess.run(
        [sys.executable, "-m", "streams", *command, url, "--wait", "0.5"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    *tries, last = done.stderr.splitlines()
    assert last == f"baton: store {url} does not answer: Connection refused"
    assert tries
    assert all("retrying" in line and "Connection refused" in line for line in tries)
    assert done.stdout == ""


def test_what_comes_later_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    waiting = start([sys.executable, "-m", "streams", "migrate", "--store-url", url], tmp_path, name="migrate")
    waiting.wait_until(lambda: "retrying" in waiting.log.read_text())
    child, _ = start_store(tmp_path / "data", tmp_path, port=port)
    try:
        assert waiting.wait(120) == 0
        assert "applied 0001_lifecycle" in waiting.log.read_text()
    finally:
        child.stop()


def test_tries_come_less_and_less_often() -> None:
    tries: list[float] = []

    def refuse() -> None:
        tries.append(time.monotonic())
        raise UnavailableError("nobody there")

    with pytest.raises(UnavailableError, match="nobody there"):
        patiently(refuse, 3)
    assert 2 < len(tries) < 12
    assert tries[-1] - tries[0] < 10


def test_what_the_store_says_is_not_asked_again() -> None:
    tries = []

    def refuse() -> None:
        tries.append(1)
        raise BatonError("wrong password")

    with pytest.raises(BatonError):
        patiently(refuse, 60)
    assert tries == [1]


def test_a_name_that_no_host_has() -> None:
    with pytest.raises(UnavailableError, match=r"store http://nobody\.invalid:8123 does not answer: .*[Nn]ame"):
        connect(load(store_url="http://nobody.invalid:8123"))
