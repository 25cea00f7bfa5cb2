"""Folds one lead's events again, one by one, and notes what each did. Pure; may not import I/O.

State, transitions and verdicts are a function of the facts alone, so the same events give the same story. Where the log no
longer has them all, `agrees` tells so: then the store holds and what is said here of single events is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from processors import lead as leads
from processors.agreed import refusal
from processors.agreement import Agreements
from processors.facts import Fact
from processors.folding import Step, steps
from processors.state import Instance, Memory
from processors.telling import PassedOn
from processors.vocabulary import NEVER, TICK
from streams.explain.heard import Heard

Name = tuple[str, str, str]
"""(lead, source_system, event_id)."""
_GRACE: Final = 2_000


class Change(NamedTuple):
    """What an event did to a clock; `before` None: started it."""

    before: Instance | None
    after: Instance


@dataclass
class Line:
    """One record of the log, or one that a merged lead passed on."""

    fact: Fact | None
    heard: Heard | None
    """None: passed on."""
    outcome: str
    """counted, redirected, withdrawn, copy, pending, left_out (one touch too many), or the word of a refusal."""
    detail: str = ""
    step: Step | None = None
    changes: list[Change] = field(default_factory=list)


@dataclass
class Retold:
    lines: list[Line] = field(default_factory=list)
    """In the order in which they count; what does not count by its arrival."""
    clocks: dict[str, Instance] = field(default_factory=dict)
    """As they stand, by id; those that moved away with a merge left out."""
    transitions: set[str] = field(default_factory=set)

    def agrees(self, transitions: Sequence[Mapping[str, Any]], clocks: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the store says the same."""
        stored = {row["instance_id"]: (row["deadline"], row["satisfied_at"], row["ended_at"]) for row in clocks}
        mine = {number: (at.deadline, at.satisfied_at, at.ended_at) for number, at in self.clocks.items()}
        return stored == mine and {row["transition_id"] for row in transitions} == self.transitions


def retell(
    lead_id: str,
    events: Sequence[Heard],
    passed_on: Sequence[PassedOn],
    agreements: Agreements,
    clock: int,
    until: int = NEVER,
) -> Retold:
    """`clock`: the lane clock; a wake date up to then has come. `until`: what was received later is not in the store yet.

    Raises KeyError for a version that is not known.
    """
    memory = Memory()
    refused: dict[Name, tuple[str, str]] = {}
    taken: set[Name] = set()
    for heard in events:
        fact = heard.fact
        if fact is None:
            continue
        unagreed = refusal(agreements.at(fact.effective_at), fact.kind, fact.details)
        if unagreed is not None:
            refused[_name(fact)] = unagreed
            continue
        if fact.received_at > until and _name(fact) not in taken:
            refused[_name(fact)] = ("pending", "")
            continue
        taken.add(_name(fact))
        # The lane clock stays at 0, so that nothing becomes final: the tail is the whole story.
        outcome = leads.receive(lead_id, memory, fact, 0, agreements)
        for reason, detail, whose in outcome.refused:
            if reason != "event_id_conflict":
                refused[_name(whose)] = (reason, detail)
    for passed in passed_on:
        if passed.fact.received_at > until:
            continue
        leads.receive_foreign(lead_id, memory, passed.fact, passed.recalled, {}, 0, agreements)
    if not memory.erased_at:
        leads.fire(lead_id, memory, agreements, clock, _GRACE)
    return _told(lead_id, memory, events, agreements, refused)


def _told(
    lead_id: str,
    memory: Memory,
    events: Sequence[Heard],
    agreements: Agreements,
    refused: Mapping[Name, tuple[str, str]],
) -> Retold:
    retold = Retold()
    heard_at = {heard.fact.at: heard for heard in events if heard.fact is not None}
    kept: dict[Name, Fact] = {}
    for step in steps(lead_id, memory, agreements):
        fact = step.fact
        line = Line(fact, None if fact.via else heard_at.get(fact.at), _outcome(step), step=step)
        _note(retold, line, step)
        if fact.kind != TICK:
            kept[_name(fact)] = fact
            retold.lines.append(line)
    retold.lines += _uncounted(events, kept, refused)
    retold.lines.sort(key=lambda line: _place(line))
    return retold


def _note(retold: Retold, line: Line, step: Step) -> None:
    story = step.story
    if story is None:
        return
    for number, after in story.instances.items():
        line.changes.append(Change(step.before.clocks.get(number), after))
        if after.end == "moved":
            retold.clocks.pop(number, None)
        else:
            retold.clocks[number] = after
    retold.transitions.update(story.transitions)


def _outcome(step: Step) -> str:
    if step.story is None:
        return "withdrawn"
    if step.story.passed_on and step.before.merged_into is not None:
        return "redirected"
    for word, count in step.after.refusals.items():
        if count > step.before.refusals.get(word, 0):
            return word
    return "counted"


def _uncounted(
    events: Sequence[Heard], kept: Mapping[Name, Fact], refused: Mapping[Name, tuple[str, str]]
) -> Iterator[Line]:
    for heard in events:
        fact = heard.fact
        if fact is None:
            yield Line(None, heard, *(heard.refused or ("refused", "")))
        elif (counts := kept.get(_name(fact))) is not None:
            if counts.at == fact.at:
                continue
            if counts.body == fact.body:
                yield Line(fact, heard, "copy")
            else:
                yield Line(fact, heard, "event_id_conflict", "another event under an id that is taken: set aside")
        elif _name(fact) in refused:
            yield Line(fact, heard, *refused[_name(fact)])
        elif fact.kind == "FactWithdrawn":
            yield Line(fact, heard, "counted")
        else:
            yield Line(fact, heard, "left_out", "one touch too many of that day")


def _place(line: Line) -> tuple[int, int, str, str]:
    fact = line.fact
    if fact is not None:
        return (fact.effective_at, fact.rank, fact.source_system, fact.event_id)
    return (line.heard.received_at if line.heard is not None else 0, 99, "", "")


def _name(fact: Fact) -> Name:
    return (fact.lead_id, fact.source_system, fact.event_id)
