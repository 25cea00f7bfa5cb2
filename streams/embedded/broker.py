"""The embedded broker: librdkafka's mock cluster inside this process, on real sockets, with the embedded registry beside it.

It has no transactions, no compaction, no topic ids, and keeps 5 MB (as they come: compressed) or 100,000 messages a partition:
a publisher must not run far ahead of the worker, nor the worker of the sink. A sink that misses records ends with an error.
Its guarantees are those of one worker that does not crash.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Final

import structlog
from confluent_kafka import Producer

from streams import web
from streams.embedded import registry

log = structlog.get_logger(__name__)

PARTITIONS: Final = 4
"""Of every topic; the mock cluster knows no other number."""
MOST_RECORDS: Final = 100_000
"""A partition keeps at most so many."""


def run(host: str, port_file: Path | None) -> None:
    """Serves broker and registry until SIGTERM or SIGINT."""
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "embedded", "log_level": 0})
    found = cluster.list_topics(timeout=10).brokers.values()
    brokers = ",".join(f"{broker.host}:{broker.port}" for broker in found)
    server = web.Server(registry.app(), host, 0)
    ready = {"brokers": brokers, "registry_url": f"http://{host}:{server.port}"}
    log.info("embedded broker ready", **ready)
    web.write_port_file(port_file, ready)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(0.5):
        cluster.poll(0)
    server.stop()
