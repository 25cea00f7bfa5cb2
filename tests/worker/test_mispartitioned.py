"""Producers with another partitioner: their events reach the lanes of their leads, once, and keep their arrival."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from processors.erasure import Erased
from processors.facts import to_fact
from processors.lane import LaneFold
from schemas.wire import Encoder
from streams.config import ClockMode
from streams.partitioner import lane_of
from streams.registry import Registry
from streams.topics import FORWARDS, READ_BY_LANES, RECEIVED_AT_HEADER, Topics
from streams.worker.intake import Intake
from streams.worker.lane import Lane
from tests.processors.support import AGREEMENTS, START
from tests.real.fixtures import Cluster
from tests.support.poll import eventually
from tests.worker.processes import read_outputs, running, settings_for
from tests.worker.support import ENCODER, HOUR, Read, Rec, complete, decoder, record
from tests.worker.test_worker import AGREEMENT, done, publish, verdicts

LANES = 3
LEAD = "lead-1"
HOME = lane_of(LEAD.encode(), LANES)
AWAY = (HOME + 1) % LANES
END = READ_BY_LANES.index(FORWARDS)


def lane(number: int, lanes: int | None = LANES) -> Lane:
    known = decoder()
    fold = LaneFold(AGREEMENTS, lambda value: known.decode(value)[1]["fold"], Erased(b"key"))
    intake = Intake(known, ENCODER, READ_BY_LANES, number, clock=ClockMode.BROKER, max_record_bytes=10_000, lanes=lanes)
    return Lane(number, fold, intake, known, ENCODER, None)


class Pair:
    """The lane that a lead lives on and another; what the second passes on reaches the first when told to."""

    def __init__(self) -> None:
        self.home, self.away = Read(lane(HOME)), Read(lane(AWAY))
        self._forwards: list[Rec] = []

    def put(self, at: Read, topic: int, *records: Rec, hours: float) -> None:
        at.lane.add(topic, records)
        now = START + round(hours * HOUR)
        at.lane.work([now, now, now, 0])
        for message in at.commit().messages:
            if message.topic == FORWARDS:
                assert message.key is not None
                assert lane_of(message.key, LANES) == HOME
                self._forwards.append(Rec(len(self._forwards), now, message.key, message.value))

    def deliver(self, hours: float) -> int:
        """How many were delivered. Those that were before are passed over, as a lane does."""
        self.put(self.home, END, *self._forwards, hours=hours)
        return len(self._forwards)


CAPTURED = record(0, "LeadCaptured", 0, hand_raise=True, event_id="c")  # to be answered within 4 h
TOUCHED = record(0, "TouchRecorded", 1, event_id="t", outcome="connected")


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_a_stray_touch_is_passed_on_once_and_meets_the_clock(pair: Pair) -> None:
    pair.put(pair.home, 0, CAPTURED, hours=0.5)
    pair.put(pair.away, 1, TOUCHED, hours=1.5)
    assert pair.away.lane.fold.counters == {"mispartitioned.touches": 1}
    pair.put(pair.away, 1, hours=2)
    assert pair.deliver(2) == 1
    assert pair.home.kinds == ["started", "met"]
    assert (pair.away.sla, pair.away.letters) == ([], [])
    assert pair.home.lane.fold.counters["mispartitioned.touches"] == 0
    assert pair.deliver(3) == 1  # nothing was passed on again, by either
    assert pair.home.kinds == ["started", "met"]


def test_one_that_comes_late_takes_the_breach_back_and_was_received_when_it_was(pair: Pair) -> None:
    pair.put(pair.home, 0, CAPTURED, hours=6)
    assert pair.home.kinds == ["started", "breached"]
    pair.put(pair.away, 1, TOUCHED, hours=1.5)
    pair.deliver(7)
    assert pair.home.kinds == ["started", "breached", "breach_retracted"]
    # Received in time: the forward lagged, not the evidence.
    assert (pair.home.sla[-1]["verdict"], pair.home.sla[-1]["late_evidence"]) == ("met", False)


def test_a_copy_that_was_put_right_changes_nothing(pair: Pair) -> None:
    pair.put(pair.home, 0, CAPTURED, hours=0.5)
    pair.put(pair.home, 1, TOUCHED, hours=1.5)
    pair.put(pair.away, 1, TOUCHED, hours=1.5)
    pair.deliver(2)
    assert pair.home.kinds == ["started", "met"]
    assert pair.home.lane.fold.counters["copies"] == 1


def test_all_of_a_lead_may_stray(pair: Pair) -> None:
    pair.put(pair.away, 0, CAPTURED, hours=0.5)
    pair.put(pair.away, 1, TOUCHED, hours=1.5)
    pair.deliver(2)
    assert [item["to_stage"] for item in pair.home.transitions] == ["inquiry"]
    assert pair.home.kinds == ["started", "met"]
    assert pair.away.transitions == []
    assert len(pair.away.lane.fold) == 0


def test_a_stray_that_the_fold_refuses_is_a_letter_with_the_coordinates_of_its_record(pair: Pair) -> None:
    pair.put(pair.home, 0, CAPTURED, record(1, "LeadScored", 1, event_id="same", grade="hot"), hours=2)
    other = record(17, "LeadScored", 1, event_id="same", grade="cold", received=1.5)
    pair.put(pair.away, 0, other, hours=2)
    pair.deliver(3)
    [letter] = pair.home.letters
    assert letter["reason"] == "event_id_conflict"
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("leads", AWAY, 17)
    assert (letter["key"], letter["value"]) == (LEAD.encode(), None)
    assert "the bytes stand in the original record" in letter["detail"]


def test_a_broken_stray_is_a_letter_where_it_was_read(pair: Pair) -> None:
    pair.put(pair.away, 0, Rec(3, START, LEAD.encode(), b"\x07broken"), hours=1)
    [letter] = pair.away.letters
    assert (letter["partition"], letter["offset"], letter["lead_id"]) == (AWAY, 3, LEAD)
    assert pair.deliver(2) == 0


def test_strays_of_a_lead_that_merges_come_to_what_they_would_have_come_to_at_home() -> None:
    """What a merge passes on after it was a stray is the merge's, not a stray again."""
    survivor = next(f"s-{n}" for n in range(99) if lane_of(f"s-{n}".encode(), LANES) == HOME)
    said = []
    for stray in (False, True):
        pair = Pair()
        pair.put(pair.home, 0, CAPTURED, record(1, "LeadCaptured", 0, lead_id=survivor, event_id="s"), hours=0.5)
        where = pair.away if stray else pair.home
        pair.put(where, 0, record(2, "LeadMerged", 1, event_id="m", into=survivor), hours=1.5)
        pair.put(where, 1, TOUCHED, hours=1.5)
        passed = [pair.deliver(hours) for hours in (2, 3, 4)]
        assert passed == ([4, 4, 4] if stray else [2, 2, 2])  # two strays, and what the merge passed on
        assert pair.home.lane.fold.look(LEAD).merged_into == survivor
        assert pair.home.lane.fold.look(survivor).attempts == 1
        said.append([(item["kind"], item["lead_id"], item["verdict"], item["instance_id"]) for item in pair.home.sla])
    assert said[0] == said[1]


