"""Running workers against real time: what is told live is what a replay tells, and nobody is accused who answered in time.

Targets are seconds, so that a stop of half a minute is long past every deadline.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, Producer

from streams.config import ClockMode, Settings
from streams.publisher import Publisher
from streams.registry import Registry
from streams.topics import INPUTS, RECEIVED_AT_HEADER, Topics
from tests.real.fixtures import Cluster
from tests.support.poll import eventually
from tests.worker.processes import read_outputs, running, settings_for
from tests.worker.support import complete

AGREEMENT: Final = """
version: seconds
effective_from: 2020-01-01T00:00:00Z
policies:
  assignment: {targets: 2 s, calendar: 24x7}
  acceptance: {targets: 3 s, calendar: 24x7}
  first_response: {targets: {hot: 2 s, warm: 4 s, cold: 8 s}, calendar: 24x7}
  owner_response: {targets: 3 s, calendar: 24x7}
  cadence: {targets: 6 s, calendar: 24x7, attempts: 3}
  next_response: {targets: 3 s, calendar: 24x7}
  stage_age: {targets: {inquiry: 5 s, mql: 5 s, sal: 5 s}, calendar: 24x7}
ladder: [50, 100]
"""
_SAID: Final = (
    "verdict",
    "deadline",
    "started_at",
    "breached_at",
    "satisfied_at",
    "satisfied_by",
    "ended_at",
    "elapsed_ms",
)


@pytest.fixture
def agreement(tmp_path: Path) -> Path:
    path = tmp_path / "seconds.yaml"
    path.write_text(AGREEMENT)
    return path


def now() -> int:
    return time.time_ns() // 1_000_000


class Upstream:
    """Systems that publish what happens as it happens, or later."""

    def __init__(self, settings: Settings) -> None:
        self._registry = Registry(settings.registry_url)
        self._publisher = Publisher(settings, self._registry)

    def say(self, kind: str, lead_id: str, *, at: int | None = None, **fields: Any) -> None:
        """`at`: when it happened, UTC milliseconds; default: now."""
        body = complete(kind, 0, lead_id=lead_id, **fields)
        body["occurred_at"] = now() if at is None else at
        body.setdefault("event_id", f"{lead_id}-{kind}")
        self._publisher.publish(kind, body)

    def flush(self) -> None:
        self._publisher.flush()

    def close(self) -> None:
        self._publisher.flush()
        self._registry.close()


def standing(outputs: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Each clock as it stands."""
    latest = {item["instance_id"]: item for item in sorted(outputs["SlaEvent"], key=lambda item: item["_offset"])}
    return {
        number: {name: item[name] for name in _SAID}
        for number, item in latest.items()
        if item["kind"] not in ("retracted", "moved")
    }


def breached(outputs: dict[str, list[dict[str, Any]]], policy: str = "first_response") -> list[tuple[str, int]]:
    """(lead, breached_at) of every breach ever announced."""
    return [
        (item["lead_id"], item["breached_at"])
        for item in outputs["SlaEvent"]
        if item["kind"] == "breached" and item["policy"] == policy
    ]


def counted(shown: str, policy: str = "first_response") -> int:
    """What /metrics says was worth a page."""
    return round(
        sum(float(value) for value in re.findall(rf'baton_sla_breaches_total{{.*policy="{policy}".*}} (\S+)', shown))
    )


