"""The topic `agreements`: a version is published once, for ever, with the holidays that were known then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from processors.agreement import DEFAULTS, Agreement, AgreementError, Agreements, pinned
from schemas.wire import Decoder, Encoder, WireError, schema_id
from streams.config import Settings
from streams.errors import BatonError, ConfigurationError, InputError, UnavailableError
from streams.registry import Registry
from streams.topic_admin import wait_for_brokers
from streams.topics import AGREEMENTS, Topics

log = structlog.get_logger(__name__)

RECORD: Final = "AgreementVersion"
NOTICE_MS: Final = 60_000
"""A version takes effect at least so long after its publication: every worker has to know it by then."""
_PARTITION: Final = 0
_CONFIG: Final[dict[str, Any]] = {
    "group.id": "baton-agreements",  # needed by the client, never joined
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 100,
    "log_level": 0,
}


class _Log:
    """Reads the topic from its beginning, record by record."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self.name = Topics(settings.topic_prefix).name(AGREEMENTS)
        self._brokers = settings.brokers
        self._registry = registry
        self._decoder = Decoder()
        self._consumer = Consumer({"bootstrap.servers": settings.brokers, **_CONFIG})
        self._consumer.assign([TopicPartition(self.name, _PARTITION, 0)])
        self._pending: Message | None = None
        self._trouble: str | None = None
        self.versions: list[Agreement] = []
        self.latest: dict[str, str] = {}
        """Version -> checksum of its latest record: what compaction leaves of it."""
        self.at_end = False

    def poll(self, seconds: float) -> bool:
        """Takes what comes within `seconds`; whether a version was added. `at_end`: nothing more stands there now."""
        self.at_end = False
        message = self._pending or self._consumer.poll(seconds)
        if message is None:
            return False
        error = message.error()
        if error is None:
            self._pending = message  # the registry may be away: then it is looked at again
            try:
                found = self._version(message)
                self._pending = None
            except AgreementError:
                self._pending = None
                raise
            return found is not None and self._add(found)
        if error.code() == KafkaError._PARTITION_EOF:
            self.at_end = True
            return False
        if error.str() != self._trouble:  # the client goes on trying
            self._trouble = error.str()
            log.warning("agreement topic cannot be read, retrying", topic=self.name, error=error.name())
        return False

    def _version(self, message: Message) -> Agreement | None:
        """The version in a record; None where there is none: a record of something else is told and passed over."""
        value = message.value()
        number = schema_id(value)
        try:
            if value is None:
                raise WireError("undecodable", "a version cannot be taken back: publish a newer one")
            if number is not None and not self._decoder.knows(number):
                self._decoder.learn(number, self._registry.text(number))
            name, record = self._decoder.decode(value)
            if name != RECORD:
                raise WireError("unknown_record", f"{name} does not belong here")
        except WireError as error:
            log.error("not an agreement version", topic=self.name, offset=message.offset(), reason=error.reason)
            return None
        version = record["version"]
        found = Agreement.parse(
            record["text"], source=f"published version {version}", holidays=pinned(record["holidays"])
        )
        if (found.version, found.effective_from) != (version, record["effective_from"]):
            raise AgreementError(
                [f"published version {version}: its text says another version or another effective_from"]
            )
        return found

    def _add(self, found: Agreement) -> bool:
        self.latest[found.version] = found.checksum
        known = next((item for item in self.versions if item.version == found.version), None)
        if known is not None and known.checksum == found.checksum:
            return False
        try:
            Agreements([*self.versions, found])
        except AgreementError as error:
            log.error("agreement version contradicts an earlier one", topic=self.name, error=str(error))
            return False
        self.versions.append(found)
        return True

    def to_end(self, patience: float) -> None:
        """Raises BatonError where the topic cannot be read to its end, or holds what cannot be read."""
        deadline = time.monotonic() + patience
        try:
            while not self.at_end:
                self.poll(0.5)
                if not self.at_end and time.monotonic() > deadline:
                    cause = self._trouble or "no answer"
                    raise UnavailableError(f"topic {self.name} on {self._brokers} cannot be read to its end: {cause}")
        except AgreementError as error:
            raise BatonError(f"topic {self.name}: {error} (written by a newer Baton? upgrade this one)") from None
        except KafkaException as error:
            raise UnavailableError(f"topic {self.name} on {self._brokers}: {error.args[0].str()}") from None

    def contradicted(self) -> list[Agreement]:
        """Versions whose latest record has another text than the first: what holds depends on compaction."""
        return [item for item in self.versions if self.latest[item.version] != item.checksum]

    def close(self) -> None:
        self._consumer.close()


def _read(settings: Settings, registry: Registry, patience: float) -> _Log:
    """The topic, read to its end; to be closed."""
    name = Topics(settings.topic_prefix).name(AGREEMENTS)
    found = wait_for_brokers(settings, patience).list_topics(name, timeout=10).topics[name]
    if found.error is not None and found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise UnavailableError(f"topic {name} on {settings.brokers} is not there: create it with `baton topics`")
    reading = _Log(settings, registry)
    try:
        reading.to_end(patience)
    except BaseException:
        reading.close()
        raise
    return reading


def published(settings: Settings, registry: Registry, *, patience: float = 30.0) -> list[Agreement]:
    """The versions that stand on the topic, in the order of publication."""
    return _published(settings, registry, patience).versions


