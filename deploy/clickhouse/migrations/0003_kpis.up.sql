-- Views that BI reads, one for each number; those of 0001 belong to them. docs/kpis.md is made of their comments.
--
-- A comment holds: what it is and its unit. | The question. | Definition and grain. | Caveat.
-- Names in brackets after a view are its parameters: SELECT * FROM kpi_ignored(days = 7).
-- Everywhere: cohort by the first entry of a stage in a lead's cycle; merged, erased and test leads left out; "now" is as_of;
-- quantiles are nearest rank, sorted[floor(p * n)]; months are UTC; nothing is grouped by person.

CREATE OR REPLACE VIEW counted_journeys
AS SELECT *, ifNull(journeys.source, '(none)') AS told_source, ifNull(journeys.team, '(none)') AS told_team
FROM journeys
WHERE NOT is_test AND lead_stage NOT IN ('', 'merged', 'erased')
COMMENT 'Journeys of the leads that count';

CREATE OR REPLACE VIEW counted_transitions
AS SELECT told.* EXCEPT (source), ifNull(lead.source, '(none)') AS source
FROM (SELECT * FROM lead_transitions FINAL WHERE NOT is_test) AS told
-- The source that the lead has now: a late capture may have told it.
INNER JOIN
(
    SELECT lead_id, leads.source AS source
    FROM leads FINAL
    WHERE NOT leads.is_test AND stage NOT IN ('', 'merged', 'erased')
) AS lead ON lead.lead_id = told.lead_id
COMMENT 'Entries into stages of the leads that count';

CREATE OR REPLACE VIEW kpi_routing
(
    team String COMMENT 'Last team in the cycle; (none)',
    raised UInt64 COMMENT 'Cycles with a hand-raise',
    assigned UInt64 COMMENT 'Those assigned to a person at or after it',
    assigned_share Float64 COMMENT 'assigned / raised',
    routing_p50_hours Nullable(Float64) COMMENT 'From the first hand-raise to the first assignment to a person',
    routing_p90_hours Nullable(Float64) COMMENT 'Likewise',
    answered UInt64 COMMENT 'Cycles with response evidence at or after the first assignment',
    rep_p50_hours Nullable(Float64) COMMENT 'From the first assignment to the first response evidence',
    rep_p90_hours Nullable(Float64) COMMENT 'Likewise'
)
AS SELECT
    told_team AS team,
    count() AS raised,
    count(routing) AS assigned,
    assigned / raised AS assigned_share,
    quantileExact(0.5)(routing) / 3600000 AS routing_p50_hours,
    quantileExact(0.9)(routing) / 3600000 AS routing_p90_hours,
    count(rep) AS answered,
    quantileExact(0.5)(rep) / 3600000 AS rep_p50_hours,
    quantileExact(0.9)(rep) / 3600000 AS rep_p90_hours
FROM
(
    SELECT
        told_team,
        toUnixTimestamp64Milli(first_assigned_at) - toUnixTimestamp64Milli(hand_raised_at) AS assigned_after,
        toUnixTimestamp64Milli(first_touched_at) - toUnixTimestamp64Milli(first_assigned_at) AS touched_after,
        if(assigned_after >= 0, assigned_after, NULL) AS routing,
        if(touched_after >= 0, touched_after, NULL) AS rep
    FROM counted_journeys
    WHERE hand_raised_at IS NOT NULL
)
GROUP BY team
COMMENT 'Routing delay and response of the rep, hours of wall time.|Where does a raised hand wait: in routing, or with the rep?|By team, of cycles with a hand-raise: first assignment to a person minus first hand-raise; first response evidence minus first assignment.|What happened before the hand-raise or the assignment has no delay and is left out of the quantiles.';

CREATE OR REPLACE VIEW kpi_sla_missed
AS SELECT
    sla_instances.policy AS policy,
    ifNull(sla_instances.team, '(none)') AS team,
    count() AS missed,
    countIf(verdict = 'late_met') AS late_met,
    countIf(verdict = 'breached_ended') AS breached_ended,
    countIf(verdict = 'breached_open') AS breached_open
FROM sla_instances FINAL
WHERE breached_at >= {since:DateTime64(3, 'UTC')} AND breached_at < {until:DateTime64(3, 'UTC')}
    AND NOT is_test AND lead_id NOT IN (SELECT lead_id FROM uncounted_leads)
GROUP BY policy, team
COMMENT 'Deadlines missed in a period, count of clocks (since, until).|Which promises were broken last month, and what became of them?|By policy and team, of clocks with breached_at in [since, until): all, and by how they stand now.|A breach taken back by late evidence is none.';

CREATE OR REPLACE VIEW kpi_ignored
AS SELECT
    told_source AS source,
    count() AS mqls,
    countIf(is_mature) AS mature,
    mature / mqls AS maturity_share,
    countIf(is_mature AND NOT is_touched) AS ignored,
    if(mature = 0, NULL, ignored / mature) AS ignored_rate
