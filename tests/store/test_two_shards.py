"""The cluster's layout at work, on two shards in one engine: what is asked and rolled up there is what one node says.

No Keeper, no second server: see two_shards.py for what is the engine's own and what is not there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processors import rows
from streams.config import Settings, load
from streams.erasure import rows as erasures
from streams.sink.origins import Origin, held
from streams.sink.writer import Writer
from streams.store.export import lines
from streams.store.missing import TABLES
from streams.store.reconcile import Reconciliation
from streams.store.rollup import Rollups
from tests.kpis.data import generated
from tests.kpis.fill import fill, merge_parts
from tests.kpis.known import Known
from tests.kpis.views import AT_ONCE, CHECKS, wrong
from tests.store.two_shards import CLUSTER, connected, migrate
from tests.support.poll import eventually
from tests.support.processes import start


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("shards")
    port_file = folder / "store.json"
    command = [sys.executable, "-m", "tests.store.two_shards", str(folder / "data"), "leads_of_two", str(port_file)]
    child = start(command, folder, name="shards")
    child.wait_until(port_file.exists)
    url = json.loads(port_file.read_text())["url"]
    yield load(store_url=url, store_database="leads_of_two", store_cluster=CLUSTER)
    child.stop()


@pytest.fixture(scope="module")
def client(store: Settings) -> Iterator[Any]:
    made = connected(store)
    migrate(store, made)
    yield made
    made.close()


@pytest.mark.timeout(600)
def test_kpis_are_those_of_one_node(store: Settings, client: Any) -> None:
    """Merges among them: a lead and its survivor lie on different shards."""
    world = generated(60)
    known = Known(world)
    rollups = Rollups(client, store.store_url)
    fill(client, world, between=rollups.roll)
    for name in AT_ONCE:
        assert (found := wrong(client, known, name)) is None, f"not rolled up: {found}"
    rollups.roll()
    problems = [found for name in CHECKS if (found := wrong(client, known, name)) is not None]
    assert not problems, "\n".join(problems)
    merge_parts(client)
    assert Reconciliation(client, store.store_url).differing() == dict.fromkeys(TABLES, 0)
    parted = client.query(
        "SELECT count() FROM survivors WHERE cityHash64(survivors.lead_id) % 2 != cityHash64(survivors.survivor) % 2"
    )
    assert parted.result_rows[0][0] > 0
    shards = client.query("SELECT _shard_num, count() > 10 FROM leads FINAL GROUP BY _shard_num ORDER BY _shard_num")
    assert shards.result_rows == [(1, 1), (2, 1)]


def _lead(client: Any, shard: int, offset: int) -> None:
    """A row of `leads` that came to one shard: as of an insert that was cut off before it reached the other."""
    lead = next(
        str(n) for n in range(99) if client.query(f"SELECT cityHash64('{n}') % 2").result_rows == [(shard - 1,)]
    )
    columns = ["lead_id", "topic_id", "partition", "offset", "version"]
    client.insert("leads", [[lead, "cut", 0, offset, offset]], column_names=columns)


def test_what_is_held_is_what_all_shards_have(client: Any) -> None:
    """Going on behind the furthest of them would leave out what never came to the others."""
    origin = Origin("cut", 1)
    _lead(client, 1, 7)
    assert held(client, rows.LEADS, origin) == {}
    _lead(client, 2, 5)
    assert held(client, rows.LEADS, origin) == {0: 5}
    _lead(client, 1, 9)
    assert held(client, rows.LEADS, origin) == {0: 5}
    columns = ["lane", "topic_id", "partition", "offset", "version"]
    client.insert("lanes", [[90, "cut", 0, 4, 4]], column_names=columns)
    assert held(client, rows.LANES, origin) == {0: 4}  # all of it lies on one


def test_marks_that_one_shard_lost_are_made_up_for(store: Settings, client: Any) -> None:
    """Though the other one marked higher offsets of the same partition."""
    columns = ["lead_id", "transition_id", "topic_id", "partition", "offset", "version"]
    names = {
        shard: f"lost{n}"
        for n in range(9)
        for shard in client.query(f"SELECT cityHash64('lost{n}') % 2").result_rows[0]
    }
    client.insert(
        "lead_transitions", [[names[0], "a", "lost", 0, 3, 3], [names[1], "b", "lost", 0, 8, 8]], column_names=columns
    )
    client.command(
        f"ALTER TABLE changed_leads_local DELETE WHERE lead_id = '{names[0]}'", settings={"mutations_sync": 1}
    )
    Reconciliation(client, store.store_url).mark_missed()
    marked = client.query(
        "SELECT DISTINCT lead_id FROM changed_leads WHERE topic_id = 'lost' ORDER BY lead_id"
    ).result_rows
    assert {lead for (lead,) in marked} == set(names.values())


def test_what_is_left_of_erased_leads_is_counted(client: Any) -> None:
    columns = ["lead_id", "transition_id", "to_stage", "topic_id", "partition", "offset", "version"]
    client.insert("lead_transitions", [["gone", "g", "erased", "erased", 0, 1, 1]], column_names=columns)
    client.insert("leads", [["gone", "sal", 1]], column_names=["lead_id", "stage", "version"])
    assert set(erasures.left(client)["gone"]) == {"leads"}
    assert erasures.missed(client) == ["gone"]
    erasures.forget(client, ["gone"])
    eventually(lambda: "gone" not in erasures.left(client))
    assert erasures.stuck(client) == {}


def test_an_export_has_all_shards_and_no_letter_of_any(
    store: Settings, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.store.export.connect", lambda *_, **__: connected(store))
    before = list(lines(store, None, None))
    assert before
    columns = ["lead_id", "event_id", "event_type", "received_at", "body", "topic", "timestamp", "topic_id", "offset"]
    at = datetime(2100, 1, 1, tzinfo=UTC)
    told = [
        (f"told{n}", str(n), "LeadCaptured", at + timedelta(seconds=n), f'{{"n":{n}}}', "leads", n, "x", n)
        for n in range(40)
    ]
    client.insert("events", told, column_names=columns)
    place = ["origin_topic", "origin_partition", "origin_offset", "origin_timestamp"]
    letters = [(f"told{n}", "wrong_topic", "leads", 0, n, n, "x", n) for n in range(0, 40, 2)]
    client.insert("dead_letters", letters, column_names=["lead_id", "reason", *place, "topic_id", "offset"])
    found = list(lines(store, None, None))
    assert found[: len(before)] == before
    assert [json.loads(line)["n"] for line in found[len(before) :]] == list(range(1, 40, 2))


def test_the_sink_knows_tables_by_what_holds_the_rows(store: Settings, client: Any) -> None:
    writer = Writer(store)
    local = client.query(
        "SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = 'leads_local'"
    )
    assert writer.tables()["leads"] == local.result_rows[0][0]
    writer.close()


def test_a_shard_that_answered_for_itself_would_be_told(client: Any) -> None:
    """Merges of one lead into the next: each shard knows some, and not what they lead to."""
    client.insert(
        "counted_merges", [[f"m{n}", f"m{n + 1}", 1] for n in range(20)], column_names=["lead_id", "into", "sign"]
    )
    counted = (
        "SELECT count() FROM counted_merges AS merged {} JOIN (SELECT lead_id FROM counted_merges) AS next"
        " ON next.lead_id = into WHERE startsWith(merged.lead_id, 'm')"
    )
    alone = client.query(counted.format("INNER"), settings={"distributed_product_mode": "local"}).result_rows[0][0]
    assert 0 < alone < 19
    assert client.query(counted.format("GLOBAL INNER")).result_rows == [(19,)]
    assert client.query(counted.format("INNER")).result_rows == [(19,)]  # what every client of ours says
    ends = client.query("SELECT count(), any(survivor) FROM survivors WHERE startsWith(lead_id, 'm')").result_rows
    assert ends == [(20, "m20")]
