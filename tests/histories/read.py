"""Reads the histories: short lines for people in, complete events and the expected story out.

Nothing here knows a rule of the product. It knows the words of the files, refuses every other one, and fills what a
line leaves out with the defaults of the schemas.

A time is `Mon 09:00` (in the week of Mon 2 Nov 2026), `Mon 9 Nov 17:00` (2026) or `Mon 1 Feb 2027 09:00`, with seconds
and milliseconds where needed; the weekday must be the right one. `09:00` alone is on the day named last on the line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import yaml

FOLDER = Path(__file__).parent
SCHEMAS = FOLDER.parents[1] / "schemas"

POLICIES = frozenset(
    [
        "assignment",
        "acceptance",
        "first_response",
        "owner_response",
        "cadence",
        "qualification",
        "next_response",
        "stage_age",
        "inactivity",
        "wake",
        "mend",
        "erasure",
    ]
)
VERDICTS = frozenset(["open", "breached_open", "met", "late_met", "breached_ended", "cancelled", "transferred"])
STAGES = frozenset(
    [
        "inquiry",
        "mql",
        "sal",
        "sql",
        "opportunity",
        "won",
        "lost",
        "nurture",
        "recycled",
        "disqualified",
        "merged",
        "erased",
    ]
)
REFUSALS = frozenset(
    ["illegal", "redundant", "refused_cooldown", "refused_reason", "refused_erased", "merge_cycle", "disputed"]
)
ATTRIBUTES = frozenset(["owner", "team", "grade", "work_status", "cycle"])
WORK_STATUSES = frozenset(["new", "assigned", "attempting", "connected", "meeting_set"])
GRADES = frozenset(["hot", "warm", "cold"])
REJECTIONS = frozenset(
    [
        "wrong_route",
        "existing_opportunity",
        "duplicate",
        "incomplete_data",
        "inaccurate_data",
        "not_target",
        "below_threshold",
    ]
)
ENDINGS = frozenset(
    [
        "unable_to_reach",
        "inaccurate_data",
        "no_need",
        "no_budget",
        "no_fit",
        "bad_timing",
        "competitor",
        "do_not_contact",
    ]
)
CHANNELS = frozenset(["call", "email", "sms", "meeting", "chat", "social", "web", "event", "ad"])

WEEK = date(2026, 11, 2)  # the Monday that a bare weekday counts from
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TIME = (
    rf"(?:(?:{'|'.join(DAYS)}) (?:\d{{1,2}} (?:{'|'.join(MONTHS)}) (?:\d{{4}} )?)?)?"
    r"\d\d:\d\d(?::\d\d(?:\.\d{3})?)?"
)
_TIME = re.compile(
    rf"(?:(?P<weekday>{'|'.join(DAYS)}) (?:(?P<day>\d{{1,2}}) (?P<month>{'|'.join(MONTHS)}) (?:(?P<year>\d{{4}}) )?)?)?"
    r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<millis>\d{3}))?)?"
)
_EVENT = re.compile(rf"(?P<at>{TIME})(?: (?P<lead>[A-Z]))? (?P<what>[^()]+?)(?: \(received (?P<received>{TIME})\))?")
_CLOCK = re.compile(
    rf"(?P<policy>\w+) (?P<start>{TIME}) -> (?P<deadline>{TIME}) (?P<verdict>\w+)(?: at (?P<at>{TIME}))?"
    r"(?P<late>, late evidence)?"
)
_STEP = re.compile(
    rf"(?P<open>\[)?(?P<stage>\w+)(?P<plus>\+)?(?P<close>\])?(?: (?P<at>{TIME}))?(?: cycle (?P<cycle>\d+))?"
)
_AMOUNT = re.compile(r"(\d+)(s|min|h)")
_UNITS = {"s": 1_000, "min": 60_000, "h": 3_600_000}


class HistoryError(ValueError):
    """A file says something that the reader does not understand, or that cannot be."""


class Fact(NamedTuple):
    """One event as it was received."""

    name: str  # of the Avro record, e.g. LeadCaptured
    event: dict[str, Any]
    received_at: int


@dataclass(frozen=True, slots=True)
class Step:
    """One expected entry of a stage."""

    stage: str
    implied: bool
    confirmed: bool
    cycle: int
    entered_at: int | None  # None: the history does not say


@dataclass(frozen=True, slots=True)
class Clock:
    """One expected instance of a policy."""

    policy: str
    started_at: int
    deadline: int
    verdict: str
    satisfied_at: int | None
    ended_at: int | None
    late_evidence: bool


@dataclass(frozen=True, slots=True)
class Story:
    """What one lead is expected to come to."""

    path: list[Step]
    clocks: list[Clock]
    attributes: dict[str, str | int | None]
    refusals: dict[str, int]


@dataclass(frozen=True, slots=True)
class History:
    """One history, complete."""

    title: str
    why: str
    records: list[Fact]  # in the order in which they were received
    agreements: list[Mapping[str, Any]]
    now: int
    expected: dict[str, Story]


# Files


class _Loader(yaml.SafeLoader):
    """YAML in which a key that is written twice is an error."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[object, object]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    twice = [key for number, key in enumerate(keys) if key in keys[:number]]
    if twice:
        raise HistoryError(f"{node.start_mark}: {twice[0]!r} is written twice")
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load(text: str) -> Any:
    """The YAML of a file of histories or agreements."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)


@cache
def agreements() -> dict[str, Mapping[str, Any]]:
    """The agreements that histories may name."""
    found: dict[str, Mapping[str, Any]] = load((FOLDER / "agreements.yaml").read_text(encoding="utf-8"))
    for name, agreement in found.items():
        for policy in agreement["policies"]:
            _known(policy, POLICIES, "policy", f"agreement {name}")
    return found


def histories() -> list[History]:
    """Every history of this folder."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.name != "agreements.yaml":
            found += [read(entry, path.name) for entry in load(path.read_text(encoding="utf-8"))]
    titles = [history.title for history in found]
    for number, title in enumerate(titles):
        if title in titles[:number]:
            raise HistoryError(f"two histories are called {title!r}")
    return found


