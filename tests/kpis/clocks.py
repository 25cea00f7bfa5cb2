"""Numbers about promises and answers, counted by hand: view -> what it must say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tests.kpis.funnel import Rows, grouped, nearest, part
from tests.kpis.known import Known
from tests.oracle.calendar import HOUR
from tests.oracle.records import first_receipts, is_valid
from tests.oracle.walk import InstanceTold

VERDICTS: Final = ("open", "breached_open", "met", "late_met", "breached_ended", "cancelled", "transferred")
_MISSED: Final = ("late_met", "breached_ended", "breached_open")


def _instances(known: Known) -> Iterator[InstanceTold]:
    """Of leads that count, those that nothing but clocks has come to among them."""
    for name in known.heard:
        yield from known.stories[name].instances


def _source(instance: InstanceTold) -> str:
    return instance.source or "(none)"


def routing(known: Known) -> Rows:
    cycles = [
        cycle for lead in known.leads.values() for cycle in lead.cycles.values() if cycle.hand_raised_at is not None
    ]
    out: Rows = {}
    for team, group in grouped(cycles, lambda one: one.team or "(none)").items():
        assigned = [one for one in group if one.assigned_at is not None and one.assigned_at >= one.hand_raised_at]
        answered = [one for one in assigned if one.answered_at is not None and one.answered_at >= one.assigned_at]
        routed = [(one.assigned_at - one.hand_raised_at) / HOUR for one in assigned]
        replied = [(one.answered_at - one.assigned_at) / HOUR for one in answered]
        out[(team,)] = (
            len(group), len(routed), len(routed) / len(group), nearest(routed, 0.5), nearest(routed, 0.9),
            len(replied), nearest(replied, 0.5), nearest(replied, 0.9),
        )  # fmt: skip
    return out


def response_time(known: Known) -> Rows:
    clocks = [
        one for one in _instances(known)
        if one.policy == "first_response" and one.start_event_type == "LeadCaptured"
    ]  # fmt: skip
    out: Rows = {}
    for source, group in grouped(clocks, _source).items():
        met = [one for one in group if one.satisfied_at is not None]
        waiting = [one for one in group if one.verdict in ("open", "breached_open")]
        wall = [((one.satisfied_at or 0) - one.started_at) / HOUR for one in met]
        measured = [(one.elapsed_ms or 0) / HOUR for one in met]
        out[(source,)] = (
            len(group), len(met), len(met) / len(group), 1 - len(waiting) / len(group), nearest(wall, 0.5), nearest(wall, 0.9),
            min(wall, default=None), max(wall, default=None), nearest(measured, 0.5), nearest(measured, 0.9),
        )  # fmt: skip
    return out


def sla_compliance(known: Known) -> Rows:
    out: Rows = {}
    promised = (one for one in _instances(known) if one.policy != "erasure")
    for key, group in grouped(promised, lambda one: (one.policy, _source(one))).items():
        count = Counter(one.verdict for one in group)
        due = Counter(one.verdict for one in group if one.deadline <= known.now)
        whole = due["met"] + sum(due[verdict] for verdict in _MISSED)
        out[key] = (
            len(group), *(count[verdict] for verdict in VERDICTS), whole, part(due["met"], whole),
            part(due["met"] + due["late_met"], whole),
        )  # fmt: skip
    return out


def open_clocks(known: Known) -> Rows:
    running = [one for one in _instances(known) if one.verdict in ("open", "breached_open")]
    out: Rows = {}
    for key, group in grouped(running, lambda one: (one.policy, _source(one))).items():
        within, over = ([one.deadline for one in group if one.verdict == word] for word in ("open", "breached_open"))
        out[key] = (len(within), len(over), min(within, default=None), min(over, default=None))
    return out


def sla_missed(known: Known, since: int, until: int) -> Rows:
    missed = [
        one for one in _instances(known)
        if one.policy != "erasure" and one.verdict in _MISSED and since <= one.deadline < until
    ]  # fmt: skip
    out: Rows = {}
    for key, group in grouped(missed, lambda one: (one.policy, one.team or "(none)")).items():
        count = Counter(one.verdict for one in group)
        out[key] = (len(group), *(count[verdict] for verdict in _MISSED))
    return out


def dead_letters(known: Known) -> Rows:
    """Another body under a known id, and what came for a lead after its erasure."""
    valid = [record for record in known.world.records if is_valid(record)]
    first = {record.identity: record for record in first_receipts(valid)}
    erased: dict[str, int] = {}
    for record in first.values():
        if record.name == "LeadErased":
            erased[record.lead] = min(record.received_at, erased.get(record.lead, record.received_at))
    count: Counter[tuple[str, str]] = Counter()
    for record in valid:
        counted = first[record.identity]
        if record.received_at > erased.get(record.lead, record.received_at):
            count["refused_erased", "leads"] += 1
        elif (record.name, record.event) != (counted.name, counted.event):
            count["event_id_conflict", "leads"] += 1
    return {key: (number,) for key, number in count.items()}
