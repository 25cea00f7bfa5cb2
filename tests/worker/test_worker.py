"""The worker as a process, on the embedded broker and on a real Kafka: what goes in comes out, once."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import AdminClient

from streams.config import ClockMode, Settings
from streams.publisher import PARTITIONER, Publisher
from streams.registry import Registry
from streams.topics import RECEIVED_AT_HEADER, Topics
from tests.processors.support import START
from tests.real.fixtures import Cluster
from tests.support.poll import eventually
from tests.worker.processes import Worker, read_outputs, running, settings_for
from tests.worker.support import HOUR, complete

AGREEMENT = """
version: test-1
effective_from: 2020-01-01T00:00:00Z
policies:
  first_response:
    targets: {hot: 1 h, warm: 4 h, cold: 24 h}
"""


@pytest.fixture
def agreement(tmp_path: Path) -> Path:
    path = tmp_path / "agreement.yaml"
    path.write_text(AGREEMENT)
    return path


def publish(settings: Settings, events: list[tuple[str, float, dict[str, Any]]], *, end: float | None = None) -> None:
    """(kind, hours after START, fields); received when they happened."""
    with Registry(settings.registry_url) as registry, Publisher(settings, registry) as publisher:
        for kind, hours, fields in events:
            body = complete(kind, hours, **fields)
            publisher.publish(kind, body, received_at=body["occurred_at"])
        if end is not None:
            publisher.flush()
            publisher.end_of_input(START + round(end * HOUR))


def history(lead_id: str, *, answered: float | None, start: float = 0.0) -> list[tuple[str, float, dict[str, Any]]]:
    """A lead that raises its hand at `start`, is qualified, and is answered at `answered` hours after."""
    own = {"lead_id": lead_id}
    events: list[tuple[str, float, dict[str, Any]]] = [
        ("LeadCaptured", start, {**own, "hand_raise": True, "event_id": f"{lead_id}-1"}),
        ("LeadQualified", start + 0.5, {**own, "event_id": f"{lead_id}-2"}),
    ]
    if answered is not None:
        events.append(("TouchRecorded", start + answered, {**own, "event_id": f"{lead_id}-3", "outcome": "connected"}))
    return events


def done(workers: list[Worker], lanes: int, until: float) -> bool:
    """Every lane has durably reached `until` hours after START."""
    reached = {}
    for worker in workers:
        reached.update({number: lane["clock"] for number, lane in worker.lanes().items()})
    return len(reached) == lanes and min(reached.values()) >= START + round(until * HOUR)


def verdicts(outputs: dict[str, list[dict[str, Any]]]) -> Counter[str]:
    """Of the instances as they stand: the statement at the higher offset counts."""
    latest = {item["instance_id"]: item for item in sorted(outputs["SlaEvent"], key=lambda item: item["_offset"])}
    return Counter(item["verdict"] for item in latest.values())


def test_lag_tools_are_told_how_far_the_group_is(
    real_cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path
) -> None:
    settings = settings_for(real_cluster, topic_prefix, clock=ClockMode.EVENT, agreement=agreement)
    tool = AdminClient({"bootstrap.servers": settings.brokers})

    def told() -> dict[tuple[str, int], int]:
        request = ConsumerGroupTopicPartitions(settings.group)
        group = tool.list_consumer_group_offsets([request])[settings.group].result(10)
        return {(place.topic, place.partition): place.offset for place in group.topic_partitions}

    with running(settings, tmp_path, "worker") as worker:
        publish(settings, [event for n in range(20) for event in history(f"lead-{n}", answered=1.0)], end=9)
        eventually(lambda: done([worker], settings.partitions, 9), 60)
        wanted = {
            (topic, number): offset
            for number, lane in worker.lanes().items()
            for topic, offset in lane["positions"].items()
            if offset
        }
        assert len(wanted) > settings.partitions
        names = Topics(settings.topic_prefix)
        eventually(lambda: told() == {(names.name(topic), number): at for (topic, number), at in wanted.items()}, 30)


def test_events_become_stages_clocks_and_states(
    cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path
) -> None:
    settings = settings_for(cluster, topic_prefix, clock=ClockMode.EVENT, agreement=agreement)
    leads: dict[str, float | None] = {f"in-time-{n}": 1.0 for n in range(20)}
    leads |= {f"late-{n}": 9.0 for n in range(10)} | {f"never-{n}": None for n in range(5)}
    events = sorted((e for lead, at in leads.items() for e in history(lead, answered=at)), key=lambda item: item[1])
    with running(settings, tmp_path) as worker:
        publish(settings, events, end=100)
        eventually(lambda: done([worker], settings.partitions, 100), 60)
        shown = worker.metrics()
    outputs = read_outputs(settings)
    assert verdicts(outputs) == {"met": 20, "late_met": 10, "breached_open": 5}
    assert Counter(item["to_stage"] for item in outputs["LeadTransition"]) == {"inquiry": 35, "mql": 35}
    breaches = [item for item in outputs["SlaEvent"] if item["kind"] == "breached"]
    assert {item["breached_at"] for item in breaches} == {START + 4 * HOUR}
    states = {item["lead_id"]: item for item in outputs["LeadState"]}
    assert {lead: states[lead]["stage"] for lead in leads} == dict.fromkeys(leads, "mql")
    assert "baton_lane_clock_seconds" in shown
    assert 'baton_sla_events_total{kind="met",lane=' in shown


def test_bad_records_among_good_ones(cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path) -> None:
    settings = settings_for(cluster, topic_prefix, clock=ClockMode.EVENT, agreement=agreement)
    producer = Producer(
        {"bootstrap.servers": cluster.brokers, "partitioner": PARTITIONER, "message.max.bytes": 16 * 1024 * 1024}
    )
    # The embedded broker keeps 5 MB a partition; the real one takes what the topic allows.
    huge = b"\0\0\0\0\1" + b"x" * (10_000_000 if cluster.real else 1_500_000)
    header = [(RECEIVED_AT_HEADER, str(START).encode())]
    bad: list[tuple[str, bytes | None, bytes | None]] = [
        ("leads", b"lead-1", b"\x07nonsense"),
        ("touches", b"lead-1", b"\0\0\x7f\xff\xffnonsense"),
        ("leads", b"lead-1", huge),
        ("opportunities", None, b"\0\0\0\0\1"),
    ]
    with running(settings, tmp_path) as worker:
        publish(settings, history("before", answered=1.0))
        for topic, key, value in bad:
            producer.produce(topic_prefix + topic, value, key, headers=header)
        assert producer.flush(20) == 0
        publish(settings, history("after", answered=1.0, start=2), end=50)
        eventually(lambda: done([worker], settings.partitions, 50), 60)
    outputs = read_outputs(settings)
    letters = {item["reason"]: item for item in outputs["DeadLetter"]}
    assert set(letters) == {"unknown_magic_byte", "unknown_schema_id", "too_large", "null_key"}
    assert letters["too_large"]["value"] == huge
    assert letters["too_large"]["topic"] == topic_prefix + "leads"
    assert letters["unknown_schema_id"]["headers"] == [{"key": RECEIVED_AT_HEADER, "value": str(START).encode()}]
    assert verdicts(outputs) == {"met": 2}


def test_a_worker_that_goes_on_after_another_says_nothing_twice(
    real_cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path
) -> None:
    settings = settings_for(real_cluster, topic_prefix, clock=ClockMode.EVENT, agreement=agreement)
    with running(settings, tmp_path, "first") as first:
        publish(settings, [event for n in range(50) for event in history(f"lead-{n}", answered=None)], end=2)
        eventually(lambda: done([first], settings.partitions, 2), 60)
        first.child.kill()
    with running(settings, tmp_path, "second") as second:
        publish(settings, [("TouchRecorded", 3, {"lead_id": f"lead-{n}", "event_id": "t"}) for n in range(50)], end=9)
        eventually(lambda: done([second], settings.partitions, 9), 60)
    outputs = read_outputs(settings)
    assert verdicts(outputs) == {"met": 50}
    assert Counter(item["change"] for item in outputs["LeadTransition"]) == {"stated": 100}
    assert Counter(item["kind"] for item in outputs["SlaEvent"]) == {"started": 50, "met": 50}


def test_a_killed_worker_loses_nothing_and_says_nothing_twice(
    real_cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path
) -> None:
    settings = settings_for(real_cluster, topic_prefix, clock=ClockMode.EVENT, agreement=agreement, partitions=12)
    leads = 3_000
    with running(settings, tmp_path, "a") as a, running(settings, tmp_path, "b") as b:
        eventually(lambda: len(a.lanes()) == 6 and len(b.lanes()) == 6, 60)
        publish(settings, [event for n in range(leads) for event in history(f"lead-{n}", answered=1.0 + n % 8)])
        eventually(lambda: sum(lane["counters"].get("events", 0) for lane in a.lanes().values()) > 500, 60)
        a.child.kill()
        publish(settings, [], end=100)
        eventually(lambda: done([b], 12, 100), 90)
    outputs = read_outputs(settings)
    assert verdicts(outputs) == {"met": leads // 2, "late_met": leads // 2}
    assert Counter(item["change"] for item in outputs["LeadTransition"]) == {"stated": 2 * leads}
    assert Counter(item["kind"] for item in outputs["SlaEvent"])["met"] == leads // 2


def test_live_a_breach_fires_while_every_topic_is_idle(cluster: Cluster, topic_prefix: str, tmp_path: Path) -> None:
    path = tmp_path / "seconds.yaml"
    path.write_text(AGREEMENT.replace("warm: 4 h", "warm: 2 s") + "ladder: [100]\n")
    settings = settings_for(cluster, topic_prefix, clock=ClockMode.BROKER, agreement=path, grace=0.5, clock_margin=0.2)
    now = (time.time() * 1000 - START) / HOUR
    with running(settings, tmp_path):
        with Registry(settings.registry_url) as registry, Publisher(settings, registry) as publisher:
            publisher.publish("LeadCaptured", complete("LeadCaptured", now, hand_raise=True, lead_id="alone"))
        [breach] = eventually(
            lambda: [item for item in read_outputs(settings)["SlaEvent"] if item["kind"] == "breached"], 30
        )
    assert breach["breached_at"] == breach["started_at"] + 2_000
    assert breach["notify"] is True
