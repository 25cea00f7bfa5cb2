"""From the records of the output topics to rows of the store: one record, one row of a table. Pure; may not import I/O.

Tables: deploy/clickhouse/migrations. A row names the record it came from, and its version: of the rows under one key the
highest version holds, so rows may arrive in any order and any number of times. A retraction is a row marked deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, NamedTuple

from processors.vocabulary import NEVER, STAGES

_OFFSET_BITS: Final = 48
LARGEST_GENERATION: Final = 2 ** (64 - _OFFSET_BITS) - 1

Row = tuple[Any, ...]


class At(NamedTuple):
    """Where a record stands."""

    topic_id: str
    """Kafka's id of the topic."""
    generation: int
    """Which of the topics that have had this name it is, from 1."""
    partition: int
    offset: int

    @property
    def version(self) -> int:
        """Grows with the offset, and past every offset of the topic's predecessors."""
        return self.generation << _OFFSET_BITS | self.offset


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    columns: tuple[str, ...]


PLACE: Final = ("topic_id", "partition", "offset", "version", "deleted")

_TRANSITION: Final = (
    "transition_id", "lead_id", "change", "cycle", "sequence", "from_stage", "to_stage", "entered_at", "event_type",
    "event_id", "source_system", "entered_by", "implied", "confirmed", "disputed", "source", "campaign", "owner", "team",
    "grade", "reason", "agreement_version", "is_test", "emitted_at",
)  # fmt: skip
_INSTANCE: Final = (
    "instance_id", "lead_id", "kind", "policy", "verdict", "cycle", "start_event_id", "start_source_system",
    "start_event_type", "started_at",
    "deadline", "breached_at", "satisfied_at", "satisfied_by", "ended_at", "ended_by", "end", "elapsed_ms", "overrun_ms",
    "late_evidence", "notify", "rung", "agreement_version", "calendar", "target_ms", "budget_ms",
    "paused_ms", "moves", "grade", "owner", "team", "source",
    "is_test", "emitted_at",
)  # fmt: skip
_LEAD: Final = (
    "lead_id", "stage", "cycle", "work_status", "source", "campaign", "owner", "owner_kind", "team", "grade", "merged_into",
    "stage_entered_at", "first_captured_at", "last_received_at",
)  # fmt: skip
_JOURNEY: Final = (
    "cycle", "source", "campaign", "owner", "team", "grade", *(f"{stage}_at" for stage in STAGES), "implied",
    "hand_raised_at", "first_assigned_at", "first_touched_at",
)  # fmt: skip
_LANE: Final = ("lane", "clock", "positions", "reached", "counters", "worker_version")
_LETTER: Final = (
    "topic", "partition", "offset", "timestamp", "reason", "detail", "schema_id", "lead_id", "failed_at", "worker_version",
)  # fmt: skip

TRANSITIONS: Final = Table("lead_transitions", (*_TRANSITION, *PLACE))
INSTANCES: Final = Table("sla_instances", (*_INSTANCE, *PLACE))
SLA_EVENTS: Final = Table("sla_events", (*_INSTANCE, *PLACE))
LEADS: Final = Table(
    "leads",
    (*_LEAD, "next_deadline", "refusals", "is_test", *(f"cycles.{name}" for name in _JOURNEY), *PLACE),
)
LANES: Final = Table("lanes", (*_LANE, *PLACE))
DEAD_LETTERS: Final = Table(
    "dead_letters",
    ("origin_topic", "origin_partition", "origin_offset", "origin_timestamp", *_LETTER[4:], *PLACE),
)

_transition = itemgetter(*_TRANSITION)
_instance = itemgetter(*_INSTANCE)
_lead = itemgetter(*_LEAD)
_lane = itemgetter(*_LANE)
_letter = itemgetter(*_LETTER)
_NO_JOURNEYS: Final[tuple[Sequence[Any], ...]] = ((),) * len(_JOURNEY)


def place(at: At, *, deleted: bool = False) -> Row:
    """The last columns of every row: PLACE."""
    return (at.topic_id, at.partition, at.offset, at.version, int(deleted))


def transition(record: Mapping[str, Any], at: At) -> Row:
    """A LeadTransition."""
    return _transition(record) + place(at, deleted=record["change"] == "retracted")  # type: ignore[no-any-return]


def instance(record: Mapping[str, Any], at: At) -> Row:
    """An SlaEvent: each carries the whole instance as it stands."""
    return _instance(record) + place(at, deleted=record["kind"] in ("retracted", "moved"))  # type: ignore[no-any-return]


def sla_event(record: Mapping[str, Any], at: At) -> Row:
    """The same as what was told: a retraction is a row as any other."""
    return _instance(record) + place(at)  # type: ignore[no-any-return]


def _journey(journey: Mapping[str, Any], record: Mapping[str, Any]) -> Row:
    """One cycle, in the order of _JOURNEY; source and campaign are the lead's."""
    entered = journey["entered"]
    return (
        journey["cycle"],
        record["source"],
        record["campaign"],
        journey["owner"],
        journey["team"],
        journey["grade"],
        *(entered.get(stage) for stage in STAGES),
        journey["implied"],
        journey["hand_raised_at"],
        journey["first_assigned_at"],
        journey["first_touched_at"],
    )


def lead(record: Mapping[str, Any], at: At) -> Row:
    """A LeadState, all its journeys in the one row: a cycle that a correction removed is gone with the next version."""
    journeys = record["journeys"]
    cycles = tuple(zip(*(_journey(journey, record) for journey in journeys), strict=True)) if journeys else _NO_JOURNEYS
    due = record["next_deadline"]
    return (*_lead(record), None if due == NEVER else due, record["refusals"], record["is_test"], *cycles, *place(at))


def lead_gone(lead_id: str, at: At) -> Row:
    """A LeadState without value (a tombstone of the compacted topic)."""
    empty = (lead_id, "", 0, "", None, None, None, None, None, None, None, None, None, 0)
    return (*empty, None, {}, False, *_NO_JOURNEYS, *place(at, deleted=True))


def lane(record: Mapping[str, Any], at: At) -> Row:
    """A LanePosition."""
    return _lane(record) + place(at)  # type: ignore[no-any-return]


def dead_letter(record: Mapping[str, Any], at: At) -> Row:
    """A DeadLetter, without key, value and headers: they may hold personal data and stay in Kafka."""
    return _letter(record) + place(at)  # type: ignore[no-any-return]


BY_RECORD: Final[Mapping[str, tuple[tuple[Table, Callable[[Mapping[str, Any], At], Row]], ...]]] = {
    "LeadTransition": ((TRANSITIONS, transition),),
    "SlaEvent": ((INSTANCES, instance), (SLA_EVENTS, sla_event)),
    "LeadState": ((LEADS, lead),),
    "LanePosition": ((LANES, lane),),
    "DeadLetter": ((DEAD_LETTERS, dead_letter),),
}
"""Record name -> its tables, each with how it becomes a row there."""
