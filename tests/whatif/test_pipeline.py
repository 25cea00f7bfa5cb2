"""What the pipeline judged and stored is what the replay of its archive comes to."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.publishing.support import baton
from tests.replay.support import replay
from tests.support.fold import dated
from tests.whatif.test_by_hand import OLD, WEEK, promising

_STORED = """
SELECT sum(started) AS started, sum(open) AS open, sum(met) AS met, sum(late_met + breached_open + breached_ended) AS breached,
    sum(cancelled + transferred) AS called_off, sum(due) AS due
FROM kpi_sla_compliance
"""


def test_the_side_as_it_was_agreed_is_what_the_store_says(tmp_path: Path) -> None:
    old, new, events, store = (tmp_path / name for name in ("old.yaml", "new.yaml", "week.jsonl", "store"))
    for path, stated in ((old, OLD), (new, promising(hot="2 h", warm="4 h"))):
        path.write_text(yaml.safe_dump(dated(stated)))
    lines = [{"type": one.name, "received_at": one.received_at, **one.event} for one in WEEK]
    # A clock of October would be in the store's numbers, too: they know no months.
    events.write_text("".join(f"{json.dumps(line)}\n" for line in lines if line["lead_id"] != "october"))
    replay(tmp_path, events, "--agreement", old, "--until", "2026-11-06T12:00:00+01:00", "--store", store)
    told = baton("agreement", "diff", old, new, "--period", "2026-11", "--store", store, "--json")
    assert told.returncode == 0, told.stderr
    totals = json.loads(told.stdout)["totals"]
    stored = baton("sql", _STORED, "--store", store, "--format", "JSONEachRow")
    found = {name: int(value) for name, value in json.loads(stored.stdout).items()}
    assert found == {name: value for name, value in totals["before"].items() if name != "attainment"}
    assert (totals["before"]["attainment"], totals["after"]["attainment"]) == (0.4, 0.75)
