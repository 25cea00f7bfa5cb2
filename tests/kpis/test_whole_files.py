"""The KPI views on the whole of the real files, through the whole pipeline, against the count of the files by hand.

Publisher, worker, sink and store as processes of their own, as `baton replay` starts them. Too long for every day:
BATON_TEST_NIGHTLY=1 asks for it. tests/kpis/test_views.py has the same of the first leads, without the pipeline.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from streams.config import load
from streams.store.client import connect
from tests.kpis.data import imported
from tests.kpis.fill import merge_parts
from tests.kpis.known import Known
from tests.kpis.views import CHECKS, wrong
from tests.replay.support import BPIC2012, OLIST, needs, replay
from tests.store.fixtures import start_store
from tests.support.fold import dated

pytestmark = pytest.mark.skipif(
    not os.environ.get("BATON_TEST_NIGHTLY"), reason="takes minutes: BATON_TEST_NIGHTLY=1 runs it"
)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "path",
    [pytest.param(OLIST, marks=needs(OLIST), id="olist"), pytest.param(BPIC2012, marks=needs(BPIC2012), id="bank")],
)
def test_every_view_on_the_whole_file(tmp_path: Path, path: Path) -> None:
    world = imported(path, 1_000_000)
    # A replay judges by its agreement and does not publish it: goals and rates are none of the store's then.
    promises = {name: told for name, told in world.agreement.items() if name not in ("goals", "currency")}
    world = replace(world, agreement=promises)
    agreement = tmp_path / "agreement.yaml"
    agreement.write_text(yaml.safe_dump(dated(world.agreement)))
    store = tmp_path / "store"
    summary = replay(tmp_path, path, "--agreement", agreement, "--store", store).summary
    assert summary["events"] == len(world.records)
    child, url = start_store(store, tmp_path)
    try:
        client = connect(load(store_url=url))
        [[now, lanes]] = client.query(
            "SELECT toUnixTimestamp64Milli(min(clock)), uniqExact(clock) FROM lanes FINAL"
        ).result_rows
        assert lanes == 1
        known = Known(replace(world, now=now))
        for moment in ("before", "after"):
            problems = [found for name in CHECKS if (found := wrong(client, known, name)) is not None]
            assert not problems, f"{moment}:\n" + "\n".join(problems)
            merge_parts(client)
        client.close()
    finally:
        child.stop()
