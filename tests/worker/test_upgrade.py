"""A worker goes on from states that were written under another version of their schema, and waits where it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import urllib3
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.catalog import CATALOG, subject
from schemas.wire import HEADER, MAGIC, schema_id
from streams.config import ClockMode, Settings
from streams.topics import LANE_KEY, STATES, Topics
from tests.real.fixtures import Cluster
from tests.support.poll import eventually
from tests.worker.processes import Worker, read_outputs, running, settings_for
from tests.worker.test_worker import AGREEMENT, done, history, publish, verdicts


def earlier_schema(settings: Settings, name: str) -> int:
    """Registers the contract as it may have been before: another text, so another id."""
    schema = json.loads(CATALOG[name].text)
    schema["doc"] = "As it was."
    where = subject(Topics(settings.topic_prefix).name(STATES), CATALOG[name])
    answer = urllib3.request(
        "POST", f"{settings.registry_url}/subjects/{where}/versions", json={"schema": json.dumps(schema)}, timeout=30
    )
    assert answer.status == 200, answer.data
    return int(answer.json()["id"])


def states_of(settings: Settings) -> dict[tuple[int, bytes], bytes]:
    """(partition, key) -> the latest value."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.brokers,
            "group.id": "rewrite",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    states = Topics(settings.topic_prefix).name(STATES)
    consumer.assign([TopicPartition(states, number, 0) for number in range(settings.partitions)])
    latest: dict[tuple[int, bytes], bytes] = {}
    ended: set[int] = set()
    while len(ended) < settings.partitions:
        message = consumer.poll(10)
        assert message is not None
        if message.error() is not None:
            ended.add(message.partition())
        else:
            latest[message.partition(), message.key()] = message.value()
    consumer.close()
    return latest


def rewrite_states(settings: Settings, state_id: int, position_id: int) -> int:
    """Writes every state anew under another schema id; how many there were."""
    latest = states_of(settings)
    states = Topics(settings.topic_prefix).name(STATES)
    producer = Producer({"bootstrap.servers": settings.brokers})
    for (partition, key), value in latest.items():
        number = position_id if key == LANE_KEY else state_id
        rewritten = HEADER.pack(MAGIC, number) + value[HEADER.size :]
        producer.produce(states, rewritten, key, partition)
    assert producer.flush(20) == 0
    return len(latest)


def test_states_under_an_earlier_schema_are_gone_on_from(cluster: Cluster, topic_prefix: str, tmp_path: Path) -> None:
    path = tmp_path / "agreement.yaml"
    path.write_text(AGREEMENT)
    settings = settings_for(cluster, topic_prefix, clock=ClockMode.EVENT, agreement=path)
    with running(settings, tmp_path, "first") as first:
        publish(settings, [event for n in range(20) for event in history(f"lead-{n}", answered=None)], end=1)
        eventually(lambda: done([first], settings.partitions, 1), 60)
    earlier = [earlier_schema(settings, name) for name in ("LeadState", "LanePosition")]
    assert rewrite_states(settings, *earlier) == 20 + settings.partitions
    with running(settings, tmp_path, "second") as second:
        publish(settings, [("TouchRecorded", 3, {"lead_id": f"lead-{n}", "event_id": "t"}) for n in range(20)], end=9)
        eventually(lambda: done([second], settings.partitions, 9), 60)
    outputs = read_outputs(settings)
    assert verdicts(outputs) == {"met": 20}
    assert [item["change"] for item in outputs["LeadTransition"]] == ["stated"] * 40


