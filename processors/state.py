"""What the fold remembers of one lead. Plain data, packed as MessagePack arrays: fields are only ever appended, so that
state written by one version is read by the next and by the one before. May not import I/O.
"""

from __future__ import annotations

from typing import Any, TypeVar

import lz4.block
import msgspec

from processors.facts import Fact, Key


class Transition(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An entry into a stage, as it is told. Fields as in LeadTransition.avsc."""

    transition_id: str
    cycle: int
    sequence: int
    from_stage: str | None
    to_stage: str
    entered_at: int
    event_type: str
    event_id: str
    source_system: str
    entered_by: str
    implied: bool
    confirmed: bool
    disputed: bool
    source: str | None
    campaign: str | None
    owner: str | None
    team: str | None
    grade: str | None
    reason: str | None
    agreement_version: str
    is_test: bool


class Instance(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One SLA clock, by the facts alone: what of its ladder was announced is kept apart. Fields as in SlaEvent.avsc."""

    instance_id: str
    policy: str
    cycle: int
    start_event_id: str
    start_source_system: str
    started_at: int
    deadline: int
    target_ms: int
    calendar: str
    agreement_version: str
    grade: str | None
    owner: str | None
    team: str | None
    source: str | None
    is_test: bool
    satisfied_at: int | None = None
    satisfied_by: str | None = None
    satisfied_received_at: int | None = None
    ended_at: int | None = None
    ended_by: str | None = None
    end: str | None = None
    """What ended it: the stage entered, or transferred, superseded (another clock of its policy stays, at a merge) or
    moved (it runs on with the survivor of a merge)."""
    budget: int = 0
    """Open time allowed, milliseconds: the target, or less after an upgrade of the grade."""
    pauses: tuple[tuple[int, int], ...] = ()
    """[from, to) of each pause; the last may lie ahead, it is then as long as it may become."""
    open_fields: tuple[str, ...] = ()
    """Of mend: the named fields that nobody has filled yet."""
    stage: str | None = None
    """The lead's stage when it started."""
    start_event_type: str = ""
    moves: int = 0
    """Merges through which it has moved."""

    @property
    def open(self) -> bool:
        return self.satisfied_at is None and self.ended_at is None


class Journey(msgspec.Struct, array_like=True, gc=False):
    """One cycle: first entries by stage, which of them are implied and not confirmed, and who had it."""

    cycle: int
    entered: dict[str, int] = msgspec.field(default_factory=dict)
    implied: list[str] = msgspec.field(default_factory=list)
    owner: str | None = None
    team: str | None = None
    grade: str | None = None
    hand_raised_at: int | None = None
    first_assigned_at: int | None = None
    first_touched_at: int | None = None


class State(msgspec.Struct, array_like=True):
    """A lead after some prefix of its facts, in their order. Mutable; `copied` gives an independent one."""

    stage: str = ""
    cycle: int = 1
    sequence: int = 0
    stage_entered_at: int | None = None
    source: str | None = None
    campaign: str | None = None
    owner: str | None = None
    owner_kind: str | None = None
    team: str | None = None
    grade: str | None = None
    is_test: bool = False
    first_captured_at: int | None = None
    work: int = 0
    """Index into WORK."""
    attempts: int = 0
    """Human outbound touches in this cycle, since its last reopening; likewise the next three."""
    contact: bool = False
    answered: bool = False
    clocked: bool = False
    """A first_response has started."""
    opportunities: dict[str, tuple[int, str]] = msgspec.field(default_factory=dict)
    """Opportunity id -> (cycle that opened it, open | won | lost)."""
    cooldown_until: int = 0
    wake: tuple[int, str, str] | None = None
    """(instant, event_id, source_system of the LeadNurtured) of a wake clock that has not started yet."""
    implied: dict[str, Transition] = msgspec.field(default_factory=dict)
    """Latest implied, unconfirmed entry of each stage in this cycle."""
    clocks: dict[str, Instance] = msgspec.field(default_factory=dict)
    """Open instances by id."""
    journeys: list[Journey] = msgspec.field(default_factory=list)
    refusals: dict[str, int] = msgspec.field(default_factory=dict)
    pauses: dict[str, tuple[int, int | None]] = msgspec.field(default_factory=dict)
    """Agreement version -> (from, until) of the lead's pause, where its reason is on that version's list. It may have run
    out."""
    merged_into: str | None = None
    merged_key: Key | None = None
    """Place of the accepted LeadMerged in the order."""
    erased_at: int = 0
    """As Memory.erased_at."""
    nowhere: tuple[tuple[str, Key], ...] = ()
    """Leads that were merged into this one when it was erased."""
    absorbed: bytes = b""
    """8 bytes for each event id that leads merged into this one had folded."""

    def copied(self) -> State:
        other = msgspec.structs.replace(self)
        other.opportunities = dict(self.opportunities)
        other.implied = dict(self.implied)
        other.clocks = dict(self.clocks)
        other.journeys = [
            msgspec.structs.replace(journey, entered=dict(journey.entered), implied=list(journey.implied))
            for journey in self.journeys
        ]
        other.refusals = dict(self.refusals)
        other.pauses = dict(self.pauses)
        return other


class Story(msgspec.Struct, gc=False):
    """What facts said, the latest per id."""

    transitions: dict[str, Transition] = msgspec.field(default_factory=dict)
    instances: dict[str, Instance] = msgspec.field(default_factory=dict)
    passed_on: dict[tuple[str, str, str], tuple[str, Fact]] = msgspec.field(default_factory=dict)
    """Identity (lead, source_system, event_id) of a fact -> (the lead it belongs to after a merge, the fact)."""


class Withdrawal(msgspec.Struct, array_like=True):
    """A FactWithdrawn and what has come of it."""

    fact: Fact
    target: str | None = None
    """Identity of the fact that it may take back; None: it does nothing."""
    disputed: bool = False
    """It was counted as disputed, what it names being folded away."""


class Memory(msgspec.Struct, array_like=True):
    """All that is kept of a lead: a checkpoint and the facts after it, in their order. What has been told follows from
    these by folding them again.
    """

    base: State | None = None
    """The checkpoint; None: nothing has been folded away."""
    checkpoint: int = 0
    """Facts effective before this instant are folded into `base` for good."""
    tail: list[Fact] = msgspec.field(default_factory=list)
    head: State | None = None
    """`base` after the tail; None: the tail is empty."""
    announced: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Instance id -> (the deadline whose breach was announced, 0 for none; the highest rung told, percent)."""
    seen: bytes = b""
    """8 bytes for each event id ever seen."""
    newest_received_at: int = 0
    withdrawn: dict[str, list[int]] = msgspec.field(default_factory=dict)
    """Identity of a withdrawn fact -> received_at of its withdrawals, the earliest first."""
    withdrawals: dict[str, Withdrawal] = msgspec.field(default_factory=dict)
    """Identity of each FactWithdrawn -> what it does. None of them can be withdrawn."""
    erased_at: int = 0
    """received_at of the first LeadErased; 0: not erased."""
    gone: bool = False
    """The lane clock has passed `erased_at`: nothing is left but a tombstone."""
    disputed: int = 0
    """Withdrawals that came too late to count."""
    refused_erased: int = 0
    """Events that came after LeadErased."""
    refused: bytes = b""
    """8 bytes for each event id refused after the LeadErased; a copy received before it would count."""
    foreign: bytes = b""
    """8 bytes for each fact of a merged lead that is folded into the checkpoint."""
    ways: dict[str, list[Fact]] = msgspec.field(default_factory=dict)
    """Identity of a fact that merged leads have passed on -> the same on other ways than the one that counts; of a merge that
    has come home -> the ways it came."""
    dropped: bytes = b""
    """8 bytes for each touch that was dropped because there were too many in one day."""
    refused_ways: bytes = b""
    """16 bytes for each way on which a merged lead's fact came to what is left of an erased lead, and was refused."""

    @property
    def state(self) -> State:
        """The lead now. A read: changing it is the fold's work."""
        return self.head or self.base or State()


class Snapshot(msgspec.Struct, array_like=True):
    """What the survivor of a merge absorbs."""

    state: State
    ids: bytes
    """8 bytes for each event id that the loser had folded."""


_pack = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(Memory)
_unpack_fact = msgspec.msgpack.Decoder(Fact)
_unpack_snapshot = msgspec.msgpack.Decoder(Snapshot)
FOLD_VERSION = 3
"""Of the packed forms. A field that is only appended, with a default, leaves it as it is; raise it where a version before
could not read what this one writes.
"""


class UnreadableState(ValueError):  # noqa: N818  # what it is
    """Packed by a version that this one cannot follow. What is durable is right: nothing may be put in its place."""

    def __init__(self, what: str, error: Exception) -> None:
        # msgspec tells types and places, never values.
        super().__init__(
            f"{what} cannot be read by fold version {FOLD_VERSION} ({error}): it is damaged, or was written by a version "
            "that is not this one's neighbour. Run the version that wrote it (worker_version of the lane's position says "
            "which) and upgrade one version at a time; states are left as they stand"
        )
        self.lead_id: str | None = None
        """Whose state it is; None: not a lead's, or not known."""


_T = TypeVar("_T")


def _read(what: str, decoder: msgspec.msgpack.Decoder[_T], packed: bytes) -> _T:
    try:
        return decoder.decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableState(what, error) from None


_COMPRESSED = b"\x01"
"""First byte of a state in LZ4 (the block format, behind its length in 4 bytes); MessagePack of a Memory begins otherwise."""


def pack(memory: Memory) -> bytes:
    compressed: bytes = lz4.block.compress(_pack.encode(memory))
    return _COMPRESSED + compressed


def packed_size(packed: bytes) -> int:
    """Bytes of a packed state before it was compressed."""
    return int.from_bytes(packed[1:5], "little") if packed.startswith(_COMPRESSED) else len(packed)


def unpack(packed: bytes) -> Memory:
    """Raises UnreadableState; likewise the two below."""
    if packed.startswith(_COMPRESSED):
        try:
            packed = lz4.block.decompress(packed[1:])
        except (lz4.block.LZ4BlockError, ValueError) as error:
            raise UnreadableState("a lead's state", error) from None
    return _read("a lead's state", _unpack, packed)


def pack_fact(fact: Fact) -> bytes:
    return _pack.encode(fact)


def unpack_fact(packed: bytes) -> Fact:
    return _read("a fact that a lane passed on", _unpack_fact, packed)


def pack_snapshot(snapshot: Snapshot) -> bytes:
    return _pack.encode(snapshot)


def unpack_snapshot(packed: Any) -> Snapshot:
    return _read("a merged lead's snapshot", _unpack_snapshot, packed)
