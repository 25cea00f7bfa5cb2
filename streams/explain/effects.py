"""What one event did: stages entered, clocks started, met, ended, paused; or why it did nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from processors.agreement import Agreements
from streams.explain.retell import Change, Line
from streams.explain.words import OUTCOMES, amount, local


def effects(line: Line, zone: str, agreements: Agreements) -> list[str]:
    """One phrase each."""
    return [*_outcome(line, zone, agreements), *_stages(line), *(_clock(change, zone) for change in line.changes)]


def _outcome(line: Line, zone: str, agreements: Agreements) -> Iterator[str]:
    fact, step = line.fact, line.step
    if fact is not None and fact.disputed:
        at = "" if line.heard is None or line.heard.occurred_at is None else f" ({local(line.heard.occurred_at, zone)})"
        yield f"dated more than 72 h before it was received{at}: disputed, counts from 72 h before"
    if fact is not None and fact.clock_ahead:
        yield "dated after it was received: counts from when it was received"
    if line.outcome == "counted":
        return
    words = OUTCOMES.get(line.outcome)
    if words is None:
        yield f"refused, {line.outcome}: {line.detail}"
    elif step is None or fact is None:
        yield f"{words}: {line.detail}" if line.detail else words
    else:
        yield words.format(
            stage=step.before.stage or "(none)",
            cooldown=local(step.before.cooldown_until, zone) if step.before.cooldown_until else "",
            needed=agreements.at(fact.effective_at).attempts,
            attempts=step.before.attempts,
        )


def _stages(line: Line) -> Iterator[str]:
    if line.step is None or line.step.story is None:
        return
    for transition in line.step.story.transitions.values():
        if transition.confirmed:
            yield f"confirms {transition.to_stage}, which had been implied"
        else:
            yield f"→ {transition.to_stage}" + (" (implied)" if transition.implied else "")


def _clock(change: Change, zone: str) -> str:
    before, after = change
    policy = after.policy
    if after.satisfied_at is not None:
        late = after.satisfied_at - after.deadline
        kept = "too late for" if late > 0 else "meets"
        started = "starts and " if before is None else ""
        return f"{started}{kept} {policy}"
    if after.ended_at is not None:
        if after.end == "moved":
            return f"{policy} goes to the other lead"
        return {
            "transferred": f"ends {policy} of the old owner",
            "superseded": f"ends {policy}: the other one stays",
        }.get(after.end or "", f"ends {policy}")
    if before is None:
        came = "brings" if after.moves else "starts"
        return f"{came} {policy}, due {local(after.deadline, zone)}"
    if after.pauses != before.pauses:
        if after.deadline > before.deadline:
            return f"pauses {policy}, due {local(after.deadline, zone)} at the latest"
        if after.deadline < before.deadline:
            return f"ends the pause of {policy}, due {local(after.deadline, zone)}"
    if after.budget < before.budget:
        return f"shortens {policy} to {amount(after.budget)}, due {local(after.deadline, zone)}"
    if after.deadline != before.deadline:
        return f"{policy} is now due {local(after.deadline, zone)}"
    return f"part of {policy} is done"
