"""Numbers about money, touches and effort, counted by hand: view -> what it must say."""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.kpis.funnel import Rows, grouped, nearest, part
from tests.kpis.known import Deal, Known, money
from tests.oracle.agreement import read
from tests.oracle.calendar import DAY
from tests.oracle.records import Fact


def _cycle(deal: Deal) -> int:
    return (deal.closed or 0) - deal.opened


def win_rate(known: Known) -> Rows:
    out = {}
    for source, group in grouped(known.deals, lambda one: one.source or "(none)").items():
        count = Counter(deal.status for deal in group)
        closed = count["won"] + count["lost"]
        took = [_cycle(deal) / DAY for deal in group if deal.status == "won"]
        out[(source,)] = (
            count["open"], count["won"], count["lost"], part(count["won"], closed), nearest(took, 0.5), nearest(took, 0.9),
            closed / len(group),
        )  # fmt: skip
    return out


def pipeline_velocity(known: Known, days: int) -> Rows:
    out = {}
    for currency, group in grouped(known.deals, lambda one: one.currency).items():
        recent = [deal for deal in group if deal.closed is not None and deal.closed > known.now - days * DAY]
        won = [deal for deal in recent if deal.status == "won"]
        amounts = [deal.amount for deal in won if deal.amount is not None]
        is_open = sum(deal.status == "open" for deal in group)
        rate, mean = part(len(won), len(recent)), part(sum(amounts), len(amounts))
        cycle = nearest((_cycle(deal) / DAY for deal in won), 0.5)
        p50, p90 = nearest(amounts, 0.5), nearest(amounts, 0.9)
        value = None if rate is None or mean is None or not cycle else is_open * rate * mean / cycle
        out[(currency,)] = (is_open, len(won), len(recent) - len(won), rate, mean, p50, p90, cycle, value)
    return out


def goals(known: Known) -> Rows:
    agreement = read(known.world.agreement)
    name = known.world.agreement["default_calendar"]
    zone = ZoneInfo(known.world.agreement["calendars"][name]["zone"])
    calendar = agreement.calendars[name]
    happened: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for journey in known.journeys:
        for stage, at in journey.entered.items():
            if stage in ("inquiry", "mql", "sal", "sql"):
                happened[stage].append((at, 1))
    for deal in known.deals:
        happened["opportunity"].append((deal.opened, 1))
        if deal.status == "won" and deal.closed is not None:
            happened["won"].append((deal.closed, 1))
            if deal.amount is not None and deal.currency == known.world.agreement["currency"]["base"]:
                happened["won_amount"].append((deal.closed, deal.amount))
    out: Rows = {}
    for text, wanted in known.world.agreement["goals"].items():
        day = datetime.fromisoformat(f"{text}-01").date()
        ends, edges = [], []
        while day.isoformat()[:7] == text:
            edges = [
                int(datetime.combine(one, datetime.min.time(), zone).astimezone(UTC).timestamp() * 1000)
                for one in (day, day + timedelta(days=1))
            ]
            if calendar.open_between(edges[0], edges[1]) > 0:
                ends.append(edges[1])
            if day.day == 1:
                start = edges[0]
            day += timedelta(days=1)
        elapsed = sum(end <= known.now for end in ends)
        for metric, target in wanted.items():
            actual = sum(number for at, number in happened[metric] if start <= at < edges[1])
            attained = part(actual, target)
            pace = None if attained is None or not elapsed else attained / (elapsed / len(ends))
            out[f"{text}-01", metric] = (target, actual, attained, len(ends), elapsed, pace)
    return out


def campaign_cost(known: Known) -> Rows:
    stages = ("inquiry", "mql", "sal", "sql", "opportunity", "won")
    reached: dict[str, Counter[str]] = defaultdict(Counter)
    for journey in known.journeys:
        if journey.lead.campaign is not None:
            reached[journey.lead.campaign].update(journey.entered.keys())
            reached[journey.lead.campaign]["any"] += 1
    cost = _costs(known)
    out: Rows = {}
    for campaign in {*reached, *(name for name, _ in cost)}:
        counts = [reached[campaign][stage] for stage in stages] if campaign in reached else [0] * 6
        for currency in {currency for name, currency in cost if name == campaign} or {""}:
            spent = cost.get((campaign, currency), 0.0)
            out[campaign, currency] = (spent, *counts, *(part(spent, count) for count in counts))
    return out


def _costs(known: Known) -> dict[tuple[str, str], float]:
    cost: dict[tuple[str, str], float] = defaultdict(float)
    for event in {event["event_id"]: event for _, event in known.world.campaigns}.values():
        amount, currency = money(known.world, event["amount_minor"], event["currency"])
        cost[event["campaign"], currency] += amount
    return cost


def collateral_lift(known: Known, days: int) -> Rows:
    mqls = [one for one in known.journeys if "mql" in one.entered]
    mature = [one for one in mqls if one.entered["mql"] <= known.now - days * DAY]
    shown: dict[str, list[bool]] = defaultdict(list)

    def converted(one: Any) -> bool:
        at = one.at("opportunity")
        return at is not None and 0 <= at - one.entered["mql"] <= days * DAY

    for one in mature:
        seen = {
            touch.event["collateral_id"]
            for touch in known.touches(one.lead.lead_id)
            if touch.event["collateral_id"]
            and touch.event["outcome"] != "bounced"
            and 0 <= touch.effective_at - one.entered["mql"] <= days * DAY
            and touch.effective_at < one.entered.get("opportunity", 2**62)
        }
        for name in seen:
            shown[name].append(converted(one))
    whole = sum(converted(one) for one in mature)
    out: Rows = {}
    for name, them in shown.items():
        rate, others = sum(them) / len(them), len(mature) - len(them)
        other_rate = part(whole - sum(them), others)
        lift = None if not other_rate else rate / other_rate - 1
        out[(name,)] = (len(them), sum(them), rate, others, other_rate, lift, len(mature) / len(mqls))
    return out


