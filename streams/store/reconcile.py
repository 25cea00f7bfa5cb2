"""Keeps rollups in order: marks what was missed, drops old marks, and proves that a rollup says what it is made of."""

from __future__ import annotations

import secrets
from typing import Final

from streams.store.client import Client
from streams.store.cluster import everywhere, shard, stored_name
from streams.store.missing import TABLES, missing
from streams.store.rolling import CHANGED, ROLLING, Rolling, Share, Store

MARKED: Final = ("leads", "lead_transitions", "sla_instances", "events", "dead_letters")
"""Tables of which an insert marks leads as changed."""
_KEPT_HOURS: Final = 24
_MOST_OF_AN_INSERT: Final = 500_000


class Reconciliation:
    """Works with one client, which is the caller's. Raises BatonError for whatever the store refuses."""

    def __init__(self, client: Client, store_url: str) -> None:
        self._store = Store(client, store_url)

    def mark_missed(self) -> None:
        """Marks the leads of rows whose marks were lost, as when the store was killed between the two.

        What was inserted last is all that can be: an insert that failed was repeated, and marks what it finds stored.
        """
        # On a cluster each shard has its own part of an insert, and may have lost its own marks.
        place = shard(self._store.client)
        known = {
            (table, node, topic_id, partition): offset
            for table, node, topic_id, partition, offset in self._store.rows(
                f"SELECT told_in, {place} AS node, topic_id, partition, max(offset) FROM changed_leads"  # noqa: S608
                " GROUP BY told_in, node, topic_id, partition"
            )
        }
        for table in MARKED:
            for node, topic_id, partition, offset in self._store.rows(
                f"SELECT {place} AS node, topic_id, partition, max(offset) FROM {table}"  # noqa: S608
                " GROUP BY node, topic_id, partition"
            ):
                marked = known.get((table, node, topic_id, partition), offset - _MOST_OF_AN_INSERT)
                if marked >= offset:
                    continue
                self._store.command(
                    "INSERT INTO changed_leads (lead_id, told_in, topic_id, partition, offset)"  # noqa: S608
                    f" SELECT assumeNotNull(lead_id), '{table}', topic_id, partition, max(offset) FROM {table}"
                    " WHERE topic_id = {topic_id:String} AND partition = {partition:UInt32} AND offset > {marked:Int64}"
                    " AND lead_id IS NOT NULL GROUP BY lead_id, topic_id, partition",
                    {"topic_id": topic_id, "partition": partition, "marked": marked},
                )

    def age(self) -> float:
        """Seconds since the oldest change that is not rolled up; 0: there is none."""
        return float(
            self._store.one(
                "SELECT if(count() = 0, 0, (toUnixTimestamp64Milli(now64(3)) - toUnixTimestamp64Milli(min(changed_at))) / 1000)"
                " FROM changed_leads WHERE changed_at > ({cut})"
            )
        )

    def drop_old(self) -> None:
        """Marks of a day ago and more that are rolled up, and what was left by rollups that were broken off."""
        client = self._store.client
        for table in ROLLING:
            for (number,) in self._store.rows(
                f"SELECT DISTINCT partition FROM {everywhere(client, 'system.parts')} WHERE database = currentDatabase()"  # noqa: S608
                " AND active AND table = {table:String} AND modification_time + toIntervalHour({kept:UInt32}) < now()",
                table=stored_name(client, table),
                kept=_KEPT_HOURS,
            ):
                self._store.drop_partition(table, str(int(number)))
        for (hour,) in self._store.rows(
            "SELECT toString(toStartOfHour(changed_at)) FROM changed_leads GROUP BY toStartOfHour(changed_at)"
            " HAVING max(changed_at) < least(({cut}), now64(3) - toIntervalHour({kept:UInt32}))",
            kept=_KEPT_HOURS,
        ):
            self._store.drop_partition("changed_leads", f"'{hour}'")

    def drift(self, leads: int = 1000) -> dict[str, int]:
        """Table -> rows in which it and what it is made of differ, of so many leads from a random one on.

        What changes meanwhile is no difference. Anything but 0 is a defect; `rebuild` mends it.
        """
        start = self._store.rows("SELECT lead_id FROM leads ORDER BY rand() LIMIT 1")
        if not start:
            return dict.fromkeys(TABLES, 0)
        after = start[0][0]
        (upto,) = self._store.rows(
            "SELECT max(lead_id) FROM (SELECT DISTINCT lead_id FROM leads WHERE lead_id > {after:String} ORDER BY lead_id"
            " LIMIT {leads:UInt64})",
            after=after,
            leads=leads,
        )[0]
        return self.differing(after, upto)

    def differing(self, after: str = "", upto: str = "") -> dict[str, int]:
        """Likewise of the leads with after < lead_id <= upto (empty: no end)."""
        first = secrets.randbits(60)
        sample = Share(first, after, upto, everything=True)
        with Rolling(self._store, sample) as rolling:
            rolling.begin()
            rolling.follow()
            rolling.tell()
            found = {
                table: self._store.rows(
                    f"SELECT lead_id FROM ({missing(table)})",  # noqa: S608  # names of ours
                    **sample.parameters,
                )
                for table in TABLES
            }
        if not any(found.values()):
            return dict.fromkeys(TABLES, 0)
        # Asked afterwards: all that has changed up to here is excused.
        with Rolling(self._store, Share(first + 1)) as pending:
            pending.begin()
            pending.follow()
            excused = {lead for (lead,) in self._store.rows(CHANGED, number=first + 1)}
        return {table: sum(lead not in excused for (lead,) in rows) for table, rows in found.items()}
