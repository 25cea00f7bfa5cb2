"""Histories as sales and marketing might live them, with everything that goes wrong on the way.

A path of a few leads is walked by a rough idea of their stages, so that deep stages are reached often. Then records are
received late, twice, with another body, withdrawn or erased.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from tests.oracle.agreement import amount, read
from tests.oracle.calendar import DAY, EPOCH, HOUR, MINUTE, SECOND
from tests.oracle.events import record
from tests.oracle.labels import labels
from tests.oracle.records import SINCE_1990, Record
from tests.oracle.terms import AGREEMENTS, QUICK
from tests.oracle.walk import tell

__all__ = ["History", "floods", "histories", "labels"]

T = TypeVar("T")
History = tuple[list[Record], list[Mapping[str, Any]], int]
"""Records in the order of receipt, versions of the agreement, the clock."""
Draw = Callable[[st.SearchStrategy[Any]], Any]

START: Final = int((datetime(2026, 10, 12, 6, 0, tzinfo=UTC) - EPOCH).total_seconds()) * SECOND
"""A Monday, an hour before Amsterdam opens; its clocks change 13 days later."""
END: Final = START + 20 * DAY


def _weighted(words: str) -> tuple[str, ...]:
    """`a*3 b` -> a, a, a, b."""
    pairs = [word.partition("*") for word in words.split()]
    return tuple(word for word, _, weight in pairs for _ in range(int(weight or 1)))


# -- what happens next -----------------------------------------------------------------------------------------------

_ANYWHERE: Final = (
    "Paused*2 Resumed Scored*2 Captured HandRaise Assigned Qualified Accepted SalesQualified Opened Won Lost "
    "StageChanged Amended Nurtured Rejected Recycled Disqualified ErasureRequested Enriched Merged*4 Erased"
)
_NEXT: Final[Mapping[str, tuple[str, ...]]] = {
    stage: _weighted(f"{likely} {_ANYWHERE}")
    for stage, likely in {
        "": "Captured*24 HandRaise*12 Qualified*7 Touch*4 Accepted*4 SalesQualified*3 Opened*3 Won*2 Lost*2 Scored*2",
        "inquiry": "Qualified*26 Touch*8 Scored*3 Nurtured*20 HandRaise*3 Accepted*2 SalesQualified*2 Opened*2 Won Lost "
        "Disqualified*3 Paused*2",
        "nurture": "Qualified*14 Touch*12 Nurtured*9 HandRaise*3 Disqualified*7 Paused*2 Merged*4 Erased*2",
        "mql": "Assigned*14 Accepted*16 Touch*16 Rejected*15 Recycled*9 Scored*5 Disqualified*2 SalesQualified*3 "
        "Opened*3 Won Lost HandRaise*2 Paused*3",
        "sal": "Touch*22 SalesQualified*14 Assigned*5 Scored*3 Opened*5 Recycled*8 Disqualified*4 Accepted*2 Paused*4 "
        "Won Lost Merged*6 Erased*3",
        "sql": "Opened*18 Merged*2 Erased Touch*16 Recycled*7 Disqualified*4 Won*2 Lost*2 Paused*4 Assigned*3 Scored*2",
        "opportunity": "Won*8 Lost*12 StageChanged*10 Touch*10 Opened*6 Amended*2 Paused*3 Assigned*2",
        "won": "Qualified*9 Opened*10 Won*4 Lost*5 StageChanged*6 Touch*6 HandRaise*3 Captured*2",
        "lost": "Erased Recycled*11 StageChanged*10 Qualified*8 Opened*9 Won*2 Lost*3 Touch*5 HandRaise*4",
        "recycled": "Qualified*22 Nurtured*18 Enriched*14 HandRaise*5 Opened*6 Touch*6 Disqualified*5 Won Lost "
        "StageChanged*2 Merged*6 Erased*2",
        "disqualified": "Captured*12 HandRaise*8 Touch*5 Qualified*3 Enriched*3 Opened*2 StageChanged",
        "merged": "Touch*6 Captured*3 Qualified*3 Merged*5 ErasureRequested*4 Erased*3",
        "erased": "Touch*3 Captured Qualified*2 Merged*2",
    }.items()
}
_REACHES: Final[Mapping[str, Mapping[str, str]]] = {
    "Captured": {"": "inquiry", "disqualified": "inquiry"},
    "HandRaise": {"": "inquiry", "disqualified": "inquiry"},
    "Qualified": dict.fromkeys(("", "inquiry", "nurture", "recycled", "won", "lost"), "mql"),
    "Accepted": dict.fromkeys(("", "inquiry", "mql"), "sal"),
    "SalesQualified": dict.fromkeys(("", "inquiry", "mql", "sal"), "sql"),
    "Opened": dict.fromkeys(("", "inquiry", "mql", "sal", "sql", "recycled", "won", "lost"), "opportunity"),
    "Won": dict.fromkeys(("", "inquiry", "mql", "sal", "sql", "opportunity", "recycled"), "won"),
    "Lost": dict.fromkeys(("", "inquiry", "mql", "sal", "sql", "opportunity", "recycled"), "lost"),
    "StageChanged": {"lost": "opportunity", "opportunity": "lost"},
    "Nurtured": dict.fromkeys(("inquiry", "recycled"), "nurture"),
    "Rejected": {"mql": "recycled"},
    "Recycled": dict.fromkeys(("mql", "sal", "sql", "lost"), "recycled"),
    "Disqualified": dict.fromkeys(("inquiry", "nurture", "mql", "sal", "sql", "recycled"), "disqualified"),
    "Merged": {stage: "merged" for stage in _NEXT if stage != "erased"},
    "Erased": dict.fromkeys(_NEXT, "erased"),
}
"""Roughly: what leads where."""
_NAMES: Final = {"HandRaise": "LeadCaptured", "Touch": "TouchRecorded"} | {
    word: f"Opportunity{word}" for word in ("Opened", "Won", "Lost", "StageChanged", "Amended")
}

# -- when, and what it says ------------------------------------------------------------------------------------------

_STEPS: Final = (
    *(0,) * 9, 1, SECOND, *(MINUTE,) * 3, *(5 * MINUTE,) * 3, *(15 * MINUTE,) * 2, *(30 * MINUTE,) * 3, *(HOUR,) * 3,
    *(2 * HOUR,) * 2, *(4 * HOUR,) * 2, *(8 * HOUR,) * 2, *(DAY,) * 3, 2 * DAY, 3 * DAY,
)  # fmt: skip
_HOWS: Final = _weighted("step*11 edge*4 due*6 back*4")
_LAGS: Final = (
    *(0,) * 16, *(SECOND,) * 6, *(2 * SECOND,) * 2, *(MINUTE,) * 3, HOUR, 10 * HOUR, 30 * HOUR, 60 * HOUR,
)  # fmt: skip
_ODD_LAGS: Final = (
    72 * HOUR, 72 * HOUR + 1, 80 * HOUR, 100 * HOUR, 200 * HOUR, -1, -HOUR, -23 * HOUR, -DAY, 60 * HOUR, 2 * HOUR,
)  # fmt: skip
_REASONS: Final = _weighted(
    "unable_to_reach*5 no_budget*6 no_need*2 bad_timing*4 competitor*2 inaccurate_data no_fit do_not_contact other"
)
_REJECTIONS: Final = _weighted(
    "incomplete_data*5 inaccurate_data*3 wrong_route below_threshold existing_opportunity duplicate*2 not_target"
)
_OWNERS: Final = _weighted("ann*3 bob*2 eve")
_TOUCHES: Final = tuple(
    tuple(words.split())
    for words, weight in {
        "call outbound sales human attempted": 4,
        "call outbound sales human no_answer": 3,
        "email outbound sales human attempted": 3,
        "call outbound sales human connected": 3,
        "call inbound sales human connected": 2,
        "email inbound sales human replied": 3,
        "email inbound marketing human replied": 1,
        "email outbound sales human bounced": 1,
        "email outbound sales automated attempted": 2,
        "email inbound sales automated replied": 1,
        "email outbound marketing human attempted": 1,
        "social outbound sales human attempted": 1,
        "meeting outbound sales human connected": 1,
        "meeting inbound marketing human attempted": 1,
        "chat inbound sales human attempted": 1,
        "event inbound marketing human attempted": 1,
        "web inbound marketing automated attempted": 1,
    }.items()
    for _ in range(weight)
)


@cache
def _one_of(count: int) -> st.SearchStrategy[int]:
    return st.sampled_from(range(count))


def touch(words: tuple[str, ...]) -> dict[str, Any]:
    """What a touch was."""
    return dict(zip(("channel", "direction", "origin", "actor", "outcome"), words, strict=True))


@cache
def _edges() -> tuple[int, ...]:
    """Openings and closings of every calendar in the time of the histories."""
    calendars = [read(QUICK).calendars[name] for name in ("amsterdam", "new_york", "nights")]
    instants: set[int] = set()
    for calendar in calendars:
        at = START
        while at < END:
            opens = calendar.add(at, 1) - 1
            instants.add(opens)
            close = calendar.add(opens, 1)
            while calendar.open_between(close, close + MINUTE) == MINUTE:
                close += 30 * MINUTE - close % (30 * MINUTE)
            instants.add(close)
            at = close
    return tuple(sorted(instants))


@dataclass
class Path:
    """A history in the making."""

    draw: Draw
    leads: list[str]
    amounts: tuple[int, ...]
    """Targets of the agreement: what is due so long after something is looked at closely."""
    stages: dict[str, str]
    records: list[Record] = field(default_factory=list)
    instants: list[int] = field(default_factory=lambda: [START])
    at: int = START
    opportunities: int = 0

    def pick(self, *options: T) -> T:
        return options[self.draw(_one_of(len(options)))]

    def often(self, of: int) -> bool:
        """True one time in so many; False when shrunk."""
        return bool(self.draw(_one_of(of)) == of - 1)

    def moment(self) -> int:
        """When the next event happens: often at an instant that matters, sometimes before what is told already."""
        match self.pick(*_HOWS):
            case "edge":
                after = [edge for edge in _edges() if edge > self.at]
                at = self.pick(*after[:3]) + self.pick(0, 0, 0, -1, 1) if after else self.at
            case "due":
                due = self.pick(*self.instants[-4:]) + self.pick(*self.amounts)
                at = due + self.pick(0, 0, 0, 0, 1, -1)
            case "back":
                return self.pick(*self.instants[-8:])
            case _:
                at = self.at + self.pick(*_STEPS)
        if at > END:
            at = self.at
        self.at = max(self.at, at)
        self.instants.append(at)
        return at

    def lag(self) -> int:
        return self.pick(*_ODD_LAGS) if self.often(12) else self.pick(*_LAGS)

    def step(self) -> None:
        """One more event."""
        living = [lead for lead in self.leads if self.stages[lead] not in {"merged", "erased"}]
        lead = self.pick(*living * 2, *self.leads[:1] * 2, *self.leads)
        word = self.pick(*_NEXT[self.stages[lead]])
        others = [one for one in self.leads if one != lead]
        if word in {"Merged", "Erased"} and not others:
            word = "Touch"
        if word in {"Touch", "Assigned"} and self.often(3):
            for _ in range(self.pick(1, 2, 3, 5)):
                self.add(word, lead, others)
        self.add(word, lead, others)
        if word == "Rejected" and self.stages[lead] == "mql":
            # What the rejection asks for is mended, or never will be.
            then = self.pick(*["Enriched"] * 5, *["Erased"] * 4, *["Merged"] * 2, *["Paused"] * 4)
            if then == "Enriched":
                self.at += self.pick(0, 0, 3 * DAY)
                for _ in range(self.pick(1, 1, 2)):
                    self.add("Enriched", lead, others)
            elif then != "Paused" and others:
                self.at += self.pick(0, 0, 3 * DAY) if then == "Erased" else 0
                self.add(then, lead, others)
        self.stages[lead] = _REACHES.get(word, {}).get(self.stages[lead], self.stages[lead])

    def add(self, word: str, lead: str, others: Sequence[str]) -> None:
        at, lag = self.moment(), self.lag()
        event_id = f"{self.pick('m', 'b', 'x')}{len(self.records)}"
        name = _NAMES.get(word, f"Lead{word}")
        fields = self.fields(word, at, others)
        system = self.pick("crm", "crm", "mail", "web")
        self.records.append(record(name, at, event_id, lead=lead, received=at + lag, system=system, **fields))

    def fields(self, word: str, at: int, others: Sequence[str]) -> dict[str, Any]:
        """What the event says beside who and when."""
        match word:
            case "Captured" | "HandRaise":
                source = self.pick("website", "website", "event", "referral")
                return {"source": source, "campaign": self.pick(None, "c1"), "hand_raise": word == "HandRaise"}
            case "Scored":
                return {"grade": self.pick("hot", "hot", "warm", "cold"), "score": self.pick(None, 50.0)}
            case "Assigned":
                if self.often(5):
                    return {"owner": self.pick("desk", "ann"), "owner_kind": "queue", "team": self.pick(None, "north")}
                team = self.pick(None, "north", "north", "overseas", "overseas", "unknown")
                return {"owner": self.pick(*_OWNERS), "owner_kind": "person", "team": team}
            case "Touch":
                return touch(self.pick(*_TOUCHES))
            case "Paused":
                reason = self.pick("customer_request", "customer_request", "holiday", "holiday", "legal", "tired")
                until = self.pick(None, None, HOUR, 8 * HOUR, DAY, 3 * DAY, 0, -HOUR)
                return {"reason": reason, "until": None if until is None else at + until}
            case "Nurtured":
                wake = self.pick(0, 0, HOUR, HOUR, 8 * HOUR, DAY, 3 * DAY, -HOUR, None)
                return {"wake_date": None if wake is None else at + wake}
            case "Rejected":
                named = self.pick((), ("phone",), ("phone", "email"), ("email",))
                return {"reason": self.pick(*_REJECTIONS), "fields": list(named)}
            case "Enriched":
                return {"fields": list(self.pick(("phone", "email"), ("phone",), ("email",), ("region",), ()))}
            case "Recycled" | "Disqualified":
                return {"reason": self.pick(*_REASONS), "reason_text": "said so"}
            case "Opened" | "Won" | "Lost" | "StageChanged" | "Amended":
                return self.opportunity(word)
            case "Merged":
                erased = [one for one in others if self.stages[one] == "erased"]
                return {"into": self.pick(*others, *erased * 2)}
        return {}

    def opportunity(self, word: str) -> dict[str, Any]:
        """Mostly one that is known, or for a new one the next name."""
        new = self.often(2 if word == "Opened" else 8) or self.opportunities == 0
        self.opportunities += new
        latest = new or self.often(2)
        number = self.opportunities if latest else self.pick(*range(1, self.opportunities + 1))
        fields: dict[str, Any] = {"opportunity_id": f"o{number}"}
        if word == "StageChanged":
            fields["stage_status"] = self.pick("open", "open", "open", "won", "lost", "lost")
        if word == "Lost" or fields.get("stage_status") == "lost":
            fields |= {"reason": self.pick(*_REASONS), "reason_text": "said so"}
        return fields

    def end(self) -> None:
        """Now and then a last event whose clock is seldom left open."""
        for word, stages in (("Nurtured", ("inquiry", "recycled", "nurture")), ("Rejected", ("mql",))):
            leads = [lead for lead in self.leads if self.stages[lead] in stages]
            if leads and self.often(5):
                self.add(word, leads[0], [lead for lead in self.leads if lead != leads[0]])

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def copy(self) -> None:
        """The same event again, received at another time."""
        one = self.pick(*self.records)
        shift = self.pick(0, MINUTE, HOUR, 30 * HOUR, 80 * HOUR, -MINUTE, -HOUR)
        self.records.append(Record(one.name, one.event, one.received_at + shift))

    def conflict(self, *, equal: bool) -> None:
        """The same id with another body."""
        one = self.pick(*self.records)
        shift = 0 if equal else self.pick(MINUTE, HOUR, -MINUTE, -HOUR)
        event = {**one.event, "occurred_at": one.event["occurred_at"] + self.pick(SECOND, -HOUR, HOUR)}
        self.records.append(Record(one.name, event, one.received_at + shift))

    def withdraw(self) -> None:
        """Somebody takes an event back: soon, late, too late, or before it is received."""
        moved = [one for one in self.records if one.name != "TouchRecorded"]
        one = self.pick(*moved or self.records) if self.often(2) else self.pick(*self.records)
        lag = self.pick(MINUTE, HOUR, DAY, DAY, 71 * HOUR, 72 * HOUR, 72 * HOUR + 1, 100 * HOUR)
        received = one.received_at - self.pick(MINUTE, HOUR) if self.often(5) else one.event["occurred_at"] + lag
        same = self.pick(True, False) or one.event["source_system"] == "crm"
        self.records.append(
            record(
                "FactWithdrawn", received - self.pick(0, MINUTE), f"w{len(self.records)}", lead=one.lead,
                received=received, system=one.event["source_system"] if same else "crm",
                withdrawn_event_id=one.event["event_id"],
                withdrawn_source_system=None if same else one.event["source_system"],
            )
        )  # fmt: skip

    def spoil(self) -> None:
        """An event that is refused for its meaning or its time; of the latter a copy may come when it is valid."""
        at = self.pick(*self.instants)
        lead = self.pick(*self.leads)
        wrong: tuple[tuple[str, dict[str, Any]], ...] = (
            ("LeadRejected", {"reason": "no_budget"}),
            ("LeadRecycled", {"reason": "wrong_route"}),
            ("LeadDisqualified", {"reason": "other"}),
            ("OpportunityLost", {"reason": "unheard_of"}),
            ("LeadMerged", {"into": lead}),
            ("LeadAssigned", {"owner": lead}),
            ("LeadQualified", {}),
            ("LeadCaptured", {"occurred_at": SINCE_1990 - 1}),
            ("TouchRecorded", {"occurred_at": SINCE_1990 - 1}),
        )
        name, fields = self.pick(*wrong)
        received = at - DAY - 1 if name == "LeadQualified" else at
        spoiled = record(name, at, f"s{len(self.records)}", lead=lead, received=received)
        self.records.append(Record(name, {**spoiled.event, **fields}, received))
        if name == "LeadQualified" and self.often(2):
            self.records.append(Record(name, spoiled.event, at - self.pick(DAY, HOUR, 0)))

    def rekey(self) -> None:
        """An event of one lead under another lead's name: a copy once they are merged, else an event of its own."""
        one = self.pick(*self.records)
        other = self.pick(*self.leads)
        if other == one.event.get("into"):
            return
        shift = self.pick(0, HOUR, DAY)
        event = {**one.event, "lead_id": other, "occurred_at": one.event["occurred_at"] + shift}
        self.records.append(Record(one.name, event, one.received_at + shift))

    def erase(self) -> None:
        """One lead, or all of them, with a few events that are received all the same."""
        newest = max(one.received_at for one in self.records)
        received = newest + self.pick(0, 0, HOUR)
        at = received - self.pick(0, 0, HOUR, DAY)
        gone = self.leads if self.often(3) else [self.pick(*self.leads)]
        for lead in gone:
            self.records.append(record("LeadErased", at, f"z{len(self.records)}", lead=lead, received=received))
        for _ in range(self.pick(0, 1, 2, 4)):
            lead = self.pick(*self.leads)
            self.at = received
            word = self.pick("Touch", "Captured", "HandRaise", "Qualified", "Opened", "Erased", "Merged", "Assigned")
            others = [one for one in self.leads if one != lead]
            if word != "Merged" or others:
                self.add(word, lead, others)


