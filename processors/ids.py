"""Identities that are functions of what is said, so that a replay says it under the same ids. Standard library only."""

from __future__ import annotations

from hashlib import blake2b


def _digest(size: int, *parts: str) -> bytes:
    # Lengths go before the parts: ("ab", "c") and ("a", "bc") must differ.
    return blake2b("".join(f"{len(part)}:{part}" for part in parts).encode(), digest_size=size).digest()


def event_hash(source_system: str, event_id: str) -> bytes:
    """8 bytes; a lead keeps one for each event it has seen, for life."""
    return _digest(8, source_system, event_id)


def transition_id(lead_id: str, source_system: str, event_id: str, stage: str) -> str:
    """32 hex digits: hash(lead, causing event, entered stage)."""
    return _digest(16, "transition", lead_id, source_system, event_id, stage).hex()


def instance_id(policy: str, lead_id: str, source_system: str, event_id: str) -> str:
    """32 hex digits: hash(policy, lead, start event)."""
    return _digest(16, "instance", policy, lead_id, source_system, event_id).hex()
