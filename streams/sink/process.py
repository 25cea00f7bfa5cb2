"""The sink as a process: waits for what it needs, serves /metrics and /status, ends on SIGTERM."""

from __future__ import annotations

import gc
import signal
from pathlib import Path

from streams import web
from streams.config import Settings
from streams.registry import Registry
from streams.sink.roller import Roller
from streams.sink.sink import Sink
from streams.store.client import patiently
from streams.store.migrations import Migrator
from streams.topic_admin import ensure_topics


def run(settings: Settings, port_file: Path | None) -> None:
    """Until SIGTERM or SIGINT. Raises BatonError where brokers or store are not there, or lack what is needed."""
    ensure_topics(settings)
    patiently(Migrator(settings).require_current)
    # A batch makes many small objects and no cycles: looking for those as often as by default is time lost.
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
    with Registry(settings.registry_url, patience=0) as registry:  # the sink itself waits for it
        roller = Roller(settings) if settings.rollup_interval else None
        sink = Sink(settings, registry, roller)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sink.stop())
        server = web.serve(sink.status, settings.bind, settings.metrics_port)
        web.write_port_file(port_file, {"port": server.port})
        if roller is not None:
            roller.start()
        try:
            sink.run()
        finally:
            if roller is not None:
                roller.stop()
            server.stop()
