"""The bot rule: of the touches that name a lead in one UTC day the first 256 are kept; of the rest the
first and the last of each sort.

It bounds the tail of a lead whatever is published about it. What is dropped meets and starts nothing, and a withdrawal
does not bring it back. Pure; may not import I/O.
"""

from __future__ import annotations

from collections.abc import Sequence

from processors.facts import Fact
from processors.touches import NO_TOUCH, touch_of
from processors.vocabulary import DAY, MOST_TOUCHES


def _sort(fact: Fact) -> tuple[str, ...]:
    touch = fact.details
    return (touch["channel"], touch["direction"], touch["origin"], touch["actor"], touch["outcome"])


def dropped(tail: Sequence[Fact], day: int) -> set[int]:
    """Places in `tail` of the touches of UTC day `day` (days since 1970) that are not kept. `tail` holds all of that day.

    Touches of leads that were merged into this one are left alone: the lead that they name has counted them.
    """
    places = [
        place
        for place, fact in enumerate(tail)
        if fact.kind == "TouchRecorded" and fact.effective_at // DAY == day and not fact.via
    ]
    rest = places[MOST_TOUCHES:]
    kept: dict[tuple[str, ...], int] = {}
    gone: set[int] = set()
    for place in rest:
        sort = _sort(tail[place])
        if sort not in kept:
            kept[sort] = -1
        else:
            if kept[sort] >= 0:
                gone.add(kept[sort])
            kept[sort] = place
    return gone


def says_nothing(fact: Fact) -> bool:
    """A touch that changes no state, so that dropping it changes none."""
    return touch_of(fact) is NO_TOUCH
