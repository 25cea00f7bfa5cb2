"""One suite, two registries: ours embedded, and a real one. The clients are Confluent's own and ours."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import urllib3
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas.catalog import CATALOG, on_topic, subject
from schemas.wire import Decoder, Encoder, WireError, schema_id
from streams.errors import BatonError, UnavailableError
from streams.registry import COMPATIBILITY, Registry
from streams.topics import INPUTS, OUTPUTS, Topics
from tests.contracts.records import TOUCH, touch
from tests.real.fixtures import Cluster
from tests.support.processes import free_port


@pytest.fixture
def topics(topic_prefix: str) -> Topics:
    return Topics(topic_prefix)


@pytest.fixture
def registry(registry_url: str) -> Iterator[Registry]:
    with Registry(registry_url, patience=5) as client:
        yield client


@pytest.fixture
def confluent(registry_url: str) -> Iterator[SchemaRegistryClient]:
    client = SchemaRegistryClient({"url": registry_url})
    yield client
    client.close()


def _changed_touch(*, without: str | None = None, **added: object) -> dict[str, Any]:
    schema = copy.deepcopy(dict(TOUCH.schema))
    schema["fields"] = [field for field in schema["fields"] if field["name"] != without]
    if added:
        schema["fields"].append(added)
    return schema


def test_every_contract_is_registered_under_each_of_its_topics(
    registry: Registry, confluent: SchemaRegistryClient, topics: Topics
) -> None:
    ids = registry.ids(topics, CATALOG)
    assert set(ids) == set(CATALOG)
    assert len(set(ids.values())) == len(ids)
    wanted = {
        subject(topics.name(topic), contract)
        for topic in (*INPUTS, "campaigns", "agreements", "lane-forwards", "dead-letter-replays", *OUTPUTS)
        for contract in on_topic(topic)
    }
    assert {name for name in confluent.get_subjects() if name.startswith(topics.prefix)} == wanted


def test_an_id_gives_back_the_schema_it_was_given_for(registry: Registry, topics: Topics) -> None:
    for name, number in registry.ids(topics, CATALOG).items():
        text = registry.text(number)
        assert text is not None
        assert json.loads(text) == CATALOG[name].schema


def test_registering_again_changes_nothing(
    registry_url: str, registry: Registry, confluent: SchemaRegistryClient, topics: Topics
) -> None:
    first = registry.ids(topics, ["LeadCaptured", "FactWithdrawn"])
    with Registry(registry_url) as another:
        assert another.ids(topics, ["FactWithdrawn", "LeadCaptured"]) == first
    for topic in INPUTS:
        assert confluent.get_versions(subject(topics.name(topic), CATALOG["FactWithdrawn"])) == [1]


def test_one_text_has_one_id_under_every_subject(
    registry: Registry, confluent: SchemaRegistryClient, topics: Topics
) -> None:
    """The encoder needs one id a record type, whichever topic it stands on."""
    number = registry.ids(topics, ["FactWithdrawn"])["FactWithdrawn"]
    schema = Schema(CATALOG["FactWithdrawn"].text, "AVRO")
    for topic in INPUTS:
        assert (
            confluent.lookup_schema(subject(topics.name(topic), CATALOG["FactWithdrawn"]), schema).schema_id == number
        )
    assert registry.ids(Topics(f"{topics.prefix}other."), ["FactWithdrawn"]) == {"FactWithdrawn": number}


def test_an_unknown_id_is_an_answer_not_an_outage(registry: Registry) -> None:
    for number in (0, 2_000_000_000, 2**31 - 1, 2**31, 2**32 - 1):
        assert registry.text(number) is None, number


def test_an_id_unknown_before_is_found_once_registered(
    registry: Registry, confluent: SchemaRegistryClient, topics: Topics
) -> None:
    def register(letter: str) -> tuple[int, str]:
        name = f"{letter}{topics.prefix.rstrip('.')}"
        text = json.dumps(_changed_touch(name=name, type=["null", "string"], default=None))
        return confluent.register_schema(f"{topics.name('touches')}-{name}", Schema(text, "AVRO")), text

    newest, _ = register("a")
    asked = range(newest + 1, newest + 6)
    assert [registry.text(number) for number in asked] == [None] * 5
    number, schema = register("b")
    assert number in asked
    text = registry.text(number)
    assert text is not None
    assert json.loads(text) == json.loads(schema)


def test_compatibility_is_set_on_each_subject(
    registry: Registry, confluent: SchemaRegistryClient, topics: Topics
) -> None:
    registry.ids(topics, ["TouchRecorded", "FactWithdrawn"])
    registry.require_compatibility(topics, ["TouchRecorded", "FactWithdrawn"])
    registry.require_compatibility(topics, ["TouchRecorded", "FactWithdrawn"])
    where = [subject(topics.name("touches"), TOUCH)]
    where += [subject(topics.name(topic), CATALOG["FactWithdrawn"]) for topic in INPUTS]
    assert {confluent.get_compatibility(name) for name in where} == {COMPATIBILITY}


def test_versions_of_a_subject_are_counted_and_found(
    registry_url: str, registry: Registry, confluent: SchemaRegistryClient, topics: Topics
) -> None:
    where = subject(topics.name("touches"), TOUCH)
    first = registry.ids(topics, ["TouchRecorded"])["TouchRecorded"]
    newer = json.dumps(_changed_touch(name="mood", type=["null", "string"], default=None))
    second = confluent.register_schema(where, Schema(newer, "AVRO"))
    assert second != first
    assert confluent.get_versions(where) == [1, 2]
    fresh = SchemaRegistryClient({"url": registry_url})
    latest = fresh.get_latest_version(where)
    assert (latest.version, latest.schema_id, json.loads(latest.schema.schema_str)) == (2, second, json.loads(newer))
    assert fresh.get_version(where, 1).schema_id == first
    fresh.close()
    # Ours is found again although it is no longer the latest.
    assert registry.ids(topics, ["TouchRecorded"]) == {"TouchRecorded": first}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/subjects/none-such/versions", None),
        ("GET", "/subjects/none-such/versions/latest", None),
        ("GET", "/schemas/ids/2000000000", None),
        ("POST", "/subjects/none-such", {"schema": '"string"'}),
    ],
)
def test_what_is_not_there_is_a_404_with_an_error_code(
    registry_url: str, method: str, path: str, body: dict[str, str] | None
) -> None:
    answer = urllib3.request(method, f"{registry_url}{path}", json=body)
    assert answer.status == 404
    assert str(answer.json()["error_code"]).startswith("404")


def test_a_text_that_is_no_schema_is_not_registered(registry_url: str, topics: Topics) -> None:
    where = f"{registry_url}/subjects/{topics.name('leads')}-broken/versions"
    assert urllib3.request("POST", where, json={"schema": "{"}).status in (400, 422)


def test_a_confluent_serializers_bytes_are_ours(
    registry: Registry, confluent: SchemaRegistryClient, topics: Topics
) -> None:
    serializer = AvroSerializer(
        confluent, TOUCH.text, conf={"subject.name.strategy": topic_record_subject_name_strategy}
    )
    value = serializer(touch(), SerializationContext(topics.name("touches"), MessageField.VALUE))
    number = registry.ids(topics, ["TouchRecorded"])["TouchRecorded"]
    assert schema_id(value) == number
    assert Encoder({"TouchRecorded": number}).encode("TouchRecorded", touch()) == value
    decoder = Decoder()
    decoder.learn(number, registry.text(number))
    assert decoder.decode(value) == ("TouchRecorded", touch())


def test_a_confluent_serializer_that_may_only_look_up_finds_what_we_registered(
    registry: Registry, confluent: SchemaRegistryClient, topics: Topics
) -> None:
    ids = registry.ids(topics, ["TouchRecorded"])
    conf = {"subject.name.strategy": topic_record_subject_name_strategy, "auto.register.schemas": False}
    for more in ({}, {"use.latest.version": True}):
        serializer = AvroSerializer(confluent, TOUCH.text, conf=conf | more)
        value = serializer(touch(), SerializationContext(topics.name("touches"), MessageField.VALUE))
        assert schema_id(value) == ids["TouchRecorded"]


def test_a_confluent_deserializer_reads_our_bytes(
    registry: Registry, confluent: SchemaRegistryClient, topics: Topics
) -> None:
    value = Encoder(registry.ids(topics, ["TouchRecorded"])).encode("TouchRecorded", touch())
    read = AvroDeserializer(confluent)(value, SerializationContext(topics.name("touches"), MessageField.VALUE))
    assert read.pop("occurred_at").timestamp() * 1000 == touch()["occurred_at"]
    assert read == {name: given for name, given in touch().items() if name != "occurred_at"}


def test_a_newer_and_an_incomplete_producer_are_told_apart(
    registry: Registry, confluent: SchemaRegistryClient, topics: Topics
) -> None:
    newer = _changed_touch(name="mood", type=["null", "string"], default=None)
    context = SerializationContext(topics.name("touches"), MessageField.VALUE)
    conf = {"subject.name.strategy": topic_record_subject_name_strategy}
    value = AvroSerializer(confluent, json.dumps(newer), conf=conf)({**touch(), "mood": "good"}, context)
    incomplete = _changed_touch(without="source_system")
    elsewhere = SerializationContext(topics.name("elsewhere"), MessageField.VALUE)
    broken = AvroSerializer(confluent, json.dumps(incomplete), conf=conf)(touch(), elsewhere)
    decoder = Decoder()
    for number in (schema_id(value), schema_id(broken)):
        assert number is not None
        decoder.learn(number, registry.text(number))
    assert decoder.decode(value) == ("TouchRecorded", touch())
    with pytest.raises(WireError, match=r"^missing_field: TouchRecorded\.source_system "):
        decoder.decode(broken)


def test_a_real_registry_refuses_what_breaks_compatibility(apicurio_url: str, topics: Topics) -> None:
    """The embedded one checks none: it says so in its module."""
    with Registry(apicurio_url) as registry:
        contract = CATALOG["TouchRecorded"]
        where = subject(topics.name("touches"), contract)
        client = registry._client
        client.register_schema(where, Schema(json.dumps(_changed_touch(name="mandatory", type="string")), "AVRO"))
        client.set_compatibility(where, COMPATIBILITY)
        with pytest.raises(BatonError, match="incompatible with an earlier version") as caught:
            registry.ids(topics, ["TouchRecorded"])
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, UnavailableError)


def test_a_registry_that_does_not_answer_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Registry(url, patience=0.5) as registry:
        with pytest.raises(UnavailableError, match=f"schema registry {url}: .+"):
            registry.ids(Topics(), ["TouchRecorded"])
        with pytest.raises(UnavailableError, match=f"schema registry {url}: .+"):
            registry.text(1)


def test_a_registry_that_fails_is_an_outage_never_an_unknown_schema() -> None:
    """A proxy whose registry is gone answers 503: an event must not become a dead letter for that."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        done = threading.Event()
        served: list[bytes] = []

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(5)
                    served.append(connection.recv(4096))
                    connection.sendall(
                        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    )

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                Registry(f"http://127.0.0.1:{listener.getsockname()[1]}", patience=1) as registry,
                pytest.raises(UnavailableError),
            ):
                registry.text(1)
        finally:
            done.set()
            thread.join()
    assert len(served) > 1, "an outage is retried"


def test_workers_that_start_together_may_all_set_the_compatibility(real_cluster: Cluster, topic_prefix: str) -> None:
    """A real registry tells all but one of several at the same instant that the rule exists already."""
    names = ["LeadCaptured", "TouchRecorded", "LeadState", "SlaEvent"]
    with Registry(real_cluster.registry_url) as registry:
        registry.ids(Topics(topic_prefix), names)

    def require() -> None:
        with Registry(real_cluster.registry_url) as registry:
            registry.require_compatibility(Topics(topic_prefix), names)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(require) for _ in range(8)]:
            done.result(60)