FROM
(
    SELECT
        told_source,
        mql_at <= (SELECT at FROM as_of) - toIntervalDay({days:UInt32}) AS is_mature,
        arrayExists(at -> at >= mql_at AND at < mql_at + toIntervalDay({days:UInt32}), touched.ats) AS is_touched
    FROM counted_journeys
    LEFT JOIN (SELECT lead_id, groupArray(at) AS ats FROM touches WHERE actor = 'human' GROUP BY lead_id) AS touched
        ON touched.lead_id = counted_journeys.lead_id
    WHERE mql_at IS NOT NULL
)
GROUP BY source
COMMENT 'Share of MQLs that nobody touched within N days (days).|Which leads that marketing hands over does nobody look at?|By source, of entries of mql: ignored = without a human touch in [mql, mql + days); rate = ignored / those at least days old.|Any human touch counts, whatever its direction and origin.';

CREATE OR REPLACE VIEW kpi_disposition
AS SELECT
    told_source AS source,
    told_team AS team,
    count() AS mqls,
    countIf(is_mature) AS mature,
    mature / mqls AS maturity_share,
    countIf(is_mature AND is_accepted) AS accepted,
    countIf(is_mature AND is_rejected AND NOT is_accepted) AS rejected,
    if(mature = 0, NULL, (accepted + rejected) / mature) AS coverage,
    if(accepted + rejected = 0, NULL, accepted / (accepted + rejected)) AS acceptance
FROM
(
    SELECT
        told_source,
        told_team,
        mql_at <= (SELECT at FROM as_of) - toIntervalDay({days:UInt32}) AS is_mature,
        sal_at IS NOT NULL AS is_accepted,
        (lead_id, cycle) IN (SELECT lead_id, cycle FROM counted_transitions WHERE event_type = 'LeadRejected') AS is_rejected
    FROM counted_journeys
    WHERE mql_at IS NOT NULL
)
GROUP BY source, team
COMMENT 'Disposition coverage and acceptance of MQLs, shares (days).|Does sales say yes or no to what marketing hands over, and how often yes?|By source and team, of cycles whose mql is at least days old: coverage = (sal + rejected) / mature; acceptance = sal / (sal + rejected).|An implied sal counts as accepted. Rejected and accepted in one cycle counts as accepted.';

CREATE OR REPLACE VIEW kpi_rejections
(
    source String COMMENT 'The lead''s source; (none)',
    reason String COMMENT 'Reason of LeadRejected',
    rejections UInt64 COMMENT 'Rejections',
    share Float64 COMMENT 'Of all rejections of the source'
)
AS SELECT
    source,
    reason,
    rejections,
    rejections / sum(rejections) OVER (PARTITION BY source) AS share
FROM
(
    SELECT
        source,
        ifNull(counted_transitions.reason, '(none)') AS reason,
        count() AS rejections
    FROM counted_transitions
    WHERE event_type = 'LeadRejected'
    GROUP BY source, reason
)
COMMENT 'Why sales rejects leads, count and share.|What is wrong with the leads of a source?|By source and reason: LeadRejected that moved a lead.|A rejection that was not legal, because the lead stood elsewhere, is none.';

CREATE OR REPLACE VIEW kpi_conversion
AS SELECT
    toStartOfMonth(step.3) AS cohort,
    told_source AS source,
    step.1 AS from_stage,
    step.2 AS to_stage,
    count() AS entered,
    countIf(is_mature) AS mature,
    mature / entered AS maturity_share,
    countIf(is_mature AND is_converted) AS converted,
    if(mature = 0, NULL, converted / mature) AS conversion
FROM
(
    SELECT
        told_source,
        arrayJoin([
            ('inquiry', 'mql', inquiry_at, mql_at), ('mql', 'sal', mql_at, sal_at), ('sal', 'sql', sal_at, sql_at),
            ('sql', 'opportunity', sql_at, opportunity_at), ('opportunity', 'won', opportunity_at, won_at),
            ('mql', 'won', mql_at, won_at), ('inquiry', 'won', inquiry_at, won_at)
        ]) AS step,
        step.3 <= (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32}) AS is_mature,
        ifNull(step.4 >= step.3 AND step.4 <= step.3 + toIntervalDay({window_days:UInt32}), 0) AS is_converted
    FROM counted_journeys
    WHERE step.3 IS NOT NULL
)
GROUP BY cohort, source, from_stage, to_stage
COMMENT 'Cohort conversion between stages within a window, share (window_days).|Of those who entered a stage in a month, how many got further in time?|By month of entry, source and pair of stages, of first entries per cycle: converted = the later stage entered within window_days; of those for whom the window is over.|Cycles stand for themselves: what a later cycle reaches is not counted here. Small cohorts jump.';

CREATE OR REPLACE VIEW kpi_flow_conversion
AS SELECT
    told_source AS source,
    step.1 AS from_stage,
    step.2 AS to_stage,
    countIf(step.3 >= {since:DateTime64(3, 'UTC')} AND step.3 < {until:DateTime64(3, 'UTC')}) AS entered_from,
    countIf(step.4 >= {since:DateTime64(3, 'UTC')} AND step.4 < {until:DateTime64(3, 'UTC')}) AS entered_to,
    if(entered_from = 0, NULL, entered_to / entered_from) AS flow
