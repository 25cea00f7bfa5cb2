"""The commit protocol of one lane.

Taking over:
 1. `fence`: init_transactions under the lane's own transactional.id. Whoever held the lane before can commit nothing
    from here on, and what it left open is aborted.
 2. the state topic's partition is read to its end, read_committed (restore.py): states and position in one read.
 3. the inputs are fetched from the restored position.

Per batch, in one Kafka transaction:
 4. begin; outputs (transitions, SLA events, dead letters), what is passed on to other lanes, then changed lead states,
    then the LanePosition: each into the lane's own partition number of its topic, what is passed on into its lead's.
 5. commit. Only now the lane counts the batch as written.

The LanePosition is the authority on restart: state and position stand in one transaction and cannot differ. The group's
offsets are no part of it: they are told afterwards, for lag tools (driver.py), and nothing is read from them. Any
KafkaException means that the lane is lost: all of it is forgotten, and restored from what is durable if it is still ours.

On the embedded broker, which knows no transactions, steps 1 and 5 are a flush: the order of writing is the same, the
guarantees are those of one worker that does not crash.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Final

from confluent_kafka import KafkaException, Message

from streams.config import Settings
from streams.errors import BatonError
from streams.publisher import PARTITIONER, client_errors
from streams.topics import FORWARDS, STATES, Topics
from streams.worker.lane import Batch
from streams.worker.ports import Ports, Steps
from streams.worker.skew import BrokerTime

FENCED: Final = frozenset({"_FENCED", "_FATAL", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"})
"""Errors that say another owner has the lane. `_FATAL` comes from produce() on a fenced producer, with fatal() False."""
_SECONDS: Final = 30.0
_BY_KEY: Final = -1
"""The client's partitioner decides: a forward goes to the lane of its lead."""


class LaneLog:
    """The writing side of one lane: its producer and its transactions. Every step may raise KafkaException."""

    def __init__(self, number: int, settings: Settings, broker_time: BrokerTime, ports: Ports) -> None:
        self.number = number
        self.last_position: int | None = None
        """Offset of the last LanePosition written here; durable when the write that wrote it has returned."""
        self._monotonic = ports.monotonic
        self._settings = settings
        self._topics = Topics(settings.topic_prefix)
        self._broker_time = broker_time
        self._failure: KafkaException | None = None
        self._partition = {self._topics.name(FORWARDS): _BY_KEY}
        config: dict[str, object] = {
            "bootstrap.servers": settings.brokers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 20,
            "batch.size": 262_144,
            "batch.num.messages": 10_000,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 262_144,
            "message.max.bytes": 16 * 1024 * 1024,
            # The embedded broker keeps 5 MB a partition, as they come: a sink that lags finds five times as much.
            "compression.type": "lz4",
            "partitioner": PARTITIONER,
            "log_level": 0,
        }
        if settings.transactions:
            config["transactional.id"] = f"{settings.group}-lane-{number}"
            config["transaction.timeout.ms"] = round(settings.transaction_timeout * 1000)
        self._producer = ports.producer(config)

    def fence(self) -> Steps[None]:
        """Step 1."""
        if self._settings.transactions:
            self._producer.init_transactions(_SECONDS)
        yield "fence"

    def write(self, batch: Batch) -> Steps[float]:
        """Steps 4 and 5; returns the seconds they took."""
        started = self._monotonic()
        producer = self._producer
        if self._settings.transactions:
            producer.begin_transaction()
            yield "begin"
        names = {topic: self._topics.name(topic) for topic in {message.topic for message in batch.messages}}
        *outputs, (topic, key, value) = batch.messages
        # Within a transaction a failed delivery fails the commit; a call-back for each record would only cost time.
        report = None if self._settings.transactions else self._failed
        states = next((at for at, message in enumerate(outputs) if message.topic == STATES), len(outputs))
        for name, output_key, output in outputs[:states]:
            self._produce(names[name], output, output_key, report)
        yield "outputs"
        for name, output_key, output in outputs[states:]:
            self._produce(names[name], output, output_key, report)
        yield "states"
        # The last record's delivery tells the broker's time.
        self._produce(names[topic], value, key, self._delivered)
        yield "position"
        with client_errors():
            left = producer.flush(_SECONDS)
        if left:
            raise BatonError(f"lane {self.number}: the broker took longer than {_SECONDS:.0f} s to take a batch")
        yield "flush"
        if self._settings.transactions:
            producer.commit_transaction(_SECONDS)
            yield "commit"
        if self._failure is not None:
            raise self._failure
        return self._monotonic() - started

    def _produce(self, topic: str, value: bytes | None, key: bytes | None, report: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, self._partition.get(topic, self.number), report)
                return
            except BufferError:  # the client's queue is full: wait for room, that is what bounds memory
                with client_errors():
                    self._producer.poll(0.1)

    def _failed(self, error: object, message: Message) -> None:
        if error is not None:
            self._failure = KafkaException(error)

    def _delivered(self, error: object, message: Message) -> None:
        self._failed(error, message)
        if error is None:
            self.last_position = message.offset()
            # The embedded broker stamps nothing and runs on this machine's clock.
            stamped = message.timestamp()[1] if self._settings.transactions else round(time.time() * 1000)
            self._broker_time.seen(stamped)

    def close(self) -> Steps[None]:
        """Aborts what is open, as well as that can be done: the next owner's fence does it in any case."""
        if self._settings.transactions:
            with contextlib.suppress(KafkaException):
                self._producer.abort_transaction(2.0)
        yield "abort"
