"""Lanes that take longer to restore than the group waits for a fetch: the worker stays a member, what is ready works."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from streams.config import ClockMode
from tests.real.fixtures import Cluster
from tests.support.poll import eventually
from tests.worker.processes import Worker, read_outputs, settings_for
from tests.worker.test_worker import AGREEMENT, done, history, publish, verdicts

SLOW: Final = """
import sys, time
import aiokafka
from streams.cli.main import main
from streams.worker import restore

made, read = aiokafka.AIOKafkaConsumer, restore.read
aiokafka.AIOKafkaConsumer = lambda *args, **options: made(*args, **options | {"max_poll_interval_ms": 1_000})

def slowly(number, *rest):
    if number in LANES:
        time.sleep(4)
    return (yield from read(number, *rest))

restore.read = slowly
sys.argv[0] = "baton"
main()
"""


@pytest.mark.parametrize("lanes", [{0, 1, 2, 3}, {1}], ids=["all", "one"])
def test_a_long_restore(cluster: Cluster, topic_prefix: str, tmp_path: Path, lanes: set[int]) -> None:
    path = tmp_path / "agreement.yaml"
    path.write_text(AGREEMENT)
    settings = settings_for(cluster, topic_prefix, clock=ClockMode.EVENT, agreement=path, partitions=4)
    publish(settings, [event for n in range(20) for event in history(f"lead-{n}", answered=1)], end=100)
    worker = Worker(settings, tmp_path, program=["-c", SLOW.replace("LANES", repr(lanes))])
    try:
        # What is ready works while the others are restored.
        ready = {0, 1, 2, 3} - lanes
        eventually(lambda: all(number in worker.lanes() for number in ready) and bool(worker.status()), 60)
        if ready:
            eventually(lambda: verdicts(read_outputs(settings))["met"] > 0, 30)
            assert worker.status()["lanes"]["1"]["state"] == "restoring"
        eventually(lambda: done([worker], 4, 100), 60)
        assert worker.child.output().count("lanes assigned") == 1
        assert "lanes revoked" not in worker.child.output()
    finally:
        worker.child.stop()
    assert verdicts(read_outputs(settings)) == {"met": 20}
