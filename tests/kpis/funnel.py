"""Numbers about stages, counted by hand: view -> what it must say. Keys are rows, values their numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.kpis.known import Journey, Known
from tests.oracle.calendar import DAY

Rows = dict[tuple[Any, ...], tuple[Any, ...]]

PAIRS = [
    ("inquiry", "mql"), ("mql", "sal"), ("sal", "sql"), ("sql", "opportunity"), ("opportunity", "won"), ("mql", "won"),
    ("inquiry", "won"), ("mql", "opportunity"),
]  # fmt: skip


def nearest(values: Iterable[float], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def part(some: float, of: float) -> float | None:
    return some / of if of else None


def month(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-01")


def grouped(items: Iterable[Any], key: Any) -> dict[Any, list[Any]]:
    out: dict[Any, list[Any]] = defaultdict(list)
    for item in items:
        out[key(item)].append(item)
    return out


def ignored(known: Known, days: int) -> Rows:
    out = {}
    mqls = [journey for journey in known.journeys if "mql" in journey.entered]
    for source, group in grouped(mqls, lambda one: one.source).items():
        mature = [one for one in group if one.entered["mql"] <= known.now - days * DAY]
        left = [
            one for one in mature
            if not any(
                touch.event["actor"] == "human" and 0 <= touch.effective_at - one.entered["mql"] <= days * DAY
                for touch in known.touches(one.lead.lead_id)
            )
        ]  # fmt: skip
        out[(source,)] = (len(group), len(mature), len(mature) / len(group), len(left), part(len(left), len(mature)))
    return out


def disposition(known: Known, days: int) -> Rows:
    rejected = {(lead, told.cycle) for lead, told in known.transitions() if told.event_type == "LeadRejected"}
    out: Rows = {}
    mqls = [journey for journey in known.journeys if "mql" in journey.entered]
    for key, group in grouped(mqls, lambda one: (one.source, one.team)).items():
        mature = [one for one in group if one.entered["mql"] <= known.now - days * DAY]
        accepted = [one for one in mature if one.entered.get("sal", -1) >= one.entered["mql"]]
        yes = len(accepted)
        no = sum(one not in accepted and (one.lead.lead_id, one.cycle) in rejected for one in mature)
        out[key] = (
            len(group), len(mature), len(mature) / len(group), yes, no, part(yes + no, len(mature)), part(yes, yes + no)
        )  # fmt: skip
    return out


def funnel_by_source(known: Known) -> Rows:
    stages = ("inquiry", "mql", "sal", "sql", "opportunity", "won", "lost")
    out: Rows = {}
    for source, group in grouped(known.leads.values(), lambda one: one.source or "(none)").items():
        reached = [sum(any(told.to_stage == stage for told in one.transitions) for one in group) for stage in stages]
        over = sum(one.stage in ("won", "lost", "disqualified") for one in group)
        out[(source,)] = (len(group), *reached, reached[5] / len(group), over / len(group))
    return out


def current_stages(known: Known) -> Rows:
    count = Counter((one.source or "(none)", one.stage) for one in known.leads.values())
    return {key: (number,) for key, number in count.items()}


def rejections(known: Known) -> Rows:
    count = Counter(
        (known.leads[lead].source, told.reason)
        for lead, told in known.transitions()
        if told.event_type == "LeadRejected"
    )
    whole: Counter[str | None] = Counter()
    for (source, _), number in count.items():
        whole[source] += number
    return {
        (source or "(none)", reason): (number, number / whole[source]) for (source, reason), number in count.items()
    }


def _converted(journey: Journey, pair: tuple[str, str], window: int) -> bool:
    begin, end = journey.at(pair[0]), journey.at(pair[1])
    return begin is not None and end is not None and 0 <= end - begin <= window


def conversion(known: Known, days: int) -> Rows:
    out = {}
    for pair in PAIRS:
        entered = [one for one in known.journeys if pair[0] in one.entered]
        for (cohort, source), group in grouped(entered, lambda one: (month(one.entered[pair[0]]), one.source)).items():  # noqa: B023
            mature = [one for one in group if one.entered[pair[0]] <= known.now - days * DAY]
            done = sum(_converted(one, pair, days * DAY) for one in mature)
            out[cohort, source, *pair] = (
                len(group), len(mature), len(mature) / len(group), done, part(done, len(mature))
            )  # fmt: skip
    return out


def flow(known: Known, since: int, until: int) -> Rows:
    out = {}
    for source, group in grouped(known.journeys, lambda one: one.source).items():
        for pair in PAIRS[:5]:
            begun, ended = (sum(since <= one.entered.get(stage, -1) < until for one in group) for stage in pair)
            out[source, *pair] = (begun, ended, part(ended, begun))
    return out


def stays(known: Known) -> list[tuple[str, str, bool, int, int | None]]:
    """(stage, source, implied, entered, left)"""
    out = []
    for story in known.leads.values():
        told: Sequence[Any] = story.transitions
        for at, one in enumerate(told):
            left = told[at + 1].entered_at if at + 1 < len(told) else None
            out.append((one.to_stage, story.source or "(none)", one.implied, one.entered_at, left))
    return out


def time_in_stage(known: Known) -> Rows:
    over = [(*stay[:2], stay[4] - stay[3]) for stay in stays(known) if stay[4] is not None and not stay[2]]
    return {
        key: (len(group), *((nearest((one[2] for one in group), share) or 0) / DAY for share in (0.5, 0.9)))
        for key, group in grouped(over, lambda one: one[:2]).items()
    }


def stage_age(known: Known) -> Rows:
    open_ones = [one for one in known.leads.values() if one.stage not in ("won", "lost", "disqualified")]
    return {
        key: (
            len(group),
            *((nearest((known.now - one.stage_entered_at for one in group), at) or 0) / DAY for at in (0.5, 0.9)),
        )
        for key, group in grouped(open_ones, lambda one: (one.stage, one.team or "(none)")).items()
    }


def stage_balance(known: Known, since: int, until: int) -> Rows:
    out = {}
    for stage, group in grouped(stays(known), lambda one: one[0]).items():
        at_start, at_end = (
            sum(entered < at and (left is None or left >= at) for _, _, _, entered, left in group)
            for at in (since, until)
        )
        entered_in = sum(since <= one[3] < until for one in group)
        left_in = sum(one[4] is not None and since <= one[4] < until for one in group)
        assert at_start + entered_in - left_in == at_end
        out[(stage,)] = (at_start, entered_in, left_in, at_end)
    return out


def velocity(known: Known) -> Rows:
    count = Counter(month(one.entered["mql"]) for one in known.journeys if "mql" in one.entered)
    out: Rows = {}
    running = month(known.now)
    last = max([*count, running])
    at, before = min([*count, running]), 0
    while at <= last:
        following = datetime.fromisoformat(at).replace(tzinfo=UTC)
        following = following.replace(year=following.year + following.month // 12, month=following.month % 12 + 1)
        now = count.get(at, 0)
        growth = None if before == 0 else now / before - 1
        out[(at,)] = (now, before, growth, following.timestamp() * 1000 <= known.now)
        at, before = following.strftime("%Y-%m-01"), now
    return out


def recycle_yield(known: Known, days: int) -> Rows:
    gone = []
    for story in known.leads.values():
        cycles = set()
        for at, one in enumerate(story.transitions):
            if one.to_stage == "recycled" and one.cycle not in cycles:
                cycles.add(one.cycle)
                later = [
                    told.to_stage
                    for told in story.transitions[at + 1 :]
                    if told.entered_at <= one.entered_at + days * DAY
                ]
                gone.append((one.reason or "(none)", one.entered_at <= known.now - days * DAY, later))
    out = {}
    for reason, group in grouped(gone, lambda one: one[0]).items():
        mature = [later for _, ripe, later in group if ripe]
        back = sum("mql" in later or "opportunity" in later for later in mature)
        out[(reason,)] = (
            len(group), len(mature), len(mature) / len(group), back, sum("won" in later for later in mature),
            part(back, len(mature)),
        )  # fmt: skip
    return out


def touch_stage(known: Known, days: int) -> Rows:
    stages = ("mql", "sal", "sql", "opportunity", "won", "lost")
    entries: Counter[str] = Counter()
    moved: Counter[tuple[str, str, str]] = Counter()
    for lead, told in known.transitions():
        if told.implied or told.to_stage not in stages:
            continue
        entries[told.to_stage] += 1
        sorts = {
            (touch.event["channel"], touch.event["origin"])
            for touch in known.touches(lead)
            if 0 <= told.entered_at - touch.effective_at < days * DAY
        }
        moved.update((*sort, told.to_stage) for sort in sorts)
    return {key: (number, entries[key[2]], number / entries[key[2]]) for key, number in moved.items()}


def source_coverage(known: Known) -> Rows:
    leads, deals = len(known.leads), len(known.deals)
    told = sum(one.source is not None for one in known.leads.values())
    opened = sum(bool(deal.source) for deal in known.deals)
    return {("leads",): (leads, told, part(told, leads)), ("opportunities",): (deals, opened, part(opened, deals))}
