"""What the lane runtime needs of the world: a log's clients, time, and somewhere to let work block.

`real` gives Kafka, threads and this machine's monotonic clock; a simulation gives its own (tests/simulation). What blocks is
written as steps: production runs them through in a thread, a simulation may delay, stop or kill between any two.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import confluent_kafka

from streams.worker.handover import HandOver, Place

T = TypeVar("T")
Steps: TypeAlias = Generator[str, None, T]
"""Work that blocks, cut into its steps: each step yields its name when it is done."""


def finish(steps: Steps[T]) -> T:
    """Runs all steps."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]


def once(name: str, call: Callable[..., T], *arguments: Any) -> Steps[T]:
    """A call as a single step."""
    result = call(*arguments)
    yield name
    return result


class Producer(Protocol):
    """confluent_kafka.Producer, as far as lanes use it. Every call may raise KafkaException."""

    def init_transactions(self, timeout: float) -> None: ...
    def begin_transaction(self) -> None: ...
    def produce(self, topic: str, value: bytes | None, key: bytes | None, partition: int, callback: Any) -> None: ...
    def poll(self, timeout: float) -> int: ...
    def flush(self, timeout: float) -> int: ...
    def commit_transaction(self, timeout: float) -> None: ...
    def abort_transaction(self, timeout: float) -> None: ...


class Consumer(Protocol):
    """confluent_kafka.Consumer, as far as a restore uses it."""

    def assign(self, partitions: Sequence[Any]) -> None: ...
    def consume(self, most: int, timeout: float) -> Sequence[Any]: ...
    def get_watermark_offsets(self, partition: Any, timeout: float) -> tuple[int, int]: ...
    def close(self) -> None: ...


class Fetcher(Protocol):
    """Membership of the group, and what is fetched of the inputs; hands fetches to Engine.feed."""

    ready: frozenset[int]
    """Lanes that are restored: nothing is fetched for others."""

    async def seek(self, positions: Mapping[Place, int], epoch: int) -> None:
        """Fetches on from `positions`: what is fetched there is of that epoch, what is still on its way of an older one."""
        ...

    def hand_over(self, place: Place) -> HandOver:
        """What is known of a partition's end."""
        ...

    def partitions(self, topic: str) -> int:
        """How many the topic has, as far as is known here."""
        ...

    def tell_offsets(self, positions: Mapping[Place, int]) -> None:
        """Lets lag tools know how far the group is: soon, or later where its coordinator does not answer. Returns at once."""
        ...

    def pause(self, place: Place) -> None: ...
    def resume(self, place: Place) -> None: ...


class Blocking(Protocol):
    """Runs steps beside the event loop. Cancelling the wait for them does not stop them."""

    def __call__(self, steps: Steps[T]) -> Awaitable[T]: ...


@dataclass(frozen=True)
class Ports:
    producer: Callable[[Mapping[str, object]], Producer]
    consumer: Callable[[Mapping[str, object]], Consumer]
    blocking: Blocking
    monotonic: Callable[[], float] = time.monotonic
    """Seconds; thread-safe."""
    idle: float = 0.01
    """Seconds the lane loop sleeps when there was nothing to do."""


def real() -> Ports:
    """Kafka, threads, this machine's clock."""
    pool = ThreadPoolExecutor(64, thread_name_prefix="lane")

    def blocking(steps: Steps[T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(pool, finish, steps)

    return Ports(confluent_kafka.Producer, confluent_kafka.Consumer, blocking)
