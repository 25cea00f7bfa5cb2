"""Migrations: applied in order and once, undone, refused when edited, taken up again after a cut."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.config import Settings
from streams.errors import BatonError, UnavailableError
from streams.store.client import Client
from streams.store.migrations import Migration, Migrator, available


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


def test_a_cut_migration_is_applied_again(store: Settings, client: Client) -> None:
    broken = replace(SECOND, up=SECOND.up + "CREATE TABLE broken (n Nonsense) ENGINE = MergeTree ORDER BY n;\n")
    with pytest.raises(BatonError, match=r"second, statement 3: store .*Nonsense"):
        Migrator(store, [*available(), broken]).up()
    assert "third" in tables(client)
    assert [item.name for item in Migrator(store, [*available(), SECOND]).up()] == ["second"]


def test_what_is_behind_is_told(store: Settings) -> None:
    with pytest.raises(BatonError, match=r"lacks migration 000\d_second: run `baton migrate`"):
        Migrator(store, [*available(), SECOND]).require_current()


def test_nobody_there() -> None:
    from streams.config import load
    from tests.support.processes import free_port

    with pytest.raises(UnavailableError, match=r"does not answer: Connection refused"):
        Migrator(load(store_url=f"http://127.0.0.1:{free_port()}")).up()