FROM
(
    SELECT
        told_source,
        arrayJoin([
            ('inquiry', 'mql', inquiry_at, mql_at), ('mql', 'sal', mql_at, sal_at), ('sal', 'sql', sal_at, sql_at),
            ('sql', 'opportunity', sql_at, opportunity_at), ('opportunity', 'won', opportunity_at, won_at)
        ]) AS step
    FROM counted_journeys
)
GROUP BY source, from_stage, to_stage
COMMENT 'Flow conversion of a period, ratio (since, until).|How much goes in and comes out of a stage this month?|By source and pair of stages: first entries of the later one in [since, until) / those of the earlier one.|Not a cohort: those who come out are not those who went in, and it may exceed 1. For decisions take kpi_conversion.';

CREATE OR REPLACE VIEW stays
AS SELECT
    lead_id, cycle, to_stage AS stage, implied, entered_at, source,
    leadInFrame(toNullable(entered_at)) OVER (PARTITION BY lead_id ORDER BY sequence ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS left_at
FROM counted_transitions
COMMENT 'Stays of leads in stages; left_at NULL: still there';

CREATE OR REPLACE VIEW kpi_time_in_stage
(
    stage String COMMENT 'Stage that was left',
    source String COMMENT 'The lead''s source; (none)',
    stays UInt64 COMMENT 'Stays that ended',
    p50_days Float64 COMMENT 'Wall time from entering to leaving',
    p90_days Float64 COMMENT 'Likewise'
)
AS SELECT
    stage,
    source,
    count() AS stays,
    quantileExact(0.5)(took) / 86400000 AS p50_days,
    quantileExact(0.9)(took) / 86400000 AS p90_days
FROM
(
    SELECT stage, source, assumeNotNull(toUnixTimestamp64Milli(left_at)) - toUnixTimestamp64Milli(entered_at) AS took
    FROM stays
    WHERE left_at IS NOT NULL AND NOT implied
)
GROUP BY stage, source
COMMENT 'Time in stage of stays that ended, days.|How long do leads stand where they stand?|By stage and source: entry of the next stage minus entry of this one.|Implied entries are left out. Long stays that have not ended are missing: see kpi_stage_age.';

CREATE OR REPLACE VIEW kpi_stage_age
(
    stage String COMMENT 'Stage now, of those that are no end',
    team String COMMENT 'Team now; (none)',
    leads UInt64 COMMENT 'Leads that stand there',
    p50_days Float64 COMMENT 'Age since the entry',
    p90_days Float64 COMMENT 'Likewise'
)
AS SELECT
    leads.stage AS stage,
    ifNull(leads.team, '(none)') AS team,
    count() AS leads,
    quantileExact(0.5)(age) / 86400000 AS p50_days,
    quantileExact(0.9)(age) / 86400000 AS p90_days
FROM
(
    SELECT leads.stage, leads.team, toUnixTimestamp64Milli((SELECT at FROM as_of)) - toUnixTimestamp64Milli(assumeNotNull(stage_entered_at)) AS age
    FROM leads FINAL
    WHERE NOT is_test AND leads.stage NOT IN ('', 'won', 'lost', 'disqualified', 'merged', 'erased')
) AS leads
GROUP BY stage, team
COMMENT 'Age of leads in the stage where they stand, days.|What lies around, and for how long?|By stage and team, of leads now: as_of minus the entry.|won, lost and disqualified do not age.';

CREATE OR REPLACE VIEW kpi_stage_balance
AS SELECT
    stage,
    countIf(entered_at < {since:DateTime64(3, 'UTC')} AND (left_at IS NULL OR left_at >= {since:DateTime64(3, 'UTC')})) AS at_start,
    countIf(entered_at >= {since:DateTime64(3, 'UTC')} AND entered_at < {until:DateTime64(3, 'UTC')}) AS entered,
    countIf(left_at >= {since:DateTime64(3, 'UTC')} AND left_at < {until:DateTime64(3, 'UTC')}) AS left,
    countIf(entered_at < {until:DateTime64(3, 'UTC')} AND (left_at IS NULL OR left_at >= {until:DateTime64(3, 'UTC')})) AS at_end
FROM stays
GROUP BY stage
COMMENT 'Stock and flow of stages in a period, count of leads (since, until).|Is the pipeline filling up or running dry?|By stage: at_start + entered - left = at_end, implied entries included.|A lead that enters and leaves in the period is in both flows.';

CREATE OR REPLACE VIEW kpi_lead_velocity
(
    month Date COMMENT 'First day',
    qualified UInt64 COMMENT 'Entries of mql, one a cycle',
    before UInt64 COMMENT 'Those of the month before',
    velocity Nullable(Float64) COMMENT 'qualified / before - 1; NULL when before is 0',
    is_over Bool COMMENT 'The month has ended'
)
AS SELECT
    month,
    qualified,
    lagInFrame(qualified, 1, 0) OVER (ORDER BY month ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before,
    if(before = 0, NULL, qualified / before - 1) AS velocity,
    toDateTime64(addMonths(month, 1), 3, 'UTC') <= (SELECT at FROM as_of) AS is_over
FROM
(
    SELECT toStartOfMonth(assumeNotNull(mql_at)) AS month, count() AS qualified
    FROM counted_journeys
    WHERE mql_at IS NOT NULL
    GROUP BY month
    ORDER BY month WITH FILL STEP toIntervalMonth(1)
)
COMMENT 'Lead velocity rate, growth of qualified leads from month to month.|Does the pipeline of tomorrow grow?|By UTC month: entries of mql / those of the month before - 1.|The running month is not over: look at is_over.';

CREATE OR REPLACE VIEW kpi_win_rate
(
    source String COMMENT 'Source of the opportunity; (none)',
    open UInt64 COMMENT 'Opportunities still open',
    won UInt64 COMMENT 'Won',
    lost UInt64 COMMENT 'Lost',
    win_rate Nullable(Float64) COMMENT 'won / (won + lost)',
    cycle_p50_days Nullable(Float64) COMMENT 'Sales cycle of those won: opening to winning',
    cycle_p90_days Nullable(Float64) COMMENT 'Likewise',
    maturity_share Float64 COMMENT '(won + lost) / all'
)
AS SELECT
    if(opportunities.source = '', '(none)', opportunities.source) AS source,
    countIf(status = 'open') AS open,
    countIf(status = 'won') AS won,
    countIf(status = 'lost') AS lost,
    won / nullIf(won + lost, 0) AS win_rate,
    quantileExactOrNullIf(0.5)(took, status = 'won') / 86400000 AS cycle_p50_days,
    quantileExactOrNullIf(0.9)(took, status = 'won') / 86400000 AS cycle_p90_days,
    (won + lost) / count() AS maturity_share
FROM (SELECT *, ifNull(toUnixTimestamp64Milli(closed_at), 0) - toUnixTimestamp64Milli(opened_at) AS took FROM opportunities) AS opportunities
GROUP BY source
COMMENT 'Win rate and length of the sales cycle.|How many deals do we win, and how long does it take?|By source, of opportunities: won / (won + lost); median and p90 of opening to winning.|An opportunity that nobody opened in so many words has cycle 0. Fast deals close first: young cohorts look better than they are.';

CREATE OR REPLACE VIEW kpi_pipeline_velocity
AS SELECT
    currency,
    countIf(status = 'open') AS open,
    countIf(recent AND status = 'won') AS won,
    countIf(recent AND status = 'lost') AS lost,
    won / nullIf(won + lost, 0) AS win_rate,
    avgOrNullIf(amount, recent AND status = 'won') AS mean_won_amount,
    quantileExactOrNullIf(0.5)(took, recent AND status = 'won') / 86400000 AS cycle_days,
    open * win_rate * mean_won_amount / nullIf(cycle_days, 0) AS amount_per_day
FROM
(
    SELECT
        currency, status, amount,
        status != 'open' AND closed_at > (SELECT at FROM as_of) - toIntervalDay({days:UInt32}) AS recent,
        ifNull(toUnixTimestamp64Milli(closed_at), 0) - toUnixTimestamp64Milli(opened_at) AS took
    FROM opportunities
)
GROUP BY currency
COMMENT 'Pipeline velocity, amount won per day (days).|What is the pipeline worth a day as things go?|By currency: open opportunities x win rate x mean amount won / median sales cycle in days; the last three of opportunities closed in the last days.|NULL where nothing was won. Opportunities without an amount count in the rates, not in the mean.';

CREATE OR REPLACE VIEW kpi_goals
(
    month Date COMMENT 'First day of the month, in the default calendar''s zone',
    metric String COMMENT 'inquiry, mql, sal, sql, opportunity, won or won_amount',
    target Float64 COMMENT 'What both sides want',
    actual Float64 COMMENT 'What there is',
    attainment Nullable(Float64) COMMENT 'actual / target',
    business_days UInt64 COMMENT 'Of the month',
    elapsed_days UInt64 COMMENT 'Those that are over',
    pace Nullable(Float64) COMMENT 'attainment / share of business days elapsed; 1: on course',
    unit String COMMENT 'count, or a currency'
)
AS SELECT
    goals.month AS month,
    goals.metric AS metric,
    goals.target AS target,
    multiIf(
        goals.metric = 'won_amount', arraySum(x -> if(x.1 = 'won_amount' AND x.2 >= starts_at AND x.2 < ends_at, x.3, 0), happened),
        toFloat64(arrayCount(x -> x.1 = goals.metric AND x.2 >= starts_at AND x.2 < ends_at, happened))
    ) AS actual,
    actual / nullIf(target, 0) AS attainment,
    length(days_end_at) AS business_days,
    arrayCount(ended -> ended <= (SELECT at FROM as_of), days_end_at) AS elapsed_days,
    attainment / nullIf(elapsed_days / nullIf(business_days, 0), 0) AS pace,
    if(goals.metric = 'won_amount', base_currency, 'count') AS unit
FROM goals
LEFT JOIN
(
    SELECT metric, groupArray((metric, at, amount)) AS happened
    FROM
    (
        SELECT x.1 AS metric, assumeNotNull(x.2) AS at, 0. AS amount
        FROM counted_journeys
        ARRAY JOIN [('inquiry', inquiry_at), ('mql', mql_at), ('sal', sal_at), ('sql', sql_at)] AS x
        WHERE x.2 IS NOT NULL
        UNION ALL
        SELECT 'opportunity', opened_at, 0. FROM opportunities
        UNION ALL
        SELECT 'won', assumeNotNull(closed_at), 0. FROM opportunities WHERE status = 'won'
        UNION ALL
        SELECT 'won_amount', assumeNotNull(closed_at), assumeNotNull(amount)
        FROM opportunities
        WHERE status = 'won' AND amount IS NOT NULL AND currency IN (SELECT base_currency FROM goals)
    )
    GROUP BY metric
) AS told ON told.metric = goals.metric
COMMENT 'Joint goals: attainment and pace.|Are we where we wanted to be by now?|By month and metric: first entries of stages per cycle, opportunities opened and won, or amount won, in the month of the default calendar''s zone; pace = attainment / (business days over / business days).|NULL pace before the first business day is over. Amounts without a rate into the base currency are left out.';

CREATE OR REPLACE VIEW kpi_source_coverage
(
    kind String COMMENT 'leads or opportunities',
    total UInt64 COMMENT 'All',
    with_source UInt64 COMMENT 'Those whose source is told',
    coverage Nullable(Float64) COMMENT 'with_source / total'
)
AS SELECT 'leads' AS kind, count() AS total, countIf(source IS NOT NULL) AS with_source, with_source / nullIf(total, 0) AS coverage
FROM leads FINAL
WHERE NOT is_test AND stage NOT IN ('', 'merged', 'erased')
UNION ALL
SELECT 'opportunities', count() AS total, countIf(source != '') AS with_source, with_source / nullIf(total, 0)
FROM opportunities
COMMENT 'Source coverage, share.|Of how much of the pipeline do we know where it came from?|Leads with a source / leads; opportunities opened with a source / opportunities.|A source called unknown is a source.';

CREATE OR REPLACE VIEW kpi_campaign_cost
(
    campaign String COMMENT 'The campaign; also one without cost or without leads',
    currency String COMMENT 'Of the cost; empty: no cost told',
    cost Float64 COMMENT 'Cost told so far',
    inquiries UInt64 COMMENT 'First entries by cycle of leads of the campaign',
    mqls UInt64 COMMENT 'Likewise',
    sals UInt64 COMMENT 'Likewise',
    sqls UInt64 COMMENT 'Likewise',
    opportunities UInt64 COMMENT 'Likewise',
    won UInt64 COMMENT 'Likewise',
    cost_per_inquiry Nullable(Float64) COMMENT 'cost / inquiries; NULL where there are none',
    cost_per_mql Nullable(Float64) COMMENT 'Likewise',
    cost_per_sal Nullable(Float64) COMMENT 'Likewise',
    cost_per_sql Nullable(Float64) COMMENT 'Likewise',
    cost_per_opportunity Nullable(Float64) COMMENT 'Likewise',
    cost_per_won Nullable(Float64) COMMENT 'Likewise'
)
AS SELECT
    campaign, currency, spent.cost AS cost, reached.inquiries AS inquiries, reached.mqls AS mqls, reached.sals AS sals,
    reached.sqls AS sqls, reached.opportunities AS opportunities, reached.won AS won,
    cost / nullIf(inquiries, 0) AS cost_per_inquiry, cost / nullIf(mqls, 0) AS cost_per_mql,
    cost / nullIf(sals, 0) AS cost_per_sal, cost / nullIf(sqls, 0) AS cost_per_sql,
    cost / nullIf(opportunities, 0) AS cost_per_opportunity, cost / nullIf(won, 0) AS cost_per_won
FROM (SELECT campaign, campaign_costs.currency AS currency, sum(amount) AS cost FROM campaign_costs GROUP BY campaign, currency) AS spent
FULL OUTER JOIN
(
    SELECT
        assumeNotNull(counted_journeys.campaign) AS campaign,
        count(inquiry_at) AS inquiries, count(mql_at) AS mqls, count(sal_at) AS sals, count(sql_at) AS sqls,
        count(opportunity_at) AS opportunities, count(won_at) AS won
    FROM counted_journeys
    WHERE counted_journeys.campaign IS NOT NULL
    GROUP BY campaign
) AS reached USING (campaign)
COMMENT 'Cost of a campaign per lead that reached a stage, in units of a currency.|What does an MQL of this campaign cost us?|By campaign and currency of the cost: cost told / first entries per cycle of leads first captured by the campaign.|Costs without a rate into the base currency make a row of their own, with the same leads.';

CREATE OR REPLACE VIEW kpi_recycle_yield
AS SELECT
    reason,
    count() AS recycled,
    countIf(is_mature) AS mature,
    mature / recycled AS maturity_share,
    countIf(is_mature AND came_back) AS requalified,
    countIf(is_mature AND was_won) AS won,
    if(mature = 0, NULL, requalified / mature) AS yield
FROM
(
    SELECT
        ifNull(gone.reason, '(none)') AS reason,
        gone.entered_at <= (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32}) AS is_mature,
        arrayExists(x -> x.1 > gone.sequence AND x.2 = 'mql' AND x.3 <= gone.entered_at + toIntervalDay({window_days:UInt32}), later.entries) AS came_back,
        arrayExists(x -> x.1 > gone.sequence AND x.2 = 'won' AND x.3 <= gone.entered_at + toIntervalDay({window_days:UInt32}), later.entries) AS was_won
    FROM (SELECT lead_id, sequence, entered_at, reason FROM counted_transitions WHERE to_stage = 'recycled') AS gone
    LEFT JOIN
    (
        SELECT lead_id, groupArray((sequence, toString(to_stage), entered_at)) AS entries
        FROM counted_transitions
        WHERE to_stage IN ('mql', 'won')
        GROUP BY lead_id
    ) AS later ON later.lead_id = gone.lead_id
)
GROUP BY reason
COMMENT 'What comes of recycled leads, count and share (window_days).|Is it worth while to come back to them?|By reason, of entries of recycled: qualified anew, and won, within window_days; of those for whom the window is over.|A lead recycled twice stands twice.';

CREATE OR REPLACE VIEW kpi_collateral_lift
AS SELECT
    collateral_id,
    count() AS shown,
    countIf(is_won) AS shown_converted,
    shown_converted / shown AS shown_rate,
    (tupleElement(whole, 1) - shown) AS others,
    (tupleElement(whole, 2) - shown_converted) / nullIf(others, 0) AS others_rate,
    shown_rate / nullIf(others_rate, 0) - 1 AS lift,
    tupleElement(whole, 3) AS maturity_share
FROM
(
    SELECT
        lead_id, cycle, arrayJoin(arrayDistinct(arrayMap(x -> x.2, arrayFilter(
            x -> x.1 >= mql_at AND x.1 <= mql_at + toIntervalDay({window_days:UInt32}) AND (opportunity_at IS NULL OR x.1 < opportunity_at),
            seen.shows
        )))) AS collateral_id,
        ifNull(opportunity_at >= mql_at AND opportunity_at <= mql_at + toIntervalDay({window_days:UInt32}), 0) AS is_won
    FROM counted_journeys
    INNER JOIN
    (
        SELECT lead_id, groupArray((at, collateral_id)) AS shows FROM touches WHERE collateral_id != '' GROUP BY lead_id
    ) AS seen ON seen.lead_id = counted_journeys.lead_id
    WHERE mql_at <= (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})
) AS shown_to
CROSS JOIN
(
    SELECT (
        countIf(is_mature),
        countIf(is_mature AND ifNull(opportunity_at >= mql_at AND opportunity_at <= mql_at + toIntervalDay({window_days:UInt32}), 0)),
        countIf(is_mature) / greatest(count(), 1)
    ) AS whole
    FROM (SELECT mql_at, opportunity_at, mql_at <= (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32}) AS is_mature FROM counted_journeys WHERE mql_at IS NOT NULL)
) AS everybody
GROUP BY collateral_id, whole
COMMENT 'Lift of a piece of collateral, ratio - 1 (window_days).|Do leads who saw it become opportunities more often?|By collateral, of MQLs for whom window_days are over: share of those with an opportunity in the window, among those it was shown to before that / among all others, - 1.|No proof of cause: who is shown more is often closer already, and whoever converts at once had less time to be shown anything.';

