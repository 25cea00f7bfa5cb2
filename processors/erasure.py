"""Names of erased leads: a keyed hash that finds a lead id again and gives none away (RFC 2104, HMAC-SHA-256).

Pure; may not import I/O: the key comes from the configuration.
"""

from __future__ import annotations

import hmac
from typing import Final

ERASED_PREFIX: Final = "erased:"


class Erased:
    """Knows the erased leads of a lane by their names. `key`: secret; the same for as long as the tombstones live."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._names: set[str] = set()

    def _named(self, lead_id: str) -> str:
        return ERASED_PREFIX + hmac.digest(self._key, lead_id.encode(), "sha256").hex()

    def restore(self, name: str) -> None:
        """Puts back a tombstone's name."""
        self._names.add(name)

    def add(self, lead_id: str) -> str:
        """The name under which an erased lead is kept."""
        name = self._named(lead_id)
        self._names.add(name)
        return name

    def name(self, lead_id: str) -> str | None:
        """The name of an erased lead; None: it was not erased."""
        if not self._names:
            return None
        name = self._named(lead_id)
        return name if name in self._names else None
