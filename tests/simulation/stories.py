"""What happens in a run: histories of a few leads, as the oracle's tests have them, told in seconds instead of days.

Live, an hour of theirs is half a second here, and targets are seconds. What a broker stamps decides, so the records' times
of receipt are only when producers mean to send. In a replay they are as told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple, TypeVar

from hypothesis import strategies as st

from tests.oracle.agreement import amount
from tests.oracle.calendar import DAY, HOUR
from tests.oracle.histories import START, Path
from tests.oracle.records import Record
from tests.oracle.terms import AGREEMENTS, QUICK

T = TypeVar("T")

FASTER: Final = 7_200
"""How many times faster than in the histories time goes here."""
LONGEST: Final = 24_000
"""Milliseconds from the first receipt to the last."""
_POLICIES: Final[Mapping[str, Any]] = {
    "assignment": {"targets": "2 s"},
    "acceptance": {"targets": "5 s"},
    "first_response": {"targets": {"hot": "2 s", "warm": "4 s", "cold": "9 s"}},
    "owner_response": {"targets": {"hot": "1 s", "warm": "4 s", "cold": "8 s"}},
    "cadence": {"targets": "8 s", "attempts": 3},
    "qualification": {"targets": "8 s"},
    "next_response": {"targets": "3 s"},
    "stage_age": {"targets": {"inquiry": "5 s", "mql": "4 s", "sal": "6 s", "nurture": "6 s", "recycled": "4 s"}},
    "inactivity": {"targets": {"sal": "3 s", "sql": "5 s", "opportunity": "9 s"}},
    "wake": {"targets": "2 s"},
    "mend": {"targets": "3 s"},
    "erasure": {"targets": "9 s"},
}
AGREEMENT: Final[Mapping[str, Any]] = {
    **QUICK, "version": "seconds", "policies": _POLICIES, "teams": {"north": {}, "overseas": {}}, "ladder": [50, 100, 200],
    "cooldowns": {"no_budget": "4 s", "bad_timing": "1 s"}, "pause": {"reasons": ["customer_request", "holiday"], "cap": "6 s"},
}  # fmt: skip


def _amounts(versions: Sequence[Mapping[str, Any]], faster: int) -> tuple[int, ...]:
    """Targets: what is due so long after something is looked at closely."""
    texts: set[str] = set()
    for version in versions:
        for policy in version["policies"].values():
            targets = policy["targets"]
            texts.update(targets.values() if isinstance(targets, Mapping) else [targets])
    return tuple(sorted(amount(text, 8 * HOUR) * faster for text in texts))


def _no_draw(strategy: st.SearchStrategy[Any]) -> Any:
    raise NotImplementedError


class _Seeded(Path):
    """A path whose choices a seed makes."""

    def __init__(self, random: Random, leads: list[str], amounts: tuple[int, ...]) -> None:
        super().__init__(_no_draw, leads, amounts, dict.fromkeys(leads, ""))
        self._random = random

    def pick(self, *options: T) -> T:
        return options[int(self._random.random() * len(options))]

    def often(self, of: int) -> bool:
        return self._random.random() * of < 1


class Story(NamedTuple):
    """What is published. `replay`: of long ago, with the time of its receipt in a header, and with marks of its end."""

    replay: bool
    versions: tuple[Mapping[str, Any], ...]
    """Of the agreement."""
    sent: list[tuple[float, Record]]
    """When, in seconds after the beginning."""
    end: int
    """Nothing happens later, nor is received later in a replay. (Of leads that wait for a date the oracle tells what is true
    when its last fact has happened.)
    """


def told(random: Random) -> Story:
    """One run in four is a replay."""
    replay = random.random() < 0.25
    records: list[Record] = []
    versions = random.choice(AGREEMENTS) if replay else (AGREEMENT,)
    amounts = _amounts(versions, 1) if replay else _amounts(versions, FASTER)
    for number in range(random.choice((1, 2, 2, 3))):
        leads = [f"{number}{letter}" for letter in "abcd"[: random.choice((1, 1, 2, 2, 3, 4))]]
        records += _path(_Seeded(random, leads, amounts))
    records.sort(key=lambda one: one.received_at)
    if not replay:
        live = [_faster(one) for one in records]
        sent = [((one.received_at - START) / 1000, one) for one in live if one.received_at <= START + LONGEST]
        return Story(False, versions, sent, max((one.event["occurred_at"] for _, one in sent), default=START))
    times = sorted(random.uniform(0, 8) for _ in records)
    newest = max((max(one.received_at, one.event["occurred_at"]) for one in records), default=START)
    end = newest + random.choice((0, 1, 2_000, HOUR, DAY, 5 * DAY, 40 * DAY))
    return Story(True, versions, list(zip(times, records, strict=True)), end)


def _path(path: _Seeded) -> list[Record]:
    for _ in range(path.pick(*range(4, 19))):
        path.step()
    path.end()
    for _ in range(path.pick(0, 1, 1, 2, 3)):
        path.copy()
    if path.often(4):
        path.conflict(equal=False)
    for _ in range(path.pick(0, 0, 1, 2)):
        path.withdraw()
    if len(path.leads) > 1 and path.often(6):
        path.rekey()
    if path.often(3):
        path.spoil()
    if path.often(6):
        path.erase()
    return path.records


def _faster(record: Record) -> Record:
    event = dict(record.event)
    for field in ("occurred_at", "until", "wake_date"):
        if event.get(field) is not None and event[field] > START - 100 * FASTER * 1000:
            event[field] = START + (event[field] - START) // FASTER
    return Record(record.name, event, max(START, START + (record.received_at - START) // FASTER))