CREATE OR REPLACE VIEW kpi_manual_events
(
    event_type String COMMENT 'Record name',
    source_system String COMMENT 'The system that says so',
    events UInt64 COMMENT 'Events that count',
    by_hand UInt64 COMMENT 'Those entered by a person',
    manual_ratio Float64 COMMENT 'by_hand / events'
)
AS SELECT told.event_type AS event_type, told.source_system AS source_system, count() AS events, countIf(told.entered_by = 'person') AS by_hand, by_hand / events AS manual_ratio
FROM facts(types = []) AS told
WHERE told.event_type NOT IN ('FactWithdrawn', 'LeadErased')
GROUP BY event_type, source_system
COMMENT 'Manual-event ratio, share.|How much typing does all this cost?|By record and system: events entered by a person / events.|As the sending system says.';

CREATE OR REPLACE VIEW completed_fields
AS SELECT
    lead_id,
    field,
    argMin(by, (at, source_system, event_id)) AS completed_by
FROM
(
    SELECT told.lead_id AS lead_id, told.at AS at, told.source_system AS source_system, told.event_id AS event_id,
        if(told.event_type = 'LeadCaptured', '(captured)', if(told.said.filled_by = '', '(unknown)', toString(told.said.filled_by))) AS by,
        arrayJoin(arrayDistinct(arrayConcat(
            arrayMap(x -> toString(x), told.person_fields), arrayMap(x -> toString(x), told.said.fields),
            if(told.said.account = '', [], ['account']), if(told.said.region = '', [], ['region'])
        ))) AS field
    FROM facts(types = ['LeadCaptured', 'LeadEnriched']) AS told
)
WHERE field IN ('name', 'email', 'phone', 'account', 'region')
GROUP BY lead_id, field
COMMENT 'Which of the fields name, email, phone, account, region are known of a lead, and who gave them first';

