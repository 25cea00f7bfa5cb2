"""Running workers against real time: what is told live is what a replay tells, and nobody is accused who answered in time.

Targets are seconds, so that a stop of a quarter of a minute is to them what an hour is to those of an agreement.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import pytest
from confluent_kafka import Consumer, Producer

from streams.config import ClockMode, Settings
from streams.publisher import Publisher
from streams.registry import Registry
from streams.topics import INPUTS, RECEIVED_AT_HEADER, Topics
from tests.real.fixtures import Cluster
from tests.support.poll import eventually
from tests.worker.processes import Worker, read_outputs, running, settings_for
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
TARGET: Final = 4_000
"""Of a first response, milliseconds: no lead here has a grade."""
GRACE: Final = 500
LONGEST: Final = 8_000
"""No deadline is farther away."""
NOBODY: Final = "nobody-"
"""Begins the ids of leads of whom something comes only to make a lane write."""
_HOW: Final = frozenset(
    {"emitted_at", "kind", "change", "notify", "rung", "fold", "next_deadline", "_partition", "_offset"}
)
"""Fields that tell how something came to stand, and when it was said."""


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
        self.raised: dict[str, int] = {}
        """Lead -> when it raised its hand."""
        self._answered: dict[str, tuple[int, int]] = {}
        """Lead -> when it was answered, and when the broker had that."""
        self._nudges = 0

    def say(self, kind: str, lead_id: str, *, at: int | None = None, **fields: Any) -> None:
        """`at`: when it happened, UTC milliseconds; default: now."""
        body = complete(kind, 0, lead_id=lead_id, **fields)
        body["occurred_at"] = now() if at is None else at
        body.setdefault("event_id", f"{lead_id}-{kind}")
        self._publisher.publish(kind, body)

    def flush(self) -> None:
        self._publisher.flush()

    def raise_hand(self, lead_id: str) -> None:
        self.raised[lead_id] = now()
        self.say("LeadCaptured", lead_id, at=self.raised[lead_id], hand_raise=True)

    def answer(self, *lead_ids: str) -> None:
        """A call that connects, for each."""
        at = {lead_id: now() for lead_id in lead_ids}
        for lead_id in lead_ids:
            self.say("TouchRecorded", lead_id, at=at[lead_id], outcome="connected")
        self.flush()
        self._answered |= {lead_id: (at[lead_id], now()) for lead_id in lead_ids}

    def date_ahead(self) -> None:
        """Events on every topic that are dated a day ahead, for every lane; none of them starts a first response."""
        ahead = now() + 23 * 3_600_000
        for number in range(20):
            self.say("LeadCaptured", f"ahead-{number}", at=ahead)
            self.say("TouchRecorded", f"ahead-{number}", at=ahead)
            self.say("OpportunityOpened", f"ahead-{number}", at=ahead)

    def unclear(self) -> set[str]:
        """Leads that a busy machine answered so late that a breach may be told of them."""
        return {
            lead_id
            for lead_id, (at, known) in self._answered.items()
            if at > self.raised[lead_id] + TARGET or known > self.raised[lead_id] + TARGET + GRACE
        }

    def unanswered(self) -> set[str]:
        """Leads that nobody answered."""
        return self.raised.keys() - self._answered.keys()

    def wait_for_clocks(self, worker: Worker, until: int) -> None:
        """Until every lane of `worker` has durably passed `until`.

        What a lane says goes out with what it read: it is given something, for a quiet one writes its clock but twice a minute.
        """

        def reached() -> bool:
            self._nudges += 1
            for number in range(20):
                self.say("TouchRecorded", f"{NOBODY}{number}", event_id=f"nudge-{self._nudges}", actor="automated")
            self.flush()
            clocks = [lane["clock"] for lane in worker.lanes().values()]
            return bool(clocks) and min(clocks) > until

        eventually(reached, 60, interval=0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._publisher.flush()
        self._registry.close()


Outputs = Mapping[str, list[dict[str, Any]]]


def standing(outputs: Outputs) -> dict[str, dict[str, Any]]:
    """Each transition, clock and lead as it stands: of the statements under a key the latest, unless it was taken back."""
    keys = {"LeadTransition": "transition_id", "SlaEvent": "instance_id", "LeadState": "lead_id"}
    found: dict[str, dict[str, Any]] = {}
    for name, key in keys.items():
        latest = {item[key]: item for item in sorted(outputs[name], key=lambda item: item["_offset"])}
        found[name] = {
            number: {field: value for field, value in item.items() if field not in _HOW}
            for number, item in latest.items()
            if item.get("kind") not in ("retracted", "moved")
            and item.get("change") != "retracted"
            and not item["lead_id"].startswith(NOBODY)
        }
    return found


def breached(outputs: Outputs) -> list[tuple[str, int]]:
    """(lead, breached_at) of every breach of a first response ever announced."""
    return [
        (item["lead_id"], item["breached_at"])
        for item in outputs["SlaEvent"]
        if item["kind"] == "breached" and item["policy"] == "first_response"
    ]


def counted(shown: str) -> int:
    """What /metrics says was worth a page."""
    values = re.findall(r'baton_sla_breaches_total{.*policy="first_response".*} (\S+)', shown)
    return round(sum(map(float, values)))


def nobody_is_accused_who_answered(upstream: Upstream, settings: Settings, paged: int) -> None:
    """Every breach ever told, taken back or not, is of a lead that nobody answered, with its true time, once.

    `paged`: what was counted.
    """
    told = read_outputs(settings)
    unclear = upstream.unclear()
    assert len(unclear) <= len(upstream.raised) / 4, "the machine is too slow to tell"
    found = [item for item in breached(told) if item[0] not in unclear]
    assert sorted(found) == sorted((lead_id, upstream.raised[lead_id] + TARGET) for lead_id in upstream.unanswered())
    # A page a breach: of the rungs told for a clock at 100 percent and above, one gives notice.
    pages = Counter(
        item["lead_id"]
        for item in told["SlaEvent"]
        if item["policy"] == "first_response" and item["notify"] and (item["rung"] or 0) >= 100
    )
    assert pages == Counter(lead_id for lead_id, _ in breached(told))
    assert paged == len(breached(told))


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
    real_cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path
) -> None:
    live = settings_for(real_cluster, f"{topic_prefix}live-", agreement=agreement, grace=GRACE / 1000, clock_margin=0.2)
    with Upstream(live) as upstream, running(live, tmp_path, "live") as worker:
        for number in range(60):
            lead = f"lead-{number}"
            upstream.raise_hand(lead)
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
        announced = eventually(lambda: [lead for lead, _ in breached(read_outputs(live))][2:], 60)[:5]
        for lead in announced:
            made = upstream.raised[lead] + 1_500
            upstream.say("TouchRecorded", lead, at=made, outcome="replied", event_id=f"late-{lead}")
        upstream.wait_for_clocks(worker, now() + LONGEST + 1_000)
    told = read_outputs(live)
    kinds = Counter(item["kind"] for item in told["SlaEvent"])
    assert kinds["breached"] > 10
    assert kinds["breach_retracted"] >= len(announced)

    again = settings_for(
        real_cluster, f"{topic_prefix}replay-", agreement=agreement, clock=ClockMode.EVENT, grace=GRACE / 1000
    )
    end = copy_inputs(live, again)
    with running(again, tmp_path, "replay") as worker:
        with Registry(again.registry_url) as registry, Publisher(again, registry) as publisher:
            publisher.end_of_input(end)
        eventually(lambda: min((lane["clock"] for lane in worker.lanes().values()), default=0) >= end, 60)
    replayed, right = standing(read_outputs(again)), standing(told)
    assert len(right["SlaEvent"]) > 150
    for name, found in right.items():
        assert replayed[name] == found


@pytest.mark.parametrize("stop", ["ended", "frozen"])
def test_a_worker_that_was_stopped_past_every_deadline_accuses_nobody_who_answered(
    stop: str, real_cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path
) -> None:
    """Touches lie in a backlog that takes several fetches, leads in one; nobody ever has an opportunity."""
    settings = settings_for(real_cluster, topic_prefix, agreement=agreement, grace=GRACE / 1000, clock_margin=0.2)
    with Upstream(settings) as upstream, ExitStack() as stack:
        worker = stack.enter_context(running(settings, tmp_path, "before"))
        upstream.raise_hand("lead-first")
        upstream.answer("lead-first")
        eventually(lambda: read_outputs(settings)["SlaEvent"], 30)
        if stop == "ended":
            stack.close()
        else:
            worker.child.freeze()
        for number in range(200):
            upstream.raise_hand(f"lead-{number}")
        upstream.flush()
        for number in range(8_000):
            upstream.say("TouchRecorded", f"noise-{number}", performed_by="x" * 500, actor="automated")
        upstream.date_ahead()
        upstream.flush()
        upstream.answer(*(f"lead-{number}" for number in range(0, 200, 2)))
        longest = now() + LONGEST
        eventually(lambda: now() > longest, 20)  # every deadline passes, and the group gives the worker up
        if stop == "ended":
            worker = stack.enter_context(running(settings, tmp_path, "after"))
        else:
            worker.child.thaw()
        upstream.wait_for_clocks(worker, now())
        paged = counted(worker.metrics())
    nobody_is_accused_who_answered(upstream, settings, paged)


def test_touches_behind_a_busy_topic_and_idle_topics_raise_no_alarm(
    real_cluster: Cluster, topic_prefix: str, agreement: Path, tmp_path: Path
) -> None:
    """Leads come all the time; touches and opportunities mostly do not. What was answered in time is never announced."""
    settings = settings_for(real_cluster, topic_prefix, agreement=agreement, grace=GRACE / 1000, clock_margin=0.2)
    with Upstream(settings) as upstream, running(settings, tmp_path) as worker:
        for number in range(80):
            upstream.raise_hand(f"lead-{number}")
            if number >= 20 and number % 2 == 0:
                upstream.answer(f"lead-{number - 20}")
            if number == 50:
                upstream.date_ahead()
            upstream.flush()
            time.sleep(0.1)
        upstream.answer(*(f"lead-{number}" for number in range(60, 80, 2)))
        upstream.wait_for_clocks(worker, now() + LONGEST)
        paged = counted(worker.metrics())
    nobody_is_accused_who_answered(upstream, settings, paged)
