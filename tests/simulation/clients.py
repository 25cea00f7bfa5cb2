"""Kafka clients of one worker, as the worker knows them from confluent-kafka."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException

from streams.partitioner import lane_of
from tests.simulation.broker import Broker, Entry, failed


class Message(NamedTuple):
    """confluent_kafka.Message, as far as it is read."""

    entry: Entry | None
    failure: KafkaError | None = None

    def error(self) -> KafkaError | None:
        return self.failure

    def key(self) -> bytes | None:
        return None if self.entry is None else self.entry.key

    def value(self) -> bytes | None:
        return None if self.entry is None else self.entry.value

    def offset(self) -> int:
        return -1 if self.entry is None else self.entry.offset

    def timestamp(self) -> tuple[int, int]:
        return (2, -1 if self.entry is None else self.entry.timestamp)


class Producer:
    """What is produced is sent now and then, and on flush at the latest."""

    def __init__(
        self, broker: Broker, random: Random, lanes: int, reachable: Callable[[], bool], config: Mapping[str, Any]
    ) -> None:
        self._broker, self._random, self._lanes, self._reachable = broker, random, lanes, reachable
        self._name = str(config["transactional.id"])
        self._timeout = config["transaction.timeout.ms"] / 1000
        self._epoch: int | None = None
        self._begun = False
        self._fatal: KafkaException | None = None
        self._failed = False
        self._buffer: list[tuple[str, int, bytes | None, bytes | None, Any]] = []

    def _call(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if self._fatal is not None:
            raise self._fatal
        try:
            return call(self._name, *arguments, **named)
        except KafkaException as error:
            if error.args[0].code() == KafkaError._FENCED:
                self._fatal = failed(KafkaError._FENCED)
            raise

    def init_transactions(self, timeout: float) -> None:
        self._epoch = self._call(self._broker.init)

    def begin_transaction(self) -> None:
        if self._epoch is None or self._begun:
            raise failed(KafkaError._STATE)
        if self._fatal is not None:
            raise self._fatal
        self._begun, self._failed = True, False

    def produce(self, topic: str, value: bytes | None, key: bytes | None, partition: int, callback: Any) -> None:
        if self._fatal is not None:
            raise failed(KafkaError._FATAL)  # as librdkafka tells it, where it has learnt of it before
        if not self._begun:
            raise failed(KafkaError._STATE)
        if partition < 0:
            partition = lane_of(key or b"", self._lanes)
        self._buffer.append((topic, partition, value, key, callback))
        if self._random.random() < 0.1:
            self._send()

    def poll(self, timeout: float) -> int:
        self._send()
        return 0

    def flush(self, timeout: float) -> int:
        self._send()
        return len(self._buffer)

    def _send(self) -> None:
        while self._buffer and self._reachable():
            topic, partition, value, key, callback = self._buffer[0]
            problem: KafkaError | None = None
            entry: Entry | None = None
            try:
                entry = self._call(self._broker.write, self._epoch, (topic, partition), key, value, self._timeout)
            except KafkaException as error:
                problem = error.args[0]
                self._failed = True
            self._buffer.pop(0)
            if callback is not None:
                callback(problem, Message(entry, problem))

    def commit_transaction(self, timeout: float) -> None:
        if not self._begun:
            raise failed(KafkaError._STATE)
        if self._buffer:
            self._send()
        if self._failed or self._buffer:
            raise self._fatal or failed(KafkaError._PURGE_INFLIGHT)
        self._call(self._broker.end, self._epoch, commit=True)
        self._begun = False

    def abort_transaction(self, timeout: float) -> None:
        self._buffer.clear()
        if not self._begun:
            raise failed(KafkaError._STATE)
        self._call(self._broker.end, self._epoch, commit=False)
        self._begun = False


class Consumer:
    """A reader of one partition, read_committed, that tells its end."""

    def __init__(
        self, broker: Broker, random: Random, reachable: Callable[[], bool], config: Mapping[str, Any]
    ) -> None:
        self._broker, self._random, self._reachable = broker, random, reachable
        self._committed = config["isolation.level"] == "read_committed"
        self._place = ("", -1)
        self._offset = 0
        self._closed = False

    def assign(self, partitions: Sequence[Any]) -> None:
        (place,) = partitions
        self._place = (place.topic, place.partition)
        self._offset = max(0, place.offset)  # OFFSET_BEGINNING is negative

    def consume(self, most: int, timeout: float) -> list[Message]:
        if self._closed:
            raise RuntimeError("Consumer closed")
        if not self._reachable():
            return [Message(None, KafkaError(KafkaError._TRANSPORT))] if self._random.random() < 0.5 else []
        partition = self._broker.partitions[self._place]
        most = self._random.choice((3, 40, most))
        entries, self._offset = partition.read(self._place, self._offset, most, self._committed)
        found = [Message(entry) for entry in entries]
        if self._offset >= (partition.stable if self._committed else partition.end) and self._random.random() < 0.8:
            found.append(Message(None, KafkaError(KafkaError._PARTITION_EOF)))
        return found

    def get_watermark_offsets(self, partition: Any, timeout: float) -> tuple[int, int]:
        if not self._reachable():
            raise failed(KafkaError._TRANSPORT)
        return 0, self._broker.partitions[partition.topic, partition.partition].end

    def close(self) -> None:
        self._closed = True
