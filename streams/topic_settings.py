"""What every topic is to be: the settings that the guarantees rest on. No I/O: applying them is topic_admin's work, and
refusing what would break them is that of guarantees.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams.config import Environment
from streams.topics import (
    AGREEMENTS,
    CAMPAIGNS,
    DEAD_LETTERS,
    FORWARDS,
    INPUTS,
    LETTER_REPLAYS,
    SLA_EVENTS,
    STATES,
    TRANSITIONS,
)

_DAY: Final = 86_400_000
LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a record that the topics take: dead letters carry the original bytes, however many."""
IN_SYNC: Final = 2
"""Copies that must have a record before it counts as written, in production."""

_KEPT: Final = {"cleanup.policy": "delete"}
_COMPACTED: Final = {"cleanup.policy": "compact"}
_MONTH: Final = {"retention.ms": str(24 * _DAY), "segment.ms": str(_DAY), "max.message.bytes": str(LARGEST)}
"""No record stays for more than 25 days: what makes an erasure within a month provable. A segment goes as a whole, with its
newest record, so a day of segment comes on top of 24 of retention."""

SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    # LogAppendTime: one clock, the broker's.
    **{topic: {**_KEPT, "message.timestamp.type": "LogAppendTime", **_MONTH} for topic in (*INPUTS, CAMPAIGNS)},
    DEAD_LETTERS: {**_KEPT, **_MONTH},
    FORWARDS: {**_KEPT, **_MONTH},
    TRANSITIONS: {**_KEPT, "retention.ms": str(25 * _DAY)},
    SLA_EVENTS: {**_KEPT, "retention.ms": str(25 * _DAY)},
    # Longer than any letter: one that is gone cannot be replayed again. Coordinates only, nothing personal.
    LETTER_REPLAYS: {**_KEPT, "retention.ms": str(60 * _DAY)},
    # Compacted early, so that a restore reads little more than one record a lead.
    # LogAppendTime: the commits' delivery reports tell the broker's time.
    STATES: {
        **_COMPACTED,
        "message.timestamp.type": "LogAppendTime",
        "min.cleanable.dirty.ratio": "0.1",
        "segment.ms": str(_DAY // 24),
        "max.compaction.lag.ms": str(_DAY // 24),
        # A sink that was away for days still has to see which leads were erased.
        "delete.retention.ms": str(25 * _DAY),
        "max.message.bytes": str(LARGEST),
    },
    # A version stays for ever; the tombstones that would end one are never written.
    AGREEMENTS: {**_COMPACTED, "max.message.bytes": str(LARGEST)},
}
SINGLE: Final = frozenset({AGREEMENTS, LETTER_REPLAYS})
"""Topics of one partition: their order is part of what they say."""
LANES: Final = (*INPUTS, FORWARDS, TRANSITIONS, STATES, SLA_EVENTS, DEAD_LETTERS)
"""Topics that have one partition a lane."""


def wanted(topic: str, environment: Environment) -> dict[str, str]:
    """Settings of `topic` (without prefix)."""
    durable = {"min.insync.replicas": str(IN_SYNC)} if environment is Environment.PRODUCTION else {}
    return {**SETTINGS[topic], **durable}