# Times


class _Times:
    """Reads times in one zone; remembers the day named last."""

    def __init__(self, zone: str) -> None:
        self._zone: Any = UTC if zone == "UTC" else ZoneInfo(zone)
        self._day: date | None = None

    def forget(self) -> None:
        self._day = None

    def read(self, text: str) -> int:
        found = _TIME.fullmatch(text)
        if not found:
            raise HistoryError(f"{text!r} is no time")
        if found["weekday"]:
            self._day = self._named(found)
        if self._day is None:
            raise HistoryError(f"{text!r} names no day, and none is named before it")
        hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
        try:
            naive = datetime.combine(self._day, datetime.min.time()).replace(
                hour=hour, minute=minute, second=second, microsecond=int(found["millis"] or 0) * 1000
            )
        except ValueError as error:
            raise HistoryError(f"{text!r} is no time: {error}") from None
        at = naive.replace(tzinfo=self._zone)
        if at.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != naive:
            raise HistoryError(f"{text!r} does not exist in {self._zone}: the clocks are put forward")
        if at.utcoffset() != at.replace(fold=1).utcoffset():
            raise HistoryError(f"{text!r} comes twice in {self._zone}: write that history in UTC")
        return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    @staticmethod
    def _named(found: re.Match[str]) -> date:
        weekday = DAYS.index(found["weekday"])
        if not found["day"]:
            return WEEK + timedelta(days=weekday)
        try:
            named = date(int(found["year"] or WEEK.year), MONTHS.index(found["month"]) + 1, int(found["day"]))
        except ValueError as error:
            raise HistoryError(f"{found[0]!r} is no date: {error}") from None
        if named.weekday() != weekday:
            raise HistoryError(f"{found[0]!r}: {named:%d %b %Y} is a {DAYS[named.weekday()]}")
        return named


