"""A worker meets producers that are newer than itself: what is optional is passed over, what it does not know is set aside
and can be published again when it has been upgraded.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from fastavro import schemaless_writer

from schemas.catalog import CATALOG, parse, subject
from schemas.wire import HEADER, MAGIC
from streams.config import ClockMode, Settings
from streams.deadletters import mending
from streams.deadletters.reading import Wanted
from streams.deadletters.replay import replay
from streams.publisher import PARTITIONER
from streams.registry import COMPATIBILITY, Registry
from streams.topics import RECEIVED_AT_HEADER
from tests.deadletters.support import Pipeline
from tests.processors.support import START
from tests.real.fixtures import Cluster
from tests.support.poll import eventually
from tests.worker.processes import Worker, read_outputs, running, settings_for
from tests.worker.support import complete
from tests.worker.test_worker import AGREEMENT, done, publish


def send(settings: Settings, topic: str, schema: dict[str, Any], event: dict[str, Any], where: str) -> bytes:
    """Publishes as a producer of another version does: registers its own schema first."""
    client = SchemaRegistryClient({"url": settings.registry_url})
    number = client.register_schema(where, Schema(json.dumps(schema), "AVRO"))
    client.close()
    out = BytesIO()
    out.write(HEADER.pack(MAGIC, number))
    schemaless_writer(out, parse(schema), event)
    producer = Producer({"bootstrap.servers": settings.brokers, "partitioner": PARTITIONER})
    header = [(RECEIVED_AT_HEADER, str(event["occurred_at"]).encode())]
    producer.produce(settings.topic_prefix + topic, out.getvalue(), event["lead_id"].encode(), headers=header)
    assert producer.flush(10) == 0
    return out.getvalue()


def until(worker: Worker, settings: Settings, hours: float) -> None:
    publish(settings, [], end=hours)
    eventually(lambda: done([worker], settings.partitions, hours), 60)


@pytest.fixture
def settings(cluster: Cluster, topic_prefix: str, tmp_path: Path) -> Settings:
    path = tmp_path / "agreement.yaml"
    path.write_text(AGREEMENT)
    return settings_for(cluster, topic_prefix, clock=ClockMode.EVENT, agreement=path)


def test_old_and_new_producers_at_once_and_a_record_type_of_tomorrow(settings: Settings, tmp_path: Path) -> None:
    captured = CATALOG["LeadCaptured"]
    newer = json.loads(captured.text)
    newer["fields"].insert(2, {"name": "mood", "type": ["null", "string"], "default": None})
    older = json.loads(captured.text)
    older["fields"] = [item for item in older["fields"] if "default" not in item]
    tomorrow = json.loads(captured.text)
    tomorrow["name"] = "LeadWarmed"
    place = f"{settings.topic_prefix}leads"
    with running(settings, tmp_path) as worker:
        client = SchemaRegistryClient({"url": settings.registry_url})
        assert client.get_compatibility(subject(place, captured)) == COMPATIBILITY
        client.close()
        event = complete("LeadCaptured", 0, lead_id="new", event_id="n") | {"mood": "bright"}
        send(settings, "leads", newer, event, subject(place, captured))
        event = complete("LeadCaptured", 0, lead_id="old", event_id="o")
        send(settings, "leads", older, event, subject(place, captured))
        publish(settings, [("LeadCaptured", 0, {"lead_id": "now", "event_id": "p"})])
        event = complete("LeadCaptured", 0, lead_id="next", event_id="q")
        sent = send(settings, "leads", tomorrow, event, f"{place}-baton.LeadWarmed")
        until(worker, settings, 5)
        outputs = read_outputs(settings)
        assert {item["lead_id"] for item in outputs["LeadTransition"]} == {"new", "old", "now"}
        [letter] = outputs["DeadLetter"]
        assert (letter["reason"], letter["lead_id"], letter["value"]) == ("unknown_record", "next", sent)
        assert letter["detail"] == "record LeadWarmed is none of ours: upgrade, or mend its name"
        # The upgraded worker would know it. This one sets it aside again, with the same bytes and arrival: nothing is lost.
        with Registry(settings.registry_url) as registry:
            pipeline = Pipeline(settings, registry)
            unchanged = mending.unchanged(pipeline.letters)
            assert replay(settings, pipeline.letters, pipeline.encoder, Wanted(), unchanged).replayed == 1
            until(worker, settings, 9)
            first, second = read_outputs(settings)["DeadLetter"]
            assert (first["value"], first["key"]) == (second["value"], second["key"])
            assert {item["key"]: item["value"] for item in second["headers"]} == {
                RECEIVED_AT_HEADER: str(START).encode()
            }
            # As the upgrade that names it LeadCaptured.
            named = {
                letter.place: ("LeadCaptured", event)
                for letter in pipeline.letters.read(Wanted())
                if letter.record["offset"] == second["offset"]
            }
            mend = mending.from_file(pipeline.letters, pipeline.encoder, named)
            wanted = Wanted(places=frozenset(named))
            assert replay(settings, pipeline.letters, pipeline.encoder, wanted, mend).mended == 1
        until(worker, settings, 10)
    outputs = read_outputs(settings)
    [entered] = [item for item in outputs["LeadTransition"] if item["lead_id"] == "next"]
    assert (entered["to_stage"], entered["entered_at"]) == ("inquiry", START)
