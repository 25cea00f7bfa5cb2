"""One batch on its way into the store, in a thread of its own, while the sink consumes the next.

It is made ready at once, and inserted once the one before it has landed: to make ready takes this process's time, to
insert the store's. What became of the one before decides: if that did not land, neither does this.

An outage is never poison: every step is tried until it succeeds, with growing waits, and nothing is skipped. Where the
store refuses a block of undecoded records, the records of that block are decoded instead: the one that cannot be read
becomes a dead letter, the rest of them rows. Likewise a row that its table cannot hold.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from processors import rows
from processors.rows import At, Row
from streams.errors import BatonError, UnavailableError
from streams.metrics import SINK_ERRORS
from streams.sink.avro import PLACE, Block
from streams.sink.batch import TABLES, Batch, Reader
from streams.sink.direct import Direct, Taken
from streams.sink.writer import MOST_ROWS, UnstorableError, Writer

log = structlog.get_logger(__name__)

T = TypeVar("T")
Place = tuple[str, int]
"""Full topic name, partition."""

_LONGEST_WAIT: Final = 10.0
_OFFSET_BITS: Final = 48
"""Of a version; the rest is the generation."""


class Abandoned(Exception):  # noqa: N818  # not an error: the work at hand is no longer this process's
    pass


class Remade(Exception):  # noqa: N818  # likewise
    """A table is not the one whose position was asked."""


class Patience:
    """Tries until it works, and says what it waits for."""

    def __init__(self) -> None:
        self.cause: str | None = None
        """Of the last failure of what is tried now; for /status."""

    def until_done(self, what: str, call: Callable[[], T], wait: Callable[[float], None]) -> T:
        """`call` until it raises no BatonError. `wait` may raise Abandoned."""

        def tell(state: RetryCallState) -> None:
            SINK_ERRORS.inc()
            self.cause = str(state.outcome.exception()) if state.outcome is not None else None
            log.warning("the sink waits", on=what, attempt=state.attempt_number, cause=self.cause)

        retrying = Retrying(
            retry=retry_if_exception_type(BatonError),
            wait=wait_exponential_jitter(multiplier=0.2, max=_LONGEST_WAIT),
            sleep=wait,
            before_sleep=tell,
        )
        try:
            return retrying(call)
        finally:
            self.cause = None


class Flight:
    """`start`, then look at `is_ready` and `done`; `abandon` from any thread."""

    def __init__(
        self,
        taken: Sequence[Taken],
        ends: Mapping[Place, int],
        reader: Reader,
        direct: Direct,
        writer: Writer,
        tables: Mapping[str, str],
        patience: Patience,
        before: Flight | None = None,
    ) -> None:
        """`ends`: the last offset of each partition; `before`: has to land first."""
        self._taken = taken
        self.ends = ends
        self.records = sum(len(messages) for _, messages in taken)
        self._before = before
        self._reader = reader
        self._direct = direct
        self._writer = writer
        self._tables = tables
        self._patience = patience
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sink-flight", daemon=True)
        self.refused = 0
        """Records that were set aside."""
        self._unstorable: set[Row] = set()
        """Places of those that a table could not hold."""
        self.error: BaseException | None = None
        """Why it did not land. Abandoned, Remade, or a defect."""
        self.doubtful: frozenset[str] = frozenset()
        """Tables that were made anew while rows were on their way: which of the two has them is not known."""

    def start(self) -> None:
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Its rows are made; what is left is to insert them."""
        return self._ready.is_set()

    @property
    def landed(self) -> bool:
        """All of it is in the store."""
        return self.done and self.error is None and not self.doubtful and not self.abandoned

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    @property
    def abandoned(self) -> bool:
        return self._stop.is_set()

    def join(self, seconds: float | None) -> None:
        self._thread.join(seconds)

    def abandon(self) -> None:
        """No further attempt is made; one under way is not broken off."""
        self._stop.set()

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._fly()
        except BaseException as error:  # handed over: the sink raises what is a defect
            self.error = error
        finally:
            # What was taken is large, and the sink keeps this object a while longer.
            self._taken = ()
            self._before = None
            self._ready.set()

    def _fly(self) -> None:
        split = self._until_done("schemas", lambda: self._direct.split(self._taken))
        with ThreadPoolExecutor(1, "sink-reading") as reading:
            read = reading.submit(self._read, split.rest)
            read.add_done_callback(lambda _: self._ready.set())
            self._wait_for_turn()
            # What came with the batch must not be older than what the store was asked about.
            self._until_done("tables", self._require_tables)
            refused = self._blocks(split.blocks)
            self._store(read.result())
        self._store(self._read(refused))
        self.doubtful = self._changed(self._until_done("tables", self._writer.tables))

    def _wait_for_turn(self) -> None:
        if self._before is not None:
            self._before.join(None)
            if not self._before.landed:
                raise Abandoned
            self._before = None

    def _blocks(self, blocks: Sequence[tuple[Sequence[Block], Sequence[Taken]]]) -> list[Taken]:
        """What the store refuses of it."""
        refused: list[Taken] = []
        for of_topic, taken in blocks:
            for block in of_topic:
                if not self._straight(block):
                    refused += taken
                    break
                for partition, messages in taken:  # should a later block be refused, this one is not made again
                    partition.held[block.table] = max(partition.held.get(block.table, -1), messages[-1].offset())
        return refused

    def _straight(self, block: Block) -> bool:
        """False: the store refuses it."""
        refused: list[BatonError] = []
        token = self._writer.token()

        def attempt() -> None:
            try:
                self._writer.insert(block.table, block, token)
            except UnavailableError:
                raise
            except BatonError as error:
                self._require_tables()
                refused.append(error)

        self._until_done(block.table, attempt)
        if refused:
            log.warning("a block is read record by record", table=block.table, rows=len(block), cause=str(refused[0]))
        return not refused

    def _read(self, taken: Sequence[Taken]) -> Batch:
        return self._until_done("schemas", lambda: self._reader.read(taken))  # type: ignore[no-any-return]

    def _store(self, batch: Batch) -> None:
        if batch.erased:
            # Before the mark that says so: a sink that is killed in between reads the erasure again.
            self._until_done("erasures", lambda: self._writer.forget(batch.erased))
        # Dead letters first: once a table holds what came after a refused record, that one is not read again.
        for table in sorted(batch.rows, key=lambda name: name != rows.DEAD_LETTERS.name):
            made = batch.rows[table]
            for start in range(0, len(made), MOST_ROWS):
                self._insert(table, made[start : start + MOST_ROWS])
        self.refused += batch.refused

    def _insert(self, table: str, made: Sequence[Row]) -> None:
        """Halves what holds an unstorable row until that row is alone, in the order of the rows."""
        token = self._writer.token()
        attempts = 0
        unstorable: list[UnstorableError] = []

        def attempt() -> None:
            nonlocal attempts
            attempts += 1
            if attempts > 1:
                self._require_tables()
            try:
                self._writer.insert(table, made, token)
            except UnstorableError as error:
                unstorable.append(error)

        self._until_done(table, attempt)
        if not unstorable:
            return
        if len(made) > 1:
            half = len(made) // 2
            self._insert(table, made[:half])
            self._insert(table, made[half:])
        elif (place := made[0][-len(PLACE) : -1]) not in self._unstorable:  # a record may go to several tables
            self._unstorable.add(place)
            self._insert(rows.DEAD_LETTERS.name, [self._letter(table, made[0], str(unstorable[0]))])
            self.refused += 1

    def _letter(self, table: str, row: Row, detail: str) -> Row:
        """In place of a row that its table cannot hold."""
        place = dict(zip(PLACE, row[-len(PLACE) :], strict=True))
        topic = next(topic for topic, tables in TABLES.items() if any(one.name == table for one in tables))
        at = At(place["topic_id"], place["version"] >> _OFFSET_BITS, place["partition"], place["offset"])
        log.error("refused", topic=topic, partition=at.partition, offset=at.offset, reason="unstorable", detail=detail)
        return rows.dead_letter(
            {
                "topic": topic, "partition": at.partition, "offset": at.offset, "timestamp": 0, "reason": "unstorable",
                "detail": f"table {table}: {detail}", "schema_id": None, "lead_id": None, "failed_at": 0,
                "worker_version": "",
            },
            at,
        )  # fmt: skip

    def _changed(self, now: Mapping[str, str]) -> frozenset[str]:
        return frozenset(table for table, identity in self._tables.items() if now.get(table) != identity)

    def _require_tables(self) -> None:
        changed = self._changed(self._writer.tables())
        if changed:
            raise Remade(", ".join(sorted(changed)))

    def _until_done(self, what: str, call: Callable[..., Any]) -> Any:
        return self._patience.until_done(what, partial(self._attempt, call), self._wait)

    def _attempt(self, call: Callable[[], T]) -> T:
        if self._stop.is_set():
            raise Abandoned
        return call()

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Abandoned