CREATE OR REPLACE VIEW kpi_completeness
(
    source String COMMENT 'The lead''s source; (none)',
    leads UInt64 COMMENT 'Leads',
    complete UInt64 COMMENT 'Leads of whom all five fields are known',
    complete_share Float64 COMMENT 'complete / leads',
    p50_known Float64 COMMENT 'Share of the five fields that is known, median',
    p90_known Float64 COMMENT 'Likewise, p90'
)
AS SELECT
    ifNull(counted.source, '(none)') AS source, count() AS leads, countIf(known.fields = 5) AS complete, complete / leads AS complete_share,
    quantileExact(0.5)(known.fields) / 5 AS p50_known, quantileExact(0.9)(known.fields) / 5 AS p90_known
FROM (SELECT lead_id, leads.source FROM leads FINAL WHERE NOT is_test AND stage NOT IN ('', 'merged', 'erased')) AS counted
LEFT JOIN (SELECT lead_id, count() AS fields FROM completed_fields GROUP BY lead_id) AS known ON known.lead_id = counted.lead_id
GROUP BY source
COMMENT 'Completeness of leads, share of five fields.|Do we know enough of a lead to call it?|By source, of leads: how many of name, email, phone, account and region some event gave; the values themselves are not in the store.|A field that was given once is known, whether or not it was right.';

