"""A worker that was given no files goes by what is published, before its start and while it runs."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

from processors.agreement import Agreement
from streams.agreements import publish
from streams.config import ClockMode
from streams.publisher import Publisher
from streams.registry import Registry
from tests.agreement.support import small
from tests.processors.support import START
from tests.real.fixtures import Cluster
from tests.support.poll import eventually
from tests.worker.processes import read_outputs, running, settings_for
from tests.worker.support import HOUR, complete


def test_a_worker_follows_what_is_published(cluster: Cluster, topic_prefix: str, tmp_path: Path) -> None:
    settings = settings_for(cluster, topic_prefix, clock=ClockMode.BROKER, grace=0.1, clock_margin=0.2)
    numbers = count()
    with Registry(settings.registry_url) as registry, Publisher(settings, registry) as publisher:

        def seen(version: str) -> bool:
            """Whether an event of now is judged by that version."""
            lead_id = f"lead-{next(numbers)}"
            now = (time.time() * 1000 - START) / HOUR
            publisher.publish("LeadCaptured", complete("LeadCaptured", now, lead_id=lead_id))
            publisher.flush()

            def judged() -> str | None:
                found = read_outputs(settings)["LeadTransition"]
                return next((item["agreement_version"] for item in found if item["lead_id"] == lead_id), None)

            return eventually(judged, 30) == version

        now = round(time.time() * 1000)
        publish([Agreement.parse(small("first", "2020-01-01T00:00:00Z"))], settings, registry, now=now)
        with running(settings, tmp_path):
            assert seen("first")
            later = Agreement.parse(small("second", "2021-01-01T00:00:00Z"))
            publish([later], settings, registry, now=now, backdated=True)
            eventually(lambda: seen("second"), 30)