def _published(settings: Settings, registry: Registry, patience: float = 30.0) -> _Log:
    """The topic, read to its end and closed."""
    reading = _read(settings, registry, patience)
    reading.close()
    return reading


def publish(
    versions: Iterable[Agreement], settings: Settings, registry: Registry, *, now: int, backdated: bool = False
) -> list[Agreement]:
    """Puts the versions that are not there yet on the topic; returns them. `now`: UTC milliseconds. One that was published
    first and contradicted later is put there again: its own text is then the one that stays.

    Raises InputError, and publishes nothing, where a version would change what was published, or (unless `backdated`)
    take effect before one that was published, or before `now` and NOTICE_MS; the first publication may be of any time.
    """
    reading = _published(settings, registry)
    there = reading.versions
    wanted = list(versions)
    new = _admitted(wanted, there, now, backdated)
    again = {item.version: item.checksum for item in reading.contradicted()}
    new = [item for item in wanted if again.get(item.version) == item.checksum] + new
    if not new:
        return []
    encoder = Encoder(registry.ids(Topics(settings.topic_prefix), [RECORD]))
    producer = Producer({
        "bootstrap.servers": settings.brokers, "enable.idempotence": True, "acks": "all", "message.timeout.ms": 30_000,
        "message.max.bytes": 16 * 1024 * 1024, "log_level": 0,
    })  # fmt: skip
    failures: list[KafkaError] = []
    for item in new:
        record = {
            "version": item.version,
            "effective_from": item.effective_from,
            "checksum": item.checksum,
            "text": item.text,
            "holidays": {name: [day.isoformat() for day in days] for name, days in item.holidays.items()},
            "published_at": now,
        }
        producer.produce(
            Topics(settings.topic_prefix).name(AGREEMENTS), encoder.encode(RECORD, record), item.version.encode(), _PARTITION,
            on_delivery=lambda error, _: failures.append(error) if error is not None else None,
        )  # fmt: skip
    left = producer.flush(40)
    if left or failures:
        cause = failures[0].str() if failures else "no answer"
        raise UnavailableError(
            f"brokers {settings.brokers}: {cause}: {left + len(failures)} versions were not published"
        )
    return new


def _admitted(wanted: list[Agreement], there: list[Agreement], now: int, backdated: bool) -> list[Agreement]:
    known = {item.version: item for item in there}
    new: list[Agreement] = []
    problems: list[str] = []
    latest = max(there, key=lambda item: item.effective_from, default=None)
    for item in sorted(wanted, key=lambda item: item.effective_from):
        same = known.get(item.version)
        if same is not None:
            if same.checksum != item.checksum:
                problems.append(
                    f"version {item.version} is published with another text (sha-256 {same.checksum[:12]}, this one "
                    f"{item.checksum[:12]}): a version never changes; give the change a version of its own"
                )
            continue
        new.append(item)
        if latest is None or backdated:
            continue
        if item.effective_from <= latest.effective_from:
            problems.append(
                f"version {item.version} goes backwards: it takes effect before {latest.version}, which is published; "
                "make it later, or say --backdated to change what the published one promised"
            )
        elif item.effective_from < now + NOTICE_MS:
            problems.append(
                f"version {item.version} takes effect in the past, or within a minute: verdicts given since would change; "
                "make it later, or say --backdated"
            )
    if not problems:
        try:
            Agreements([*there, *new, *wanted])
        except AgreementError as error:
            problems += error.problems
    if problems:
        raise InputError("; ".join(problems))
    return new


class AgreementsReader:
    """Follows the topic in a thread of its own; `current` is what stands there, the defaults while nothing does.

    Made when the topic has been read to its end. `changed` is called, in that thread, after `current` has changed.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        *,
        changed: Callable[[Agreements], None] | None = None,
        patience: float = 60.0,
    ) -> None:
        self._log = _read(settings, registry, patience)
        self._refuse_two_texts()
        self._changed = changed
        self.current: Agreements = Agreements(self._log.versions) if self._log.versions else DEFAULTS
        self._told()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="agreements", daemon=True)
        self._thread.start()

    def _refuse_two_texts(self) -> None:
        contradicted = self._log.contradicted()
        if not contradicted:
            return
        self._log.close()
        raise ConfigurationError(
            "; ".join(
                f"topic {self._log.name}: agreement version {item.version} stands there with two texts (sha-256 "
                f"{item.checksum[:12]}, then {self._log.latest[item.version][:12]}), so that workers would judge by "
                "different promises: publish the first text again (`baton agreement publish`)"
                for item in contradicted
            )
        )

    def _told(self) -> None:
        log.info("agreement read", versions=[item.version for item in self.current])

    def _follow(self) -> None:
        while not self._ending.is_set():
            try:
                if not self._log.poll(0.5):
                    continue
            except (AgreementError, BatonError, KafkaException) as error:
                # What holds goes on holding: a worker that stopped here would stop at every restart as well.
                log.error("agreement version not taken", topic=self._log.name, error=str(error))
                self._ending.wait(0.5)
                continue
            self.current = Agreements(self._log.versions)
            self._told()
            if self._changed is not None:
                self._changed(self.current)
        self._log.close()

    def close(self) -> None:
        self._ending.set()
        self._thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