CREATE OR REPLACE VIEW kpi_completed_by
(
    field String COMMENT 'name, email, phone, account or region',
    completed_by String COMMENT '(captured), or who filled it',
    leads UInt64 COMMENT 'Leads whose field was first given so'
)
AS SELECT field, completed_by, count() AS leads
FROM completed_fields
GROUP BY field, completed_by
COMMENT 'Who completes leads, count.|Who fills the gaps?|By field and by whom it was given first: with the capture, or filled_by of LeadEnriched.|(unknown): LeadEnriched did not say.';

CREATE OR REPLACE VIEW attribution
AS SELECT
    opportunity_id,
    lead_id,
    closed_at,
    amount,
    currency,
    touch.2 AS source_system,
    touch.3 AS event_id,
    touch.4 AS channel,
    touch.5 AS campaign,
    toDecimal64(part, 9) / toDecimal64(1000000000, 0) AS weight
FROM
(
    SELECT
        *,
        length(path) AS n,
        -- Who captured and who opened: the last touch at or before it, else the first.
        greatest(arrayCount(t -> t.1 <= ifNull(captured_at, closed_at), path), 1) AS creation,
        greatest(arrayCount(t -> t.1 <= opened_at, path), 1) AS opening,
        arrayMap(i -> multiIf(
            {model:String} = 'first', toFloat64(i = 1),
            {model:String} = 'last', toFloat64(i = n),
            {model:String} = 'linear', 1.,
            {model:String} = 'u', 0.4 * (i = 1) + 0.4 * (i = creation),
            {model:String} = 'w', 0.3 * (i = 1) + 0.3 * (i = creation) + 0.3 * (i = opening),
            {model:String} = 'time_decay', exp2(-dateDiff('second', path[i].1, closed_at) / 86400. / {half_life_days:UInt32}),
            throwIf({model:String} NOT IN ('first', 'last', 'linear', 'u', 'w', 'time_decay'), 'model is one of first, last, linear, u, w, time_decay')
        ), arrayEnumerate(path)) AS anchors,
        arrayMap(i -> {model:String} IN ('u', 'w') AND i != 1 AND i != creation AND ({model:String} = 'u' OR i != opening), arrayEnumerate(path)) AS between,
        arraySum(between) AS others,
        arrayMap((a, b) -> if(b, if({model:String} = 'u', 0.2, 0.1) / others, a), anchors, between) AS raw,
        arraySum(raw) AS whole,
        arrayMap(x -> toInt64(floor(x / whole * 1000000000)), raw) AS floored,
        -- Rounding loses less than one unit of each share; the units go to those that have a share, one each, the first first: the sum is exactly 1.
        1000000000 - arraySum(floored) AS lost,
        arrayCount(x -> x > 0, floored) AS shares,
        arrayMap((x, i) -> if(x > 0, x + intDiv(lost, shares) + (i <= lost % shares), 0), floored, arrayCumSum(x -> x > 0, floored)) AS parts
    FROM
    (
        SELECT
            won.opportunity_id AS opportunity_id, won.lead_id AS lead_id, assumeNotNull(won.closed_at) AS closed_at, won.opened_at AS opened_at,
            won.amount AS amount, won.currency AS currency, captured.at AS captured_at,
            arraySort(arrayFilter(
                t -> t.1 <= closed_at AND t.1 >= closed_at - toIntervalMonth({lookback_months:UInt32}),
                arrayDistinct(arrayFlatten(groupArray(reached.ats)))
            )) AS known,
            if(empty(known), [(closed_at, '', '', '(none)', '(none)')], known) AS path
        FROM
        (
            SELECT *, arrayJoin(arrayDistinct(arrayConcat([lead_id], arrayMap(r -> r.1, contact_roles)))) AS person
            FROM opportunities
            WHERE status = 'won'
        ) AS won
        LEFT JOIN survivors ON survivors.lead_id = won.person
        LEFT JOIN
        (
            SELECT lead_id, groupArray((at, toString(source_system), event_id, toString(channel), if(campaign = '', '(none)', campaign))) AS ats
            FROM touches
            WHERE outcome != 'bounced'
            GROUP BY lead_id
        ) AS reached ON reached.lead_id = if(ifNull(survivors.survivor, '') = '', won.person, survivors.survivor)
        LEFT JOIN (SELECT lead_id, toNullable(min(at)) AS at FROM facts(types = ['LeadCaptured']) GROUP BY lead_id) AS captured
            ON captured.lead_id = won.lead_id
        GROUP BY opportunity_id, lead_id, closed_at, opened_at, amount, currency, captured_at
    )
)
ARRAY JOIN path AS touch, parts AS part
WHERE part > 0
COMMENT 'Weights of touches on won opportunities: attribution(model = first, last, linear, u, w or time_decay, half_life_days, lookback_months); exactly 1 for each opportunity';

