"""`make simulate`: the lane runtime against simulated faults, seed after seed; ends with 1 where one fails.

A failing seed prints itself; `python -m tests.simulation --seed N -v` plays it again, step by step.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import track

from tests.simulation.judging import problems
from tests.simulation.world import World

_AT_ONCE: Final = 50
"""Seeds that a process is given at once."""


def judged(seed: int, *, verbose: bool = False) -> tuple[list[str], Counter[str]]:
    """What is wrong with the run of a seed, and what happened in it, by kind."""
    try:
        outcome = World(seed, print if verbose else None).run()
        return problems(outcome), outcome.told
    except Exception:  # a run that cannot be judged has failed
        return [traceback.format_exc()], Counter()


def _some(seeds: range) -> tuple[dict[int, list[str]], Counter[str]]:
    found, told = {}, Counter[str]()
    for seed in seeds:
        wrong, happened = judged(seed)
        told += happened
        if wrong:
            found[seed] = wrong
    return found, told


def _all(seeds: range, jobs: int) -> Iterator[tuple[dict[int, list[str]], Counter[str]]]:
    parts: Iterable[range] = (seeds[at : at + _AT_ONCE] for at in range(0, len(seeds), _AT_ONCE))
    if jobs == 1:
        yield from map(_some, parts)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_some, parts)


def main(
    seeds: Annotated[int, typer.Option(help="How many.")] = 1_000,
    start: Annotated[int, typer.Option(help="The first.")] = 0,
    seed: Annotated[int | None, typer.Option(help="This one alone.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes.")] = max(1, (os.cpu_count() or 2) - 1),
    verbose: Annotated[bool, typer.Option("-v", help="With --seed: every step.")] = False,
) -> None:
    """Simulates the lane runtime."""
    began = time.monotonic()
    if seed is not None:
        wrong, told = judged(seed, verbose=verbose)
        failed = {seed: wrong} if wrong else {}
        seeds = 1
    else:
        failed, told = {}, Counter()
        parts = _all(range(start, start + seeds), jobs)
        shown = track(parts, "simulating", -(-seeds // _AT_ONCE), console=Console(stderr=True), transient=True)
        for found, happened in shown:
            failed |= found
            told += happened
            for number, wrong in found.items():
                print(f"seed {number} fails: {wrong[0]}", flush=True)
    for kind, count in sorted(told.items()):
        print(f"{count:10,}  {kind}")
    for number, wrong in sorted(failed.items())[:3]:
        print(f"\nseed {number}; again: python -m tests.simulation --seed {number} -v")
        print(*(line[:2_000] for line in wrong[:8]), sep="\n")
    seconds = time.monotonic() - began
    print(f"{seeds:,} seeds in {seconds:.0f} s ({seeds / seconds:.1f}/s), {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    typer.run(main)