@st.composite
def histories(
    draw: st.DrawFn,
    min_size: int = 4,
    *,
    agreements: Sequence[Sequence[Mapping[str, Any]]] = AGREEMENTS,
    equal_conflicts: bool = False,
    spoiled: bool = False,
) -> History:
    """A history of one to four leads, the versions it is judged by, and a clock.

    `equal_conflicts`: also two bodies under one id received at the same instant; which counts depends on their hashes.
    `spoiled`: also events that are refused for their meaning.
    """
    versions = list(agreements[draw(st.integers(0, len(agreements) - 1))])
    leads = ["a", "b", "c", "d"][: draw(st.sampled_from((1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 4)))]
    path = Path(draw, leads, _amounts(versions), dict.fromkeys(leads, ""))
    for _ in range(draw(st.integers(min_size, min_size + 34))):
        path.step()
    if path.records:
        path.end()
        if path.often(3):
            path.copy()
        if path.often(6):
            path.conflict(equal=equal_conflicts and path.often(2))
        for _ in range(path.pick(0, 0, 0, 1, 1, 2, 3)):
            path.withdraw()
        if len(leads) > 1 and path.often(8):
            path.rekey()
        if spoiled and path.often(3):
            path.spoil()
        if path.often(6):
            path.erase()
    records = sorted(path.records, key=lambda one: one.received_at)
    return records, versions, _clock(path, records, versions)


