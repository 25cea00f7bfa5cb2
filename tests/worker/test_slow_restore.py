"""Lanes that take longer to restore than the group waits for a fetch: the worker stays a member, what is ready works."""

from __future__ import annotations

from pathlib import Path
from typing import Final

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
aiokafka.AIOKafkaConsumer = lambda *args, **options: made(*args, **options | {"max_poll_interval_ms": 3_000})

def slowly(number, *rest):
    if number in LANES:
        time.sleep(6)
    return (yield from read(number, *rest))

restore.read = slowly
sys.argv[0] = "baton"
main()
"""


def read_by(cluster: Cluster, prefix: str, folder: Path, slow: set[int]) -> None:
    path = folder / "agreement.yaml"
    path.write_text(AGREEMENT)
    settings = settings_for(cluster, prefix, clock=ClockMode.EVENT, agreement=path, partitions=4)
    publish(settings, [event for n in range(20) for event in history(f"lead-{n}", answered=1)], end=100)
    worker = Worker(settings, folder, program=["-c", SLOW.replace("LANES", repr(slow))])
    try:
        ready = {0, 1, 2, 3} - slow
        eventually(lambda: bool(worker.status()) and ready <= worker.lanes().keys(), 60)
        if ready:
            eventually(lambda: verdicts(read_outputs(settings))["met"] > 0, 30)
            assert {worker.status()["lanes"][str(number)]["state"] for number in slow} == {"restoring"}
        eventually(lambda: done([worker], 4, 100), 60)
        assert worker.child.output().count("lanes assigned") == 1
        assert "lanes revoked" not in worker.child.output()
    finally:
        worker.child.stop()
    assert verdicts(read_outputs(settings)) == {"met": 20}


def test_a_long_restore_of_every_lane_does_not_end_the_membership(
    real_cluster: Cluster, topic_prefix: str, tmp_path: Path
) -> None:
    read_by(real_cluster, topic_prefix, tmp_path, {0, 1, 2, 3})


def test_what_is_ready_works_while_others_are_restored(
    real_cluster: Cluster, topic_prefix: str, tmp_path: Path
) -> None:
    read_by(real_cluster, topic_prefix, tmp_path, {1})
