"""Which topic a record is from, for good: names may be used again, Kafka's topic ids are not.

The generation counts the topics that have had a name, in the order in which the store met them. It is the high part of
every row's version: a re-created topic begins again at offset 0, and still its statements are the newer ones.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka.admin import AdminClient

from processors.rows import LARGEST_GENERATION, Table
from streams.config import Settings
from streams.errors import BatonError
from streams.store.client import INSERT_SETTINGS, Client
from streams.store.cluster import complete, shard
from streams.topic_admin import topic_ids

_EMBEDDED: Final = uuid.UUID("6f8bb3a4-2d2c-4a57-9f0e-6f1f9b1f3f11")
"""Namespace of ids made for topics of the embedded broker."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A topic's identity."""

    topic_id: str
    generation: int


def identities(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Topic name -> Kafka's id of the topic that has it now. Raises KafkaException.

    The embedded broker has no topic ids: there the id is made of the broker's own identity and address and the name. It
    differs from one broker process to the next, which is what counts: each begins at offset 0.
    """
    wanted = list(names)
    if settings.transactions:
        return topic_ids(settings, wanted)
    client = AdminClient({"bootstrap.servers": settings.brokers, "log_level": 0})
    cluster = client.list_topics(timeout=10).cluster_id
    return {name: str(uuid.uuid5(_EMBEDDED, f"{cluster} {settings.brokers} {name}")) for name in wanted}


def origins(client: Client, ids: Mapping[str, str]) -> dict[str, Origin]:
    """Topic name -> origin; a topic the store has not met gets the next generation of its name."""
    known: dict[str, dict[str, int]] = {name: {} for name in ids}
    answer = client.query(
        "SELECT name, topic_id, generation FROM output_topics FINAL WHERE name IN {names:Array(String)}",
        parameters={"names": list(ids)},
    )
    for name, topic_id, generation in answer.result_rows:
        known[name][topic_id] = generation
    new = []
    for name, topic_id in ids.items():
        if topic_id not in known[name]:
            generation = max(known[name].values(), default=0) + 1
            if generation > LARGEST_GENERATION:
                raise BatonError(f"topic {name} was re-created {LARGEST_GENERATION} times: start with a new database")
            known[name][topic_id] = generation
            new.append((name, topic_id, generation))
    if new:
        client.insert("output_topics", new, column_names=["name", "topic_id", "generation"], settings=INSERT_SETTINGS)
    return {name: Origin(topic_id, known[name][topic_id]) for name, topic_id in ids.items()}


def held(client: Client, table: Table, origin: Origin) -> dict[int, int]:
    """Partition -> highest offset that `table` holds of the topic.

    On a cluster an insert may have reached some shards and not others: what all of them have is held.
    """
    answer = client.query(
        f"SELECT partition, min(highest) FROM (SELECT partition, {shard(client)} AS node, max(offset) AS highest"  # noqa: S608
        " FROM {table:Identifier} WHERE topic_id = {topic_id:String} GROUP BY partition, node)"
        f" GROUP BY partition HAVING count() = {complete(client, table.name)}",
        parameters={"table": table.name, "topic_id": origin.topic_id},
    )
    return dict(answer.result_rows)