@st.composite
def floods(draw: st.DrawFn, limit: int = 256) -> History:
    """A history with a bot: more touches on one day than are kept, among those that people made."""
    records, versions, now = draw(histories())
    day = draw(st.integers(0, 5)) * DAY + START - START % DAY
    path = Path(draw, [records[0].lead] if records else ["a"], (HOUR,), {"a": ""})
    for number in range(limit + draw(st.integers(-2, 40))):
        words = path.pick(*_TOUCHES[-1:] * 4, _TOUCHES[0], _TOUCHES[12])
        at = day + draw(st.integers(0, 1439)) * MINUTE
        path.records.append(record("TouchRecorded", at, f"t{number}", lead=path.leads[0], **touch(words)))
    if path.often(3):
        path.withdraw()
    records = sorted([*records, *path.records], key=lambda one: one.received_at)
    return records, versions, max([now, *(one.received_at for one in records)])


def _clock(path: Path, records: Sequence[Record], versions: Sequence[Mapping[str, Any]]) -> int:
    """A time at which everything was received, often one at which a deadline is about to fire."""
    newest = max((one.received_at for one in records), default=START)
    if path.often(2):
        stories = tell(records, versions, now=newest)
        due = sorted({one.deadline for story in stories.values() for one in story.instances if one.deadline >= newest})
        if due:
            return max(newest, path.pick(*due[:6]) + path.pick(2000, 2000, 1999, 0, 2001))
    return newest + path.pick(0, 1, 2000, HOUR, DAY, 5 * DAY, 40 * DAY)


@cache
def _amounts_of(texts: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(sorted({amount(text, 8 * HOUR) for text in texts}))


def _amounts(versions: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    texts: set[str] = set()
    for version in versions:
        for policy in version["policies"].values():
            targets = policy["targets"]
            texts.update(targets.values() if isinstance(targets, Mapping) else [targets])
    return _amounts_of(tuple(sorted(texts)))
