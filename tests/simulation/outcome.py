"""What a run comes to, as consumers of the log see it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from streams.topics import DEAD_LETTERS, LANE_KEY, SLA_EVENTS, STATES, TRANSITIONS
from tests.chaos.judge import Received
from tests.simulation.broker import Broker, Entry
from tests.simulation.stories import Story
from tests.simulation.workers import decoder

OUTPUTS: Final = (TRANSITIONS, SLA_EVENTS, DEAD_LETTERS, STATES)


@dataclass
class Outcome:
    seed: int
    lanes: int
    story: Story
    received: list[Received] = field(default_factory=list)
    """What was sent, as the broker stamped it, and the lane of its lead."""
    strays: set[str] = field(default_factory=set)
    """Leads of whom something came to another lane."""
    outputs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By record name: what a read_committed consumer sees."""
    written: dict[tuple[int, int], int] = field(default_factory=dict)
    """Of sla-events: partition and offset -> the broker's time stamp."""
    states: dict[str, str | None] = field(default_factory=dict)
    """Lead -> its stage, of the leads that have a state in the end."""
    stored: dict[str, dict[tuple[str, ...], int]] = field(default_factory=dict)
    """Table -> key -> offset of the record that its row is of."""
    told: Counter[str] = field(default_factory=Counter)
    """Faults, and what came of them, by kind."""
    problems: list[str] = field(default_factory=list)
    callbacks: int = 0

    def read(self, broker: Broker) -> None:
        known = decoder()
        self.outputs = {name: [] for name in ("LeadTransition", "SlaEvent", "DeadLetter", "LeadState", "LanePosition")}
        for topic in OUTPUTS:
            for number in range(self.lanes):
                for entry in committed(broker, topic, number):
                    if topic == SLA_EVENTS:
                        self.written[number, entry.offset] = entry.timestamp
                    if entry.value is None:
                        self.states.pop((entry.key or b"").decode(), None)
                    else:
                        name, body = known.decode(entry.value)
                        if name == "LeadState":
                            self.states[body["lead_id"]] = body["stage"]
                        self.outputs[name].append({**body, "_partition": number, "_offset": entry.offset})


def committed(broker: Broker, topic: str, number: int, offset: int = 0) -> list[Entry]:
    """All committed records of a partition from `offset` on."""
    return broker.partitions[topic, number].read((topic, number), offset, 10**9)[0]


def position(broker: Broker, number: int) -> dict[str, Any] | None:
    """A lane's last durable LanePosition."""
    latest = next((one for one in reversed(committed(broker, STATES, number)) if one.key == LANE_KEY), None)
    return None if latest is None or latest.value is None else decoder().decode(latest.value)[1]
