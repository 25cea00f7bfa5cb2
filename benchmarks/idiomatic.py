"""The same fold as an idiomatic Faust agent: one event at a time, a Table for the leads, `topic.send` for the outputs.

Written as Faust's documentation teaches it, with the same records in and out. It neither merges the topics by time nor
fires deadlines, so it does less than a lane does.

    python -m benchmarks.idiomatic BROKERS PREFIX SCHEMAS.json COUNT_FILE
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import faust

from processors import ladder, outputs
from processors import lead as leads
from processors.agreement import DEFAULTS
from processors.facts import to_fact
from processors.state import Memory, unpack
from schemas.wire import Decoder, Encoder
from streams.topics import INPUTS

PARTITIONS = 4


def make(brokers: str, prefix: str, schemas: dict[str, Any], count_file: Path) -> Any:
    """The app. `schemas`: {"ids": {name: id}, "texts": {id: text}}; `count_file` gets the events folded, as they grow."""
    app = faust.App(
        f"{prefix}idiomatic", broker=f"kafka://{brokers}", store="memory://", topic_partitions=PARTITIONS,
        web_enabled=False, key_serializer="raw", value_serializer="raw", topic_replication_factor=1, table_standby_replicas=0,
    )  # fmt: skip
    decoder = Decoder()
    for number, text in schemas["texts"].items():
        decoder.learn(int(number), text)
    encoder = Encoder(schemas["ids"])
    inputs = app.topic(*(prefix + topic for topic in INPUTS), key_type=bytes, value_type=bytes, value_serializer="raw")
    transitions = app.topic(f"{prefix}idiomatic-transitions", value_serializer="raw", partitions=PARTITIONS)
    sla_events = app.topic(f"{prefix}idiomatic-sla", value_serializer="raw", partitions=PARTITIONS)
    table = app.Table(f"{prefix}idiomatic-leads", partitions=PARTITIONS, key_type=bytes, value_type=bytes)
    folded = 0

    @app.agent(inputs)  # type: ignore[untyped-decorator]  # Faust ships no types
    async def fold(stream: Any) -> None:
        nonlocal folded
        async for event in stream.events():
            name, body = decoder.decode(event.value)
            stamped = round(event.message.timestamp * 1000)
            header = dict(event.headers).get("baton-received-at")
            fact = to_fact(name, body, min(stamped, int(header)) if header else stamped)
            key = event.key
            record = table.get(key)
            memory = Memory() if record is None else unpack(decoder.decode(record)[1]["fold"])
            outcome = leads.receive(fact.lead_id, memory, fact, 0, DEFAULTS)
            lead_id = fact.lead_id
            for said in outcome.transitions:
                value = encoder.encode("LeadTransition", outputs.lead_transition(lead_id, said, 0))
                await transitions.send(key=key, value=value)
            for instance in outcome.instances:
                value = encoder.encode("SlaEvent", outputs.sla_event(lead_id, instance, DEFAULTS, 0, 2000))
                await sla_events.send(key=key, value=value)
            table[key] = encoder.encode(
                "LeadState", outputs.lead_state(lead_id, memory, ladder.due(memory, DEFAULTS, 2000))
            )
            folded += 1

    partial = count_file.with_suffix(".partial")

    def tell() -> None:
        while True:
            partial.write_text(str(folded))
            partial.replace(count_file)
            time.sleep(0.1)

    threading.Thread(target=tell, daemon=True).start()
    return app


if __name__ == "__main__":
    where, topic_prefix, schema_file, counts = sys.argv[1:5]
    application = make(where, topic_prefix, json.loads(Path(schema_file).read_text()), Path(counts))
    application.Worker(loglevel="error").execute_from_commandline()