def copy_inputs(live: Settings, replay: Settings) -> int:
    """Publishes the records of one pipeline's inputs into another's, each with the time at which it was received first.

    Returns the latest of those.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": live.brokers,
            "group.id": f"{live.topic_prefix}copy",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    producer = Producer({"bootstrap.servers": replay.brokers})
    topics = {Topics(live.topic_prefix).name(topic): Topics(replay.topic_prefix).name(topic) for topic in INPUTS}
    consumer.subscribe(list(topics))
    ended: set[tuple[str, int]] = set()
    latest = 0
    while len(ended) < len(topics) * live.partitions:
        message = consumer.poll(10)
        assert message is not None
        if message.error() is not None:
            ended.add((message.topic(), message.partition()))
            continue
        received_at = message.timestamp()[1]
        latest = max(latest, received_at)
        producer.produce(
            topics[message.topic()], message.value(), message.key(), message.partition(),
            headers=[(RECEIVED_AT_HEADER, str(received_at).encode())],
        )  # fmt: skip
    consumer.close()
    assert producer.flush(20) == 0
    return latest


def test_a_replay_gives_the_verdicts_that_were_told_live(
    cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path
) -> None:
    live = settings_for(cluster, f"{topic_prefix}live-", agreement=agreement, grace=0.5, clock_margin=0.2)
    upstream = Upstream(live)
    raised: dict[str, int] = {}
    with running(live, tmp_path, "live") as worker:
        for number in range(60):
            lead = f"lead-{number}"
            raised[lead] = now()
            upstream.say("LeadCaptured", lead, at=raised[lead], hand_raise=True)
            if number % 2:
                upstream.say("LeadQualified", lead)
            if number % 5 == 1:
                upstream.say("LeadScored", lead, grade="hot")
            if number % 3 == 0 and number >= 10:
                # Of a lead that came a second ago, or so long ago that it has been announced.
                upstream.say("TouchRecorded", f"lead-{number - 10}", outcome="connected", event_id=f"touch-{number}")
            if number % 4 == 3:
                upstream.say("LeadAssigned", lead, owner=f"rep-{number % 3}")
            upstream.flush()
            time.sleep(0.12)
        # Calls that were made in time and are logged when the breach has been announced take it back.
        announced = eventually(lambda: [lead for lead, _ in breached(read_outputs(live))][2:], 60)
        for lead in announced[:5]:
            upstream.say("TouchRecorded", lead, at=raised[lead] + 1_500, outcome="replied", event_id=f"late-{lead}")
        upstream.flush()
        end = now() + 9_000
        eventually(lambda: min(lane["clock"] for lane in worker.lanes().values()) > end, 60)
    told = read_outputs(live)
    upstream.close()
    kinds = Counter(item["kind"] for item in told["SlaEvent"])
    assert kinds["breached"] > 10
    assert kinds["breach_retracted"] >= len(announced[:5])

    again = settings_for(cluster, f"{topic_prefix}replay-", agreement=agreement, clock=ClockMode.EVENT, grace=0.5)
    copy_inputs(live, again)
    with running(again, tmp_path, "replay") as worker:
        with Registry(again.registry_url) as registry, Publisher(again, registry) as publisher:
            publisher.end_of_input(end)
        eventually(lambda: min((lane["clock"] for lane in worker.lanes().values()), default=0) >= end, 60)
    replayed = read_outputs(again)
    assert standing(replayed) == standing(told)
    assert {item["transition_id"] for item in replayed["LeadTransition"]} == {
        item["transition_id"] for item in told["LeadTransition"]
    }


def test_a_worker_that_was_stopped_past_every_deadline_accuses_nobody_who_answered(
    real_cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path
) -> None:
    settings = settings_for(real_cluster, topic_prefix, agreement=agreement, grace=0.5, clock_margin=0.2)
    upstream = Upstream(settings)
    with running(settings, tmp_path, "before"):
        upstream.say("LeadCaptured", "lead-first", hand_raise=True)
        upstream.say("TouchRecorded", "lead-first", outcome="connected")
        upstream.flush()
        eventually(lambda: read_outputs(settings)["SlaEvent"], 30)
    raised: dict[str, int] = {}
    for number in range(200):
        raised[f"lead-{number}"] = now()
        upstream.say("LeadCaptured", f"lead-{number}", at=raised[f"lead-{number}"], hand_raise=True)
    upstream.flush()
    time.sleep(1)
    for number in range(0, 200, 2):
        upstream.say("TouchRecorded", f"lead-{number}", outcome="connected")
    # What is dated a day ahead must not drag the clock along.
    upstream.say("TouchRecorded", "lead-elsewhere", at=now() + 23 * 3_600_000)
    upstream.flush()
    time.sleep(10)  # no worker runs; every deadline passes
    with running(settings, tmp_path, "after") as worker:
        eventually(lambda: len(breached(read_outputs(settings))) >= 100, 60)
        reached = now()
        eventually(lambda: min(lane["clock"] for lane in worker.lanes().values()) > reached, 90)
        paged = counted(worker.metrics())
    told = breached(read_outputs(settings))
    upstream.close()
    assert sorted(told) == sorted((lead, at + 4_000) for lead, at in raised.items() if int(lead[5:]) % 2)
    assert paged == 100


def test_touches_behind_a_busy_topic_and_idle_topics_raise_no_alarm(
    real_cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path
) -> None:
    """Leads come all the time; touches and opportunities mostly do not. What was answered in time is never announced."""
    settings = settings_for(real_cluster, topic_prefix, agreement=agreement, grace=0.5, clock_margin=0.2)
    upstream = Upstream(settings)
    raised: dict[str, int] = {}
    with running(settings, tmp_path) as worker:
        for number in range(80):
            raised[f"lead-{number}"] = now()
            upstream.say("LeadCaptured", f"lead-{number}", at=raised[f"lead-{number}"], hand_raise=True)
            if number >= 20 and number % 2 == 0:
                upstream.say("TouchRecorded", f"lead-{number - 20}", outcome="connected")
            upstream.flush()
            time.sleep(0.1)
        for number in range(60, 80, 2):
            upstream.say("TouchRecorded", f"lead-{number}", outcome="connected")
        upstream.flush()
        eventually(lambda: len(breached(read_outputs(settings))) >= 40, 30)
        reached = now()
        eventually(lambda: min(lane["clock"] for lane in worker.lanes().values()) > reached, 90)
        paged = counted(worker.metrics())
    upstream.close()
    told = breached(read_outputs(settings))
    assert sorted(told) == sorted((lead, at + 4_000) for lead, at in raised.items() if int(lead[5:]) % 2)
    assert paged == 40
