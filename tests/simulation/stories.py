"""What happens in a run: histories of a few leads, as the oracle's tests have them, told in seconds instead of days.

An hour of theirs is half a second here; targets are seconds. What a broker stamps decides, so the records' times of receipt
are only when producers mean to send.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from tests.oracle.agreement import amount
from tests.oracle.histories import START, Path
from tests.oracle.records import Record
from tests.oracle.terms import QUICK

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


def _amounts() -> tuple[int, ...]:
    texts: set[str] = set()
    for policy in _POLICIES.values():
        targets = policy["targets"]
        texts.update(targets.values() if isinstance(targets, Mapping) else [targets])
    return tuple(sorted(amount(text) * FASTER for text in texts))


AMOUNTS: Final = _amounts()


def _no_draw(strategy: st.SearchStrategy[Any]) -> Any:
    raise NotImplementedError


class _Seeded(Path):
    """A path whose choices a seed makes."""

    def __init__(self, random: Random, leads: list[str]) -> None:
        super().__init__(_no_draw, leads, AMOUNTS, dict.fromkeys(leads, ""))
        self._random = random

    def pick(self, *options: T) -> T:
        return options[int(self._random.random() * len(options))]

    def often(self, of: int) -> bool:
        return self._random.random() * of < 1


def told(random: Random) -> list[Record]:
    """The records of a run, in the order in which they are sent; the first at START."""
    records: list[Record] = []
    for number in range(random.choice((1, 2, 2, 3))):
        leads = [f"{number}{letter}" for letter in "abcd"[: random.choice((1, 1, 2, 2, 3, 4))]]
        records += _path(random, leads)
    return sorted(records, key=lambda one: one.received_at)


def _path(random: Random, leads: list[str]) -> list[Record]:
    path = _Seeded(random, leads)
    for _ in range(random.randint(4, 18)):
        path.step()
    path.end()
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        path.copy()
    if path.often(4):
        path.conflict(equal=False)
    for _ in range(path.pick(0, 0, 1, 2)):
        path.withdraw()
    if len(leads) > 1 and path.often(6):
        path.rekey()
    if path.often(3):
        path.spoil()
    # What a tombstone refuses depends on when it is read: erasures have tests of their own.
    faster = [_faster(one) for one in path.records if one.name != "LeadErased"]
    return [one for one in faster if one.received_at <= START + LONGEST]


def _faster(record: Record) -> Record:
    event = dict(record.event)
    for field in ("occurred_at", "until", "wake_date"):
        if event.get(field) is not None and event[field] > START - 100 * FASTER * 1000:
            event[field] = START + (event[field] - START) // FASTER
    return Record(record.name, event, max(START, START + (record.received_at - START) // FASTER))