# One history


def read(entry: Mapping[str, Any], file: str = "histories") -> History:
    """One entry of a file as a history."""
    title = str(entry.get("title", "?"))
    try:
        return _read(entry, title)
    except HistoryError as error:
        raise HistoryError(f"{file}: {title!r}: {error}") from None


_WORDS = frozenset(
    ["title", "why", "agreement", "policies", "times", "clock", "events", "path", "after", "refusals", "clocks"]
)
_STORY = frozenset(["path", "after", "refusals", "clocks"])


def _read(entry: Mapping[str, Any], title: str) -> History:
    blocks: dict[str, Mapping[str, Any]] = {}
    for word in entry:
        if lead := re.fullmatch(r"lead ([A-Z])", str(word)):
            blocks[lead[1]] = entry[word]
        else:
            _known(word, _WORDS, "word", "a history")
    for word in ("title", "why", "agreement", "events"):
        if not entry.get(word):
            raise HistoryError(f"{word} is missing")
    if ("path" in entry) == bool(blocks):
        raise HistoryError("give either one path, or a block `lead X` for every lead")
    if not blocks:
        blocks["A"] = {word: entry[word] for word in entry if word in _STORY}

    times = _Times(str(entry.get("times", "UTC")))
    records: list[Fact] = []
    for number, line in enumerate(entry["events"], 1):
        try:
            records += _events(str(line), number, times)
        except HistoryError as error:
            raise HistoryError(f"event {line!r}: {error}") from None
    told = {fact.event["lead_id"] for fact in records}
    if missing := sorted(told - blocks.keys()):
        raise HistoryError(f"no `lead` block for {', '.join(missing)}")
    named = told | {fact.event["into"] for fact in records if fact.name == "LeadMerged"}
    if foreign := sorted(blocks.keys() - named):
        raise HistoryError(f"no event names {', '.join(foreign)}")

    kept, versions = _agreements(entry)
    expected = {lead: _story(block, lead, times, kept) for lead, block in blocks.items()}
    times.forget()
    now = max(fact.received_at for fact in records) + 3_600_000
    if "clock" in entry:
        now = times.read(str(entry["clock"]))
        if late := [fact for fact in records if fact.received_at > now]:
            raise HistoryError(f"the clock stands before {late[0].event['event_id']} was received")
    records.sort(key=lambda fact: fact.received_at)
    return History(title, str(entry["why"]), records, versions, now, expected)


def _agreements(entry: Mapping[str, Any]) -> tuple[frozenset[str], list[Mapping[str, Any]]]:
    """The policies looked at, and the versions cut down to them."""
    names = _listed(entry["agreement"])
    for name in names:
        _known(name, frozenset(agreements()), "agreement", "`agreement`")
    kept = POLICIES
    if "policies" in entry:
        wanted = _listed(entry["policies"])
        if wanted == ["none"]:
            wanted = []
        for policy in wanted:
            _known(policy, POLICIES, "policy", "`policies`")
        kept = frozenset(wanted)
    versions: list[Mapping[str, Any]] = []
    for name in names:
        full = agreements()[name]
        versions.append(
            {**full, "policies": {word: full["policies"][word] for word in full["policies"] if word in kept}}
        )
    if "policies" in entry and (absent := sorted(kept - {word for one in versions for word in one["policies"]})):
        raise HistoryError(f"the agreement has no policy {', '.join(absent)}")
    return kept, versions


def _story(block: Mapping[str, Any], lead: str, times: _Times, kept: frozenset[str]) -> Story:
    for word in block:
        _known(word, _STORY, "word", f"lead {lead}")
    if "path" not in block:
        raise HistoryError(f"lead {lead} has no path")
    try:
        return Story(
            path=_path(str(block["path"]), times),
            clocks=[_clock(str(line), times, kept) for line in block.get("clocks", [])],
            attributes=_after(block.get("after", {})),
            refusals=_refusals(block.get("refusals", {})),
        )
    except HistoryError as error:
        raise HistoryError(f"lead {lead}: {error}") from None


