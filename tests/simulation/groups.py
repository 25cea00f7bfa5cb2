"""The coordinator of the workers' consumer group: members, generations, session time-outs, the range assignment."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Final

from tests.simulation.loop import CURRENT, Loop

REBALANCE: Final = 3.0
"""Seconds that members are waited for."""
_FIRST: Final = 0.3
"""Seconds that a new member's companions are waited for."""


@dataclass(eq=False)
class Member:
    seen: float
    joining: asyncio.Future[tuple[int, set[int]]] | None = None


class Group:
    def __init__(self, loop: Loop, lanes: int, session: float, told: Counter[str]) -> None:
        self._loop, self._lanes, self._session, self._told = loop, lanes, session, told
        self.members: dict[str, Member] = {}
        self.generation = 0
        self._rebalancing = False
        self._round = 0
        loop.call_later(session / 4, self._expire)

    def join(self, member: str) -> asyncio.Future[tuple[int, set[int]]]:
        """Answered when all are there, or have been waited for: the generation and the lanes."""
        known = self.members.setdefault(member, Member(self._loop.now))
        known.seen = self._loop.now
        known.joining = joined = self._loop.create_future()
        self._rebalance()
        self._try()
        return joined

    def leave(self, member: str) -> None:
        """Somebody ends in an orderly way."""
        if self.members.pop(member, None) is not None:
            self._rebalance()
            self._try()

    def heartbeat(self, member: str, generation: int) -> str:
        """`ok`, `rebalance` (join again) or `unknown` (join anew)."""
        known = self.members.get(member)
        if known is None:
            return "unknown"
        known.seen = self._loop.now
        return "rebalance" if self._rebalancing or generation != self.generation else "ok"

    def shake(self) -> None:
        """A rebalance for no reason that a member could know."""
        self._rebalance()
        self._try()

    def _later(self, delay: float, call: object, *arguments: object) -> None:
        token = CURRENT.set(None)
        self._loop.call_later(delay, call, *arguments)
        CURRENT.reset(token)

    def _rebalance(self) -> None:
        if not self._rebalancing:
            self._rebalancing = True
            self._round += 1
            self._told["rebalances"] += 1
            self._later(REBALANCE, self._complete, self._round)
            self._later(_FIRST, self._try)

    def _try(self) -> None:
        if self._rebalancing and self.members and all(known.joining for known in self.members.values()):
            self._complete(self._round)

    def _complete(self, number: int) -> None:
        if not self._rebalancing or number != self._round:
            return
        self._rebalancing = False
        for name in [name for name, known in self.members.items() if known.joining is None]:
            self._told["members that came too late for a rebalance"] += 1
            del self.members[name]
        self.generation += 1
        names = sorted(self.members)
        for place, name in enumerate(names):
            known = self.members[name]
            each, more = divmod(self._lanes, len(names))
            first = place * each + min(place, more)
            lanes = set(range(first, first + each + (place < more)))
            known.seen = self._loop.now
            joining, known.joining = known.joining, None
            if joining is not None and not joining.done():
                joining.set_result((self.generation, lanes))

    def _expire(self) -> None:
        self._loop.call_later(self._session / 4, self._expire)
        late = self._loop.now - self._session
        gone = [name for name, known in self.members.items() if known.joining is None and known.seen < late]
        for name in gone:
            self._told["sessions timed out"] += 1
            del self.members[name]
        # Who died while it joined is waited for no longer than a rebalance takes, and times out then.
        if gone:
            self._rebalance()
            self._try()
