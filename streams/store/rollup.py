"""Rolls up what has changed: the tables counted_… that KPI views read. Why that is exact: migration 0003.

One rollup is a row of `rollups`. Whoever inserts it does it, in shares of so many leads; whoever finds one that is not done
and has not moved for a while takes it over. Every insert is named by rollup, share and table, so that two who believe that
it is theirs insert once. A rollup takes in all that has changed so far, but declares done only what was marked a little
while ago, and before the oldest insert that is under way: a mark is dated when its insert begins and seen when it has ended,
and it may be seen shortly before the row that it is for.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Final

from streams.store.client import Client
from streams.store.cluster import everywhere
from streams.store.missing import TABLES, counting, may_say, missing
from streams.store.rolling import CHANGED, Rolling, Share, Store, all_leads, changed_leads

SHARE: Final = 50_000
"""Leads of one share: their rows are one block in memory."""
_MARGIN_SECONDS: Final = 1
_LONGEST_INSERT_SECONDS: Final = 3600
"""What inserts for longer is none of a sink's: nothing waits for it."""
_BEAT_SECONDS: Final = 5
"""Who is at a rollup says so this often, between two inserts."""
_STALE_SECONDS: Final = 30
"""Of silence, after which another does it too: that is twice the work, if the first was only slow, and the same rows."""


@dataclass(frozen=True, slots=True)
class _Work:
    """A rollup that is ours to do: a row of `rollups`."""

    number: int
    everything: bool
    bounds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of a share's leads."""

    at: float
    """When that was asked, by the monotonic clock."""
    told: frozenset[str]
    """Types of events that count."""
    any_mql: bool
    counting: frozenset[str]
    """Tables that say something of them."""