CREATE OR REPLACE VIEW kpi_attribution
AS SELECT
    told.campaign AS campaign,
    told.channel AS channel,
    told.currency AS currency,
    uniqExact(told.opportunity_id, told.lead_id) AS opportunities,
    sum(told.weight) AS weight,
    sum(ifNull(told.amount, 0) * toFloat64(told.weight)) AS amount
FROM attribution(model = {model:String}, half_life_days = {half_life_days:UInt32}, lookback_months = {lookback_months:UInt32}) AS told
WHERE closed_at >= {since:DateTime64(3, 'UTC')} AND closed_at < {until:DateTime64(3, 'UTC')}
GROUP BY campaign, channel, currency
COMMENT 'Amount won, shared out to the touches before it, in units of a currency (model, half_life_days, lookback_months, since, until).|Which campaigns and channels bring in what we win?|By campaign, channel and currency, of opportunities won in [since, until): touches of the primary lead and of those in contact roles, up to winning and lookback_months back, bounced ones left out. first, last: all to that one. linear: alike. u: 40 first, 40 the touch of the capture, 20 the rest. w: 30 first, 30 capture, 30 opening, 10 the rest. time_decay: half for every half_life_days before winning.|The weights of an opportunity sum to exactly 1; without touches (none) has them all. Without a rest its part goes to the others in proportion. Customary: half_life_days 90, lookback_months 27.';

