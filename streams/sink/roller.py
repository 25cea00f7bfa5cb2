"""Rolls up what the sink inserts, in a thread of its own: soon after a batch has landed, at most every `rollup_interval`.

What the store refuses is tried again the next time: nothing is lost by it, KPIs of the archive and quantiles only grow old.
Of several sinks one rolls up at a time; which one does not matter.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Final

import structlog

from streams.config import Settings
from streams.erasure.rows import sweep
from streams.errors import BatonError
from streams.metrics import ROLLED_LEADS, ROLLUP_AGE, ROLLUP_DRIFT, ROLLUP_ERRORS, ROLLUP_SECONDS
from streams.store.client import Client, connect
from streams.store.missing import TABLES
from streams.store.reconcile import Reconciliation
from streams.store.rollup import Rollups

log = structlog.get_logger(__name__)

_RECONCILE_SECONDS: Final = 300.0
_TIDY_SECONDS: Final = 3600.0


class Roller:
    """`start`, then `landed` whenever something was inserted, `stop` in the end; from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Under the name that it keeps over a restart it goes on at once with what its predecessor was killed at.
        self._me = settings.group_instance_id or secrets.token_hex(8)
        self._client: Client | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._landed_at = time.monotonic()
        self._gone: set[str] = set()
        """Leads whose state was given up and that a rollup has come across since: what it put back of them has to go."""
        self._looked_at = -1.0
        """When the last look began that took in all there was."""
        self._thread = threading.Thread(target=self._run, name="roller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def landed(self) -> None:
        self._landed_at = time.monotonic()
        self._wake.set()

    @property
    def current(self) -> bool:
        """All that has landed is rolled up."""
        return self._looked_at > self._landed_at

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join(10)

    # --- in the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        checked = tidied = time.monotonic()
        while not self._stopping.is_set():
            began = time.monotonic()
            self._wake.clear()
            try:
                if self._client is None:
                    self._client = connect(self._settings)
                rollups = Rollups(self._client, self._settings.store_url, owner=self._me)
                order = Reconciliation(self._client, self._settings.store_url)
                if (leads := rollups.roll()) is not None:
                    self._gone |= rollups.gone
                    # What was being rolled up when they were erased.
                    sweep(self._client, self._settings.store_url, self._gone)
                    self._gone.clear()
                    self._looked_at = began
                    ROLLED_LEADS.inc(leads)
                    if leads:
                        ROLLUP_SECONDS.observe(time.monotonic() - began)
                ROLLUP_AGE.set(order.age())
                if began - checked > _RECONCILE_SECONDS:
                    checked = began
                    self._reconcile(order)
                if began - tidied > _TIDY_SECONDS:
                    tidied = began
                    order.drop_old()
                    # What a mutation met while it was being rolled up.
                    sweep(self._client, self._settings.store_url)
            except BatonError as error:
                ROLLUP_ERRORS.inc()
                log.warning("not rolled up", cause=str(error))
                self._forget()
            # Where the store is slow, at most half of the time: inserts come first.
            took = time.monotonic() - began
            rest = max(self._settings.rollup_interval, 2 * took) - took
            if not self._stopping.wait(max(rest, 0)):
                self._wake.wait(self._settings.rollup_interval)
        self._forget()

    def _forget(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            client.close()

    @staticmethod
    def _reconcile(order: Reconciliation) -> None:
        differing = order.drift()
        for table in TABLES:
            ROLLUP_DRIFT.labels(table).set(differing[table])
        if any(differing.values()):
            log.error(
                "rollups differ from what they are made of", **{key: rows for key, rows in differing.items() if rows}
            )