def test_the_fact_keeps_where_it_came_from() -> None:
    taken = lane(AWAY)._intake.take(0, [CAPTURED], [START], START)
    [stray] = taken.strays
    assert (stray.lane, stray.at, taken.facts) == (AWAY, (0, 0), [])
    assert lane(HOME)._intake.take(0, [CAPTURED], [START], START).strays == []
    assert lane(AWAY, None)._intake.take(0, [CAPTURED], [START], START).strays == []
    assert to_fact("LeadCaptured", complete("LeadCaptured", 0), START).lane == -1


def test_workers_pass_on_what_another_partitioner_scattered(
    cluster: Cluster, topic_prefix: str, tmp_path: Path
) -> None:
    path = tmp_path / "agreement.yaml"
    path.write_text(AGREEMENT)
    settings = settings_for(cluster, topic_prefix, clock=ClockMode.EVENT, agreement=path)
    leads = [f"lead-{number}" for number in range(40)]
    events: list[tuple[str, str, float, dict[str, Any]]] = []
    for lead_id in leads:
        events.append(
            ("leads", "LeadCaptured", 0, {"lead_id": lead_id, "event_id": f"{lead_id}-c", "hand_raise": True})
        )
        events.append(
            ("touches", "TouchRecorded", 1, {"lead_id": lead_id, "event_id": f"{lead_id}-t", "outcome": "connected"})
        )
    with Registry(settings.registry_url) as registry:
        encoder = Encoder(registry.ids(Topics(topic_prefix), ["LeadCaptured", "TouchRecorded"]))
    # librdkafka's own default: CRC32 of the key.
    producer = Producer({"bootstrap.servers": settings.brokers, "partitioner": "consistent_random"})
    placed: list[bool] = []
    with running(settings, tmp_path) as worker:
        for topic, kind, hours, fields in events:
            body = complete(kind, hours, **fields)
            producer.produce(
                topic_prefix + topic, encoder.encode(kind, body), body["lead_id"].encode(),
                headers=[(RECEIVED_AT_HEADER, str(body["occurred_at"]).encode())],
                on_delivery=lambda _, message: placed.append(
                    message.partition() == lane_of(message.key(), settings.partitions)
                ),
            )  # fmt: skip
        assert producer.flush(20) == 0
        strays = placed.count(False)
        assert strays > 20
        publish(settings, [], end=2)
        eventually(lambda: done([worker], settings.partitions, 2), 60)
        eventually(lambda: verdicts(read_outputs(settings)) == {"met": len(leads)}, 60)
        counted = sum(
            float(line.rpartition(" ")[2])
            for line in worker.metrics().splitlines()
            if line.startswith("baton_mispartitioned_total{")
        )
    outputs = read_outputs(settings)
    assert counted == strays
    kinds = Counter(item["kind"] for item in outputs["SlaEvent"])
    # A clock whose capture is passed on after its touch is told as met at once, and never as started.
    assert kinds.keys() <= {"started", "met"}
    assert kinds["started"] <= kinds["met"] == len(leads)
    assert Counter(item["change"] for item in outputs["LeadTransition"]) == {"stated": 40}
    for item in outputs["LeadTransition"]:
        assert item["_partition"] == lane_of(item["lead_id"].encode(), settings.partitions)
    assert outputs["DeadLetter"] == []
