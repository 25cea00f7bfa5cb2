"""Identities that are functions of what is said, so that a replay says it under the same ids. Standard library only."""

from __future__ import annotations

from hashlib import blake2b


def event_hash(source_system: str, event_id: str) -> bytes:
    """8 bytes; a lead keeps one for each event it has seen, for life."""
    # Lengths go before what varies, here and below: ("ab", "c") and ("a", "bc") must differ.
    return blake2b(f"{len(source_system)}:{source_system}{event_id}".encode(), digest_size=8).digest()


def transition_id(lead_id: str, source_system: str, event_id: str, stage: str) -> str:
    """32 hex digits: hash(lead, causing event, entered stage)."""
    said = f"{stage}:{len(lead_id)}:{len(source_system)}:{lead_id}{source_system}{event_id}"
    return blake2b(said.encode(), digest_size=16, person=b"transition").hexdigest()


def instance_id(policy: str, lead_id: str, source_system: str, event_id: str) -> str:
    """32 hex digits: hash(policy, lead, start event)."""
    said = f"{policy}:{len(lead_id)}:{len(source_system)}:{lead_id}{source_system}{event_id}"
    return blake2b(said.encode(), digest_size=16, person=b"instance").hexdigest()


def holds(hashes: bytes, identity: bytes) -> bool:
    """Whether 8-byte hashes, one after the other, hold this one."""
    at = hashes.find(identity)
    while at >= 0:
        if not at & 7:
            return True
        at = hashes.find(identity, at + 1)
    return False


def without(hashes: bytes, identity: bytes) -> bytes:
    """8-byte hashes, one after the other, less this one."""
    return b"".join(hashes[at : at + 8] for at in range(0, len(hashes), 8) if hashes[at : at + 8] != identity)


def split(hashes: bytes, length: int = 8) -> set[bytes]:
    """Hashes of `length` bytes each that stand one after the other."""
    return {hashes[at : at + length] for at in range(0, len(hashes), length)}