def _path(text: str, times: _Times) -> list[Step]:
    if text == "none":
        return []
    times.forget()
    cycle = 1
    steps = []
    for part in text.split(", "):
        found = _STEP.fullmatch(part)
        if not found or (found["open"] is None) != (found["close"] is None) or (found["plus"] and not found["open"]):
            raise HistoryError(f"path {text!r}: {part!r} is no entry of a stage")
        _known(found["stage"], STAGES, "stage", f"path {text!r}")
        if found["cycle"]:
            if int(found["cycle"]) <= cycle:
                raise HistoryError(f"path {text!r}: {part!r} names a cycle that is not a new one")
            cycle = int(found["cycle"])
        at = times.read(found["at"]) if found["at"] else None
        steps.append(Step(found["stage"], bool(found["open"]), bool(found["plus"]), cycle, at))
    told = [step.entered_at for step in steps if step.entered_at is not None]
    if told != sorted(told):
        raise HistoryError(f"path {text!r} goes back in time")
    return steps


def _clock(text: str, times: _Times, kept: frozenset[str]) -> Clock:
    found = _CLOCK.fullmatch(text)
    if not found:
        raise HistoryError(f"clock {text!r} is not `policy start -> deadline verdict [at when][, late evidence]`")
    policy, verdict, late = found["policy"], found["verdict"], bool(found["late"])
    _known(policy, POLICIES, "policy", f"clock {text!r}")
    _known(verdict, VERDICTS, "verdict", f"clock {text!r}")
    if policy not in kept:
        raise HistoryError(f"clock {text!r}: the history leaves {policy} out of its `policies`")
    times.forget()
    start, deadline = times.read(found["start"]), times.read(found["deadline"])
    at = times.read(found["at"]) if found["at"] else None
    still = verdict in ("open", "breached_open")
    if still != (at is None):
        raise HistoryError(f"clock {text!r}: {verdict} goes {'without' if still else 'with'} `at`")
    if deadline < start or (at is not None and at < start):
        raise HistoryError(f"clock {text!r} goes back in time")
    if at is not None and (at > deadline) != (verdict in ("late_met", "breached_ended")):
        raise HistoryError(f"clock {text!r}: {verdict} does not fit the deadline")
    if late and verdict != "met":
        raise HistoryError(f"clock {text!r}: only met has late evidence")
    satisfied = verdict in ("met", "late_met")
    return Clock(policy, start, deadline, verdict, at if satisfied else None, None if satisfied else at, late)


def _after(block: Mapping[str, Any]) -> dict[str, str | int | None]:
    told: dict[str, str | int | None] = {}
    for word, value in block.items():
        _known(word, ATTRIBUTES, "attribute", "`after`")
        if word == "cycle" and not isinstance(value, int):
            raise HistoryError(f"`after`: the cycle {value!r} is no number")
        if word == "work_status":
            _known(value, WORK_STATUSES, "work status", "`after`")
        if word == "grade":
            _known(value, GRADES | {"none"}, "grade", "`after`")
        told[word] = None if value == "none" else value
    return told


def _refusals(block: Mapping[str, Any]) -> dict[str, int]:
    for word, count in block.items():
        _known(word, REFUSALS, "refusal", "`refusals`")
        if not isinstance(count, int) or count < 1:
            raise HistoryError(f"`refusals`: {word} is counted {count!r} times")
    return dict(block)


# Events


