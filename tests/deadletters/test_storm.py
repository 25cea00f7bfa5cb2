"""A storm of broken records: the lane goes on, memory stays bounded, each is set aside once; and the commands mend them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer

from schemas.wire import Encoder
from streams.config import ClockMode, Settings
from streams.publisher import PARTITIONER
from streams.registry import Registry
from streams.topics import INPUTS, RECEIVED_AT_HEADER, Topics
from streams.worker.lane import MOST_BYTES, Queue
from tests.processors.support import START
from tests.real.fixtures import Cluster
from tests.support.poll import eventually
from tests.worker.processes import environment, read_outputs, running, settings_for
from tests.worker.support import HOUR, Read, Rec, complete, lane
from tests.worker.test_worker import AGREEMENT, done, history, publish, verdicts

MIB = 1024 * 1024


def with_agreement(cluster: Cluster, topic_prefix: str, tmp_path: Path) -> Settings:
    path = tmp_path / "agreement.yaml"
    path.write_text(AGREEMENT)
    return settings_for(cluster, topic_prefix, clock=ClockMode.EVENT, agreement=path)


class Watch:
    """The largest resident size of a process while it is looked at."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.first = self.most = self._process.memory_info().rss
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ending.wait(0.05):
            self.most = max(self.most, self._process.memory_info().rss)

    def close(self) -> None:
        self._ending.set()
        self._thread.join(5)


@pytest.mark.parametrize(
    ("count", "value", "spread", "allowed"),
    # What a worker may grow by: its queues and producers take most of it.
    [(100_000, b"\x07" + b"broken " * 30, 12, 320 * MIB), (450, b"\x07" + b"b" * 900_000, 1, 250 * MIB)],
    ids=["100,000 small ones", "400 MB of large ones on one lane"],
)
def test_a_storm_neither_stops_the_lane_nor_fills_memory(
    real_cluster: Cluster, topic_prefix: str, tmp_path: Path, count: int, value: bytes, spread: int, allowed: int
) -> None:
    settings = with_agreement(real_cluster, topic_prefix, tmp_path)
    producer = Producer({"bootstrap.servers": settings.brokers, "linger.ms": 20})
    header = [(RECEIVED_AT_HEADER, str(START).encode())]
    publish(settings, history("before", answered=1.0))
    for number in range(count):
        while True:
            try:
                topic, partition = INPUTS[number % spread % 3], number % spread % 4
                producer.produce(topic_prefix + topic, value, f"lead-{number}".encode(), partition, headers=header)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0
    publish(settings, history("after", answered=1.0, start=2), end=50)
    with running(settings, tmp_path) as worker:
        watch = Watch(worker.child.pid)
        eventually(lambda: done([worker], settings.partitions, 50), 120)
        watch.close()
        print(f"grew by {(watch.most - watch.first) // MIB} MiB to {watch.most // MIB} MiB")
    outputs = read_outputs(settings)
    letters = outputs["DeadLetter"]
    assert Counter(letter["reason"] for letter in letters) == {"unknown_magic_byte": count}
    assert len({(letter["topic"], letter["partition"], letter["offset"]) for letter in letters}) == count
    assert verdicts(outputs) == {"met": 2}
    assert watch.most - watch.first < allowed, f"grew by {(watch.most - watch.first) // MIB} MiB"


def test_large_letters_are_written_before_more_are_made() -> None:
    made = lane(most=2 * MIB)
    read = Read(made)
    value = b"\x07" + b"b" * MIB
    most = 0
    for number in range(24):
        made.add(0, [Rec(number, START, b"lead-1", value)])
        made.work([START, START, START, 0])
        most = max(most, made._letter_bytes)
        if number % 12 == 11:
            assert made.queues[0].records, "work went on although nothing was written"
            read.commit()
    assert most <= MOST_BYTES + len(value)
    while made.work([START, START, START, 0]):
        read.commit()
    read.commit()
    assert [letter["offset"] for letter in read.letters] == list(range(24))
    assert made.queues[0].size == 0


def test_a_queue_is_full_by_records_and_by_bytes() -> None:
    queue = Queue(0)
    queue.add([Rec(0, START, b"k", b"x" * MOST_BYTES)])
    assert (queue.full(100), queue.has_room(100)) == (False, False)
    queue.add([Rec(1, START + 1, b"k", b"x"), Rec(2, START + 2, b"k", None)])
    assert queue.full(100)
    queue.take(START)
    assert (queue.size, queue.full(100), queue.has_room(100)) == (1, False, True)
    queue.add([Rec(number, START + 3, b"k", b"") for number in range(3, 103)])
    assert queue.full(100)
    queue.take(None)
    assert (queue.size, queue.has_room(100)) == (0, True)


def test_what_was_set_aside_is_mended_by_the_commands_and_counts_as_in_time(
    real_cluster: Cluster, topic_prefix: str, tmp_path: Path
) -> None:
    settings = with_agreement(real_cluster, topic_prefix, tmp_path)

    def baton(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "streams", "dead-letters", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=environment(settings)
        )

    captured = complete("LeadCaptured", 0, lead_id="lead-1", event_id="c", hand_raise=True)
    # The touch is keyed by something else: set aside, and so the lead looks unanswered.
    touched = complete("TouchRecorded", 1, lead_id="lead-1", event_id="t", outcome="connected")
    with running(settings, tmp_path) as worker:
        publish(settings, [("LeadCaptured", 0, captured)])
        with Registry(settings.registry_url) as registry:
            encoder = Encoder(registry.ids(Topics(topic_prefix), ["TouchRecorded"]))
        producer = Producer({"bootstrap.servers": settings.brokers, "partitioner": PARTITIONER})
        header = [(RECEIVED_AT_HEADER, str(START + HOUR).encode())]
        producer.produce(f"{topic_prefix}touches", encoder.encode("TouchRecorded", touched), b"ben", headers=header)
        assert producer.flush(10) == 0
        publish(settings, [], end=5)
        eventually(lambda: done([worker], settings.partitions, 5), 60)
        assert verdicts(read_outputs(settings)) == {"breached_open": 1}
        listed = baton("list", "--json")
        [letter] = [json.loads(line) for line in listed.stdout.splitlines()]
        assert (letter["reason"], letter["replayed"], letter["topic"]) == (
            "key_mismatch", False, f"{topic_prefix}touches"
        )  # fmt: skip
        assert baton("list", "--reason", "undecodable").stdout == ""
        shown = baton("show", letter["letter"], "--event")
        path = tmp_path / "mended.jsonl"
        path.write_text(shown.stdout)
        tried = baton("replay", "--mended", str(path), "--dry-run")
        assert tried.stdout == "1 to replay (1 mended), 0 before, 0 of erased leads, 0 passed over\n", tried.stderr
        mended = baton("replay", "--mended", str(path))
        assert mended.stdout == "1 replayed (1 mended), 0 before, 0 of erased leads, 0 passed over\n", mended.stderr
        again = baton("replay", "--all")
        assert again.stdout == "0 replayed (0 mended), 1 before, 0 of erased leads, 0 passed over\n", again.stderr
        assert baton("replay").returncode == 1
        assert "(replayed)" in baton("list").stdout
        publish(settings, [], end=9)
        eventually(lambda: done([worker], settings.partitions, 9), 60)
    outputs = read_outputs(settings)
    assert verdicts(outputs) == {"met": 1}
    [last] = [item for item in outputs["SlaEvent"] if item["kind"] == "breach_retracted"]
    assert last["late_evidence"] is False
    assert len(outputs["DeadLetter"]) == 1