def test_the_schema_of_states_that_were_written_since_need_not_be_known(
    real_cluster: Cluster, topic_prefix: str, tmp_path: Path
) -> None:
    """The record under it stands in the log until it is compacted away."""
    path = tmp_path / "agreement.yaml"
    path.write_text(AGREEMENT)
    settings = settings_for(real_cluster, topic_prefix, clock=ClockMode.EVENT, agreement=path)
    with running(settings, tmp_path, "first") as first:
        publish(settings, history("lead-1", answered=None), end=1)
        eventually(lambda: done([first], settings.partitions, 1), 60)
    latest = states_of(settings)
    rewrite_states(settings, 999_999, 999_999)
    producer = Producer({"bootstrap.servers": settings.brokers})
    for (partition, key), value in latest.items():
        producer.produce(Topics(settings.topic_prefix).name(STATES), value, key, partition)
    assert producer.flush(20) == 0
    with running(settings, tmp_path, "second") as second:
        publish(settings, [("TouchRecorded", 3, {"lead_id": "lead-1", "event_id": "t"})], end=9)
        eventually(lambda: done([second], settings.partitions, 9), 60)
        told = [lane["counters"].get("sla.met", 0) for lane in second.status()["lanes"].values()]
        assert sum(told) == 1


def test_a_lane_whose_states_cannot_be_read_waits_and_says_so(
    real_cluster: Cluster, topic_prefix: str, tmp_path: Path
) -> None:
    path = tmp_path / "agreement.yaml"
    path.write_text(AGREEMENT)
    settings = settings_for(real_cluster, topic_prefix, clock=ClockMode.EVENT, agreement=path)
    with running(settings, tmp_path, "first") as first:
        publish(settings, history("lead-1", answered=None), end=1)
        eventually(lambda: done([first], settings.partitions, 1), 60)
    rewrite_states(settings, 999_999, 999_999)
    worker = Worker(settings, tmp_path, "second")
    try:
        worker.child.wait_until(lambda: "does not know schema 999999" in worker.child.output(), 60)
        assert worker.lanes() == {}
    finally:
        worker.child.stop()


def test_a_state_that_cannot_be_read_halts_its_lane_alone(
    real_cluster: Cluster, topic_prefix: str, tmp_path: Path
) -> None:
    path = tmp_path / "agreement.yaml"
    path.write_text(AGREEMENT)
    settings = settings_for(real_cluster, topic_prefix, clock=ClockMode.EVENT, agreement=path)
    with running(settings, tmp_path, "first") as first:
        publish(settings, [event for n in range(20) for event in history(f"lead-{n}", answered=None)], end=1)
        eventually(lambda: done([first], settings.partitions, 1), 60)
    latest = states_of(settings)
    [broken] = [partition for partition, key in latest if key == b"lead-7"]
    value = latest[broken, b"lead-7"]
    producer = Producer({"bootstrap.servers": settings.brokers})
    offsets: list[int] = []
    producer.produce(
        Topics(settings.topic_prefix).name(STATES), value[:-40] + bytes(40), b"lead-7", broken,
        on_delivery=lambda error, message: offsets.append(message.offset()),
    )  # fmt: skip
    assert producer.flush(20) == 0
    others = [key.decode() for partition, key in latest if partition != broken and key != LANE_KEY]
    with running(settings, tmp_path, "second") as second:
        publish(settings, [("TouchRecorded", 3, {"lead_id": f"lead-{n}", "event_id": "t"}) for n in range(20)], end=9)
        eventually(lambda: set(second.lanes()) == set(range(settings.partitions)) - {broken}, 60)
        place = f"lead-states partition {broken}, offset {offsets[0]}, schema id {schema_id(value)}: "
        eventually(lambda: place in second.status()["lanes"].get(str(broken), {}).get("cause", ""), 60)
        halted = second.status()["lanes"][str(broken)]
        assert halted["state"] == "halted"
        assert "a lead's state cannot be read by fold version" in halted["cause"]
        assert "baton_lanes_halted 1.0" in second.metrics()
        assert not second.status()["ready"]
        eventually(lambda: verdicts(read_outputs(settings)) == {"met": len(others), "open": 20 - len(others)}, 60)
        assert 'baton_lanes_lost_total{error="UnreadableState"} 1.0' in second.metrics()
        assert states_of(settings)[broken, b"lead-7"] == value[:-40] + bytes(40)
