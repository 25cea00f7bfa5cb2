"""A worker's outputs, written as a worker writes them, and a sink to read them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from processors.vocabulary import STAGES
from schemas.catalog import CATALOG
from schemas.wire import Encoder
from streams.config import Settings
from streams.sink.sink import Sink
from streams.store.client import Client
from streams.topics import LANE_KEY, RECEIVED_AT_HEADER, Topics
from tests.support.poll import eventually

IDS = {name: number for number, name in enumerate(CATALOG, 1)}
DAY = 86_400_000
START = 1_760_000_000_000
NEVER = 2**63 - 1


class Schemas:
    """A registry that knows every contract under IDS."""

    def __init__(self) -> None:
        self._texts = {number: CATALOG[name].text for name, number in IDS.items()}

    def text(self, schema_id: int) -> str | None:
        return self._texts.get(schema_id)


def complete(name: str, /, **fields: Any) -> dict[str, Any]:
    empty: dict[Any, Any] = {
        "string": "", "long": 0, "int": 0, "boolean": False, "bytes": b"", "map": {}, "array": [], "enum": None,
    }  # fmt: skip
    record: dict[str, Any] = {}
    for field in CATALOG[name].schema["fields"]:
        kind = field["type"]
        kind = kind.get("type") if isinstance(kind, dict) else kind
        record[field["name"]] = field.get("default") if isinstance(kind, list) else empty[kind]
    unknown = fields.keys() - record.keys()
    assert not unknown, f"{name} has no {unknown}"
    return record | fields


def transition(identity: str, lead: str, stage: str, at: int = 0, **fields: Any) -> dict[str, Any]:
    """`at`: hours after START."""
    return complete(
        "LeadTransition", transition_id=identity, lead_id=lead, to_stage=stage, cycle=1,
        entered_at=START + at * 3_600_000, event_type="LeadCaptured", source_system="crm", entered_by="system",
        agreement_version="1", **{"change": "stated", "sequence": 1, "event_id": f"e-{identity}", **fields},
    )  # fmt: skip


def instance(identity: str, lead: str, verdict: str, **fields: Any) -> dict[str, Any]:
    defaults = {
        "kind": {"open": "started", "breached_open": "breached"}.get(verdict, verdict), "policy": "first_response",
        "cycle": 1, "source": "web",
        "start_event_id": f"s-{identity}", "start_source_system": "crm", "start_event_type": "LeadCaptured",
        "started_at": START, "deadline": START + DAY,
        "agreement_version": "1", "calendar": "24x7", "target_ms": DAY, "notify": True,
    }  # fmt: skip
    return complete("SlaEvent", instance_id=identity, lead_id=lead, verdict=verdict, **{**defaults, **fields})


def journey(cycle: int, **entered: int) -> dict[str, Any]:
    fields = CATALOG["LeadState"].schema["fields"]
    items = next(field for field in fields if field["name"] == "journeys")["type"]["items"]["fields"]
    stages = {key.removesuffix("_at"): at for key, at in entered.items() if key.removesuffix("_at") in STAGES}
    others = {key: value for key, value in entered.items() if key.removesuffix("_at") not in STAGES}
    empty: dict[str, Any] = {field["name"]: None for field in items}
    return empty | {"cycle": cycle, "implied": [], "entered": stages} | others


def state(lead: str, stage: str, *journeys: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return complete(
        "LeadState", lead_id=lead, stage=stage, cycle=max((item["cycle"] for item in journeys), default=1),
        work_status="new", journeys=list(journeys), **{"next_deadline": NEVER, "source": "web", **fields},
    )  # fmt: skip


def position(lane: int, clock: int, **counters: int) -> dict[str, Any]:
    return complete(
        "LanePosition", lane=lane, clock=clock, positions={"leads": 1}, counters=counters, worker_version="1"
    )


def letter(topic: str, offset: int, reason: str, **fields: Any) -> dict[str, Any]:
    return complete(
        "DeadLetter", topic=topic, partition=0, offset=offset, reason=reason, timestamp=START, key=b"k", value=b"personal",
        **fields,
    )  # fmt: skip


_TOPIC = {name: contract.topics[0] for name, contract in CATALOG.items()}


class Worker:
    """Writes output records; `transactional_id`: in transactions (real brokers)."""

    def __init__(
        self, settings: Settings, transactional_id: str | None = None, ids: Mapping[str, int] | None = None
    ) -> None:
        config: dict[str, Any] = {"bootstrap.servers": settings.brokers, "log_level": 0, "linger.ms": 5}
        if transactional_id is not None:
            config["transactional.id"] = transactional_id
        self.producer = Producer(config)
        if transactional_id is not None:
            self.producer.init_transactions(30)
        self.observer = Consumer(
            {
                "bootstrap.servers": settings.brokers,
                "group.id": "observer",
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )
        self._topics = Topics(settings.topic_prefix)
        self._encoder = Encoder(ids or IDS)

    def write(self, name: str, *records: dict[str, Any], partition: int = 0) -> None:
        for record in records:
            key = LANE_KEY if name == "LanePosition" else (record["lead_id"] or "").encode()
            self.raw(_TOPIC[name], key, self._encoder.encode(name, record), partition)

    def raw(self, topic: str, key: bytes | None, value: bytes | None, partition: int = 0) -> None:
        self.producer.produce(self._topics.name(topic), value, key, partition)

    def archive(self, topic: str, name: str, event: dict[str, Any], received_at: int | None = None) -> None:
        """An event on an input topic; `received_at`: as an import gives it, and as the record's timestamp."""
        headers = [] if received_at is None else [(RECEIVED_AT_HEADER, str(received_at).encode())]
        self.producer.produce(
            self._topics.name(topic), self._encoder.encode(name, event), event.get("lead_id", "key").encode(), 0,
            headers=headers, **({} if received_at is None else {"timestamp": received_at}),
        )  # fmt: skip

    def done(self) -> None:
        assert self.producer.flush(20) == 0


@contextmanager
def running(settings: Settings, make: Callable[[Settings, Schemas], Sink] = Sink) -> Iterator[Sink]:
    """A sink in a thread of its own."""
    sink = make(settings, Schemas())
    thread = threading.Thread(target=sink.run, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        sink.stop()
        thread.join(20)
        assert not thread.is_alive()


def caught_up(sink: Sink, worker: Worker) -> None:
    """Waits until what `worker` wrote is flushed and the sink stands at the ends of the log."""
    worker.done()
    eventually(lambda: sink.status()["caught_up"] and behind(sink, worker) == 0, 30)


def behind(sink: Sink, worker: Worker) -> int:
    """Committed offsets that the sink's positions have not passed, markers included."""
    total = 0
    for place, at in sink.status()["partitions"].items():
        name, _, number = place.rpartition("-")
        _, end = worker.observer.get_watermark_offsets(TopicPartition(name, int(number)), timeout=10)
        total += max(end - at["position"], 0)
    return total


def rows(client: Client, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
    return list(client.query(sql, parameters=parameters).result_rows)


def environment(settings: Settings) -> dict[str, str]:
    """The settings as BATON_* variables, for a process."""
    shown = {
        f"BATON_{key.upper()}": str(value)
        for key, value in settings.model_dump(mode="json").items()
        if value is not None
    }
    return shown | {
        "BATON_STORE_PASSWORD": settings.store_password.get_secret_value(),
        "BATON_STORE_READER_PASSWORD": settings.store_reader_password.get_secret_value(),
    }
