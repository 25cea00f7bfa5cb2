"""The lane runtime under five hundred seeds' worth of faults; and that the simulation is one: the same again, and no slip
of the protocol goes unnoticed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.__main__ import judged
from tests.simulation.faults import STEPS
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.world import World

SEEDS = 500
_ENOUGH = 400
"""Seeds within which a mutant is found; most are within fifty."""


@pytest.mark.timeout(900)
def test_nothing_is_lost_doubled_or_falsely_told_whatever_breaks() -> None:
    told: Counter[str] = Counter()
    for seed in range(SEEDS):
        wrong, happened = judged(seed)
        assert not wrong, f"python -m tests.simulation --seed {seed} -v\n" + "\n".join(wrong)[:4_000]
        told += happened
    # It did break, in every way and at every step, and what was to be judged was there.
    for kind in ("kill", "leave", "stop", "cut off", "slow", "shake", "coordinator", "brokers", "replica", "registry",
                 "compact", "stall", "rebalances", "sessions timed out", "fenced", "transactions aborted",
                 "transactions timed out", "commits whose answer is lost", "ends of transactions that came late",
                 "lanes kept over a rebalance"):  # fmt: skip
        assert told[kind], kind
    for step in STEPS:
        assert told[f"kill at {step}"], step
    assert told["events"] > 20 * SEEDS
    assert told["alerts"] > SEEDS


def _digest(seed: int) -> str:
    outcome = World(seed).run()
    return f"{outcome.callbacks} {sorted(outcome.told.items())} {sorted(outcome.written.items())}"


def test_a_seed_plays_again_exactly() -> None:
    """In another process too, whose sets of strings are in another order."""
    script = "from tests.simulation.test_simulation import _digest; print(*map(_digest, range(10)), sep='\\n')"
    here = "\n".join(map(_digest, range(10)))
    there = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONHASHSEED": "4711"}, capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    assert there.stdout.strip() == here


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_slip_in_the_protocol_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    assert any(judged(seed)[0] for seed in (MUTANTS[mutant], *range(_ENOUGH))), "no seed finds it"
