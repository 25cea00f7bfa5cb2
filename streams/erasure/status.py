"""Whether erasures were done in time, and the proof: no personal row is left, and no topic keeps bytes for too long.

`judge` is pure; `read` asks the store, `kept` the brokers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigResource, ResourceType

from processors.vocabulary import DAY
from streams.config import Settings
from streams.erasure import rows as erasures
from streams.erasure.personal import PERSONAL
from streams.errors import BatonError
from streams.explain.stored import plain_rows
from streams.store.client import connect, failure
from streams.topic_admin import wait_for_brokers
from streams.topics import DEAD_LETTERS, FORWARDS, INPUTS, STATES, Topics

LONGEST_DAYS: Final = 25
"""What a topic with personal data may keep, so that all is gone within 30 days of a request that is carried out in five."""
HOLDING: Final = (*INPUTS, DEAD_LETTERS, FORWARDS, STATES)
"""Topics whose records may name a person, or say how a lead stands."""

_CLOCKS: Final = (
    "SELECT lead_id, started_at, deadline, satisfied_at FROM sla_instances FINAL WHERE policy = 'erasure' "
    "ORDER BY started_at, lead_id"
)
_ERASED: Final = (
    "SELECT lead_id, entered_at FROM lead_transitions FINAL WHERE to_stage = 'erased' ORDER BY entered_at, lead_id"
)


@dataclass(frozen=True)
class Found:
    """What the store says. Instants in UTC milliseconds."""

    requests: Sequence[Mapping[str, Any]]
    erased: Mapping[str, int]
    """Lead -> when it was erased."""
    left: Mapping[str, Mapping[str, int]]
    """Erased lead -> table -> personal rows."""
    stuck: Mapping[str, str] = field(default_factory=dict)
    """Table -> why its rows cannot be deleted."""


@dataclass(frozen=True)
class Kept:
    """How long a topic really keeps a record. `days` None: for ever, or not known; `problem` says which."""

    topic: str
    days: float | None
    problem: str | None


@dataclass(frozen=True)
class Erasure:
    lead_id: str
    requested_at: int | None
    """None: nobody asked for it in an event."""
    deadline: int | None
    erased_at: int | None
    rows_left: dict[str, int]
    gone_at: int | None
    """By then the last bytes have left the topics."""
    state: str
    """open, overdue, deleting, unproven, done or done_late."""


@dataclass(frozen=True)
class Status:
    now: int
    proven: bool
    """No erasure is overdue, and all that were done are proven."""
    erasures: list[Erasure]
    topics: list[Kept]
    tables: list[str]
    """Those whose rows go with a lead."""
    notes: list[str]


def judge(found: Found, topics: Sequence[Kept], now: int) -> Status:
    """`now`: UTC milliseconds."""
    bounded = bool(topics) and all(topic.problem is None for topic in topics)
    keeps = max((topic.days or 0.0 for topic in topics), default=0.0)
    requests = {row["lead_id"]: row for row in found.requests}
    erasures = []
    for lead_id in [*requests, *(lead for lead in found.erased if lead not in requests)]:
        request = requests.get(lead_id)
        erased_at = found.erased.get(lead_id)
        if erased_at is None and request is not None:
            erased_at = request["satisfied_at"]
        deadline = None if request is None else request["deadline"]
        left = dict(found.left.get(lead_id, {}))
        state = _state(deadline, erased_at, left, bounded=bounded, now=now)
        gone_at = None if erased_at is None or not bounded else erased_at + round(keeps * DAY)
        requested_at = None if request is None else request["started_at"]
        erasures.append(Erasure(lead_id, requested_at, deadline, erased_at, left, gone_at, state))
    notes = [f"{table}: rows cannot be deleted: {reason}" for table, reason in found.stuck.items()]
    # Without a single erasure there is nothing to prove but that one could be done in time.
    proven = bounded and all(item.state in ("open", "done", "done_late") for item in erasures)
    return Status(now, proven, erasures, list(topics), sorted(PERSONAL), notes)


def _state(deadline: int | None, erased_at: int | None, left: Mapping[str, int], *, bounded: bool, now: int) -> str:
    if erased_at is None:
        return "overdue" if deadline is not None and now > deadline else "open"
    if left:
        return "overdue" if deadline is not None and now > deadline else "deleting"
    if not bounded:
        return "unproven"
    return "done_late" if deadline is not None and erased_at > deadline else "done"


def read(settings: Settings) -> Found:
    """Raises BatonError where the store does not answer."""
    client = connect(settings)
    try:
        requests = plain_rows(client, _CLOCKS)
        erased = {row["lead_id"]: row["entered_at"] for row in plain_rows(client, _ERASED)}
        return Found(requests, erased, erasures.left(client), erasures.stuck(client))
    except ClickHouseError as error:
        raise failure(settings.store_url, error) from None
    finally:
        client.close()


def kept(settings: Settings, *, patience: float = 10.0) -> list[Kept]:
    """How long the topics keep what they hold, as the brokers have it. Where they do not say, that is the problem."""
    topics = Topics(settings.topic_prefix)
    names = [topics.name(topic) for topic in HOLDING]
    try:
        client = wait_for_brokers(settings, patience)
        asked = client.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names], request_timeout=5)
    except (BatonError, KafkaException) as error:
        return [Kept(name, None, f"not known: {error}") for name in names]
    found = []
    deadline = time.monotonic() + 6
    for resource, future in asked.items():
        try:
            config = {name: entry.value for name, entry in future.result(max(0.1, deadline - time.monotonic())).items()}
        except KafkaException as error:
            found.append(Kept(resource.name, None, f"not known: {error.args[0].str()}"))
        except TimeoutError:  # the embedded broker does not know this question
            found.append(Kept(resource.name, None, "not known: the brokers do not say how long they keep records"))
        else:
            found.append(_checked(topics.bare(resource.name), resource.name, config))
    return sorted(found, key=lambda item: names.index(item.topic))


def _checked(topic: str, name: str, config: Mapping[str, str]) -> Kept:
    return compacted(name, config) if topic == STATES else bound(name, config, appended=topic in INPUTS)


def compacted(name: str, config: Mapping[str, str]) -> Kept:
    """How long a topic that keeps the newest record under a key keeps one that was given up."""
    if config.get("cleanup.policy") != "compact":
        return Kept(name, None, "cleanup.policy is not compact: what is given up stays; set it")
    days = (int(config["max.compaction.lag.ms"]) + int(config["segment.ms"])) / DAY
    problem = None
    if days > LONGEST_DAYS:
        problem = "what is given up may stay for too long: set max.compaction.lag.ms and segment.ms to 1 hour"
    return Kept(name, days, problem)


def bound(name: str, config: Mapping[str, str], *, appended: bool) -> Kept:
    """How long a topic of these settings keeps a record at most. `appended`: its time has to be the broker's."""
    policy = {word.strip() for word in config.get("cleanup.policy", "").split(",")}
    if policy != {"delete"}:
        return Kept(name, None, "cleanup.policy is not delete: records may stay for ever; set it")
    retention, segment = int(config["retention.ms"]), int(config["segment.ms"])
    if retention < 0:
        return Kept(name, None, "retention.ms is unlimited: set 24 days")
    # A segment goes as a whole, when its newest record is old enough: its oldest is older by as long as it was written to.
    days = (retention + segment) / DAY
    problem = None
    if days > LONGEST_DAYS:
        problem = (
            f"keeps records for up to {days:g} days (retention.ms and segment.ms together): at most {LONGEST_DAYS} may pass; "
            "set retention.ms to 24 days and segment.ms to 1 day"
        )
    elif appended and config.get("message.timestamp.type") != "LogAppendTime":
        problem = "message.timestamp.type is not LogAppendTime: a producer's clock would say how long records stay"
    return Kept(name, days, problem)
