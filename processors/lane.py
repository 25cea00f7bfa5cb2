"""All leads of one lane: folds facts into them, fires their deadlines on the lane clock, gives back what was said.

States lie packed; a lead is unpacked when a fact or a deadline touches it and packed again when its record is written.
Those that have not been touched for a while lie compressed: 1.1 kB instead of 2.5 for a lead of 25 events.
The heap holds one next deadline a lead; an entry that is out of date is skipped or put back when it surfaces.
Pure and synchronous; may not import I/O. What comes out is shaped by the .avsc files of the output topics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Final, NamedTuple

from processors import ladder, outputs
from processors import lead as leads
from processors.agreed import refusal
from processors.agreement import Agreements
from processors.erasure import ERASED_PREFIX, Erased
from processors.facts import Fact
from processors.folding import Outcome
from processors.state import Memory, State, UnreadableState, packed_size, unpack
from processors.telling import InstanceSaid, PassedOn
from processors.vocabulary import DAY, NEVER
from schemas.types import LeadState, LeadTransition, SlaEvent

__all__ = ["LaneFold", "Outputs", "RefusedByFold"]


_MOST_LIVE: Final = 2_000
"""Leads a lane keeps unpacked between two writes."""
_MOST_COMPRESSED: Final = 255
"""Times that LZ4 makes anything smaller, at most."""
_MOST_BYTES: Final = 8 * 1024 * 1024
"""Of a lead's state. A record takes twice as much, and a lane that cannot write one stands still."""
_TOO_LARGE: Final = (
    "lead_too_large",
    f"the lead's state has more than {_MOST_BYTES} bytes, so many events name it: nobody is that busy; look for a producer "
    "that gives one lead_id to many",
)
_RECKONED: Final = 300
"""Bytes, packed, that a fact, a statement or an empty lead counts for in `pending_bytes`."""
_ALWAYS_TAKEN: Final = frozenset({"LeadErasureRequested", "LeadErased"})


class Outputs(NamedTuple):
    """What was said since the last drain, in order."""

    transitions: list[LeadTransition]
    sla_events: list[SlaEvent]
    passed_on: list[PassedOn]
    """For other leads, on whatever lane they live."""


class RefusedByFold(NamedTuple):
    """A fact for the dead letters. `fact.at` names its record."""

    fact: Fact
    reason: str
    detail: str


