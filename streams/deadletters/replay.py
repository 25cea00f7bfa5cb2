"""Publishes dead letters again, each exactly once.

1. init_transactions under a transactional.id of its own: another run that is still under way can commit nothing from here
   on, and what one that died left open is aborted.
2. `dead-letter-replays` is read to its end: the letters that were published again before.
3. Batch by batch, in one Kafka transaction: the records, and for each a mark on `dead-letter-replays`.

A record is visible when its mark is and not before, so neither a second run nor one after a crash doubles anything. On the
embedded broker, which knows no transactions, a crash may double what was under way; workers drop copies.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from schemas.types import LetterReplayed
from schemas.wire import Encoder
from streams.config import Settings
from streams.deadletters.mending import CannotMend, Mend, Outgoing
from streams.deadletters.reading import ErasedLeads, Letter, Letters, Wanted
from streams.errors import BatonError, ConfigurationError
from streams.publisher import PARTITIONER, client_errors
from streams.topic_settings import LARGEST
from streams.topics import LETTER_REPLAYS

_RECORDS: Final = 500
_BYTES: Final = 32 * 1024 * 1024
"""At most so much in one transaction: bounds memory."""
_SECONDS: Final = 60.0


@dataclass
class Summary:
    """What became of the letters that were wanted."""

    replayed: int = 0
    mended: int = 0
    before: int = 0
    """Published again by an earlier run."""
    erased: int = 0
    """Of leads that were erased since: their bytes must not come back."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """Why -> how many."""


class Outbox:
    """The writing side: records with their marks, transaction by transaction."""

    def __init__(self, settings: Settings, letters: Letters, encoder: Encoder) -> None:
        self._transactions = settings.transactions
        self._letters = letters
        self._encoder = encoder
        self._failed: str | None = None
        self._count = self._size = 0
        config: dict[str, Any] = {
            "bootstrap.servers": settings.brokers, "acks": settings.acks, "enable.idempotence": True, "linger.ms": 5,
            "partitioner": PARTITIONER, "message.max.bytes": LARGEST + 65_536, "message.timeout.ms": 60_000,
            "log_level": 0,
        }  # fmt: skip
        if self._transactions:
            config |= {"transactional.id": f"{settings.group}-dead-letters", "transaction.timeout.ms": 60_000}
        self._producer = Producer(config)

    def open(self) -> None:
        """Step 1."""
        if self._transactions:
            self._producer.init_transactions(_SECONDS)

    def add(self, letter: Letter, outgoing: Outgoing) -> None:
        """Step 3, of one letter."""
        if self._transactions and not self._count:
            self._producer.begin_transaction()
        name = self._letters.topics.name
        mark: LetterReplayed = {
            "letter_topic_id": self._letters.topic_id,
            "letter_partition": letter.place.partition,
            "letter_offset": letter.place.offset,
            "topic": name(outgoing.topic),
            "mended": outgoing.mended,
            "replayed_at": time.time_ns() // 1_000_000,
        }
        self._produce(name(outgoing.topic), outgoing.value, outgoing.key, -1, outgoing.headers)
        self._produce(
            name(LETTER_REPLAYS), self._encoder.encode("LetterReplayed", mark), str(letter.place).encode(), 0, []
        )
        self._count += 1
        self._size += len(outgoing.value or b"")
        if self._count >= _RECORDS or self._size >= _BYTES:
            self.commit()

    def _produce(self, topic: str, value: bytes | None, key: bytes | None, partition: int, headers: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=self._reported, headers=headers)
                return
            except BufferError:
                with client_errors():
                    self._producer.poll(0.1)

    def _reported(self, error: Any, _: Any) -> None:
        if error is not None and self._failed is None:
            self._failed = error.str()

    def commit(self) -> None:
        """Makes what was added visible."""
        if not self._count:
            return
        with client_errors():
            left = self._producer.flush(_SECONDS)
        if left or self._failed:
            self.abandon()
            raise BatonError(f"dead letters cannot be published: {self._failed or 'no answer'}; run it again")
        if self._transactions:
            self._producer.commit_transaction(_SECONDS)
        self._count = self._size = 0

    def abandon(self) -> None:
        """Takes back what is not committed, as well as that can be done: the next run's step 1 does it in any case."""
        if self._transactions and self._count:
            try:
                self._producer.abort_transaction(5.0)
            except KafkaException:
                return


def replay(
    settings: Settings,
    letters: Letters,
    encoder: Encoder,
    wanted: Wanted,
    mend: Mend,
    *,
    dry_run: bool = False,
    passed_over: Callable[[Letter, str], None] = lambda *_: None,
) -> Summary:
    """Publishes the wanted letters. `passed_over` hears of those that cannot be. Raises BatonError."""
    if not settings.erasure_key.get_secret_value():
        raise ConfigurationError(
            "erasure_key (BATON_ERASURE_KEY, or a file of that name in BATON_SECRETS_DIR): give the workers' key, so that "
            "letters of erased leads are known and left alone"
        )
    outbox = Outbox(settings, letters, encoder)
    summary = Summary()
    try:
        if not dry_run:
            outbox.open()
        before = letters.replayed()
        erased = ErasedLeads(settings)
        for letter in letters.read(wanted):
            lead_id = letter.record["lead_id"]
            if letter.place in before:
                summary.before += 1
                continue
            if lead_id and lead_id in erased:
                summary.erased += 1
                continue
            try:
                outgoing = mend(letter)
            except CannotMend as error:
                summary.passed_over[letter.record["reason"]] += 1
                passed_over(letter, str(error))
                continue
            if outgoing.key is not None and outgoing.mended and outgoing.key.decode() in erased:
                summary.erased += 1
                continue
            if not dry_run:
                outbox.add(letter, outgoing)
            summary.replayed += 1
            summary.mended += outgoing.mended
        if not dry_run:
            outbox.commit()
    except KafkaException as error:
        outbox.abandon()
        raise BatonError(
            f"dead letters cannot be published: {error.args[0].str()} (did another run take over?); what was committed "
            "stays, run it again for the rest"
        ) from None
    return summary
