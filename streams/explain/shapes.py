"""The shape of a lead's story, on its way to a screen or to JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final


@dataclass(frozen=True)
class EventTold:
    """An event, in the order in which events count. Instants in UTC milliseconds, here and below."""

    effective_at: int | None
    occurred_at: int | None
    received_at: int | None
    type: str
    event_id: str | None
    source_system: str | None
    lead_id: str
    """Another one than the story's: a merged lead's."""
    topic: str | None
    partition: int | None
    offset: int | None
    says: str
    outcome: str
    disputed: bool
    clock_ahead: bool
    does: list[str]


@dataclass(frozen=True)
class StageTold:
    entered_at: int
    stage: str
    from_stage: str | None
    cycle: int
    implied: bool
    confirmed: bool
    disputed: bool
    event_type: str
    event_id: str
    source_system: str
    reason: str | None
    why: str


@dataclass(frozen=True)
class ClockTold:
    policy: str
    verdict: str
    started_at: int
    deadline: int
    deadline_local: str
    zone: str
    calendar: str
    agreement_version: str
    target_ms: int
    budget_ms: int
    paused_ms: int
    pauses: list[dict[str, int]] | None
    satisfied_at: int | None
    satisfied_by: str | None
    ended_at: int | None
    ended_by: str | None
    end: str | None
    elapsed_ms: int | None
    overrun_ms: int | None
    late_evidence: bool
    cycle: int
    grade: str | None
    owner: str | None
    team: str | None
    start_event_id: str
    instance_id: str
    told: list[dict[str, Any]] | None
    why: str


@dataclass(frozen=True)
class Story:
    """Keys of the JSON are the names of these fields; instants ISO-8601 in UTC."""

    lead_id: str
    as_of: int | None
    zone: str
    lead: dict[str, Any] | None
    merged_into: str | None
    absorbed: list[str]
    erased_at: int | None
    stages: list[StageTold]
    clocks: list[ClockTold]
    events: list[EventTold] | None
    refusals: dict[str, int]
    dead_letters: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


_INSTANTS: Final = frozenset({"as_of", "deadline", "at", "now"})


def as_json(told: Story) -> dict[str, Any]:
    """Instants as ISO-8601 in UTC."""
    return {name: plain(name, value) for name, value in asdict(told).items()}


def plain(name: str, value: Any) -> Any:
    """A value of a JSON document; instants, told by their names, as ISO-8601 in UTC."""
    if isinstance(value, Mapping):
        return {key: plain(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain("", item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and (name in _INSTANTS or name.endswith("_at")):
        moment = datetime.fromtimestamp(value / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value