class Rollups:
    """Works with one client, which is the caller's. Raises BatonError for whatever the store refuses."""

    def __init__(self, client: Client, store_url: str, *, share: int = SHARE, owner: str = "") -> None:
        """`share`: leads at once. `owner`: who goes on with what was broken off under this name; none: another each time."""
        self._store = Store(client, store_url)
        self._share = share
        self._me = owner or secrets.token_hex(8)
        self._told_at = 0.0
        self.gone: set[str] = set()
        """Leads that it came across whose state was given up: if they were erased, what it put back of them has to go."""

    def roll(self) -> int | None:
        """Takes in what has changed; how many leads that were. None: another process is at it."""
        if not self._store.one("SELECT count() FROM (SELECT 1 FROM changed_leads WHERE changed_at > ({cut}) LIMIT 1)"):
            return 0
        work = self._claim(everything=False)
        return None if work is None else self._do(work)

    def rebuild(self) -> int:
        """Has everything looked at again: what is rolled up and right stays as it is. How many leads that were."""
        work = self._claim(everything=True)
        return 0 if work is None else self._do(work)

    def _do(self, work: _Work) -> int:
        leads = 0
        for after, upto in zip(["", *work.bounds], [*work.bounds, ""], strict=True):
            # Numbers of our own, whoever else may be at the same rollup.
            leads += self._take_in(work, Share(secrets.randbits(60), after, upto, work.everything))
        self._tell(work.number, done=True)
        return leads

    def _tell(self, number: int, *, done: bool) -> None:
        self._store.command(
            "INSERT INTO rollups (number, upto, owner, everything, bounds, is_done)"
            " SELECT number, upto, owner, everything, bounds, {done:Bool} FROM rollups FINAL WHERE number = {number:UInt64}",
            {"number": number, "done": done},
        )
        self._told_at = time.monotonic()

    def _claim(self, *, everything: bool) -> _Work | None:
        last = self._store.rows(
            "SELECT number, is_done, owner, dateDiff('second', written_at, now64(3)), everything, bounds FROM rollups FINAL"
            " ORDER BY number DESC LIMIT 1"
        )
        number, done, owner, age, whole, bounds = last[0] if last else (0, True, "", 0, False, [])
        if not done:
            if owner != self._me and age < _STALE_SECONDS:
                return None
            self._tell(number, done=False)
            return _Work(number, whole, tuple(bounds))
        number = int(number) + 1
        processes = everywhere(self._store.client, "system.processes")
        self._store.command(
            "INSERT INTO rollups (number, upto, owner, everything, bounds, is_done) SELECT {number:UInt64},"  # noqa: S608
            " greatest((SELECT max(upto) FROM rollups), least(now64(3) - toIntervalSecond({margin:UInt32}),"
            " (SELECT min(now64(3) - toIntervalMillisecond(toUInt64(1000 * elapsed) + 100))"
            f" FROM {processes} WHERE query_kind = 'Insert' AND elapsed < {{longest:UInt32}}))), {{me:String}},"
            " {everything:Bool}, {bounds:Array(String)}, false",
            {
                "number": number, "margin": _MARGIN_SECONDS, "longest": _LONGEST_INSERT_SECONDS, "me": self._me,
                "everything": everything, "bounds": self._bounds(everything=everything),
            },
            f"{number}-begun",
        )  # fmt: skip
        self._told_at = time.monotonic()
        # Of two who insert it the store keeps the first.
        owner, bounds = self._store.rows(
            "SELECT owner, bounds FROM rollups WHERE number = {number:UInt64} LIMIT 1", number=number
        )[0]
        return _Work(number, everything, tuple(bounds)) if owner == self._me else None

    def _bounds(self, *, everything: bool) -> list[str]:
        """Where one share ends and the next begins."""
        leads = all_leads() if everything else changed_leads()
        return [
            bound
            for (bound,) in self._store.rows(
                "SELECT lead_id FROM (SELECT lead_id, rowNumberInAllBlocks() AS place FROM"  # noqa: S608  # names of ours
                f" (SELECT lead_id FROM ({leads}) GROUP BY lead_id ORDER BY lead_id)) WHERE (place + 1) % {{share:UInt64}} = 0",
                share=self._share,
            )
        ]

    def _take_in(self, work: _Work, share: Share) -> int:
        with Rolling(self._store, share) as rolling:
            rolling.begin()
            # Whom a lead was part of, and whom it is part of: the stories of both change.
            rolling.follow()
            self._add("merges", work, share, new=False)
            rolling.follow()
            rolling.tell()
            found = self._look(share)
            for table in TABLES[1:]:
                if table in found.counting or may_say(table, found.told, any_mql=found.any_mql):
                    # Of leads that are new what there is now is all, and need not be set against what was. Unless it is long
                    # ago that they were: another may have taken over, and have rolled them up.
                    fresh = time.monotonic() - found.at < _STALE_SECONDS
                    self._add(table, work, share, new=fresh and table not in found.counting)
            # Asked in the end: what is given up from here on is marked as changed, and found by the next rollup.
            self.gone.update(
                lead
                for (lead,) in self._store.rows(
                    f"SELECT DISTINCT lead_id FROM leads WHERE lead_id IN ({CHANGED}) AND deleted",  # noqa: S608  # our names
                    number=share.number,
                )
            )
            return rolling.count()

    def _look(self, share: Share) -> _Found:
        at, number = time.monotonic(), share.number
        any_mql = self._store.one(
            f"SELECT max(arrayExists(at -> at IS NOT NULL, cycles.mql_at)) FROM leads WHERE lead_id IN ({CHANGED})",  # noqa: S608
            number=number,
        )
        told = self._store.one(
            "SELECT groupUniqArray(event_type) FROM rolling_facts WHERE number = {number:UInt64}", number=number
        )
        counted = self._store.rows(counting(), number=number)
        return _Found(at, frozenset(told), bool(any_mql), frozenset(table for (table,) in counted))

    def _add(self, table: str, work: _Work, share: Share, *, new: bool) -> None:
        if time.monotonic() - self._told_at > _BEAT_SECONDS:
            self._tell(work.number, done=False)
        self._store.command(
            # What is taken back first: collapsing goes by the order of the rows.
            # And none once another has done it all: by now its rows may be a later rollup's.
            f"INSERT INTO counted_{table} SELECT * FROM ({missing(table, new=new)})"  # noqa: S608  # names of ours
            " WHERE (SELECT max(is_done) FROM rollups WHERE number = {rollup:UInt64}) = 0 ORDER BY sign",
            {**share.parameters, "rollup": work.number},
            f"{work.number}-{table}-{share.after}-{share.upto}",
        )
