"""A simulated Kafka: partitions with append time, transactions with epochs and markers, compaction.

Calls take no time; who calls decides when. What a broker does by itself later (markers, time-outs) it does by the loop.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple, TypeAlias

from confluent_kafka import KafkaError, KafkaException

from tests.simulation.loop import CURRENT, Loop

Place: TypeAlias = tuple[str, int]
"""Topic, partition."""
MOST_SKEW: Final = 400
"""Milliseconds by which a broker's clock is off; Settings.clock_margin must cover what two differ by."""


def failed(code: int) -> KafkaException:
    return KafkaException(KafkaError(code))


@dataclass(eq=False, slots=True)
class Transaction:
    """What a producer wrote between begin and end. `decided`: where a marker says what became of it."""

    places: set[Place] = field(default_factory=set)
    outcome: bool | None = None
    """True: it will be committed, markers may be on their way; None: open."""
    decided: dict[Place, bool] = field(default_factory=dict)


class Entry(NamedTuple):
    """A record, as read by whoever reads; aiokafka's and confluent's forms are made of it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    transaction: Transaction | None
    marker: bool = False


class Partition:
    def __init__(self, skew: int) -> None:
        self.entries: list[Entry | None] = []
        """None: compacted away."""
        self.skew = skew
        self._undecided: dict[Transaction, int] = {}

    @property
    def end(self) -> int:
        return len(self.entries)

    @property
    def stable(self) -> int:
        """The last stable offset: what lies behind it may still be aborted."""
        return min(self._undecided.values()) if self._undecided else len(self.entries)

    def append(self, now: int, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]],
               transaction: Transaction | None) -> Entry:  # fmt: skip
        last = next((entry.timestamp for entry in reversed(self.entries) if entry is not None), 0)
        entry = Entry(self.end, max(now + self.skew, last), key, value, tuple(headers), transaction)
        if transaction is not None:
            self._undecided.setdefault(transaction, entry.offset)
        self.entries.append(entry)
        return entry

    def decide(self, transaction: Transaction, now: int) -> None:
        self._undecided.pop(transaction, None)
        self.entries.append(Entry(self.end, now + self.skew, None, None, (), transaction, marker=True))

    def read(self, place: Place, offset: int, most: int, committed: bool = True) -> tuple[list[Entry], int]:
        """Records from `offset` on, and where to read on."""
        stop = min(self.stable if committed else self.end, offset + most)
        found = []
        for entry in self.entries[offset:stop]:
            if entry is None or entry.marker:
                continue
            if entry.transaction is None or not committed or entry.transaction.decided.get(place):
                found.append(entry)
        return found, max(offset, stop)


@dataclass(eq=False, slots=True)
class Owner:
    """A transactional id, as the coordinator knows it."""

    epoch: int = -1
    transaction: Transaction | None = None


class Broker:
    """`base`: UTC milliseconds at the loop's time 0."""

    def __init__(self, loop: Loop, random: Random, base: int, told: Counter[str]) -> None:
        self._loop, self._random, self._base = loop, random, base
        self._told = told
        self.partitions: dict[Place, Partition] = {}
        self.owners: defaultdict[str, Owner] = defaultdict(Owner)
        self.away_until = 0.0
        """Until then the coordinator answers nobody, or does what it is asked and does not say so."""
        self.unreachable_until = 0.0
        """Until then nothing is appended and nothing fetched."""
        self._held: dict[Place, int] = {}
        """Where partitions end for consumers, while a replica is gone that is counted as in sync."""
        self._held_until = 0.0
        self.fencing = True
        """False: a broken broker, to show that this is found."""

    def hold(self, topics: Collection[str], lasts: float) -> None:
        """A replica of these topics is gone, and not given up for `lasts` seconds: nothing new is shown."""
        if self._loop.now >= self._held_until:
            self._held = {place: partition.end for place, partition in self.partitions.items() if place[0] in topics}
        self._held_until = max(self._held_until, self._loop.now + lasts)

    def shown(self, place: Place) -> int:
        """Where the partition ends for consumers."""
        end = self.partitions[place].end
        return self._held.get(place, end) if self._loop.now < self._held_until else end

    def alive(self) -> Collection[int]:
        return (1,) if self._loop.now < self._held_until else (1, 2)

    def in_sync(self) -> Mapping[Place, frozenset[int]]:
        return dict.fromkeys(self.partitions, frozenset((1, 2)))

    def create(self, topic: str, partitions: int) -> None:
        for number in range(partitions):
            self.partitions[topic, number] = Partition(self._random.randint(-MOST_SKEW, MOST_SKEW))

    def now(self) -> int:
        return self._base + int(self._loop.now * 1000)

    def time(self) -> float:
        """The loop's."""
        return self._loop.now

    def at(self, instant: int) -> float:
        """The loop's time when the broker's is `instant`."""
        return (instant - self._base) / 1000

    def append(self, place: Place, key: bytes | None, value: bytes | None,
               headers: Sequence[tuple[str, bytes]] = ()) -> Entry:  # fmt: skip
        """By a producer without transactions."""
        return self.partitions[place].append(self.now(), key, value, headers, None)

    # Transactions. Every call but `init` says under which epoch.

    def init(self, name: str) -> int:
        """A new epoch: who has an older one is fenced, and what it left open is aborted. The new epoch."""
        self._stumble("init")
        owner = self.owners[name]
        self._finish(owner, commit=False)
        owner.epoch += 1
        return owner.epoch

    def write(self, name: str, epoch: int, place: Place, key: bytes | None, value: bytes | None,
              timeout: float) -> Entry:  # fmt: skip
        owner = self._check(name, epoch)
        transaction = owner.transaction
        if transaction is not None and transaction.outcome is not None:
            self._finish(owner, commit=False)
            transaction = None
        if transaction is None:
            transaction = owner.transaction = Transaction()
            self._later(timeout, self._time_out, owner, transaction)
        transaction.places.add(place)
        return self.partitions[place].append(self.now(), key, value, (), transaction)

    def end(self, name: str, epoch: int, *, commit: bool) -> None:
        owner = self._check(name, epoch)
        transaction = owner.transaction
        if transaction is None or transaction.outcome is not None:
            return
        if self._loop.now < self.away_until:
            self._told["commits whose answer is lost" if commit else "aborts whose answer is lost"] += 1
            self._lose_answer(owner, transaction, commit=commit)
            raise failed(KafkaError._TIMED_OUT)
        self._decide(owner, transaction, commit=commit)

    def _lose_answer(self, owner: Owner, transaction: Transaction, *, commit: bool) -> None:
        """It was done, or will be done later by what is still under way, or never."""
        match self._random.randrange(3):
            case 0:
                self._decide(owner, transaction, commit=commit)
            case 1:
                epoch = owner.epoch
                self._later(self._random.uniform(0.1, 4), self._late_end, owner, epoch, transaction, commit)

    def _late_end(self, owner: Owner, epoch: int, transaction: Transaction, commit: bool) -> None:
        if owner.epoch == epoch and owner.transaction is transaction and transaction.outcome is None:
            self._told["ends of transactions that came late"] += 1
            self._decide(owner, transaction, commit=commit)

    def _decide(self, owner: Owner, transaction: Transaction, *, commit: bool) -> None:
        """Markers reach the partitions one after the other."""
        transaction.outcome = commit
        if not commit:
            self._told["transactions aborted"] += 1
        for place in sorted(transaction.places):
            self._later(self._random.uniform(0, 0.05), self._mark, transaction, place)

    def _mark(self, transaction: Transaction, place: Place) -> None:
        if place not in transaction.decided and transaction.outcome is not None:
            transaction.decided[place] = transaction.outcome
            self.partitions[place].decide(transaction, self.now())

    def _finish(self, owner: Owner, *, commit: bool) -> None:
        """The last transaction is over before anything new begins."""
        transaction, owner.transaction = owner.transaction, None
        if transaction is None:
            return
        if transaction.outcome is None:
            transaction.outcome = commit
            self._told["transactions aborted"] += 1
        for place in sorted(transaction.places):
            self._mark(transaction, place)

    def _time_out(self, owner: Owner, transaction: Transaction) -> None:
        if owner.transaction is transaction and transaction.outcome is None:
            self._told["transactions timed out"] += 1
            self._finish(owner, commit=False)
            owner.epoch += 1

    def _check(self, name: str, epoch: int) -> Owner:
        owner = self.owners[name]
        if epoch != owner.epoch and self.fencing:
            self._told["fenced"] += 1
            raise failed(KafkaError._FENCED)
        return owner

    def _stumble(self, what: str) -> None:
        if self._loop.now < self.away_until:
            self._told[f"coordinator away: {what}"] += 1
            raise failed(KafkaError._TIMED_OUT)

    def _later(self, delay: float, call: Callable[..., None], *arguments: object) -> None:
        """The broker lives on whoever dies."""
        token = CURRENT.set(None)
        self._loop.call_later(delay, call, *arguments)
        CURRENT.reset(token)

    def compact(self, place: Place) -> None:
        """Forgets every settled record of a key but the last. Tombstones stay for a day, which is for ever here."""
        partition = self.partitions[place]
        latest: dict[bytes | None, int] = {}
        stop = partition.stable
        settled = [
            entry
            for entry in partition.entries[:stop]
            if entry is not None
            and not entry.marker
            and (entry.transaction is None or entry.transaction.decided.get(place))
        ]
        for entry in settled:
            latest[entry.key] = entry.offset
        for entry in settled:
            if latest[entry.key] != entry.offset:
                partition.entries[entry.offset] = None
