"""Two of `make chaos`, on one broker: a worker that is frozen in the middle of a transaction, loses its lanes to another,
and wakes; two versions of the workers side by side.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.chaos import observe
from tests.chaos.faults import freeze_worker, upgrade
from tests.chaos.load import past
from tests.chaos.site import Ground, Site


def test_what_a_frozen_worker_had_in_flight_is_never_seen(tmp_path: Path) -> None:
    ground = Ground(tmp_path, brokers=1)
    site = None
    try:
        site = Site(ground.start(), "frozen")
        site.begin(past(60))
        time.sleep(4)  # load before the fault
        note = freeze_worker(0)(site)
        time.sleep(2)  # and after it
        verdict = site.end()
        assert verdict.clean, verdict.examples
        assert verdict.events > 500
        assert verdict.alerts > 100
        hidden = int(note.partition(" ")[0])
        assert observe.refused(site.settings) >= hidden > 0
        assert site.watch.seen > 100
    finally:
        if site is not None:
            site.stop()
        ground.stop()


def test_lanes_go_to_the_next_version_and_back_under_load(tmp_path: Path) -> None:
    ground = Ground(tmp_path, brokers=1)
    site = None
    try:
        site = Site(ground.start(), "upgrade")
        site.begin(past(60))
        upgrade(2)(site)
        verdict = site.end()
        assert verdict.clean, verdict.examples
        assert verdict.events > 500
        assert verdict.alerts > 100
    finally:
        if site is not None:
            site.stop()
        ground.stop()
