"""The publisher against the embedded parts and the real ones: what it says is delivered stands on the right lane, once."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from processors.facts import RefusedFact
from schemas.catalog import CATALOG
from schemas.wire import Decoder, schema_id
from streams.errors import UnavailableError
from streams.importers.shape import RefusedEvent
from streams.publisher import DeliveryError, Publisher, client_errors
from streams.registry import Registry
from streams.topic_admin import ensure_topics
from streams.topics import END_OF_INPUT_KEY, INPUTS, RECEIVED_AT_HEADER
from tests.publishing.support import NOON, Record, java_partition, murmur2, read, settings_of
from tests.real.fixtures import Cluster
from tests.support.processes import free_port


def captured(lead_id: str = "l1", **fields: Any) -> dict[str, Any]:
    return {
        "event_id": "e1", "lead_id": lead_id, "occurred_at": NOON, "source_system": "crm", "source": "web",
    } | fields  # fmt: skip


TOUCH = {
    "event_id": "t1", "lead_id": "l1", "occurred_at": NOON, "source_system": "crm", "channel": "call",
    "direction": "outbound", "origin": "sales", "actor": "human", "outcome": "connected",
}  # fmt: skip


class Site:
    """A cluster with topics of a test's own."""

    def __init__(self, cluster: Cluster, prefix: str) -> None:
        self.settings = settings_of(cluster, prefix)
        self.prefix = prefix
        self.partitions = ensure_topics(self.settings)
        self.registry = Registry(cluster.registry_url)

    def publisher(self) -> Publisher:
        return Publisher(self.settings, self.registry)

    def read(self, topic: str) -> list[Record]:
        return read(self.settings.brokers, self.prefix + topic)

    def decoded(self, record: Record) -> tuple[str, dict[str, Any]]:
        """By the schema that the registry itself gives for the id."""
        assert record.value is not None
        number = schema_id(record.value)
        assert number is not None
        decoder = Decoder()
        decoder.learn(number, self.registry.text(number))
        return decoder.decode(record.value)


@pytest.fixture
def site(cluster: Cluster, topic_prefix: str) -> Any:
    made = Site(cluster, topic_prefix)
    yield made
    made.registry.close()


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        # Source: Apache Kafka, UtilsTest.testMurmur2.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_reference_is_the_java_clients(text: bytes, hashed: int) -> None:
    assert murmur2(text) == hashed


def test_every_lead_lands_where_the_java_client_puts_it(site: Site) -> None:
    leads = [f"lead-{number}" for number in range(300)] + ["21", "foobar", "abc", "é", "名", "a" * 100]
    with site.publisher() as publisher:
        for lead in leads:
            publisher.publish("LeadCaptured", captured(lead))
            publisher.publish("TouchRecorded", {**TOUCH, "lead_id": lead})
    for topic in ("leads", "touches"):
        count = site.partitions[site.prefix + topic]
        records = site.read(topic)
        assert {record.key: record.partition for record in records} == {
            lead.encode(): java_partition(lead.encode(), count) for lead in leads
        }
        assert len(records) == len(leads)
    assert len({record.partition for record in records}) == count > 1


def test_what_is_published_reads_back_complete(site: Site) -> None:
    with site.publisher() as publisher:
        publisher.publish("LeadCaptured", captured(campaign="spring"), received_at=NOON + 5)
        publisher.publish("TouchRecorded", TOUCH)
        publisher.publish("FactWithdrawn", {**_common(), "withdrawn_event_id": "t1"}, topic="touches")
        publisher.publish("FactWithdrawn", {**_common(), "withdrawn_event_id": "e1"})
        publisher.publish("CampaignAnnounced", {**_common("campaign"), "name": "Spring"})
    assert (publisher.sent, publisher.delivered, publisher.failed) == (5, 5, 0)
    lead, withdrawn = site.read("leads")
    assert lead.key == b"l1"
    assert lead.headers == {RECEIVED_AT_HEADER: str(NOON + 5).encode()}
    name, event = site.decoded(lead)
    assert name == "LeadCaptured"
    assert event == {
        **captured(campaign="spring"), "entered_by": "system", "is_test": False, "channel": None,
        "landing_page": None, "person": None, "account": None, "region": None, "hand_raise": False,
    }  # fmt: skip
    assert withdrawn.headers == {}
    assert site.decoded(withdrawn)[0] == "FactWithdrawn"
    assert [site.decoded(record)[0] for record in site.read("touches")] == ["TouchRecorded", "FactWithdrawn"]
    (campaign,) = site.read("campaigns")
    assert campaign.key == b"l1"
    assert site.decoded(campaign)[1]["name"] == "Spring"


