"""The Faust app of the worker: one agent that hands each fetch to its lane, one task that lets the lanes work.

Faust keeps membership, assignment, supervision and flow control.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import faust
import structlog

from schemas.catalog import CATALOG
from schemas.wire import Decoder, Encoder
from streams import web
from streams.agreements import open_source, read_agreement
from streams.config import Settings
from streams.errors import ConfigurationError
from streams.registry import Registry
from streams.topic_admin import ensure_topics, require
from streams.topics import READ_BY_LANES, Topics
from streams.worker import driver
from streams.worker.engine import Engine

log = structlog.get_logger(__name__)


def make_app(settings: Settings, engine: Engine, folder: str) -> Any:
    """The Faust app, wired to the engine. `folder`: where Faust, which keeps nothing there for us, may make its own."""
    driver.register()
    topics = Topics(settings.topic_prefix)
    app = faust.App(
        settings.group,
        broker=f"{driver.SCHEME}://{settings.brokers.replace(',', f';{driver.SCHEME}://')}",
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        worker_redirect_stdouts=False,
        store="memory://",
        stream_buffer_maxsize=24,  # counts batches
        stream_wait_empty=False,
        broker_session_timeout=settings.session_timeout,
        broker_heartbeat_interval=settings.session_timeout / 6,
        broker_rebalance_timeout=10.0,
        broker_request_timeout=max(40.0, settings.session_timeout + 1),
        broker_max_poll_interval=60.0,
        consumer_max_fetch_size=1 << 20,
        consumer_group_instance_id=settings.group_instance_id,
        datadir=folder,
    )
    app.lane_owner = engine
    inputs = app.topic(*(topics.name(topic) for topic in READ_BY_LANES), schema=driver.BatchSchema(), allow_empty=True)

    @app.agent(inputs)
    async def feed(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            engine.feed(message.topic, message.partition, message.value)
            event.ack()  # the batch is in its lane's queue; the lane's transaction decides what counts

    @app.task
    async def lanes() -> None:
        try:
            await engine.run()
        except asyncio.CancelledError:
            raise
        except BaseException:
            # Half-folded state must not be committed: what is durable is right, so the process goes.
            log.exception("the lane loop failed")
            os._exit(70)

    return app


def run(settings: Settings, port_file: Path | None = None) -> None:
    """Runs a worker until SIGTERM or SIGINT. Raises BatonError where it cannot start."""
    if not settings.erasure_key.get_secret_value():
        raise ConfigurationError(
            "erasure_key (BATON_ERASURE_KEY, or a file of that name in BATON_SECRETS_DIR): a worker needs the key under "
            "which it knows erased leads again; make one, keep it, and give it to every worker"
        )
    if settings.agreement is not None:
        read_agreement(settings.agreement)  # a wrong one is told before anything starts
    counts = ensure_topics(settings)
    require(settings)
    topics = Topics(settings.topic_prefix)
    # From here on: how many lanes there are, not how many were to be made.
    settings = settings.model_copy(update={"partitions": counts[topics.name(READ_BY_LANES[0])]})
    registry = Registry(settings.registry_url)
    outputs = [name for name, contract in CATALOG.items() if not contract.is_event]
    events = [name for name, contract in CATALOG.items() if contract.is_event]
    ids = registry.ids(topics, [*outputs, *events])
    registry.require_compatibility(topics, [*outputs, *events])
    decoder = Decoder()
    for name, number in ids.items():
        decoder.learn(number, CATALOG[name].text)
    agreed = open_source(settings, registry)
    engine = Engine(settings, agreed, registry, Encoder(ids), decoder)
    server = web.serve(lambda: {**engine.status(), "pid": os.getpid()}, settings.bind, settings.metrics_port)
    web.write_port_file(port_file, {"port": server.port})
    scratch = tempfile.TemporaryDirectory(prefix="baton-worker-", ignore_cleanup_errors=True)
    app = make_app(settings, engine, scratch.name)
    # Its own logging set-up would replace ours, and with it every line of the lanes.
    worker = app.Worker(override_logging=False, redirect_stdouts=False, quiet=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    # Nearly all that lives long is state, which has no cycles: looking through it again and again finds nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    with contextlib.suppress(SystemExit, KeyboardInterrupt):
        worker.execute_from_commandline()
    agreed.close()
    scratch.cleanup()
