"""What a touch is evidence of. Pure; may not import I/O."""

from __future__ import annotations

from typing import Final, NamedTuple

from processors.facts import Fact

_CONVERSATION: Final = frozenset({"call", "email", "sms", "meeting", "chat"})


class Touch(NamedTuple):
    """What a touch counts as. An automated one is none of these."""

    human: bool = False
    attempt: bool = False
    """Human and outbound, of any origin, channel and outcome."""
    contact: bool = False
    """Two-way: human, connected or replied."""
    response: bool = False
    """Sales really turned to the lead; an answered inbound call counts, an auto-reply never."""
    reply: bool = False
    """The lead replied, and waits for an answer."""
    meeting: bool = False


NO_TOUCH: Final = Touch()


def touch_of(fact: Fact) -> Touch:
    """NO_TOUCH for any event but a human touch."""
    if fact.kind != "TouchRecorded":
        return NO_TOUCH
    touch = fact.details
    if touch["actor"] != "human":
        return NO_TOUCH
    outbound = touch["direction"] == "outbound"
    outcome = touch["outcome"]
    return Touch(
        human=True,
        attempt=outbound,
        contact=outcome == "connected" or outcome == "replied",
        response=touch["origin"] == "sales"
        and outcome != "bounced"
        and (outbound or outcome == "connected")
        and touch["channel"] in _CONVERSATION,
        reply=outcome == "replied" and not outbound,
        meeting=touch["channel"] == "meeting",
    )