class _Words:
    """The words of one event, taken one after the other; what is left at the end is a typo."""

    def __init__(self, text: str, times: _Times) -> None:
        self._times = times
        self._instants: dict[str, int] = {}
        for preposition in ("until", "wake"):
            if found := re.search(rf" {preposition} ({TIME})(?= |$)", text):
                self._instants[preposition] = times.read(found[1])
                text = text[: found.start()] + text[found.end() :]
        words = text.split()
        self._plain = [word for word in words if "=" not in word]
        self._options = dict(word.split("=", 1) for word in words if "=" in word)

    def next(self, what: str, known: frozenset[str] | None = None) -> str:
        if not self._plain:
            raise HistoryError(f"{what} is missing")
        word = self._plain.pop(0)
        if known is not None:
            _known(word, known, what, "an event")
        return word

    def has(self, word: str) -> bool:
        """Whether this is the next word; then it is taken."""
        if self._plain[:1] == [word]:
            self._plain.pop(0)
            return True
        return False

    def option(self, name: str, known: frozenset[str] | None = None) -> str | None:
        value = self._options.pop(name, None)
        if value is not None and known is not None:
            _known(value, known, name, "an event")
        return value

    def instant(self, preposition: str) -> int | None:
        return self._instants.pop(preposition, None)

    def end(self) -> None:
        left = [*self._plain, *(f"{name}=" for name in self._options), *self._instants]
        if left:
            raise HistoryError(f"{left[0]!r} is not understood here")


def _events(line: str, number: int, times: _Times) -> list[Fact]:
    found = _EVENT.fullmatch(line)
    if not found:
        raise HistoryError("is not `time [lead] what [(received time)]`")
    times.forget()
    occurred = times.read(found["at"])
    received = times.read(found["received"]) if found["received"] else occurred
    words = _Words(found["what"], times)
    verb = words.next("event")
    given: dict[str, Any] = {
        "lead_id": found["lead"] or "A",
        "event_id": words.option("id") or f"e{number:03}",
        "source_system": words.option("system") or "crm",
    }
    repeat, every = words.option("repeat"), words.option("every")
    if (repeat is None) != (every is None):
        raise HistoryError("repeat and every go together")
    name, fields = _verb(verb, words)
    words.end()
    facts = []
    for turn in range(int(repeat or 1)):
        step = turn * _amount(every) if every else 0
        event = {**given, **fields, "occurred_at": occurred + step}
        if repeat:
            event["event_id"] = f"{given['event_id']}-{turn:03}"
        facts.append(Fact(name, _complete(name, event), received + step))
    return facts


def _verb(verb: str, words: _Words) -> tuple[str, dict[str, Any]]:
    if verb in CHANNELS:
        return "TouchRecorded", _touch(verb, words)
    if verb not in _VERBS:
        raise HistoryError(f"unknown event {verb!r}: {', '.join(sorted([*_VERBS, *CHANNELS]))}")
    return _VERBS[verb](words)


def _touch(channel: str, words: _Words) -> dict[str, Any]:
    return {
        "channel": channel,
        "direction": words.next("direction"),
        "outcome": words.next("outcome"),
        "origin": words.option("origin") or "sales",
        "actor": words.option("actor") or "human",
        "performed_by": words.option("by"),
    }


def _captured(words: _Words) -> tuple[str, dict[str, Any]]:
    raised = words.option("hand_raise", frozenset({"yes", "no"})) == "yes"
    return "LeadCaptured", {"source": words.option("source") or "website", "hand_raise": raised}


def _assigned(words: _Words) -> tuple[str, dict[str, Any]]:
    words.next("to", frozenset({"to"}))
    kind = "queue" if words.has("queue") else "person"
    return "LeadAssigned", {"owner": words.next("owner"), "owner_kind": kind, "team": words.option("team")}


