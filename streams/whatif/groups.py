"""Which leads belong together because one was merged into the other, however the merge ended. No I/O.

Their facts are folded together: what a merged lead is told counts on its survivor. Memory: two ids for each merge.
"""

from __future__ import annotations

from collections.abc import Iterable


class Groups:
    def __init__(self, merges: Iterable[tuple[str, str]]) -> None:
        """`merges`: (lead, the lead it was merged into)."""
        self._members: dict[str, list[str]] = {}
        """Of every lead that took part in a merge; one list for each group."""
        for one, other in merges:
            large = self._members.setdefault(one, [one])
            small = self._members.setdefault(other, [other])
            if large is small:
                continue
            if len(large) < len(small):
                large, small = small, large
            large += small
            for lead_id in small:
                self._members[lead_id] = large

    def of(self, lead_id: str) -> list[str] | None:
        """All leads of its group, itself included; None: it stands alone."""
        return self._members.get(lead_id)
