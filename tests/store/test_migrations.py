"""Migrations: applied in order and once, undone, refused when edited, taken up again after a cut."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from streams.config import Settings
from streams.errors import BatonError, ConfigurationError, UnavailableError
from streams.store.client import Client
from streams.store.ledger import Ledger
from streams.store.migrations import Migration, Migrator, available
from tests.store.fixtures import drop, fresh
from tests.support.poll import never


def tables(client: Client) -> set[str]:
    return {
        name
        for (name,) in client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows
    }


SECOND = Migration(
    len(available()) + 1,
    "second",
    "-- With; semicolon.\nCREATE TABLE IF NOT EXISTS second (s String DEFAULT 'a;b')\nENGINE = MergeTree ORDER BY s;\n"
    "CREATE TABLE IF NOT EXISTS third (n Int8) ENGINE = MergeTree ORDER BY n;\n",
    "DROP TABLE IF EXISTS third;\nDROP TABLE IF EXISTS second;\n",
)


def test_up_again_applies_nothing(store: Settings) -> None:
    assert Migrator(store).up() == []
    assert [standing.applied for standing in Migrator(store).status()] == [True] * len(available())


def test_up_and_down(store: Settings, client: Client) -> None:
    migrator = Migrator(store, [*available(), SECOND])
    assert [item.name for item in migrator.up()] == ["second"]
    assert {"second", "third"} <= tables(client)
    assert [item.name for item in migrator.down(len(available()))] == ["second"]
    assert not {"second", "third"} & tables(client)
    assert [standing.applied for standing in migrator.status()][-1] is False
    migrator.up()
    assert "third" in tables(client)


def test_everything_can_be_undone(store: Settings, client: Client) -> None:
    Migrator(store).down(0)
    assert tables(client) == {"migrations"}


def test_an_edited_migration_is_refused(store: Settings) -> None:
    first = available()[0]
    edited = Migrator(store, [replace(first, up=first.up + "\n-- edited\n"), *available()[1:]])
    with pytest.raises(BatonError, match="0001_lifecycle was edited after it was applied"):
        edited.up()
    assert edited.status()[0].changed


BROKEN = replace(
    SECOND,
    up=SECOND.up + "CREATE TABLE broken (n Nonsense) ENGINE = MergeTree ORDER BY n;\nINSERT INTO third VALUES (1);\n",
)


def test_a_migration_that_fails_half_way_is_told_and_resumed(store: Settings, client: Client) -> None:
    """After its last good statement; the ones before are not run again."""
    counting = replace(BROKEN, up="INSERT INTO first VALUES (1);\n" + BROKEN.up)  # noqa: S608
    client.command("CREATE TABLE first (n Int8) ENGINE = MergeTree ORDER BY n")
    migrator = Migrator(store, [*available(), counting])
    for _ in range(2):
        with pytest.raises(BatonError, match=r"second, statement 4: store .*Nonsense"):
            migrator.up()
        standing = migrator.status()[-1]
        assert not standing.applied
        assert standing.state.startswith("unfinished, 3 of 5 statements done: migration 000")
        assert "Nonsense" in standing.state
        with pytest.raises(BatonError, match="lacks migration"):
            migrator.require_current()
    client.command("CREATE TABLE Nonsense (n Int8) ENGINE = Memory")  # does not help; the file has to be mended
    mended = replace(counting, up=counting.up.replace("Nonsense", "Int8"))
    assert [item.name for item in Migrator(store, [*available(), mended]).up()] == ["second"]
    # Edited since, so from its first statement.
    assert client.query("SELECT count() FROM first").result_rows == [(2,)]
    assert client.query("SELECT count() FROM third").result_rows == [(1,)]
    assert Migrator(store, [*available(), mended]).status()[-1].state == "applied"


def test_a_cause_that_is_mended_outside_the_file(store: Settings, client: Client) -> None:
    waiting = replace(SECOND, up=SECOND.up + "INSERT INTO third SELECT n FROM elsewhere;")  # noqa: S608
    waiting = replace(waiting, up=waiting.up + "\nINSERT INTO third VALUES (1);\n")
    migrator = Migrator(store, [*available(), waiting])
    with pytest.raises(BatonError, match="elsewhere"):
        migrator.up()
    client.command("DROP TABLE second")  # would be made again if the first statement were run again
    client.command("CREATE TABLE elsewhere (n Int8) ENGINE = Memory")
    assert [item.name for item in migrator.up()] == ["second"]
    assert "second" not in tables(client)
    assert client.query("SELECT count() FROM third").result_rows == [(1,)]


def test_an_unfinished_one_can_be_taken_back(store: Settings, client: Client) -> None:
    migrator = Migrator(store, [*available(), BROKEN])
    with pytest.raises(BatonError):
        migrator.up()
    assert [item.name for item in migrator.down(len(available()))] == ["second"]
    assert not {"second", "third"} & tables(client)
    assert migrator.status()[-1].state == "missing"


def test_one_that_was_taken_back_half_way_is_told_and_made_whole_again(store: Settings, client: Client) -> None:
    known = [*available(), SECOND]
    Migrator(store, known).up()
    stuck = replace(SECOND, down="DROP TABLE IF EXISTS third;\nDROP TABLE elsewhere;\nDROP TABLE IF EXISTS second;\n")
    with pytest.raises(BatonError, match=r"taking back migration 000\d_second, statement 2: .*elsewhere"):
        Migrator(store, [*available(), stuck]).down(len(available()))
    standing = Migrator(store, known).status()[-1]
    assert not standing.applied
    assert "taking back" in standing.state
    assert [item.name for item in Migrator(store, known).up()] == ["second"]
    assert {"second", "third"} <= tables(client)
    assert Migrator(store, known).status()[-1].state == "applied"


def test_ten_at_once(store: Settings, client: Client) -> None:
    """Each statement runs once, and one of the ten says that it did it."""
    counting = replace(
        SECOND,
        up="CREATE TABLE counted (n Int8) ENGINE = MergeTree ORDER BY n;\n" + "INSERT INTO counted VALUES (1);\n" * 5,
    )
    start = threading.Barrier(10)

    def migrate(_: int) -> list[str]:
        start.wait()
        return [item.name for item in Migrator(store, [*available(), counting]).up()]

    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(migrate, range(10)))
    assert sorted(map(len, done)) == [0] * 9 + [1]
    assert client.query("SELECT count() FROM counted").result_rows == [(5,)]
    assert not any(name.startswith("migrations_lock") for name in tables(client))


def test_ten_processes_in_a_database_that_is_not_there(embedded_store_url: str) -> None:
    settings = fresh(embedded_store_url)
    command = [
        sys.executable, "-m", "streams", "migrate", "up",
        "--store-url", settings.store_url, "--database", settings.store_database,
    ]  # fmt: skip
    dry = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert dry.startswith("-- 0001_lifecycle\n\n")
    assert f"-- {len(available())} to apply" in dry
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(10)
    ]
    said = [(process.communicate(timeout=240)[0], process.returncode) for process in running]
    try:
        assert [code for _, code in said] == [0] * 10, said
        assert sum("applied 0001_lifecycle" in text for text, _ in said) == 1
        assert all(standing.applied for standing in Migrator(settings).status())
    finally:
        drop(settings)


def test_a_lock_that_is_held_is_waited_for(store: Settings, client: Client) -> None:
    ledger = Ledger(client, store.store_url)
    migrator = Migrator(store, [*available(), SECOND], lock_patience=0.5)
    with (
        ledger.locked(1, 30),
        pytest.raises(BatonError, match=r"another migration runs \(.*, process \d+, seen \d s ago\)"),
    ):
        migrator.up()
    assert [item.name for item in migrator.up()] == ["second"]


def test_a_lock_whose_holder_died_is_taken_over(store: Settings, client: Client) -> None:
    client.command(
        "CREATE TABLE migrations_lock (at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY at COMMENT 'a dead one'"
    )
    client.command("INSERT INTO migrations_lock SELECT now64(3) - INTERVAL 1 MINUTE")
    ten = [Migrator(store, [*available(), SECOND], lock_stale_after=20) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(Migrator.up, ten))
    assert sorted(map(len, done)) == [0] * 9 + [1]
    assert not any(name.startswith("migrations_lock") for name in tables(client))


def test_one_that_stood_still_too_long_stops(store: Settings, client: Client) -> None:
    ledger = Ledger(client, store.store_url)
    with ledger.locked(1, 30):
        ledger.require_lock()
        client.command("RENAME TABLE migrations_lock TO migrations_lock_of_another")
        client.command("CREATE TABLE migrations_lock (at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY at")
        with pytest.raises(BatonError, match="another migration took over"):
            never(ledger.require_lock, 5)
    assert "migrations_lock" in tables(client)  # not ours to remove


def test_a_database_of_a_newer_version_is_not_taken_back(store: Settings) -> None:
    Migrator(store, [*available(), SECOND]).up()
    assert Migrator(store).up() == []
    with pytest.raises(BatonError, match=r"has migration 000\d_second, which this version does not know"):
        Migrator(store).down(0)


def test_a_dry_run_changes_nothing(store: Settings, client: Client) -> None:
    before = tables(client)
    migrator = Migrator(store, [*available(), SECOND])
    assert [item.name for item in migrator.missing()] == ["second"]
    assert tables(client) == before
    nowhere = Migrator(store.model_copy(update={"store_database": "nowhere"}))
    assert nowhere.missing() == available()
    with pytest.raises(ConfigurationError, match="no database nowhere"):
        nowhere.status()


def test_what_is_behind_is_told(store: Settings) -> None:
    with pytest.raises(BatonError, match=r"lacks migration 000\d_second: run `baton migrate`"):
        Migrator(store, [*available(), SECOND]).require_current()


def test_nobody_there() -> None:
    from streams.config import load
    from tests.support.processes import free_port

    with pytest.raises(UnavailableError, match=r"does not answer: Connection refused"):
        Migrator(load(store_url=f"http://127.0.0.1:{free_port()}")).up()