def _opportunity(words: _Words) -> tuple[str, dict[str, Any]]:
    given: dict[str, Any] = {"opportunity_id": words.next("opportunity")}
    what = words.next("what happened", frozenset({"opened", "amended", "won", "lost", "stage"}))
    if what == "stage":
        given["stage_status"] = words.next("stage status", frozenset({"open", "won", "lost"}))
        if given["stage_status"] == "lost":
            given["reason"] = words.next("reason", ENDINGS)
        return "OpportunityStageChanged", given
    if what == "opened":
        given["source"] = words.option("source") or "website"
    if what == "lost":
        given["reason"] = words.next("reason", ENDINGS)
    return f"Opportunity{what.capitalize()}", given


def _merged(words: _Words) -> tuple[str, dict[str, Any]]:
    words.next("into", frozenset({"into"}))
    into = words.next("lead")
    if not re.fullmatch("[A-Z]", into):
        raise HistoryError(f"{into!r} is no lead")
    return "LeadMerged", {"into": into}


def _withdraws(words: _Words) -> tuple[str, dict[str, Any]]:
    given: dict[str, Any] = {"withdrawn_event_id": words.next("id")}
    if words.has("of"):
        given["withdrawn_source_system"] = words.next("system")
    return "FactWithdrawn", given


def _split(text: str | None) -> list[str]:
    return text.split(",") if text else []


_VERBS: dict[str, Callable[[_Words], tuple[str, dict[str, Any]]]] = {
    "captured": _captured,
    "enriched": lambda words: ("LeadEnriched", {"fields": _split(words.option("fields"))}),
    "scored": lambda words: ("LeadScored", {"grade": words.next("grade", GRADES)}),
    "qualified": lambda words: ("LeadQualified", {}),
    "assigned": _assigned,
    "accepted": lambda words: ("LeadAccepted", {}),
    "rejected": lambda words: (
        "LeadRejected",
        {"reason": words.next("reason", REJECTIONS), "fields": _split(words.option("fields"))},
    ),
    "sales_qualified": lambda words: ("LeadSalesQualified", {}),
    "paused": lambda words: ("LeadPaused", {"reason": words.next("reason"), "until": words.instant("until")}),
    "resumed": lambda words: ("LeadResumed", {}),
    "nurtured": lambda words: ("LeadNurtured", {"wake_date": words.instant("wake")}),
    "recycled": lambda words: ("LeadRecycled", {"reason": words.next("reason", ENDINGS)}),
    "disqualified": lambda words: ("LeadDisqualified", {"reason": words.next("reason", ENDINGS)}),
    "merged": _merged,
    "erasure_requested": lambda words: ("LeadErasureRequested", {}),
    "erased": lambda words: ("LeadErased", {}),
    "opportunity": _opportunity,
    "withdraws": _withdraws,
}


@cache
def _schemas() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*/*.avsc")}


def _complete(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The event with every field of its schema."""
    event: dict[str, Any] = {}
    for field in _schemas()[name]["fields"]:
        word = field["name"]
        if word in given:
            _symbol(given[word], field["type"], word)
            event[word] = given[word]
        elif "default" in field:
            event[word] = list(field["default"]) if isinstance(field["default"], list) else field["default"]
        else:
            raise HistoryError(f"{name} needs {word}")
    if strange := sorted(given.keys() - event.keys()):
        raise HistoryError(f"{name} has no field {strange[0]}")
    return event


def _symbol(value: Any, kind: Any, word: str) -> None:
    if isinstance(kind, dict) and kind.get("type") == "enum":
        _known(value, frozenset(kind["symbols"]) - {"unknown"}, word, "an event")


def _amount(text: str) -> int:
    found = _AMOUNT.fullmatch(text)
    if not found:
        raise HistoryError(f"{text!r} is no amount such as 10s, 5min or 12h")
    return int(found[1]) * _UNITS[found[2]]


def _listed(text: object) -> list[str]:
    return [part.strip() for part in str(text).split(",")]


def _known(word: object, words: Sequence[str] | frozenset[str], what: str, where: str) -> None:
    if word not in words:
        raise HistoryError(f"{where}: unknown {what} {word!r}, known are {', '.join(sorted(words))}")
