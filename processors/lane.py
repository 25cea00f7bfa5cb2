"""All leads of one lane: folds facts into them, fires their deadlines on the lane clock, gives back what was said.

States lie packed; a lead is unpacked when a fact or a deadline touches it and packed again when its record is written.
The heap holds one next deadline a lead; an entry that is out of date is skipped or put back when it surfaces.
Pure and synchronous; may not import I/O. What comes out is shaped by the .avsc files of the output topics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Final, NamedTuple

from processors import lead as leads
from processors import outputs
from processors.agreement import Agreement
from processors.facts import Fact
from processors.state import Memory, unpack
from processors.vocabulary import NEVER
from schemas.types import LeadState, LeadTransition, SlaEvent

__all__ = ["LaneFold", "Outputs", "RefusedByFold"]


_MOST_LIVE: Final = 5_000
"""Leads a lane keeps unpacked between two writes."""


class Outputs(NamedTuple):
    """What was said since the last drain, in order."""

    transitions: list[LeadTransition]
    sla_events: list[SlaEvent]


class RefusedByFold(NamedTuple):
    """A fact for the dead letters. `fact.at` names its record."""

    fact: Fact
    reason: str
    detail: str


class LaneFold:
    """State of a lane. Not thread-safe: one owner.

    `unpack_value`: the value of a lead-states record -> its `fold` bytes. `grace_ms`: see processors.clock.
    """

    def __init__(self, agreement: Agreement, unpack_value: Callable[[bytes], bytes], *, grace_ms: int = 2_000) -> None:
        self._agreement = agreement
        self._unpack_value = unpack_value
        self._grace = grace_ms
        self._restored: dict[str, bytes] = {}
        """Records as they were read back, of leads not touched since."""
        self._packed: dict[str, bytes] = {}
        """Packed memories of leads that were touched and have been written since."""
        self._live: dict[str, Memory] = {}
        """Unpacked leads, the least recently touched first; those that are not written yet, and a few more."""
        self._changed: set[str] = set()
        self._due: list[tuple[int, str]] = []
        self._scheduled: dict[str, int] = {}
        self._clock = 0
        self._transitions: list[LeadTransition] = []
        self._sla_events: list[SlaEvent] = []
        self.counters: Counter[str] = Counter()
        """events, copies, transitions, sla.KIND, refused.REASON: since the lane's state began; overdue: breaches announced
        and still open now."""

    def __len__(self) -> int:
        return len(self._restored.keys() | self._packed.keys() | self._live.keys())

    def restore(self, lead_id: str, value: bytes, next_deadline: int) -> None:
        """Puts back the last written state of a lead. `value`: the record's value, kept as it is until it is needed."""
        self._restored[lead_id] = value
        if next_deadline != NEVER:
            self._scheduled[lead_id] = next_deadline
            self._due.append((next_deadline, lead_id))

    def restored(self) -> None:
        """To be called once after the last restore: puts the deadlines in order."""
        heapify(self._due)

    def _memory(self, lead_id: str) -> Memory:
        memory = self._live.pop(lead_id, None)
        if memory is None:
            packed = self._packed.get(lead_id)
            if packed is None and (value := self._restored.get(lead_id)) is not None:
                packed = self._unpack_value(value)
            memory = Memory() if packed is None else unpack(packed)
        self._live[lead_id] = memory
        return memory

    def fold(self, facts: Sequence[Fact]) -> list[RefusedByFold]:
        """Takes facts, in whatever order. Gives back those that belong into the dead letters."""
        refused: list[RefusedByFold] = []
        counters = self.counters
        counters["events"] += len(facts)
        for fact in facts:
            lead_id = fact.lead_id
            memory = self._memory(lead_id)
            overdue = leads.overdue(memory) if memory.announced else 0
            outcome = leads.receive(memory, fact, self._clock, self._agreement)
            if outcome.changed:
                if overdue or memory.announced:
                    counters["overdue"] += leads.overdue(memory) - overdue
                self._changed.add(lead_id)
                if outcome.transitions or outcome.instances:
                    self._tell(lead_id, outcome)
                if memory.state.clocks:
                    self._schedule(lead_id, memory)
            if outcome.copy:
                counters["copies"] += 1
            if outcome.dropped is not None:
                counters[f"refused.{outcome.dropped}"] += 1
            if outcome.refused is not None:
                reason, detail, whose = outcome.refused
                counters[f"refused.{reason}"] += 1
                refused.append(RefusedByFold(whose, reason, detail))
        return refused

    def _tell(self, lead_id: str, outcome: leads.Outcome) -> None:
        counters = self.counters
        for said in outcome.transitions:
            counters["transitions" if said.change == "stated" else f"transitions.{said.change}"] += 1
            self._transitions.append(outputs.lead_transition(lead_id, said, self._clock))
        for instance in outcome.instances:
            self._tell_instance(lead_id, instance)

    def _tell_instance(self, lead_id: str, said: leads.InstanceSaid) -> None:
        record = outputs.sla_event(lead_id, said, self._clock, self._grace)
        self.counters[f"sla.{said.kind}"] += 1
        if said.kind == "breached" and record["notify"] and not record["is_test"]:
            self.counters[f"breaches.{record['policy']}"] += 1
        self._sla_events.append(record)

    def _schedule(self, lead_id: str, memory: Memory) -> None:
        due = leads.due(memory, self._grace)
        if due is None:
            return
        scheduled = self._scheduled.get(lead_id)
        if scheduled is None or due < scheduled:
            self._scheduled[lead_id] = due
            heappush(self._due, (due, lead_id))

    def advance(self, clock: int) -> None:
        """The lane clock reached `clock` (UTC milliseconds): announces every breach that is due, with its true time."""
        if clock > self._clock:
            self._clock = clock
        heap = self._due
        while heap and heap[0][0] <= self._clock:
            at, lead_id = heappop(heap)
            if self._scheduled.get(lead_id) != at:
                continue
            del self._scheduled[lead_id]
            memory = self._memory(lead_id)
            fired = leads.fire(memory, self._clock, self._grace)
            if fired:
                self._changed.add(lead_id)
                self.counters["overdue"] += 0 if memory.state.is_test else len(fired)
                for said in fired:
                    self._tell_instance(lead_id, said)
            self._schedule(lead_id, memory)

    @property
    def next_deadline(self) -> int:
        """When advance() may have something to fire; NEVER when nothing is open."""
        return self._due[0][0] if self._due else NEVER

    @property
    def open_deadlines(self) -> int:
        """Leads with a deadline still to come."""
        return len(self._scheduled)

    def drain(self) -> Outputs:
        """What was said since the last call."""
        said = Outputs(self._transitions, self._sla_events)
        self._transitions, self._sla_events = [], []
        return said

    def changed(self) -> list[tuple[str, LeadState]]:
        """The records of the leads that changed since the last call."""
        records = []
        for lead_id in self._changed:
            memory = self._live[lead_id]
            record = outputs.lead_state(lead_id, memory, leads.due(memory, self._grace))
            self._packed[lead_id] = record["fold"]
            self._restored.pop(lead_id, None)
            records.append((lead_id, record))
        self._changed.clear()
        self._forget()
        return records

    def _forget(self) -> None:
        """Drops the unpacked form of the leads that were touched longest ago; their packed form has just been kept."""
        excess = len(self._live) - _MOST_LIVE
        if excess > 0:
            for lead_id in list(islice(self._live, excess)):
                del self._live[lead_id]
