"""Publication: once, for ever, with the holidays of the day; and the reader that follows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import holidays as library
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource

from processors.agreement import DEFAULTS, Agreement
from schemas.catalog import CATALOG
from schemas.wire import Encoder
from streams.agreements import AgreementsReader, Given, open_source, publish, published, read
from streams.agreements.topic import NOTICE_MS
from streams.config import Settings
from streams.errors import BatonError, ConfigurationError, InputError, UnavailableError
from streams.registry import Registry
from streams.topic_admin import ensure_topics
from streams.topics import AGREEMENTS, Topics
from tests.agreement.support import TEXT, ms, parse, small
from tests.publishing.support import settings_of
from tests.real.fixtures import Cluster
from tests.support.poll import eventually, never

NOW = ms(2026, 9, 1)


@pytest.fixture
def settings(cluster: Cluster, topic_prefix: str) -> Settings:
    made = settings_of(cluster, topic_prefix)
    ensure_topics(made)
    return made


@pytest.fixture
def registry(settings: Settings) -> Iterator[Registry]:
    with Registry(settings.registry_url) as made:
        yield made


def version(name: str, effective_from: str, target: str = "1 h") -> Agreement:
    return Agreement.parse(small(name, effective_from, target))


OCTOBER = version("2026-10", "2026-10-01T00:00:00Z")
JANUARY = version("2027-01", "2027-01-01T00:00:00Z")
PAST = version("2025-01", "2025-01-01T00:00:00Z")


def names(versions: list[Agreement]) -> list[str]:
    return [item.version for item in versions]


def test_nothing_is_published_at_first(settings: Settings, registry: Registry) -> None:
    assert published(settings, registry) == []
    with AgreementsReader(settings, registry) as reader:
        assert reader.current is DEFAULTS


def test_what_is_published_is_what_is_read(settings: Settings, registry: Registry) -> None:
    whole = parse()
    assert publish([whole, JANUARY], settings, registry, now=NOW) == [whole, JANUARY]
    first, second = published(settings, registry)
    assert (first.version, first.effective_from, first.text) == (whole.version, whole.effective_from, TEXT)
    assert (first.checksum, first.holidays) == (whole.checksum, whole.holidays)
    assert first.promise("first_response", "overseas", None, "hot") is not None
    assert second.version == "2027-01"


def test_publishing_again_changes_nothing(settings: Settings, registry: Registry) -> None:
    publish([OCTOBER], settings, registry, now=NOW)
    reformatted = Agreement.parse(f"# the same\n{OCTOBER.text}")
    assert publish([reformatted], settings, registry, now=NOW) == []
    assert publish([OCTOBER, JANUARY], settings, registry, now=NOW) == [JANUARY]
    assert names(published(settings, registry)) == ["2026-10", "2027-01"]


def test_a_published_version_never_changes(settings: Settings, registry: Registry) -> None:
    publish([OCTOBER], settings, registry, now=NOW)
    other = version("2026-10", "2026-10-01T00:00:00Z", "2 h")
    for backdated in (False, True):
        with pytest.raises(InputError, match=r"version 2026-10 is published with another text .* never changes"):
            publish([other, JANUARY], settings, registry, now=NOW, backdated=backdated)
    assert names(published(settings, registry)) == ["2026-10"]


def test_the_first_publication_may_be_of_any_time(settings: Settings, registry: Registry) -> None:
    assert publish([OCTOBER, PAST], settings, registry, now=NOW) == [PAST, OCTOBER]


def test_no_version_takes_effect_in_the_past(settings: Settings, registry: Registry) -> None:
    publish([PAST], settings, registry, now=NOW)
    late = version("late", "2026-08-31T23:59:59Z")
    with pytest.raises(InputError, match=r"version late takes effect in the past, or within a minute: .* --backdated"):
        publish([late], settings, registry, now=NOW)
    with pytest.raises(InputError, match="takes effect in the past"):
        publish([OCTOBER], settings, registry, now=OCTOBER.effective_from - NOTICE_MS + 1)
    assert publish([OCTOBER], settings, registry, now=OCTOBER.effective_from - NOTICE_MS) == [OCTOBER]


def test_no_version_goes_backwards(settings: Settings, registry: Registry) -> None:
    publish([JANUARY], settings, registry, now=NOW)
    with pytest.raises(
        InputError, match=r"version 2026-10 goes backwards: it takes effect before 2027-01, .* --backdated"
    ):
        publish([OCTOBER], settings, registry, now=NOW)
    assert publish([OCTOBER], settings, registry, now=NOW, backdated=True) == [OCTOBER]
    same = version("other", "2027-01-01T00:00:00Z")
    with pytest.raises(InputError, match="versions 2027-01 and other have the same effective_from"):
        publish([same], settings, registry, now=NOW, backdated=True)


def test_a_reader_sees_what_is_published_later(settings: Settings, registry: Registry) -> None:
    publish([OCTOBER], settings, registry, now=NOW)
    told: list[list[str]] = []
    with AgreementsReader(settings, registry, changed=lambda found: told.append(names(list(found)))) as reader:
        assert names(list(reader.current)) == ["2026-10"]
        before = reader.current
        publish([JANUARY], settings, registry, now=NOW)
        eventually(lambda: reader.current is not before)
        assert names(list(reader.current)) == ["2026-10", "2027-01"]
        assert told == [["2026-10", "2027-01"]]
        assert reader.current.at(JANUARY.effective_from).version == "2027-01"
        assert names(list(before)) == ["2026-10"]  # what somebody holds stays as it was


def put(settings: Settings, value: bytes | None, key: bytes = b"x") -> None:
    """What nobody should put there."""
    producer = Producer({"bootstrap.servers": settings.brokers, "log_level": 0})
    producer.produce(Topics(settings.topic_prefix).name(AGREEMENTS), value, key, 0)
    assert producer.flush(10) == 0


def record(registry: Registry, settings: Settings, text: str) -> bytes:
    ids = registry.ids(Topics(settings.topic_prefix), ["AgreementVersion"])
    stated = {
        "version": "x", "effective_from": 0, "checksum": "", "text": text, "holidays": {}, "published_at": 0,
    }  # fmt: skip
    return Encoder(ids).encode("AgreementVersion", stated)


def test_records_of_something_else_are_passed_over(settings: Settings, registry: Registry) -> None:
    put(settings, b"no Avro")
    put(settings, None)
    publish([OCTOBER], settings, registry, now=NOW)
    put(settings, b"\0\xff\xff\xff\xff")
    assert names(published(settings, registry)) == ["2026-10"]


def test_a_version_that_cannot_be_read_stops_a_start_and_no_running_worker(
    settings: Settings, registry: Registry
) -> None:
    publish([OCTOBER], settings, registry, now=NOW)
    with AgreementsReader(settings, registry) as reader:
        put(settings, record(registry, settings, "version: x\nnew_key: 1\n"))
        publisher = "published version x:2: new_key: unknown key"
        with pytest.raises(BatonError, match=publisher):
            published(settings, registry)
        with pytest.raises(BatonError, match=publisher):
            AgreementsReader(settings, registry)
        never(lambda: names(list(reader.current)) != ["2026-10"], 0.7)


def test_one_version_with_two_texts_stops_a_start_until_the_first_is_published_again(
    settings: Settings, registry: Registry
) -> None:
    publish([OCTOBER], settings, registry, now=NOW)
    other = version("2026-10", "2026-10-01T00:00:00Z", "2 h")
    ids = registry.ids(Topics(settings.topic_prefix), ["AgreementVersion"])
    stated = {
        "version": other.version, "effective_from": other.effective_from, "checksum": other.checksum, "text": other.text,
        "holidays": {}, "published_at": 0,
    }  # fmt: skip
    with AgreementsReader(settings, registry) as reader:
        put(settings, Encoder(ids).encode("AgreementVersion", stated), b"2026-10")
        with pytest.raises(
            ConfigurationError, match=r"2026-10 stands there with two texts .* publish the first text again"
        ):
            AgreementsReader(settings, registry)
        assert [item.checksum for item in reader.current] == [OCTOBER.checksum]
    assert publish([OCTOBER, JANUARY], settings, registry, now=NOW) == [OCTOBER, JANUARY]
    with AgreementsReader(settings, registry) as reader:
        assert [item.checksum for item in reader.current] == [OCTOBER.checksum, JANUARY.checksum]
    assert publish([OCTOBER], settings, registry, now=NOW) == []


def test_pinned_holidays_survive_a_changed_library(
    settings: Settings, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT)
    publish(read(path), settings, registry, now=NOW)
    (before,) = published(settings, registry)
    start = ms(2026, 4, 24, 15)  # Friday 17:00 in Amsterdam; Monday 27 April is King's Day
    assert date(2026, 4, 27) in before.holidays["amsterdam"]

    known = library.country_holidays
    monkeypatch.setattr(library, "country_holidays", lambda *a, **k: [day + timedelta(1) for day in known(*a, **k)])
    (changed,) = read(path)
    assert changed.holidays != before.holidays
    assert changed.checksum == before.checksum
    assert publish([changed], settings, registry, now=NOW) == []  # the same version: what was promised stays
    (after,) = published(settings, registry)
    assert after.holidays == before.holidays
    with AgreementsReader(settings, registry) as reader:
        for agreement, same in ((reader.current.named("2026-10"), True), (changed, False)):
            due = agreement.calendar("amsterdam").add(start, 5 * 3_600_000)
            assert (due == before.calendar("amsterdam").add(start, 5 * 3_600_000)) is same


def test_a_worker_goes_by_its_files_or_by_the_topic(settings: Settings, registry: Registry, tmp_path: Path) -> None:
    publish([OCTOBER], settings, registry, now=NOW)
    path = tmp_path / "a.yaml"
    path.write_text(JANUARY.text)
    given = open_source(settings.model_copy(update={"agreement": path}), registry)
    assert isinstance(given, Given)
    assert names(list(given.current)) == ["2027-01"]
    given.close()
    source = open_source(settings, registry)
    assert names(list(source.current)) == ["2026-10"]
    source.close()


def test_the_topic_keeps_every_version(real_cluster: Cluster, topic_prefix: str) -> None:
    settings = settings_of(real_cluster, topic_prefix)
    name = Topics(topic_prefix).name(AGREEMENTS)
    assert ensure_topics(settings)[name] == 1
    client = AdminClient({"bootstrap.servers": settings.brokers})
    (future,) = client.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]).values()
    assert future.result(10)["cleanup.policy"].value == "compact"


def test_a_topic_that_is_not_there(real_cluster: Cluster, topic_prefix: str) -> None:
    settings = settings_of(real_cluster, topic_prefix)
    with Registry(settings.registry_url) as registry, pytest.raises(UnavailableError, match="baton topics"):
        published(settings, registry)


def test_a_broker_that_is_not_there(topic_prefix: str) -> None:
    settings = Settings(brokers="127.0.0.1:1", topic_prefix=topic_prefix)
    with Registry(settings.registry_url) as registry, pytest.raises(UnavailableError, match=r"brokers 127\.0\.0\.1:1"):
        published(settings, registry, patience=1)


def test_the_record_is_the_contracts() -> None:
    assert CATALOG["AgreementVersion"].topics == (AGREEMENTS,)
    assert not CATALOG["AgreementVersion"].is_event
