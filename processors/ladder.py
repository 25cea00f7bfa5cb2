"""When a clock has to be looked at, and what is told when that instant is certain: rungs, breaches, wakings.

Everything here hangs on the lane clock. What was told is kept in Memory.announced, so that each rung is told once.
Pure; may not import I/O.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from processors.agreement import Agreements
from processors.instances import calendar_of, rung_at
from processors.state import Instance, Memory
from processors.telling import InstanceSaid


def _next(memory: Memory, clock: Instance, agreements: Agreements) -> int | None:
    """When the next rung of an open clock is due; None: all are told."""
    agreement = agreements.named(clock.agreement_version)
    _, told = memory.announced.get(clock.instance_id, (0, 0))
    place = bisect_right(agreement.ladder, told)
    if place == len(agreement.ladder):
        return None
    return rung_at(clock, agreement.ladder[place], calendar_of(clock, agreements))


def nearest(memory: Memory, clocks: Iterable[Instance], agreements: Agreements, grace_ms: int) -> int | None:
    """When the lane clock must look at the lead next because of these clocks or of its wake date; None: never."""
    if memory.erased_at:
        return None if memory.gone else memory.erased_at
    wake = memory.state.wake
    # A wake date waits for nobody: it only starts a clock.
    least: int | None = None if wake is None else wake[0] - grace_ms
    for clock in clocks:
        if clock.open:
            at = _next(memory, clock, agreements)
            if at is not None and (least is None or at < least):
                least = at
    return None if least is None else least + grace_ms


def due(memory: Memory, agreements: Agreements, grace_ms: int) -> int | None:
    """When the lane clock must look at this lead next; None: never."""
    return nearest(memory, memory.state.clocks.values(), agreements, grace_ms)


def overdue(memory: Memory) -> int:
    """Open instances whose breach has been announced; none of a test lead."""
    if not memory.announced or memory.state.is_test:
        return 0
    announced = memory.announced
    return sum(announced.get(clock.instance_id, (0, 0))[0] != 0 for clock in memory.state.clocks.values())


def fire(memory: Memory, agreements: Agreements, clock: int, grace_ms: int) -> list[InstanceSaid]:
    """Tells each rung of an open clock whose instant plus grace is not after the lane clock. The breach is the rung at
    100 percent; only the highest of those told at once notifies.
    """
    said: list[InstanceSaid] = []
    for instance in memory.state.clocks.values():
        agreement = agreements.named(instance.agreement_version)
        calendar = calendar_of(instance, agreements)
        breached, told = memory.announced.get(instance.instance_id, (0, 0))
        fired = []
        for percent in agreement.ladder[bisect_right(agreement.ladder, told) :]:
            if rung_at(instance, percent, calendar) + grace_ms > clock:
                break
            fired.append(percent)
        if not fired:
            continue
        if fired[-1] >= 100:
            breached = instance.deadline
        memory.announced[instance.instance_id] = (breached, fired[-1])
        said += [
            InstanceSaid(
                "breached" if percent == 100 else "rung", instance, percent >= 100, percent, percent == fired[-1]
            )
            for percent in fired
        ]
    return said
