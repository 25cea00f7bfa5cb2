"""Names of the topics, and which belong together. No I/O: creating them is topic_admin's work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INPUTS: Final = ("leads", "touches", "opportunities")
"""Co-partitioned, keyed by lead_id; a lane is one partition number across the three."""
FORWARDS: Final = "lane-forwards"
"""Internal to the workers: what a lane passes on to the lane of a merge's survivor, and what a producer put on
the wrong lane. Co-partitioned with the inputs."""
READ_BY_LANES: Final = (*INPUTS, FORWARDS)
CAMPAIGNS: Final = "campaigns"
TRANSITIONS: Final = "lead-transitions"
STATES: Final = "lead-states"
SLA_EVENTS: Final = "sla-events"
DEAD_LETTERS: Final = "dead-letters"
LETTER_REPLAYS: Final = "dead-letter-replays"
"""Which dead letters were published again: written in the transaction that publishes them; one partition."""
AGREEMENTS: Final = "agreements"
"""The versions of the agreement, keyed by version; one partition."""
OUTPUTS: Final = (TRANSITIONS, STATES, SLA_EVENTS, DEAD_LETTERS)
STORED: Final = (*OUTPUTS, *INPUTS, CAMPAIGNS, AGREEMENTS)
"""What the sink reads: of inputs, campaigns and agreements the store keeps an archive."""

LANE_KEY: Final = b"\x00lane"
"""Key of a lane's LanePosition in its own partition of lead-states."""
RECEIVED_AT_HEADER: Final = "baton-received-at"
"""ASCII decimal milliseconds: an import's original arrival; honoured only where earlier than the record's timestamp."""
END_OF_INPUT_KEY: Final = b"\x00end-of-input"
"""Key of a mark (value null, header RECEIVED_AT_HEADER): nothing received up to that instant is still to come on this
partition. Honoured under ClockMode.EVENT only."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Topic names under a prefix."""

    prefix: str = ""

    def name(self, topic: str) -> str:
        return self.prefix + topic

    def bare(self, name: str) -> str:
        return name.removeprefix(self.prefix)
