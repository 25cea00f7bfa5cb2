"""`baton demo` as a user starts it: with a terminal and without, ended by time, by Ctrl-C and by kill -9."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from pathlib import Path

import clickhouse_connect
import psutil
import urllib3

from processors.vocabulary import FORWARD
from tests.demo.support import alive, baton, started, terminal, wait_gone
from tests.support.poll import eventually

PARTS = {"embedded", "store", "worker-1", "sink"}


def _children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def test_without_a_terminal_it_prints_a_summary_and_leaves_nothing(tmp_path: Path) -> None:
    child = baton(["demo", "--seconds", "20", "--json"], tmp_path)
    assert child.wait(120) == 0, child.output(40)
    output = child.output()
    found = json.loads(output[output.index("{\n") :])
    assert found["events"] == found["published"] > 1000
    assert found["dead_letters"] == {}
    assert [stage for stage in FORWARD if not found["reached"].get(stage)] == []
    assert sum(found["current"].values()) == found["reached"]["inquiry"]
    assert found["met"] > 0
    assert found["breached"] > 0
    assert found["sla"]["first_response"]["breached_open"] > 0
    assert found["latency_ms"]["n"] >= 10
    assert 20 <= found["seconds"] < 22
    pids = started(output)
    assert set(pids) == PARTS
    assert alive(list(pids.values())) == []
    run_dir = re.search(r"run directory\s+path=(\S+)", output)
    assert run_dir is not None
    assert not Path(run_dir[1]).exists()


def test_in_a_terminal_it_shows_moving_numbers_and_ctrl_c_ends_all_of_it() -> None:
    with terminal(["demo"]) as shown:

        def moved() -> bool:
            shown.read(0.2)
            return len(set(re.findall(r"([\d,]+) events ", shown.text))) >= 5 and "met in time" in shown.text

        eventually(moved, 60)
        children = _children(shown.pid)
        assert len(children) == len(PARTS)
        place = re.search(r"(http://127\.0\.0\.1:(\d+))\s+database (\w+), user reader", shown.text)
        assert place is not None
        client = clickhouse_connect.get_client(port=int(place[2]), username="reader", database=place[3])
        leads = sum(row[0] for row in client.query("SELECT leads FROM kpi_funnel_by_source").result_rows)
        client.close()
        assert leads > 0
        for part, metric in (("worker", "baton_events_total"), ("sink", "baton_sink_rows_total")):
            address = re.search(rf"{part} metrics\s+(http://\S+/metrics)", shown.text)
            assert address is not None
            assert metric in urllib3.request("GET", address[1], timeout=10).data.decode()
        began = time.monotonic()
        shown.press(b"\x03")
        assert shown.wait(10) == 0
        assert time.monotonic() - began < 5
        assert "ended: published" in shown.text
        assert alive(children) == []


def test_kill_9_leaves_nothing_running(tmp_path: Path) -> None:
    child = baton(["demo", "--json"], tmp_path)
    child.wait_until(lambda: set(started(child.output())) == PARTS, 60)
    children = list(started(child.output()).values())
    child.signal(signal.SIGKILL)
    wait_gone(children, 5)
    child.kill()
    [folder] = re.findall(r"run directory\s+path=(\S+)/run", child.output())
    shutil.rmtree(folder)


def test_sigterm_ends_it_as_ctrl_c_does(tmp_path: Path) -> None:
    child = baton(["demo"], tmp_path)
    child.wait_until(lambda: "clocks:" in child.output(), 60)
    children = list(started(child.output()).values())
    began = time.monotonic()
    child.signal(signal.SIGTERM)
    assert child.wait(10) == 0
    assert time.monotonic() - began < 5
    assert alive(children) == []
    assert "ended: published" in child.output()


def test_it_says_which_part_failed_and_where_its_log_is(tmp_path: Path) -> None:
    child = baton(["demo", "--json"], tmp_path)
    child.wait_until(lambda: "sink" in started(child.output()), 60)
    pids = started(child.output())
    psutil.Process(pids["sink"]).kill()
    assert child.wait(60) == 1
    output = child.output()
    message = re.search(r"baton: sink was ended by SIGKILL; (\S+) ends with:", output)
    assert message is not None
    assert Path(message[1]).exists()
    wait_gone(list(pids.values()), 5)
    shutil.rmtree(Path(message[1]).parents[1])
