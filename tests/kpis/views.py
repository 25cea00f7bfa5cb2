"""Asks each view, and holds the answer against the count by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from streams.store.client import Client
from tests.kpis import clocks, deals, funnel
from tests.kpis.funnel import Rows
from tests.kpis.known import Known
from tests.oracle.calendar import DAY

MODELS: Final = ("first", "last", "linear", "u", "w", "time_decay")
SOME: Final = 6
"""Days: a window that is over for some and not for others."""


def _span(since: int, until: int) -> str:
    return f"since = fromUnixTimestamp64Milli({since}, 'UTC'), until = fromUnixTimestamp64Milli({until}, 'UTC')"


def _model(model: str) -> str:
    return f"model = '{model}', half_life_days = 90, lookback_months = 27"


Check = tuple[Callable[[Known], str], Callable[[Known], Rows]]


def _attribution(model: str) -> Check:
    select = (
        "campaign, channel, currency, opportunities, weight, amount FROM kpi_attribution("
        f"{_model(model)}, since = '2000-01-01 00:00:00', until = '2100-01-01 00:00:00')"
    )
    return lambda _: select, lambda known: deals.attribution(known, model, 90, 27)


HOUR: Final = DAY // 24


def _month(at: int) -> int:
    """Its first instant."""
    day = datetime.fromtimestamp(at / 1000, UTC).date().replace(day=1)
    return round(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp() * 1000)


PERIODS: Final[Mapping[str, Callable[[int], tuple[int, int]]]] = {
    "": lambda now: (now - 40 * DAY, now - 7 * DAY),
    "_of_days": lambda now: ((now - 40 * DAY) // DAY * DAY, (now - 7 * DAY) // DAY * DAY),
    "_of_hours": lambda now: ((now - 20 * DAY) // DAY * DAY + 6 * HOUR, (now - 20 * DAY) // DAY * DAY + 20 * HOUR),
    "_from_midnight": lambda now: ((now - 30 * DAY) // DAY * DAY, (now - 9 * DAY) // DAY * DAY + 13 * HOUR),
    "_of_months": lambda now: (_month(now - 40 * DAY), _month(now)),
    "_from_a_month": lambda now: (_month(now - 30 * DAY), now - 9 * DAY),
    "_to_midnight": lambda now: ((now - 30 * DAY) // DAY * DAY + 1, (now - 9 * DAY) // DAY * DAY),
}
"""Periods that begin and end in a day, with one, or within the same."""


def _flow(period: Callable[[int], tuple[int, int]]) -> Check:
    return (
        lambda known: (
            "source, from_stage, to_stage, entered_from, entered_to, flow"
            f" FROM kpi_flow_conversion({_span(*period(known.now))})"
        ),
        lambda known: funnel.flow(known, *period(known.now)),
    )


def _balance(period: Callable[[int], tuple[int, int]]) -> Check:
    return (
        lambda known: f"stage, at_start, entered, left, at_end FROM kpi_stage_balance({_span(*period(known.now))})",
        lambda known: funnel.stage_balance(known, *period(known.now)),
    )


def _conversion(days: int) -> Check:
    return (
        lambda _: (
            "toString(cohort), source, from_stage, to_stage, entered, mature, maturity_share, converted, conversion"
            f" FROM kpi_conversion(window_days = {days})"
        ),
        lambda known: funnel.conversion(known, days),
    )


CHECKS: Final[Mapping[str, Check]] = {
    "funnel_by_source": (
        lambda _: (
            "source, leads, reached_inquiry, reached_mql, reached_sal, reached_sql, reached_opportunity, won, lost, won_share,"
            " maturity_share FROM kpi_funnel_by_source"
        ),
        funnel.funnel_by_source,
    ),
    "current_stages": (lambda _: "source, stage, leads FROM kpi_current_stages", funnel.current_stages),
    "routing": (
        lambda _: (
            "team, raised, assigned, assigned_share, routing_p50_hours, routing_p90_hours, answered, rep_p50_hours,"
            " rep_p90_hours FROM kpi_routing"
        ),
        clocks.routing,
    ),
    "response_time": (
        lambda _: (
            "source, raised, responded, responded_share, maturity_share, p50_hours, p90_hours, min_hours, max_hours,"
            " open_p50_hours, open_p90_hours FROM kpi_response_time"
        ),
        clocks.response_time,
    ),
    "sla_compliance": (
        lambda _: f"policy, source, started, {', '.join(clocks.VERDICTS)}, due, gross, net FROM kpi_sla_compliance",
        clocks.sla_compliance,
    ),
    "open_clocks": (
        lambda _: (
            "policy, source, open, breached_open, toUnixTimestamp64Milli(next_deadline),"
            " toUnixTimestamp64Milli(oldest_breach) FROM kpi_open_clocks"
        ),
        clocks.open_clocks,
    ),
    "sla_missed": (
        lambda known: (
            "policy, team, missed, late_met, breached_ended, breached_open"
            f" FROM kpi_sla_missed({_span(*PERIODS[''](known.now))})"
        ),
        lambda known: clocks.sla_missed(known, *PERIODS[""](known.now)),
    ),
    "dead_letters": (lambda _: "reason, origin_topic, letters FROM kpi_dead_letters", clocks.dead_letters),
    "ignored": (
        lambda _: f"source, mqls, mature, maturity_share, ignored, ignored_rate FROM kpi_ignored(days = {SOME})",
        lambda known: funnel.ignored(known, SOME),
    ),
    "disposition": (
        lambda _: (
            "source, team, mqls, mature, maturity_share, accepted, rejected, coverage, acceptance"
            f" FROM kpi_disposition(days = {SOME})"
        ),
        lambda known: funnel.disposition(known, SOME),
    ),
    "rejections": (lambda _: "source, reason, rejections, share FROM kpi_rejections", funnel.rejections),
    "conversion": _conversion(SOME),
    **{f"conversion_in_{days}": _conversion(days) for days in (0, 1, 30)},
    **{f"flow{name}": _flow(period) for name, period in PERIODS.items()},
    "time_in_stage": (
        lambda _: "stage, source, stays, p50_days, p90_days FROM kpi_time_in_stage",
        funnel.time_in_stage,
    ),
    "stage_age": (lambda _: "stage, team, leads, p50_days, p90_days FROM kpi_stage_age", funnel.stage_age),
    **{f"stage_balance{name}": _balance(period) for name, period in PERIODS.items()},
    "velocity": (
        lambda _: "toString(month), qualified, before, velocity, is_over FROM kpi_lead_velocity",
        funnel.velocity,
    ),
    "recycle_yield": (
        lambda _: (
            "reason, recycled, mature, maturity_share, requalified, won, yield"
            f" FROM kpi_recycle_yield(window_days = {SOME})"
        ),
        lambda known: funnel.recycle_yield(known, SOME),
    ),
    "touch_stage": (
        lambda _: "channel, origin, stage, moved, entries, share FROM kpi_touch_stage(days = 2)",
        lambda known: funnel.touch_stage(known, 2),
    ),
    "source_coverage": (
        lambda _: "kind, total, with_source, coverage FROM kpi_source_coverage",
        funnel.source_coverage,
    ),
    "win_rate": (
        lambda _: "source, open, won, lost, win_rate, cycle_p50_days, cycle_p90_days, maturity_share FROM kpi_win_rate",
        deals.win_rate,
    ),
    "pipeline_velocity": (
        lambda _: (
            "currency, open, won, lost, win_rate, mean_won_amount, p50_won_amount, p90_won_amount, cycle_days,"
            " amount_per_day"
            " FROM kpi_pipeline_velocity(days = 100)"
        ),
        lambda known: deals.pipeline_velocity(known, 100),
    ),
    "manual_events": (
        lambda _: "event_type, source_system, events, by_hand, manual_ratio FROM kpi_manual_events",
        deals.manual_events,
    ),
    "completeness": (
        lambda _: "source, leads, complete, complete_share, p50_known, p90_known FROM kpi_completeness",
        deals.completeness,
    ),
    "known_fields": (
        lambda _: (
            "lead_id, cycle, known_fields FROM journeys"
            " WHERE lead_id NOT IN (SELECT lead_id FROM uncounted_leads) AND lead_stage != ''"
        ),
        deals.known_fields,
    ),
    "completed_by": (lambda _: "field, completed_by, leads FROM kpi_completed_by", deals.completed_by),
    "collateral_lift": (
        lambda _: (
            "collateral_id, shown, shown_converted, shown_rate, others, others_rate, lift, maturity_share"
            f" FROM kpi_collateral_lift(window_days = {SOME})"
        ),
        lambda known: deals.collateral_lift(known, SOME),
    ),
    "campaign_cost": (
        lambda _: (
            "campaign, currency, cost, inquiries, mqls, sals, sqls, opportunities, won, cost_per_inquiry,"
            " cost_per_mql, cost_per_sal, cost_per_sql, cost_per_opportunity, cost_per_won FROM kpi_campaign_cost"
        ),
        deals.campaign_cost,
    ),
    "goals": (
        lambda _: (
            "toString(month), metric, target, actual, attainment, business_days, elapsed_days, pace FROM kpi_goals"
        ),
        lambda known: deals.goals(known) if known.world.agreement.get("goals") else {},
    ),
    **{f"attribution_{model}": _attribution(model) for model in MODELS},
    "campaign_return": (
        lambda _: f"campaign, currency, cost, amount, roi FROM kpi_campaign_return({_model('linear')})",
        lambda known: deals.campaign_return(known, "linear", 90, 27),
    ),
}
"""Name -> (what is selected, what must come)."""
AT_ONCE: Final = (
    "funnel_by_source",
    "current_stages",
    "sla_compliance",
    "sla_missed",
    "disposition",
    "rejections",
    "conversion",
    "flow",
    "stage_balance",
    "velocity",
    "recycle_yield",
)
"""Those that add what has changed since the last rollup."""
OVER_A_WINDOW: Final = ("ignored", "disposition", "conversion", "recycle_yield", "collateral_lift")
"""Those whose window is SOME days."""


def _close(one: Any, other: Any, relative: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(float(one), float(other), rel_tol=relative, abs_tol=1e-6)


def wrong(client: Client, known: Known, name: str) -> str | None:
    """What is different, or None."""
    return different(client.query(f"SELECT {CHECKS[name][0](known)}").result_rows, known, name)


def different(found: Sequence[Sequence[Any]], known: Known, name: str) -> str | None:
    """The same of rows that somebody else asked for."""
    expected = CHECKS[name][1](known)
    found = [tuple(row) for row in found]
    # Weights have nine digits, of which a touch of long ago has few that count.
    relative = 1e-5 if name.startswith(("attribution", "campaign_return")) else 1e-8
    width = len(next(iter(expected))) if expected else 0
    got = {row[:width]: row[width:] for row in found} if expected else dict.fromkeys(found, ())
    assert len(got) == len(found), f"{name}: a key stands twice"
    for key in sorted({*expected, *got}, key=str):
        mine, theirs = expected.get(key), got.get(key)
        if (
            mine is None
            or theirs is None
            or not all(_close(one, other, relative) for one, other in zip(mine, theirs, strict=True))
        ):
            return f"{name} {key}: expected {mine}, the view says {theirs}"
    return None
