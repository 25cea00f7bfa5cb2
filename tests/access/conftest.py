"""A store with passwords and data, as BI tools meet it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from schemas.wire import Encoder
from streams.config import Settings
from streams.sink.batch import Partition, Reader
from streams.sink.origins import Origin
from streams.sink.writer import Writer
from streams.store.client import connect
from streams.store.migrations import Migrator
from streams.store.rollup import Rollups
from tests.access.clients import Login
from tests.kpis.fill import fill as fill_world
from tests.kpis.simulated import simulated
from tests.sink.support import DAY, IDS, START, Schemas, instance, journey, letter, position, state
from tests.sink.test_direct import Told
from tests.store.fixtures import fresh, start_store

OWNER, READER = 'own: er/"?', "rea'der&%"
SOURCES = (None, "event", "partner", 'it\'s \\ "web"', "сеть 🜚")
HOUR = 3_600_000


@pytest.fixture(scope="session")
def owners_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("access")
    env = {"BATON_STORE_PASSWORD": OWNER, "BATON_STORE_READER_PASSWORD": READER}
    child, url = start_store(folder / "data", folder, env=env)
    try:
        settings = fresh(url).model_copy(update={"store_database": "baton"})
        settings = Settings(**{**settings.model_dump(), "store_password": OWNER})
        Migrator(settings).up()
        fill(settings)
        yield settings
    finally:
        child.stop()


@pytest.fixture
def login(owners_settings: Settings) -> Login:
    return Login(owners_settings.store_url, "reader", READER, owners_settings.store_database)


@pytest.fixture(scope="session")
def company(owners_settings: Settings) -> Login:
    """The reader of a database of its own: a simulated company, with something to say in every view."""
    settings = Settings(**{**owners_settings.model_dump(), "store_database": "company", "store_password": OWNER})
    Migrator(settings).up()
    client = connect(settings)
    fill_world(client, simulated())
    Rollups(client, settings.store_url).roll()
    client.close()
    return Login(settings.store_url, "reader", READER, settings.store_database)


def fill(settings: Settings) -> None:
    """Leads of five sources at several stages, clocks met, late and open, and a few dead letters."""
    encoder = Encoder(IDS)
    states, clocks = [], []
    for number in range(60):
        lead, source = f"l{number}", SOURCES[number % len(SOURCES)]
        stage = ("inquiry", "mql", "won", "lost", "merged")[number % 7 % 5]
        entered = {"inquiry_at": START, "mql_at": START + number * HOUR}
        entered |= {f"{stage}_at": START + DAY} if stage in ("won", "lost") else {}
        states.append(encoder.encode("LeadState", state(lead, stage, journey(1, **entered), source=source)))
        verdict = ("met", "late_met", "open", "breached_open")[number % 4]
        satisfied = START + number * 1_234_567 if verdict.endswith("met") else None
        clock = instance(
            f"i{number}", lead, verdict, source=source, satisfied_at=satisfied,
            elapsed_ms=None if satisfied is None else number * 1_234_567,
        )  # fmt: skip
        clocks.append(encoder.encode("SlaEvent", clock))
    letters = [encoder.encode("DeadLetter", letter("leads", at, "undecodable", detail="too short")) for at in range(3)]
    states.append(encoder.encode("LanePosition", position(0, START + 40 * DAY)))
    writer, reader = Writer(settings), Reader(Schemas())
    for topic, values in (("lead-states", states), ("sla-events", clocks), ("dead-letters", letters)):
        told = [KeyedTold(at, value) for at, value in enumerate(values)]
        batch = reader.read([(Partition(topic, 0, Origin("x" * 22, 1), {}), told)])
        for table, made in batch.rows.items():
            writer.insert(table, made, writer.token())
    Rollups(writer.client, settings.store_url).roll()
    writer.close()


class KeyedTold(Told):
    """Each under a key of its own."""

    def key(self) -> bytes:
        return b"k%d" % self.at