CREATE OR REPLACE VIEW kpi_campaign_return
AS SELECT
    campaign,
    currency,
    spent.cost AS cost,
    attributed.amount AS amount,
    if(cost = 0, NULL, (amount - cost) / cost) AS roi
FROM (SELECT campaign, campaign_costs.currency AS currency, sum(campaign_costs.amount) AS cost FROM campaign_costs GROUP BY campaign, currency) AS spent
FULL OUTER JOIN
(
    SELECT campaign, told.currency AS currency, sum(ifNull(told.amount, 0) * toFloat64(told.weight)) AS amount
    FROM attribution(model = {model:String}, half_life_days = {half_life_days:UInt32}, lookback_months = {lookback_months:UInt32}) AS told
    GROUP BY campaign, currency
) AS attributed USING (campaign, currency)
COMMENT 'Return on a campaign (model, half_life_days, lookback_months).|Does this campaign earn its cost?|By campaign and currency: (amount won attributed to it - cost) / cost; models as in kpi_attribution.|Costs come first and deals 12 to 18 months later: young campaigns look bad. NULL without cost.';

CREATE OR REPLACE VIEW kpi_touch_stage
AS SELECT
    channel,
    origin,
    stage,
    uniqExact(transition_id) AS moved,
    any(entries) AS entries,
    moved / entries AS share
FROM
(
    SELECT
        toString(entered.to_stage) AS stage,
        entered.transition_id AS transition_id,
        count() OVER (PARTITION BY entered.to_stage) AS entries,
        arrayDistinct(arrayMap(x -> (x.2, x.3), arrayFilter(x -> x.1 <= entered.entered_at AND x.1 > entered.entered_at - toIntervalDay({days:UInt32}), before.ats))) AS sorts
    FROM (SELECT lead_id, transition_id, to_stage, entered_at FROM counted_transitions WHERE NOT implied AND to_stage IN ('mql', 'sal', 'sql', 'opportunity', 'won', 'lost')) AS entered
    LEFT JOIN (SELECT lead_id, groupArray((at, toString(touches.channel), toString(touches.origin))) AS ats FROM touches GROUP BY lead_id) AS before
        ON before.lead_id = entered.lead_id
)
ARRAY JOIN sorts.1 AS channel, sorts.2 AS origin
GROUP BY channel, origin, stage
COMMENT 'Touch x stage matrix, count and share (days).|Which touches move leads on?|By channel, origin and stage: entries of the stage that had such a touch in the days before, and their share of all its entries.|One entry stands under every sort of touch before it: columns do not sum up to 1. Implied entries are left out.';
