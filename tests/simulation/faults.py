"""What goes wrong in a run: when, or at which step of which work, decided by the seed."""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

STEPS: Final = (
    "fence", "restore", "look", "begin", "outputs", "states", "position", "flush", "commit", "abort", "schema",
)  # fmt: skip
"""Steps of the protocol at which a worker may be hit."""
_RARE: Final = ("fence", "restore", "look", "look", "abort", "abort", "schema", "commit", "commit")
"""Steps that come less often, or take more to be hit at."""
_TIMED: Final = (
    "kill", "stop", "stop", "shake", "shake", "leave", "coordinator", "coordinator", "brokers", "replica", "replica",
    "cut off", "cut off", "registry", "compact", "slow", "slow", "stall", "store away", "store slow", "sink killed",
    "sink taken over",
)  # fmt: skip
_AT_STEPS: Final = ("kill",) * 8 + ("stop", "stop", "slow", "coordinator", "coordinator", "shake", "compact")


class Fault(NamedTuple):
    kind: str
    at: float
    """Seconds after the beginning; of one at a step: from when on the step is waited for."""
    step: str | None
    """None: at that time."""
    lasts: float
    worker: int
    """Whom it hits, modulo those there are."""


def planned(random: Random, seconds: float) -> list[Fault]:
    """The faults of a run. One run in twelve has none."""
    number = random.choice((0, 1, 2, 2, 3, 4, 4, 5, 6, 8, 10, 14))
    return sorted((_fault(random, seconds) for _ in range(number)), key=lambda fault: fault.at)


def _fault(random: Random, seconds: float) -> Fault:
    at = random.uniform(0, seconds)
    lasts = random.choice((0.2, 1.0, 2.5, 4.0, 7.0))
    worker = random.randrange(12)
    if random.random() < 0.4:
        return Fault(random.choice(_TIMED), at, None, lasts, worker)
    kind = random.choice(_AT_STEPS)
    if kind == "coordinator" and random.random() < 0.5:
        return Fault(kind, at, random.choice(("position", "flush")), lasts, worker)
    return Fault(kind, at, random.choice(STEPS + _RARE), lasts, worker)
