"""What the store holds about people, column by column: the one place that says it. Pure; may not import I/O.

A test compares this with the migrations: a column that is not classified here fails it. Whoever adds a table decides here
whether its rows go when a lead is erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """What a column says, and why it may stay or must go."""

    PROFILE = "profile"
    """Of one lead as it stands: the row goes with the lead."""
    PSEUDONYM = "pseudonym"
    """An id of a lead, an event or an opportunity. It links to nobody once the profile and the upstream record are gone."""
    STORY = "story"
    """What happened, when and from which source; without the profile it is about nobody."""
    STAFF = "staff"
    """Who works leads: employees, not leads."""
    RECORD = "record"
    """Where the row came from: topic, offset, version; and what Baton itself does."""


class Personal(NamedTuple):
    """A table whose rows of an erased lead go. Both are SQL written here, never data."""

    lead: str
    """Column that names the lead."""
    stays: str
    """Condition of the rows that may stay: marks that hold the lead id and nothing else."""


PERSONAL: Final[Mapping[str, Personal]] = {
    "leads": Personal("lead_id", "deleted"),
    # Rolled up from it.
    "counted_journeys": Personal("lead_id", "false"),
}
"""Table -> which of its rows go when their lead is erased."""

_PLACE: Final = "topic_id partition offset version deleted"

COLUMNS: Final[Mapping[str, Mapping[Kind, str]]] = {
    "leads": {
        Kind.PROFILE: "stage cycle work_status source campaign owner owner_kind team grade stage_entered_at "
        "first_captured_at last_received_at next_deadline refusals is_test cycles reached",
        Kind.PSEUDONYM: "lead_id merged_into",
        Kind.RECORD: _PLACE,
    },
    "lead_transitions": {
        Kind.PSEUDONYM: "transition_id lead_id event_id",
        Kind.STORY: "change cycle sequence from_stage to_stage entered_at event_type source_system entered_by implied "
        "confirmed disputed source campaign grade reason is_test",
        Kind.STAFF: "owner team",
        Kind.RECORD: f"agreement_version emitted_at {_PLACE}",
    },
    "sla_instances": {
        Kind.PSEUDONYM: "instance_id lead_id start_event_id satisfied_by ended_by",
        Kind.STORY: "kind policy verdict cycle start_source_system start_event_type started_at deadline breached_at "
        "satisfied_at ended_at end elapsed_ms overrun_ms late_evidence notify rung target_ms budget_ms paused_ms moves grade "
        "source is_test",
        Kind.STAFF: "owner team",
        Kind.RECORD: f"agreement_version calendar emitted_at {_PLACE}",
    },
    "sla_events": {
        Kind.PSEUDONYM: "instance_id lead_id start_event_id satisfied_by ended_by",
        Kind.STORY: "kind policy verdict cycle start_source_system start_event_type started_at deadline breached_at "
        "satisfied_at ended_at end elapsed_ms overrun_ms late_evidence notify rung target_ms budget_ms paused_ms moves grade "
        "source is_test",
        Kind.STAFF: "owner team",
        Kind.RECORD: f"agreement_version calendar emitted_at {_PLACE}",
    },
    "dead_letters": {
        Kind.PSEUDONYM: "lead_id",
        Kind.STORY: "reason detail",
        Kind.RECORD: "origin_topic origin_partition origin_offset origin_timestamp schema_id failed_at worker_version "
        + _PLACE,
    },
    # Without `person` and free text: see processors/archive.py.
    "events": {
        Kind.PSEUDONYM: "lead_id event_id",
        Kind.STORY: "source_system event_type occurred_at received_at effective_at entered_by is_test person_fields body_hash "
        "body said",
        Kind.RECORD: f"topic timestamp {_PLACE}",
    },
    "campaign_events": {
        Kind.RECORD: "campaign source_system event_id event_type occurred_at received_at entered_by is_test body_hash body "
        f"topic timestamp {_PLACE}",
    },
    "agreement_versions": {
        Kind.RECORD: "agreement_version effective_from published_at checksum text zone base_currency rates goals "
        + _PLACE,
    },
    "changed_leads": {
        Kind.PSEUDONYM: "lead_id",
        Kind.RECORD: "changed_at told_in topic_id partition offset",
    },
    "rolling": {Kind.PSEUDONYM: "lead_id story_id", Kind.RECORD: "number is_changed"},
    "rolling_facts": {
        Kind.PSEUDONYM: "lead_id event_id",
        Kind.STORY: "source_system event_type at entered_by person_fields said",
        Kind.RECORD: "number",
    },
    "rollups": {Kind.PSEUDONYM: "bounds", Kind.RECORD: "number upto owner everything is_done written_at"},
    "counted_merges": {Kind.PSEUDONYM: "lead_id into", Kind.RECORD: "sign"},
    "counted_journeys": {
        Kind.PROFILE: "cycle is_current source campaign team lead_team lead_stage reached inquiry_at mql_at sal_at sql_at "
        "opportunity_at won_at lost_at entered mql_after_inquiry won_after_inquiry sal_after_mql "
        "opportunity_after_mql won_after_mql sql_after_sal opportunity_after_sql won_after_opportunity is_raised "
        "routing_ms routing_bucket rep_ms rep_bucket since_ms since_bucket",
        Kind.PSEUDONYM: "lead_id",
        Kind.RECORD: "sign",
    },
    "counted_clocks": {
        Kind.PSEUDONYM: "lead_id instance_id",
        Kind.STORY: "policy verdict source deadline deadline_day breached_at",
        Kind.STAFF: "team",
        Kind.RECORD: "lane sign",
    },
    "counted_responses": {
        Kind.PSEUDONYM: "lead_id instance_id",
        Kind.STORY: "is_open source took_ms took_bucket",
        Kind.RECORD: "sign",
    },
    "counted_stays": {
        Kind.PSEUDONYM: "lead_id transition_id",
        Kind.STORY: "stage source entered_at left_at is_implied took_ms took_bucket reason is_rejection "
        "first_rejected_mql_at requalified_after won_after",
        Kind.STAFF: "team",
        Kind.RECORD: "sign",
    },
    "counted_touches": {
        Kind.PSEUDONYM: "lead_id event_id",
        Kind.STORY: "source_system at channel direction origin actor outcome campaign collateral_id",
        Kind.RECORD: "sign",
    },
    "counted_deals": {
        Kind.PSEUDONYM: "opportunity_id lead_id contact_roles",
        Kind.STORY: "source status opened_at closed_at amount_minor told_currency captured_at",
        Kind.STAFF: "owner",
        Kind.RECORD: "sign",
    },
    "counted_entered": {
        Kind.PSEUDONYM: "lead_id",
        Kind.STORY: "event_type source_system entered_by",
        Kind.RECORD: "sign",
    },
    "counted_fields": {
        Kind.PSEUDONYM: "lead_id",
        Kind.STORY: "field completed_by",
        Kind.STAFF: "filled_by",
        Kind.RECORD: "sign",
    },
    "counted_known": {Kind.PSEUDONYM: "lead_id", Kind.STORY: "source fields", Kind.RECORD: "sign"},
    "counted_mqls": {Kind.PSEUDONYM: "lead_id", Kind.STORY: "cycle source mql_at touched_ms", Kind.RECORD: "sign"},
    "counted_moves": {Kind.PSEUDONYM: "lead_id", Kind.STORY: "stage channel origin lag_days", Kind.RECORD: "sign"},
    "counted_shows": {
        Kind.PSEUDONYM: "lead_id",
        Kind.STORY: "cycle collateral_id mql_at shown_at opportunity_at",
        Kind.RECORD: "sign",
    },
    "lanes": {Kind.RECORD: f"lane clock positions reached counters worker_version {_PLACE}"},
    "output_topics": {Kind.RECORD: "name topic_id generation first_seen_at"},
}
"""Table -> kind -> its columns. Of a nested column its first name. Not here: `migrations`, their own ledger."""


def kinds(table: str) -> dict[str, Kind]:
    """Column -> kind. Raises ValueError where one stands twice."""
    found: dict[str, Kind] = {}
    for kind, names in COLUMNS[table].items():
        for name in names.split():
            if name in found:
                raise ValueError(f"{table}.{name} is classified twice")
            found[name] = kind
    return found
