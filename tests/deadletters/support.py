"""Dead letters put on the topic as a worker puts them there, and what stands on the inputs afterwards."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Producer

from schemas.types import DeadLetter
from schemas.wire import Encoder
from streams.config import Settings
from streams.deadletters.reading import Letters, records
from streams.importers.shape import EVENTS
from streams.partitioner import lane_of
from streams.registry import Registry
from streams.topics import DEAD_LETTERS, INPUTS, STATES, Topics
from tests.processors.support import START
from tests.support.poll import eventually
from tests.worker.support import complete


class Pipeline:
    """Topics of a pipeline without workers."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self.settings = settings
        self.topics = Topics(settings.topic_prefix)
        self.encoder = Encoder(
            registry.ids(self.topics, [*EVENTS, "DeadLetter", "LetterReplayed", "LeadState", "LanePosition"])
        )
        self.letters = Letters(settings, registry)
        self._producer = Producer({"bootstrap.servers": settings.brokers, "log_level": 0})

    def event(self, kind: str, **fields: Any) -> bytes:
        return self.encoder.encode(kind, complete(kind, 0, **fields))

    def put(self, *letters: dict[str, Any]) -> None:
        """`letters`: fields other than the usual ones."""
        for number, changed in enumerate(letters):
            lead_id = changed.pop("lead_id", "lead-1")
            partition = lane_of(lead_id.encode(), self.settings.partitions)
            letter: DeadLetter = {
                "reason": "unknown_record", "detail": "for a test", "topic": self.topics.name("leads"),
                "partition": partition, "offset": number, "timestamp": START, "key": lead_id.encode(),
                "value": self.event("LeadCaptured", lead_id=lead_id, event_id=f"e{number}"), "headers": [],
                "schema_id": None, "lead_id": lead_id, "failed_at": START, "worker_version": "0",
            }  # fmt: skip
            self.raw(DEAD_LETTERS, partition, lead_id.encode(), self.encoder.encode("DeadLetter", letter | changed))
        self.flush()

    def raw(self, topic: str, partition: int, key: bytes, value: bytes | None) -> None:
        while True:
            try:
                self._producer.produce(self.topics.name(topic), value, key, partition)
                return
            except BufferError:
                self._producer.poll(0.1)

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    def erase(self, name: str, lead_id: str) -> None:
        """As a lane does it: a tombstone under the lead's keyed hash."""
        self.raw(STATES, lane_of(lead_id.encode(), self.settings.partitions), name.encode(), b"\0tombstone")
        self.flush()

    def inputs(self, count: int) -> list[Any]:
        """Every committed record of the input topics, once there are `count`: a commit is acknowledged before its markers
        stand in every partition (KIP-98), and until then a reader of what is committed sees less."""

        def read() -> list[Any]:
            return [message for topic in INPUTS for message in records(self.settings, self.topics.name(topic))]

        eventually(lambda: len(read()) >= count, 30)
        return read()