class LaneFold:
    """State of a lane. Not thread-safe: one owner.

    `unpack_value`: the value of a lead-states record -> its `fold` bytes. `grace_ms`: see processors.clock. `erased`: how
    erased leads are known again.
    """

    def __init__(
        self,
        agreements: Agreements,
        unpack_value: Callable[[bytes], bytes],
        erased: Erased,
        *,
        grace_ms: int = 2_000,
    ) -> None:
        self.agreements = agreements
        self._unpack_value = unpack_value
        self._erased = erased
        self._grace = grace_ms
        self.final_until = self.buried_until = NEVER
        """What was received later does not become final, nor a lead that was erased later a tombstone: other lanes may
        still pass on something that comes before it. Not to be lowered."""
        self._unburied: set[str] = set()
        """Erased leads that wait for that."""
        self._looked_until = 0
        """`buried_until` when they were looked at last."""
        self._restored: dict[str, bytes] = {}
        """Records as they were read back, of leads not touched since."""
        self._packed: dict[str, bytes] = {}
        """Packed memories of leads that were touched, as they were last written."""
        self._live: dict[str, Memory] = {}
        """Unpacked leads, the least recently touched first; those that are not written yet, and a few more."""
        self._changed: set[str] = set()
        self.pending_bytes = 0
        """Packed size of what was unpacked, folded and said since `changed` was called: what has to be written before it can
        be let go of. In memory it takes about seven times as much."""
        self._due: list[tuple[int, str]] = []
        self._scheduled: dict[str, int] = {}
        self._clock = 0
        self._transitions: list[LeadTransition] = []
        self._sla_events: list[SlaEvent] = []
        self._passed_on: list[PassedOn] = []
        self.counters: Counter[str] = Counter()
        """events, copies, transitions, sla.KIND, refused.REASON: since the lane's state began; overdue: breaches announced
        and still open now."""

    def __len__(self) -> int:
        return len(self._restored.keys() | self._packed.keys() | self._live.keys())

    def restore(self, lead_id: str, value: bytes | None, next_deadline: int) -> None:
        """Puts back a written state of a lead, the last of which counts. `value`: the record's value, kept as it is until
        it is needed; None: the key was given up.
        """
        if value is None:
            self._restored.pop(lead_id, None)
            self._scheduled.pop(lead_id, None)
            return
        self._restored[lead_id] = value
        if lead_id.startswith(ERASED_PREFIX):
            self._erased.restore(lead_id)
        if next_deadline != NEVER:
            self._scheduled[lead_id] = next_deadline
        else:
            self._scheduled.pop(lead_id, None)

    def restored_values(self) -> Iterable[bytes]:
        """The values that `restore` put back last, of each lead."""
        return self._restored.values()

    def restored(self) -> None:
        """To be called once after the last restore: puts the deadlines in order."""
        self._due = [(due, lead_id) for lead_id, due in self._scheduled.items()]
        heapify(self._due)

    def _memory(self, lead_id: str) -> Memory:
        memory = self._live.pop(lead_id, None)
        if memory is None:
            memory = self._kept(lead_id) or self._kept(self._erased.name(lead_id)) or Memory()
            self.pending_bytes += self._size(lead_id) + _RECKONED
        self._live[lead_id] = memory
        return memory

    def _kept(self, name: str | None) -> Memory | None:
        if name is None:
            return None
        if (packed := self._packed.get(name)) is not None:
            return unpack(packed)
        value = self._restored.get(name)
        try:
            return None if value is None else unpack(self._unpack_value(value))
        except UnreadableState as error:
            error.lead_id = name
            raise

    def _size(self, lead_id: str) -> int:
        """Bytes of the lead's state as last written."""
        packed = self._packed.get(lead_id)
        if packed is None:
            value = self._restored.get(lead_id, b"")
            if len(value) < _MOST_BYTES // _MOST_COMPRESSED:
                return len(value)
            packed = self._unpack_value(value)
        return packed_size(packed)

    def look(self, lead_id: str) -> State:
        """The lead as it stands; an empty state for one that is not known."""
        return self._memory(lead_id).state

    def is_erased(self, lead_id: str) -> bool:
        """Whether nothing personal of the lead may be kept any more."""
        memory = self._live.get(lead_id)
        if memory is None:
            if self._erased.name(lead_id) is not None:
                return True
            memory = self._kept(lead_id)
        return memory is not None and memory.erased_at != 0

    def fold(self, facts: Sequence[Fact]) -> list[RefusedByFold]:
        """Takes facts, in whatever order. Gives back those that belong into the dead letters."""
        refused: list[RefusedByFold] = []
        self.counters["events"] += len(facts)
        for fact in facts:
            unagreed = refusal(self.agreements.at(fact.effective_at), fact.kind, fact.details)
            if unagreed is not None:
                self.counters[f"refused.{unagreed[0]}"] += 1
                refused.append(RefusedByFold(fact, *unagreed))
                continue
            if self._size(fact.lead_id) > _MOST_BYTES and fact.kind not in _ALWAYS_TAKEN:
                self.counters[f"refused.{_TOO_LARGE[0]}"] += 1
                refused.append(RefusedByFold(fact, *_TOO_LARGE))
                continue
            memory = self._memory(fact.lead_id)
            overdue = ladder.overdue(memory) if memory.announced else 0
            outcome = leads.receive(fact.lead_id, memory, fact, min(self._clock, self.final_until), self.agreements)
            self._take(fact.lead_id, memory, outcome, overdue)
            for reason, detail, whose in outcome.refused:
                self.counters[f"refused.{reason}"] += 1
                refused.append(RefusedByFold(whose, reason, detail))
        return refused

    def fold_foreign(self, passed_on: Sequence[PassedOn]) -> None:
        """Takes what leads that have merged into leads of this lane pass on to them."""
        for into, fact, recalled, announced in passed_on:
            memory = self._memory(into)
            overdue = ladder.overdue(memory) if memory.announced else 0
            settled = min(self._clock, self.final_until)
            outcome = leads.receive_foreign(into, memory, fact, recalled, announced, settled, self.agreements)
            self.counters["recalled" if recalled else "received"] += 1
            self._take(into, memory, outcome, overdue)

    def _take(self, lead_id: str, memory: Memory, outcome: Outcome, overdue: int) -> None:
        counters = self.counters
        if outcome.changed:
            if overdue or memory.announced:
                counters["overdue"] += ladder.overdue(memory) - overdue
            self._changed.add(lead_id)
            said = 1 + len(outcome.transitions) + len(outcome.instances) + len(outcome.passed_on)
            self.pending_bytes += said * _RECKONED
            if outcome.transitions or outcome.instances:
                self._tell(lead_id, outcome)
            if outcome.passed_on:
                counters["passed_on"] += len(outcome.passed_on)
                self._passed_on += outcome.passed_on
            # Only what changed can have come nearer; what has gone farther is seen when its entry surfaces.
            near = ladder.nearest(memory, [said.instance for said in outcome.instances], self.agreements, self._grace)
            if near is not None:
                self._schedule(lead_id, near)
        if outcome.copy:
            counters["copies"] += 1
        if outcome.dropped is not None:
            counters[f"refused.{outcome.dropped}"] += 1

    def _tell(self, lead_id: str, outcome: Outcome) -> None:
        counters = self.counters
        for said in outcome.transitions:
            counters["transitions" if said.change == "stated" else f"transitions.{said.change}"] += 1
            self._transitions.append(outputs.lead_transition(lead_id, said, self._clock))
        for instance in outcome.instances:
            self._tell_instance(lead_id, instance)

    def _tell_instance(self, lead_id: str, said: InstanceSaid) -> None:
        record = outputs.sla_event(lead_id, said, self.agreements, self._clock, self._grace)
        self.counters[f"sla.{said.kind}"] += 1
        # A breach told together with a higher rung is a breach, though that rung is what notifies.
        if said.kind == "breached" and self._clock - record["deadline"] <= DAY and not record["is_test"]:
            self.counters[f"breaches.{record['policy']}"] += 1
        self._sla_events.append(record)

    def _schedule(self, lead_id: str, due: int) -> None:
        scheduled = self._scheduled.get(lead_id)
        if scheduled is None or due < scheduled:
            self._scheduled[lead_id] = due
            heappush(self._due, (due, lead_id))

    def advance(self, clock: int, most: int = NEVER) -> int:
        """The lane clock reached `clock` (UTC milliseconds): tells everything that is due, with its true time.

        Looks at `most` leads, and gives back at how many it did. While `is_due`, what is left has to be told by further calls
        before anything else is folded: a batch or a restart may come in between, facts may not.
        """
        if clock > self._clock:
            self._clock = clock
        heap = self._due
        looked = 0
        if self._looked_until < self.buried_until:
            self._looked_until = self.buried_until
            for lead_id in self._unburied:
                self._schedule(lead_id, 0)
            self._unburied.clear()
        while heap and heap[0][0] <= self._clock and looked < most:
            at, lead_id = heappop(heap)
            if self._scheduled.get(lead_id) != at:
                continue
            del self._scheduled[lead_id]
            looked += 1
            memory = self._memory(lead_id)
            if memory.erased_at > self.buried_until and not memory.gone:
                self._unburied.add(lead_id)
                continue
            overdue = ladder.overdue(memory)
            outcome = leads.fire(lead_id, memory, self.agreements, self._clock, self._grace)
            if outcome.changed:
                self._take(lead_id, memory, outcome, overdue)
            due = ladder.due(memory, self.agreements, self._grace)
            if due is not None:
                self._schedule(lead_id, due)
        return looked

    @property
    def is_due(self) -> bool:
        """Whether advance() has something to do that the clock has reached already."""
        return self.next_deadline <= self._clock

    @property
    def told_until(self) -> int:
        """Everything that is due until then has been told, UTC milliseconds."""
        return min(self._clock, self._due[0][0] - 1) if self._due else self._clock

    @property
    def next_deadline(self) -> int:
        """When advance() may have something to fire; NEVER when nothing is open."""
        if self._unburied and self._looked_until < self.buried_until:
            return 0
        return self._due[0][0] if self._due else NEVER

    @property
    def open_deadlines(self) -> int:
        """Leads with a deadline still to come."""
        return len(self._scheduled)

    def drain(self) -> Outputs:
        """What was said since the last call."""
        said = Outputs(self._transitions, self._sla_events, self._passed_on)
        self._transitions, self._sla_events, self._passed_on = [], [], []
        return said

    def changed(self) -> list[tuple[str, LeadState | None]]:
        """The records of the leads that changed since the last call, by key; None: the key is given up."""
        records: list[tuple[str, LeadState | None]] = []
        for lead_id in self._changed:
            memory = self._live[lead_id]
            name = lead_id
            if memory.gone:
                name = self._erased.add(lead_id)
                if self._drop(lead_id):
                    records.append((lead_id, None))
            self._drop(name)
            record = outputs.lead_state(name, memory, ladder.due(memory, self.agreements, self._grace))
            self._packed[name] = record["fold"]
            records.append((name, record))
        self._changed.clear()
        self.pending_bytes = 0
        self._forget()
        return records

    def _drop(self, name: str) -> bool:
        """Forgets what was written of a lead; whether anything was."""
        was = self._packed.pop(name, None), self._restored.pop(name, None)
        return was != (None, None)

    def _forget(self) -> None:
        """Drops the unpacked form of the leads that were touched longest ago; their packed form is kept."""
        excess = len(self._live) - _MOST_LIVE
        for lead_id in list(islice(self._live, max(excess, 0))):
            del self._live[lead_id]