def _common(identity: str = "lead_id") -> dict[str, Any]:
    return {"event_id": "e9", identity: "l1", "occurred_at": NOON, "source_system": "crm"}


def test_events_of_a_lead_keep_their_order(site: Site) -> None:
    with site.publisher() as publisher:
        for number in range(3_000):
            publisher.publish("LeadCaptured", captured(f"l{number % 7}", event_id=f"{number:05}"))
    seen: dict[bytes | None, list[str]] = {}
    for record in site.read("leads"):
        seen.setdefault(record.key, []).append(site.decoded(record)[1]["event_id"])
    assert sum(map(len, seen.values())) == 3_000
    for lead, ids in seen.items():
        assert ids == sorted(ids), lead


@pytest.mark.parametrize(
    ("name", "event", "told"),
    [
        ("LeadState", {}, "type 'LeadState' is no event of ours"),
        ("LeadCaptured", {}, "LeadCaptured.event_id is missing: it is mandatory"),
        ("LeadCaptured", captured(campain="x"), "LeadCaptured has no field 'campain': did you mean campaign?"),
        ("LeadCaptured", captured(source=7), "LeadCaptured.source is a whole number: expected text"),
        ("LeadCaptured", captured(entered_by="robot"), "LeadCaptured.entered_by is text of 5 characters"),
        ("LeadCaptured", captured(entered_by="unknown"), "LeadCaptured.entered_by is `unknown`, which is reserved"),
        ("LeadCaptured", captured(occurred_at=10**30), "LeadCaptured.occurred_at is after the year 9999"),
        ("LeadCaptured", captured(occurred_at=None), "LeadCaptured.occurred_at is null"),
        ("LeadCaptured", captured() | {"lead_id": 7}, "LeadCaptured.lead_id is a whole number: expected text"),
        ("LeadCaptured", captured(lead_id="\ud800"), "LeadCaptured.lead_id has half of a surrogate pair"),
        ("LeadCaptured", captured(account="x" * 17_000_000), "LeadCaptured takes 17,000,"),
        ("CampaignAnnounced", {**_common("campaign"), "campaign": "", "name": "n"}, "CampaignAnnounced.campaign is empty"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("whole", [False, True])
def test_another_shape_is_refused_and_nothing_sent(
    mock_site: Site, name: str, event: dict[str, Any], told: str, whole: bool
) -> None:
    if whole and name in CATALOG:  # with every default written out: the way without filling in
        fields = CATALOG[name].schema["fields"]
        event = {field["name"]: field["default"] for field in fields if "default" in field} | event
    with mock_site.publisher() as publisher:
        with pytest.raises(RefusedEvent) as caught:
            publisher.publish(name, event)
        assert str(caught.value).startswith(told)
        assert publisher.sent == 0


@pytest.fixture
def mock_site(mock_brokers: str, embedded_registry_url: str, topic_prefix: str) -> Any:
    made = Site(Cluster(mock_brokers, embedded_registry_url, real=False), topic_prefix)
    yield made
    made.registry.close()


def test_what_cannot_mean_anything_is_refused(mock_site: Site) -> None:
    with mock_site.publisher() as publisher:
        with pytest.raises(RefusedFact, match="unknown_reason"):
            publisher.publish("LeadRecycled", {**_common(), "reason": "bored"})
        with pytest.raises(RefusedEvent, match="topic: LeadCaptured belongs on leads"):
            publisher.publish("LeadCaptured", captured(), topic="touches")
        assert publisher.sent == 0


def test_times_may_be_iso_texts(mock_site: Site) -> None:
    with mock_site.publisher() as publisher:
        publisher.publish("LeadCaptured", captured(occurred_at="2026-01-01T13:00:00+01:00"))
    assert mock_site.decoded(mock_site.read("leads")[0])[1]["occurred_at"] == NOON


def test_the_end_of_input_stands_on_every_partition_behind_the_events(site: Site) -> None:
    with site.publisher() as publisher:
        publisher.publish("LeadCaptured", captured())
        publisher.end_of_input(NOON)
    for topic in INPUTS:
        marks = [record for record in site.read(topic) if record.key == END_OF_INPUT_KEY]
        assert Counter(mark.partition for mark in marks) == dict.fromkeys(
            range(site.partitions[site.prefix + topic]), 1
        )
        for mark in marks:
            assert (mark.value, mark.headers) == (None, {RECEIVED_AT_HEADER: str(NOON).encode()})


def test_more_than_the_queue_holds_waits_for_room(mock_site: Site) -> None:
    longest = 0
    event = CATALOG["LeadQualified"].schema["fields"]
    whole = {field["name"]: field["default"] for field in event if "default" in field} | _common()
    with mock_site.publisher() as publisher:
        for number in range(60_000):
            publisher.publish("LeadQualified", {**whole, "lead_id": f"l{number}"})
            longest = max(longest, publisher.sent - publisher.delivered - publisher.failed)
    assert publisher.delivered == 60_000
    assert longest <= 50_000 + 1_000  # the queue, and reports not yet polled


def test_what_the_brokers_refuse_is_counted_and_raised(real_cluster: Cluster, topic_prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": real_cluster.brokers})
    small = NewTopic(f"{topic_prefix}leads", 2, 1, config={"max.message.bytes": "2000"})
    for created in admin.create_topics([small], operation_timeout=30).values():
        created.result(30)
    settings = settings_of(real_cluster, topic_prefix)
    with Registry(settings.registry_url) as registry:
        publisher = Publisher(settings, registry)
        publisher.publish("LeadCaptured", captured("small"))
        publisher.flush()
        publisher.publish("LeadCaptured", captured("large", account="x" * 5_000))
        with pytest.raises(
            DeliveryError, match=rf"^1 of 2 events were not delivered: {topic_prefix}leads: .*too large"
        ):
            publisher.flush()
        assert (publisher.sent, publisher.delivered, publisher.failed) == (2, 1, 1)
        with pytest.raises(DeliveryError, match="1 of 2"):  # it does not go on as if nothing had been
            publisher.publish("LeadCaptured", captured("next"))
    assert [record.key for record in read(settings.brokers, f"{topic_prefix}leads")] == [b"small"]


def test_topics_that_are_missing_are_told_at_once(real_cluster: Cluster, topic_prefix: str) -> None:
    settings = settings_of(real_cluster, topic_prefix)
    with Registry(settings.registry_url) as registry, Publisher(settings, registry) as publisher:
        with pytest.raises(UnavailableError) as caught:
            publisher.publish("LeadCaptured", captured())
        assert str(caught.value).startswith(f"topic {topic_prefix}leads on {settings.brokers}: ")
        assert str(caught.value).endswith("; create the topics with `baton topics`")


def test_brokers_that_go_away_are_told(embedded_registry_url: str) -> None:
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = ",".join(f"{found.host}:{found.port}" for found in cluster.list_topics(timeout=10).brokers.values())
    settings = settings_of(Cluster(brokers, embedded_registry_url, real=False), f"t{uuid.uuid4().hex}.")
    with Registry(settings.registry_url) as registry:
        publisher = Publisher(settings, registry)
        publisher.publish("LeadCaptured", captured())
        publisher.flush()
        del cluster  # the mock cluster ends with its producer
        for number in range(10):
            publisher.publish("LeadCaptured", captured(event_id=f"n{number}"))
        with pytest.raises(DeliveryError, match=rf"^10 of 11 events were not delivered: no answer from {brokers}"):
            publisher.flush(2)


def test_brokers_that_never_answer_are_one_clear_line(embedded_registry_url: str) -> None:
    port = free_port()
    settings = settings_of(Cluster(f"127.0.0.1:{port}", embedded_registry_url, real=False), "")
    with Registry(settings.registry_url) as registry, pytest.raises(UnavailableError) as caught:
        Publisher(settings, registry, patience=0.3)
    assert str(caught.value).startswith(f"brokers 127.0.0.1:{port}: ")
    assert "\n" not in str(caught.value)


def test_a_registry_that_never_answers_is_one_clear_line(mock_brokers: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Registry(url, patience=0.3) as registry, pytest.raises(UnavailableError) as caught:
        Publisher(settings_of(Cluster(mock_brokers, url, real=False), ""), registry)
    assert str(caught.value).startswith(f"schema registry {url}: ")


def test_a_fatal_error_that_a_delivery_report_ran_into_is_named() -> None:
    fenced = KafkaException(KafkaError(KafkaError._FENCED))
    with pytest.raises(KafkaException) as caught, client_errors():
        raise SystemError("<function reported> returned a result with an exception set") from fenced
    assert caught.value.args[0].code() == KafkaError._FENCED
    with pytest.raises(SystemError, match="another"), client_errors():
        raise SystemError("another")