def manual_events(known: Known) -> Rows:
    told = [fact for _, fact in known.facts if fact.name != "LeadErased"]
    return {
        key: (len(group), by_hand := sum(fact.event["entered_by"] == "person" for fact in group), by_hand / len(group))
        for key, group in grouped(told, lambda fact: (fact.name, fact.source_system)).items()
    }


def _completed(known: Known) -> dict[str, dict[str, str]]:
    """lead -> field -> who gave it first."""
    out: dict[str, dict[str, str]] = defaultdict(dict)
    for lead, fact in known.facts:
        if fact.name not in ("LeadCaptured", "LeadEnriched"):
            continue
        event = fact.event
        given = {name for name, value in (event.get("person") or {}).items() if value}
        given |= {name for name in ("account", "region") if event.get(name)} | set(event.get("fields", ()))
        by = "(person)" if event["entered_by"] == "person" else fact.source_system
        by = "(captured)" if fact.name == "LeadCaptured" else by
        for name in given & {"name", "email", "phone", "account", "region"}:
            out[lead].setdefault(name, by)
    return out


def completeness(known: Known) -> Rows:
    fields = _completed(known)
    out = {}
    for source, group in grouped(known.leads.values(), lambda one: one.source or "(none)").items():
        counts = [len(fields.get(one.lead_id, ())) for one in group]
        whole = counts.count(5)
        shares = (nearest((count / 5 for count in counts), share) for share in (0.5, 0.9))
        out[(source,)] = (len(group), whole, whole / len(group), *shares)
    return out


def known_fields(known: Known) -> Rows:
    fields = _completed(known)
    return {
        (journey.lead.lead_id, journey.cycle): (len(fields.get(journey.lead.lead_id, ())),)
        for journey in known.journeys
    }


def completed_by(known: Known) -> Rows:
    count = Counter((name, by) for fields in _completed(known).values() for name, by in fields.items())
    return {key: (number,) for key, number in count.items()}


def weights(known: Known, deal: Deal, model: str, half_life: int, months: int) -> list[tuple[Fact | None, float]]:
    """Touches before a won deal and what each has of it."""
    assert deal.closed is not None
    closed = datetime.fromtimestamp(deal.closed / 1000, UTC)
    year, place = divmod(closed.year * 12 + closed.month - 1 - months, 12)
    last_day = monthrange(year, place + 1)[1]
    since = closed.replace(year=year, month=place + 1, day=min(closed.day, last_day)).timestamp() * 1000
    people = {deal.lead, *(known.into.get(name, name) for name in deal.roles)}
    path = sorted(
        (
            touch for lead in people for touch in known.touches(lead)
            if touch.event["outcome"] != "bounced" and since <= touch.effective_at <= (deal.closed or 0)
        ),
        key=lambda touch: (
            touch.effective_at, touch.source_system, touch.event_id, touch.event["channel"],
            touch.event["campaign"] or "(none)", known.into.get(touch.lead, touch.lead),
        ),
    )  # fmt: skip
    if not path:
        return [(None, 1.0)]
    instants = [touch.effective_at for touch in path]
    captured = known.captured.get(deal.lead)
    creation = None if captured is None else max(bisect_right(instants, captured), 1) - 1
    opening = max(bisect_right(instants, deal.opened), 1) - 1
    share = [0.0] * len(path)
    match model:
        case "first":
            share[0] = 1
        case "last":
            share[-1] = 1
        case "linear":
            share = [1.0] * len(path)
        case "time_decay":
            share = [0.5 ** ((deal.closed // 1000 - at // 1000) / 86400 / half_life) for at in instants]
        case _:
            anchors = [0, creation] if model == "u" else [0, creation, opening]
            for anchor in (at for at in anchors if at is not None):
                share[anchor] += 0.4 if model == "u" else 0.3
            rest = [at for at in range(len(path)) if at not in anchors]
            for at in rest:
                share[at] = (0.2 if model == "u" else 0.1) / len(rest)
    return [(touch, value / sum(share)) for touch, value in zip(path, share, strict=True) if value]


def attribution(known: Known, model: str, half_life: int, months: int) -> Rows:
    deals: dict[tuple[str, str, str], set[Any]] = defaultdict(set)
    weight: dict[tuple[str, str, str], float] = defaultdict(float)
    amount: dict[tuple[str, str, str], float] = defaultdict(float)
    for deal in known.deals:
        if deal.status == "won":
            for touch, share in weights(known, deal, model, half_life, months):
                campaign = (touch and touch.event["campaign"]) or "(none)"
                key = (campaign, touch.event["channel"] if touch else "(none)", deal.currency)
                deals[key].add((deal.name, deal.lead))
                weight[key] += share
                amount[key] += share * (deal.amount or 0)
    return {key: (len(deals[key]), weight[key], amount[key]) for key in deals}


def campaign_return(known: Known, model: str, half_life: int, months: int) -> Rows:
    amount: dict[tuple[str, str], float] = defaultdict(float)
    for (campaign, _, currency), (_, _, value) in attribution(known, model, half_life, months).items():
        amount[campaign, currency] += value
    cost = _costs(known)
    keys = {*amount, *cost}
    currencies = Counter(key[0] for key in keys if cost.get(key) or amount.get(key))
    out: Rows = {}
    for key in keys:
        spent, earned = cost.get(key, 0.0), amount.get(key, 0.0)
        out[key] = (spent, earned, part(earned - spent, spent) if currencies[key[0]] < 2 else None)
    return out
