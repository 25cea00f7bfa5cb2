-- Views that BI reads, one for each number. They read the rollups of 0003, and what has changed since. docs/kpis.md is made of their comments.
--
-- A comment holds: what it is and its unit. | The question. | Definition and grain. | Caveat.
-- Names in brackets after a view are its parameters: SELECT * FROM kpi_ignored(days = 7).
-- Everywhere: cohort by the first entry of a stage in a lead's cycle; merged, erased and test leads left out; "now" is as_of;
-- quantiles are values that occurred, sorted[floor(p * n)] as quantileExact has them; months are UTC; nothing is grouped by person.
-- kpi_response_time, kpi_open_clocks, kpi_routing, kpi_time_in_stage, kpi_stage_age and what is read from the archive are those
-- of the last rollup, some seconds ago; all others of now.
-- Of counted_… only sums of `sign` mean anything: a group whose sum is 0 is none.

CREATE OR REPLACE VIEW journeys
(
    lead_id String COMMENT 'The lead',
    cycle UInt32 COMMENT 'Cycle, from 1',
    source LowCardinality(Nullable(String)) COMMENT 'The lead''s source',
    campaign Nullable(String) COMMENT 'The lead''s campaign',
    owner Nullable(String) COMMENT 'Last owner in the cycle',
    team LowCardinality(Nullable(String)) COMMENT 'Last team in the cycle',
    grade LowCardinality(Nullable(String)) COMMENT 'Last grade in the cycle',
    inquiry_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First entry into inquiry in this cycle; likewise the next eleven',
    mql_at Nullable(DateTime64(3, 'UTC')),
    sal_at Nullable(DateTime64(3, 'UTC')),
    sql_at Nullable(DateTime64(3, 'UTC')),
    opportunity_at Nullable(DateTime64(3, 'UTC')),
    won_at Nullable(DateTime64(3, 'UTC')),
    lost_at Nullable(DateTime64(3, 'UTC')),
    nurture_at Nullable(DateTime64(3, 'UTC')),
    recycled_at Nullable(DateTime64(3, 'UTC')),
    disqualified_at Nullable(DateTime64(3, 'UTC')),
    merged_at Nullable(DateTime64(3, 'UTC')),
    erased_at Nullable(DateTime64(3, 'UTC')),
    implied Array(LowCardinality(String)) COMMENT 'Stages whose entry was implied and not confirmed',
    hand_raised_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First hand-raise of the cycle',
    first_assigned_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First assignment to a person in the cycle',
    first_touched_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First response evidence of the cycle',
    first_captured_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First LeadCaptured of the lead, whatever the cycle',
    lead_stage LowCardinality(String) COMMENT 'Stage of the lead now',
    lead_cycle UInt32 COMMENT 'Cycle of the lead now',
    is_test Bool COMMENT 'Test traffic',
    known_fields UInt8 COMMENT 'How many of name, email, phone, account and region are known of the lead, as rolled up last; 0 also for leads that no KPI counts'
)
AS SELECT
    lead_id,
    journey.cycle AS cycle,
    journey.source AS source,
    journey.campaign AS campaign,
    journey.owner AS owner,
    journey.team AS team,
    journey.grade AS grade,
    journey.inquiry_at AS inquiry_at,
    journey.mql_at AS mql_at,
    journey.sal_at AS sal_at,
    journey.sql_at AS sql_at,
    journey.opportunity_at AS opportunity_at,
    journey.won_at AS won_at,
    journey.lost_at AS lost_at,
    journey.nurture_at AS nurture_at,
    journey.recycled_at AS recycled_at,
    journey.disqualified_at AS disqualified_at,
    journey.merged_at AS merged_at,
    journey.erased_at AS erased_at,
    journey.implied AS implied,
    journey.hand_raised_at AS hand_raised_at,
    journey.first_assigned_at AS first_assigned_at,
    journey.first_touched_at AS first_touched_at,
    leads.first_captured_at AS first_captured_at,
    leads.stage AS lead_stage,
    leads.cycle AS lead_cycle,
    leads.is_test AS is_test,
    known.fields AS known_fields
FROM leads FINAL
ARRAY JOIN cycles AS journey
LEFT JOIN (SELECT lead_id, fields FROM counted_known FINAL) AS known ON known.lead_id = leads.lead_id
COMMENT 'One row for each cycle of each lead: when it first entered each stage, and who had it';

CREATE OR REPLACE VIEW all_clocks
AS SELECT * FROM counted_clocks
UNION ALL
SELECT * FROM clocks_since
COMMENT 'counted_clocks and what has changed since; of clocks, only sums of `sign` mean anything';

CREATE OR REPLACE VIEW all_stays
AS SELECT * FROM counted_stays
UNION ALL
SELECT * FROM stays_since
COMMENT 'counted_stays and what has changed since; of stays, only sums of `sign` mean anything';

CREATE OR REPLACE VIEW touches
AS SELECT lead_id, source_system, event_id, at, channel, direction, origin, actor, outcome, campaign, collateral_id
FROM counted_touches FINAL
COMMENT 'Touches that count, one row each. All that were recorded: a bot''s flood is not thinned out here';

CREATE OR REPLACE VIEW completions
AS SELECT lead_id, field, completed_by, filled_by
FROM counted_fields FINAL
COMMENT 'Which of five fields are known of a lead and who gave them first. May name staff';

CREATE OR REPLACE VIEW deals
AS SELECT opportunity_id, lead_id, source, owner, status, opened_at, closed_at, amount_minor, told_currency, contact_roles, captured_at
FROM counted_deals FINAL
COMMENT 'Opportunities as their own events tell them, amounts as told';

CREATE OR REPLACE VIEW opportunities
(
    opportunity_id String COMMENT 'As the source system names it',
    lead_id String COMMENT 'Its primary lead; of a merged one the survivor',
    source String COMMENT 'Where it came from, by OpportunityOpened; empty: it was never opened in so many words',
    owner String COMMENT 'Its owner, last told',
    status LowCardinality(String) COMMENT 'open, won or lost',
    opened_at DateTime64(3, 'UTC') COMMENT 'Opened; where that was never told, when it was won or lost',
    closed_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Won or lost; NULL: open',
    amount_minor Nullable(Int64) COMMENT 'Last amount told, in minor units of `told_currency`',
    told_currency LowCardinality(String) COMMENT 'Its currency',
    amount Nullable(Float64) COMMENT 'The amount in units of `currency`',
    currency LowCardinality(String) COMMENT 'The agreement''s base currency where it has a rate or no amount was told, else as told',
    contact_roles Array(Tuple(lead_id String, role String)) COMMENT 'The leads it names, last told',
    captured_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First LeadCaptured of its primary lead; NULL: none'
)
AS SELECT
    deals.opportunity_id AS opportunity_id,
    deals.lead_id AS lead_id,
    source,
    owner,
    status,
    opened_at,
    closed_at,
    amount_minor,
    told_currency,
    multiIf(
        amount_minor IS NULL, NULL,
        agreed.base_currency = '' OR agreed.base_currency = told_currency OR agreed.rates[told_currency] = 0, major,
        major * agreed.rates[told_currency]
    ) AS amount,
    -- Without an amount there is nothing to be converted.
    if(agreed.base_currency = '' OR (told_currency NOT IN ('', agreed.base_currency) AND agreed.rates[told_currency] = 0), told_currency, agreed.base_currency) AS currency,
    contact_roles,
    captured_at
FROM
(
    SELECT
        *,
        amount_minor / multiIf(
            told_currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'), 1,
            told_currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'), 1000,
            told_currency IN ('CLF', 'UYW'), 10000,
            100
        ) AS major
    FROM deals
) AS deals
CROSS JOIN (SELECT groupArray((effective_from, base_currency, rates)) AS versions FROM agreed_rates) AS known
ARRAY JOIN [
    if(
        empty(versions),
        CAST((toDateTime64(0, 3, 'UTC'), '', map()), 'Tuple(effective_from DateTime64(3, \'UTC\'), base_currency String, rates Map(String, Float64))'),
        CAST(arrayLast(v -> v.1 <= if(status = 'open', (SELECT at FROM as_of), assumeNotNull(closed_at)), arraySort(v -> v.1, versions)), 'Tuple(effective_from DateTime64(3, \'UTC\'), base_currency String, rates Map(String, Float64))')
    )
] AS agreed
COMMENT 'Opportunities as their own events tell them, one row each, whatever became of the lead''s stage. Amounts by the rates in force when they closed, of open ones now';

CREATE OR REPLACE VIEW standing
AS SELECT source, lead_stage AS stage, reached, sum(sign) AS part FROM counted_journeys WHERE is_current GROUP BY source, stage, reached
UNION ALL
-- And what has changed since. Spelled out, for a board asks for it all the time: to plan journeys_since would take longer than all the rest.
SELECT source, lead_stage, reached, -toInt64(sign) FROM counted_journeys WHERE is_current AND lead_id IN (SELECT lead_id FROM changed)
UNION ALL
SELECT ifNull(leads.source, '(none)'), stage, reached, toInt64(1)
FROM leads FINAL
WHERE lead_id IN (SELECT lead_id FROM changed) AND NOT is_test AND stage NOT IN ('', 'merged', 'erased')
COMMENT 'Where leads stand and which stages they ever reached, as counts that are to be summed';

CREATE OR REPLACE VIEW kpi_funnel_by_source
(
    source String COMMENT 'The lead''s source; (none): it was never captured',
    leads UInt64 COMMENT 'Leads',
    reached_inquiry UInt64 COMMENT 'Leads that ever entered inquiry, in whatever cycle; likewise the next ones; implied entries count',
    reached_mql UInt64,
    reached_sal UInt64,
    reached_sql UInt64,
    reached_opportunity UInt64,
    won UInt64 COMMENT 'Leads that were ever won',
    lost UInt64 COMMENT 'Leads that were ever lost',
    won_share Float64 COMMENT 'won / leads',
    maturity_share Float64 COMMENT 'Share of leads that stand at an end: won, lost or disqualified'
)
AS SELECT
    source,
    sum(part) AS leads,
    sumIf(part, bitTest(reached, 0)) AS reached_inquiry, sumIf(part, bitTest(reached, 1)) AS reached_mql, sumIf(part, bitTest(reached, 2)) AS reached_sal, sumIf(part, bitTest(reached, 3)) AS reached_sql, sumIf(part, bitTest(reached, 4)) AS reached_opportunity, sumIf(part, bitTest(reached, 5)) AS won, sumIf(part, bitTest(reached, 6)) AS lost,
    won / leads AS won_share,
    sumIf(part, stage IN ('won', 'lost', 'disqualified')) / leads AS maturity_share
FROM standing
GROUP BY source
HAVING leads > 0
COMMENT 'How far leads came, count and share.|Which sources bring leads that get somewhere?|By source, of leads: those that ever entered a stage, in whatever cycle, implied entries included; won_share = won / leads.|Counts leads, not cycles. Young leads had less time: for decisions take kpi_conversion.';

CREATE OR REPLACE VIEW kpi_current_stages
(
    source String COMMENT 'The lead''s source; (none): it was never captured',
    stage String COMMENT 'Stage now',
    leads UInt64 COMMENT 'Leads that stand there'
)
AS SELECT source, stage, sum(part) AS leads
FROM standing
GROUP BY source, stage
HAVING leads > 0
COMMENT 'Where leads stand now, count.|What is in the pipeline today?|By source and stage, of leads: the stage now.|A picture, no flow: see kpi_stage_balance.';

CREATE OR REPLACE VIEW response_times
(
    instance_id String COMMENT 'The first_response clock',
    lead_id String COMMENT 'The lead',
    cycle UInt32 COMMENT 'Its cycle then',
    source LowCardinality(Nullable(String)) COMMENT 'The lead''s source',
    team LowCardinality(Nullable(String)) COMMENT 'Team when the hand was raised',
    hand_raised_at DateTime64(3, 'UTC') COMMENT 'The hand-raise',
    responded_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First response evidence; NULL: none yet, or the clock ended before',
    response_ms Nullable(Int64) COMMENT 'Between the two, milliseconds of wall time',
    open_ms Nullable(Int64) COMMENT 'Between the two, milliseconds of open time of the calendar'
)
AS SELECT
    instance_id,
    lead_id,
    cycle,
    source,
    team,
    started_at AS hand_raised_at,
    satisfied_at AS responded_at,
    toUnixTimestamp64Milli(satisfied_at) - toUnixTimestamp64Milli(started_at) AS response_ms,
    elapsed_ms AS open_ms
FROM sla_instances FINAL
WHERE policy = 'first_response'
    AND NOT is_test
    AND lead_id NOT IN (SELECT lead_id FROM uncounted_leads)
    AND start_event_type = 'LeadCaptured'  -- one that LeadQualified started is no hand-raise
COMMENT 'One row for each hand-raise that started a first_response clock, and how long the answer took';

-- A view of its own: what is computed once, and named several times, is analysed anew for each, but a view is not.
CREATE OR REPLACE VIEW response_marks
AS SELECT
    groupArray((source, total, answered, waiting)) AS sources,
    groupArrayArray(arrayMap(mark -> (source, mark.1, mark.2, mark.3), marks)) AS wanted,
    groupUniqArrayArray(marks.2) AS buckets,
    groupUniqArrayArray(arrayMap(bucket -> cityHash64(source, bucket), marks.2)) AS keys
FROM
(
    SELECT source, total, answered, waiting, arrayMap(
        (rank, place) -> (rank.1, pairs[place].1, rank.2 - if(place > 1, upto[place - 1], 0)), ranks, arrayMap(rank -> arrayFirstIndex(sofar -> sofar > rank.2, upto), ranks)
    ) AS marks
    FROM
    (
        SELECT source, total, answered, waiting, pairs, arrayCumSum(pairs.2) AS upto, arrayConcat(
            if(answered = 0, [], [('p50', toInt64(0.5 * answered)), ('p90', toInt64(0.9 * answered)), ('min', 0), ('max', answered - 1)]),
            if(timed = 0, [], [('open p50', answered + toInt64(0.5 * timed)), ('open p90', answered + toInt64(0.9 * timed))])
        ) AS ranks
        FROM
        (
            SELECT source, sumIf(n, took_bucket < 1000000) AS total, sumIf(n, took_bucket BETWEEN 0 AND 999999) AS answered, sumIf(n, took_bucket = -2) AS waiting, sumIf(n, took_bucket >= 1000000) AS timed,
                arraySort(groupArrayIf((took_bucket, n), took_bucket >= 0)) AS pairs
            FROM (SELECT source, took_bucket, sum(sign) AS n FROM counted_responses GROUP BY source, took_bucket HAVING n > 0)
            GROUP BY source
        )
    )
)
COMMENT 'Of each source: how many hand-raises there are, how many were answered and how many wait; of each quantile that is asked for, the bucket that it lies in and its place there; all those buckets; and keys of source and bucket';

CREATE OR REPLACE VIEW kpi_response_time
(
    source String COMMENT 'The lead''s source; (none): it was never captured',
    raised UInt64 COMMENT 'Hand-raises that started a clock',
    responded UInt64 COMMENT 'Those with response evidence before the clock ended',
    responded_share Float64 COMMENT 'responded / raised',
    maturity_share Float64 COMMENT 'Share of those raised that wait no more: answered, or the clock ended without',
    p50_hours Nullable(Float64) COMMENT 'Wall time from hand-raise to response; sorted[floor(p * n)]',
    p90_hours Nullable(Float64) COMMENT 'Likewise',
    min_hours Nullable(Float64) COMMENT 'Fastest',
    max_hours Nullable(Float64) COMMENT 'Slowest',
    open_p50_hours Nullable(Float64) COMMENT 'In open time of the calendar',
    open_p90_hours Nullable(Float64) COMMENT 'Likewise'
)
AS WITH (SELECT (sources, wanted, buckets, keys) FROM response_marks) AS told
SELECT
    concat(source, '') AS source,  -- so that a filter by it stays above
    toUInt64(sum(total)) AS raised,
    toUInt64(sum(answered)) AS responded,
    responded / raised AS responded_share,
    1 - sum(waiting) / raised AS maturity_share,
    anyOrNullIf(ms, name = 'p50') / 3600000 AS p50_hours,
    anyOrNullIf(ms, name = 'p90') / 3600000 AS p90_hours,
    anyOrNullIf(ms, name = 'min') / 3600000 AS min_hours,
    anyOrNullIf(ms, name = 'max') / 3600000 AS max_hours,
    anyOrNullIf(ms, name = 'open p50') / 3600000 AS open_p50_hours,
    anyOrNullIf(ms, name = 'open p90') / 3600000 AS open_p90_hours
FROM
(
    SELECT one.1 AS source, one.2 AS total, one.3 AS answered, one.4 AS waiting, '' AS name, toInt64(0) AS ms
    FROM (SELECT arrayJoin(told.1) AS one)
    UNION ALL
    SELECT inside.source, 0, 0, 0, mark.2, bitShiftRight(arrayFirst((x, sofar) -> sofar > mark.4, signed, arrayCumSum(x -> bitAnd(x, 3) - 1, signed)), 2)
    FROM
    (
        SELECT source, took_bucket, arraySort(groupArray(bitShiftLeft(assumeNotNull(took_ms), 2) + sign + 1)) AS signed
        FROM counted_responses
        -- By source too, but not in the index: looking up buckets and sources takes longer than buckets alone.
        WHERE took_bucket IN (told.3) AND cityHash64(source, took_bucket) IN (told.4)
        GROUP BY source, took_bucket
    ) AS inside
    INNER JOIN (SELECT arrayJoin(told.2) AS mark) AS marks ON marks.mark.1 = inside.source AND marks.mark.3 = inside.took_bucket
)
GROUP BY source
COMMENT 'Lead response time, hours.|How long does somebody wait who raised a hand?|By source, of hand-raises that started a first_response clock: from the hand-raise to the first response evidence, in wall time and in open time of the calendar.|Who got no answer yet, or none at all, has no time: look at responded_share and maturity_share. A hand raised while a first_response clock runs already starts none, and has no row of its own. The source is the one the lead had then.';

CREATE OR REPLACE VIEW verdicts_since
AS SELECT policy, source, verdict, lane, deadline, -toInt64(sign) AS sign FROM counted_clocks WHERE lead_id IN (SELECT lead_id FROM changed)
UNION ALL
SELECT policy, ifNull(sla_instances.source, '(none)'), verdict, partition, deadline, toInt64(1)
FROM sla_instances FINAL
WHERE lead_id IN (SELECT lead_id FROM changed) AND NOT is_test AND lead_id NOT IN (SELECT lead_id FROM uncounted_leads WHERE lead_id IN (SELECT lead_id FROM changed))
COMMENT 'What has changed of verdicts since the last rollup: clocks_since, of it what a board asks for';

CREATE OR REPLACE VIEW kpi_sla_compliance
(
    policy String COMMENT 'Policy',
    source String COMMENT 'The lead''s source; (none): it was never captured',
    started UInt64 COMMENT 'All clocks',
    open UInt64 COMMENT 'Clocks by verdict; likewise the next six',
    breached_open UInt64,
    met UInt64,
    late_met UInt64,
    breached_ended UInt64,
    cancelled UInt64,
    transferred UInt64,
    due UInt64 COMMENT 'Denominator: deadline reached by the lane clock; neither cancelled nor transferred',
    gross Nullable(Float64) COMMENT 'Of those due: met / (met + late_met + breached_open + breached_ended)',
    net Nullable(Float64) COMMENT 'Likewise, late_met added on top'
)
AS WITH (SELECT mapFromArrays(groupArray(lane), groupArray(clock)) FROM (SELECT lane, clock FROM lanes FINAL)) AS clocks
SELECT
    policy,
    source,
    sum(part) AS started,
    sumIf(part, verdict = 'open') AS open, sumIf(part, verdict = 'breached_open') AS breached_open, sumIf(part, verdict = 'met') AS met, sumIf(part, verdict = 'late_met') AS late_met, sumIf(part, verdict = 'breached_ended') AS breached_ended, sumIf(part, verdict = 'cancelled') AS cancelled, sumIf(part, verdict = 'transferred') AS transferred,
    sumIf(due_part, verdict IN ('met', 'late_met', 'breached_open', 'breached_ended')) AS due,
    sumIf(due_part, verdict = 'met') / nullIf(due, 0) AS gross,
    sumIf(due_part, verdict IN ('met', 'late_met')) / nullIf(due, 0) AS net
FROM
(
    SELECT policy, source, verdict, part, if(mapContains(clocks, lane), part, 0) AS due_part
    FROM (SELECT policy, source, verdict, lane, sum(sign) AS part FROM counted_clocks WHERE policy != 'erasure' GROUP BY policy, source, verdict, lane)
    UNION ALL
    -- Less those whose deadline the clock of their lane has not reached: none but the newest, and the index finds them.
    SELECT policy, source, verdict, 0 AS part, -sumIf(sign, mapContains(clocks, lane) AND deadline > clocks[lane]) AS due_part
    FROM counted_clocks
    WHERE verdict IN ('met', 'late_met', 'breached_open', 'breached_ended') AND deadline_day >= toDate(arrayMin(mapValues(clocks))) AND policy != 'erasure'
    GROUP BY policy, source, verdict
    UNION ALL
    SELECT policy, source, verdict, sum(sign) AS part, sumIf(sign, mapContains(clocks, lane) AND deadline <= clocks[lane]) AS due_part
    FROM verdicts_since
    WHERE policy != 'erasure'
    GROUP BY policy, source, verdict
)
GROUP BY policy, source
HAVING started > 0
COMMENT 'SLA compliance, shares.|Do we keep what we promised each other?|By policy and source, of clocks that are due: gross = met / (met + late_met + breached_open + breached_ended); net counts late_met as well.|Cancelled and transferred clocks are in neither. Not here: erasure, for who was erased in time is left out and only misses would remain; see baton erase --status. The source is the one the lead had when the clock started.';

CREATE OR REPLACE VIEW kpi_open_clocks
(
    policy String COMMENT 'Policy',
    source String COMMENT 'The lead''s source; (none): it was never captured',
    open UInt64 COMMENT 'Clocks that run within their deadline',
    breached_open UInt64 COMMENT 'Clocks that run past it: past due now',
    next_deadline Nullable(DateTime64(3, 'UTC')) COMMENT 'Earliest deadline still to come',
    oldest_breach Nullable(DateTime64(3, 'UTC')) COMMENT 'Earliest deadline missed and still open'
)
AS WITH
    -- How many there are, and the first month in which one is due; then the first day of it, and of that day the rows.
    (
        SELECT groupArray((verdict, policy, source, clocks, first_month))
        FROM
        (
            SELECT verdict, policy, source, sum(n) AS clocks, min(month) AS first_month
            FROM
            (
                SELECT verdict, policy, source, toStartOfMonth(deadline_day) AS month, sum(sign) AS n
                FROM counted_clocks
                WHERE verdict IN ('open', 'breached_open')
                GROUP BY verdict, policy, source, month
                HAVING n > 0
            )
            GROUP BY verdict, policy, source
        )
    ) AS running,
    (
        SELECT groupUniqArray(first_day)
        FROM
        (
            SELECT verdict, policy, source, min(deadline_day) AS first_day
            FROM
            (
                SELECT verdict, deadline_day, policy, source
                FROM counted_clocks
                WHERE verdict IN ('open', 'breached_open') AND deadline_day IN (SELECT DISTINCT run.5 + arrayJoin(range(31)) FROM (SELECT arrayJoin(running) AS run))
                GROUP BY verdict, deadline_day, policy, source
                HAVING sum(sign) > 0
            )
            -- A group whose first month is a later one has no more than what adds up to nothing before it.
            GROUP BY verdict, policy, source
        )
    ) AS first_days
SELECT
    policy,
    source,
    sumIf(clocks, verdict = 'open') AS open,
    sumIf(clocks, verdict = 'breached_open') AS breached_open,
    minOrNullIf(deadline, verdict = 'open' AND clocks = 0) AS next_deadline,
    minOrNullIf(deadline, verdict = 'breached_open' AND clocks = 0) AS oldest_breach
FROM
(
    SELECT run.1 AS verdict, run.2 AS policy, run.3 AS source, run.4 AS clocks, toDateTime64(0, 3, 'UTC') AS deadline
    FROM (SELECT arrayJoin(running) AS run)
    UNION ALL
    SELECT verdict, policy, source, 0 AS clocks, deadline
    FROM counted_clocks
    WHERE verdict IN ('open', 'breached_open') AND deadline_day IN (SELECT arrayJoin(first_days))
    GROUP BY verdict, policy, source, deadline
    HAVING sum(sign) > 0
)
GROUP BY policy, source
COMMENT 'Clocks that run now, count.|What is due, and what is past due?|By policy and source, of clocks neither met nor ended: within their deadline, and past it.|Paused clocks count as open; their deadline assumes the longest pause.';

CREATE OR REPLACE VIEW kpi_dead_letters
(
    reason String COMMENT 'Why',
    origin_topic String COMMENT 'Topic of the record',
    letters UInt64 COMMENT 'Records set aside',
    last_failed_at DateTime64(3, 'UTC') COMMENT 'Lane clock when the newest was'
)
AS SELECT dead_letters.reason AS reason, dead_letters.origin_topic AS origin_topic, count() AS letters, max(failed_at) AS last_failed_at
FROM dead_letters FINAL
GROUP BY reason, origin_topic
COMMENT 'Records set aside, count.|What does the pipeline refuse, and why?|By reason and topic: records that are in no number.|Mended and replayed ones stay counted here.';

CREATE OR REPLACE VIEW routing_ranks
AS WITH
    -- The ranks that are wanted, the bucket that each lies in, and how many of that bucket stand before it: asked once, used twice.
    (
        SELECT groupArray((team, rank.1, buckets[place], rank.2 - (upto[place] - counts[place])))
        FROM
        (
            SELECT team, rank, buckets, counts, upto, arrayFirstIndex(sofar -> sofar > rank.2, upto) AS place
            FROM
            (
                SELECT team, arraySort(groupArray((bucket, n))) AS pairs, pairs.1 AS buckets, pairs.2 AS counts, arrayCumSum(counts) AS upto,
                    toInt64(upto[-1]) AS total
                FROM
                (
                SELECT team, routing_bucket AS bucket, sum(sign) AS n
                FROM counted_journeys
                WHERE is_raised AND routing_bucket >= 0
                GROUP BY team, routing_bucket
                HAVING n > 0
                )
                GROUP BY team
            )
            ARRAY JOIN [('p50', toInt64(0.5 * total)), ('p90', toInt64(0.9 * total))] AS rank
        )
    ) AS wanted
SELECT team,
    toNullable(anyIf(found, name = 'p50')) AS p50_ms, toNullable(anyIf(found, name = 'p90')) AS p90_ms
FROM
(
    SELECT want.1 AS team, want.2 AS name, bitShiftRight(inside.signed[arrayFirstIndex(sofar -> sofar > want.4, arrayCumSum(x -> bitAnd(x, 3) - 1, inside.signed))], 2) AS found
    FROM (SELECT arrayJoin(wanted) AS want) AS marks
    INNER JOIN
    (
        SELECT team, routing_bucket AS bucket, arraySort(groupArray(bitShiftLeft(assumeNotNull(routing_ms), 2) + sign + 1)) AS signed
        FROM counted_journeys
        WHERE is_raised AND routing_bucket >= 0 AND routing_bucket IN (SELECT want.3 FROM (SELECT arrayJoin(wanted) AS want))
        GROUP BY team, routing_bucket
    ) AS inside ON inside.team = want.1 AND inside.bucket = want.3
)
GROUP BY team
COMMENT 'Quantiles of the routing delay, milliseconds, by team';

CREATE OR REPLACE VIEW rep_ranks
AS WITH
    -- The ranks that are wanted, the bucket that each lies in, and how many of that bucket stand before it: asked once, used twice.
    (
        SELECT groupArray((team, rank.1, buckets[place], rank.2 - (upto[place] - counts[place])))
        FROM
        (
            SELECT team, rank, buckets, counts, upto, arrayFirstIndex(sofar -> sofar > rank.2, upto) AS place
            FROM
            (
                SELECT team, arraySort(groupArray((bucket, n))) AS pairs, pairs.1 AS buckets, pairs.2 AS counts, arrayCumSum(counts) AS upto,
                    toInt64(upto[-1]) AS total
                FROM
                (
                SELECT team, rep_bucket AS bucket, sum(sign) AS n
                FROM counted_journeys
                WHERE is_raised AND rep_bucket >= 0
                GROUP BY team, rep_bucket
                HAVING n > 0
                )
                GROUP BY team
            )
            ARRAY JOIN [('p50', toInt64(0.5 * total)), ('p90', toInt64(0.9 * total))] AS rank
        )
    ) AS wanted
SELECT team,
    toNullable(anyIf(found, name = 'p50')) AS p50_ms, toNullable(anyIf(found, name = 'p90')) AS p90_ms
FROM
(
    SELECT want.1 AS team, want.2 AS name, bitShiftRight(inside.signed[arrayFirstIndex(sofar -> sofar > want.4, arrayCumSum(x -> bitAnd(x, 3) - 1, inside.signed))], 2) AS found
    FROM (SELECT arrayJoin(wanted) AS want) AS marks
    INNER JOIN
    (
        SELECT team, rep_bucket AS bucket, arraySort(groupArray(bitShiftLeft(assumeNotNull(rep_ms), 2) + sign + 1)) AS signed
        FROM counted_journeys
        WHERE is_raised AND rep_bucket >= 0 AND rep_bucket IN (SELECT want.3 FROM (SELECT arrayJoin(wanted) AS want))
        GROUP BY team, rep_bucket
    ) AS inside ON inside.team = want.1 AND inside.bucket = want.3
)
GROUP BY team
COMMENT 'Quantiles of the rep''s response, milliseconds, by team';

CREATE OR REPLACE VIEW kpi_routing
(
    team String COMMENT 'Last team in the cycle; (none)',
    raised UInt64 COMMENT 'Cycles with a hand-raise',
    assigned UInt64 COMMENT 'Those assigned to a person at or after it',
    assigned_share Float64 COMMENT 'assigned / raised',
    routing_p50_hours Nullable(Float64) COMMENT 'From the first hand-raise to the first assignment to a person',
    routing_p90_hours Nullable(Float64) COMMENT 'Likewise',
    answered UInt64 COMMENT 'Of those assigned: with the first response evidence at or after it',
    rep_p50_hours Nullable(Float64) COMMENT 'From the first assignment to the first response evidence',
    rep_p90_hours Nullable(Float64) COMMENT 'Likewise'
)
AS SELECT
    told.team AS team,
    told.raised AS raised,
    told.assigned AS assigned,
    assigned / raised AS assigned_share,
    routing.p50_ms / 3600000 AS routing_p50_hours,
    routing.p90_ms / 3600000 AS routing_p90_hours,
    reps.answered AS answered,
    rep.p50_ms / 3600000 AS rep_p50_hours,
    rep.p90_ms / 3600000 AS rep_p90_hours
FROM (
    SELECT team, sum(part) AS raised, sumIf(part, routing_bucket >= 0) AS assigned
    FROM (SELECT team, routing_bucket, sum(sign) AS part FROM counted_journeys WHERE is_raised GROUP BY team, routing_bucket)
    GROUP BY team
    HAVING raised > 0
) AS told
INNER JOIN (
    SELECT team, sum(part) AS raised, sumIf(part, rep_bucket >= 0) AS answered
    FROM (SELECT team, rep_bucket, sum(sign) AS part FROM counted_journeys WHERE is_raised GROUP BY team, rep_bucket)
    GROUP BY team
    HAVING raised > 0
) AS reps ON reps.team = told.team
LEFT JOIN routing_ranks AS routing ON routing.team = told.team
LEFT JOIN rep_ranks AS rep ON rep.team = told.team
COMMENT 'Routing delay and response of the rep, hours of wall time.|Where does a raised hand wait: in routing, or with the rep?|By team, of cycles with a hand-raise: first assignment to a person minus first hand-raise; first response evidence minus first assignment.|First things of a cycle, where they come in that order: a hand raised to somebody who owns the lead already waits in no routing, and a hand raised after the recycle that ended a cycle is that cycle''s; kpi_response_time has them all.';

CREATE OR REPLACE VIEW kpi_sla_missed
AS SELECT
    policy,
    team,
    sum(sign) AS missed,
    sumIf(sign, verdict = 'late_met') AS late_met,
    sumIf(sign, verdict = 'breached_ended') AS breached_ended,
    sumIf(sign, verdict = 'breached_open') AS breached_open
FROM all_clocks
WHERE breached_at >= {since:DateTime64(3, 'UTC')} AND breached_at < {until:DateTime64(3, 'UTC')} AND policy != 'erasure'
GROUP BY policy, team
HAVING missed > 0
COMMENT 'Deadlines missed in a period, count of clocks (since, until).|Which promises were broken last month, and what became of them?|By policy and team, of clocks with breached_at in [since, until): all, and by how they stand now.|A breach taken back by late evidence is none. Without erasure, as in kpi_sla_compliance.';

CREATE OR REPLACE VIEW kpi_ignored
AS SELECT
    source,
    sum(sign) AS mqls,
    sumIf(sign, is_mature) AS mature,
    mature / mqls AS maturity_share,
    sumIf(sign, is_mature AND NOT is_touched) AS ignored,
    if(mature = 0, NULL, ignored / mature) AS ignored_rate
FROM
(
    SELECT
        source,
        sign,
        mql_at <= (SELECT at FROM as_of) - toIntervalDay({days:UInt32}) AS is_mature,
        ifNull(touched_ms <= toInt64({days:UInt32}) * 86400000, false) AS is_touched
    FROM counted_mqls
)
GROUP BY source
HAVING mqls > 0
COMMENT 'Share of MQLs that nobody touched within N days (days).|Which leads that marketing hands over does nobody look at?|By source, of entries of mql: ignored = without a human touch within days after it; rate = ignored / those at least days old.|Any human touch counts, whatever its direction and origin.';

CREATE OR REPLACE VIEW kpi_disposition
AS SELECT
    source,
    team,
    sum(mql_part) AS mqls,
    sum(mature_part) AS mature,
    mature / mqls AS maturity_share,
    sum(accepted_part) AS accepted,
    sum(rejected_part) AS rejected,
    if(mature = 0, NULL, (accepted + rejected) / mature) AS coverage,
    if(accepted + rejected = 0, NULL, accepted / (accepted + rejected)) AS acceptance
FROM
(
    -- By totals of whole days; those of the day in which they come of age row by row.
    SELECT source, team, sum(part) AS mql_part, sumIf(part, day < toDate((SELECT at FROM as_of) - toIntervalDay({days:UInt32}))) AS mature_part,
        sumIf(part, day < toDate((SELECT at FROM as_of) - toIntervalDay({days:UInt32})) AND is_accepted) AS accepted_part, 0 AS rejected_part
    FROM (SELECT toDate(mql_at) AS day, source, team, sal_after_mql >= 0 AS is_accepted, sum(sign) AS part FROM counted_journeys GROUP BY day, source, team, is_accepted)
    WHERE day IS NOT NULL
    GROUP BY source, team
    UNION ALL
    SELECT source, team, 0 AS mql_part, sum(sign) AS mature_part, sumIf(sign, sal_after_mql >= 0) AS accepted_part, 0 AS rejected_part
    FROM counted_journeys
    WHERE mql_at BETWEEN toStartOfDay((SELECT at FROM as_of) - toIntervalDay({days:UInt32})) AND (SELECT at FROM as_of) - toIntervalDay({days:UInt32})
    GROUP BY source, team
    UNION ALL
    SELECT source, team, sum(sign) AS mql_part, sumIf(sign, mql_at <= (SELECT at FROM as_of) - toIntervalDay({days:UInt32})) AS mature_part,
        sumIf(sign, mql_at <= (SELECT at FROM as_of) - toIntervalDay({days:UInt32}) AND sal_after_mql >= 0) AS accepted_part, 0 AS rejected_part
    FROM journeys_since
    WHERE mql_at IS NOT NULL
    GROUP BY source, team
    UNION ALL
    SELECT source, team, 0, 0, 0, sum(sign) AS rejected_part
    FROM all_stays
    WHERE is_rejection AND first_rejected_mql_at <= (SELECT at FROM as_of) - toIntervalDay({days:UInt32})
    GROUP BY source, team
)
GROUP BY source, team
HAVING mqls > 0
COMMENT 'Disposition coverage and acceptance of MQLs, shares (days).|Does sales say yes or no to what marketing hands over, and how often yes?|By source and team, of cycles whose mql is at least days old: coverage = (first sal, at or after it + rejected) / mature; acceptance = sal / (sal + rejected).|An implied sal counts as accepted. Rejected and accepted in one cycle counts as accepted.';

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
    SELECT source, reason, sum(part) AS rejections
    FROM
    (
        SELECT source, reason, sum(sign) AS part FROM counted_stays WHERE is_rejection GROUP BY source, reason
        UNION ALL
        SELECT source, reason, sum(sign) AS part FROM stays_since WHERE is_rejection GROUP BY source, reason
    )
    GROUP BY source, reason
    HAVING rejections > 0
)
COMMENT 'Why sales rejects leads, count and share.|What is wrong with the leads of a source?|By source and reason: LeadRejected that moved a lead.|A rejection that was not legal, because the lead stood elsewhere, is none.';

CREATE OR REPLACE VIEW counted_steps
AS SELECT 'inquiry' AS from_stage, 'mql' AS to_stage, toStartOfMonth(inquiry_at) AS month, source, mql_after_inquiry AS days_after, sum(sign) AS part
FROM counted_journeys GROUP BY month, source, days_after
UNION ALL
SELECT 'inquiry' AS from_stage, 'won' AS to_stage, toStartOfMonth(inquiry_at) AS month, source, won_after_inquiry AS days_after, sum(sign) AS part
FROM counted_journeys GROUP BY month, source, days_after
UNION ALL
SELECT 'mql' AS from_stage, 'sal' AS to_stage, toStartOfMonth(mql_at) AS month, source, sal_after_mql AS days_after, sum(sign) AS part
FROM counted_journeys GROUP BY month, source, days_after
UNION ALL
SELECT 'mql' AS from_stage, 'opportunity' AS to_stage, toStartOfMonth(mql_at) AS month, source, opportunity_after_mql AS days_after, sum(sign) AS part
FROM counted_journeys GROUP BY month, source, days_after
UNION ALL
SELECT 'mql' AS from_stage, 'won' AS to_stage, toStartOfMonth(mql_at) AS month, source, won_after_mql AS days_after, sum(sign) AS part
FROM counted_journeys GROUP BY month, source, days_after
UNION ALL
SELECT 'sal' AS from_stage, 'sql' AS to_stage, toStartOfMonth(sal_at) AS month, source, sql_after_sal AS days_after, sum(sign) AS part
FROM counted_journeys GROUP BY month, source, days_after
UNION ALL
SELECT 'sql' AS from_stage, 'opportunity' AS to_stage, toStartOfMonth(sql_at) AS month, source, opportunity_after_sql AS days_after, sum(sign) AS part
FROM counted_journeys GROUP BY month, source, days_after
UNION ALL
SELECT 'opportunity' AS from_stage, 'won' AS to_stage, toStartOfMonth(opportunity_at) AS month, source, won_after_opportunity AS days_after, sum(sign) AS part
FROM counted_journeys GROUP BY month, source, days_after
COMMENT 'First entries of a stage by UTC month, and in how many days, rounded up, a later stage followed; -1: it did not. The month is NULL where the stage was not entered';

CREATE OR REPLACE VIEW kpi_conversion
AS SELECT
    cohort, source, from_stage, to_stage,
    sum(parts.entered) AS entered,
    sum(parts.mature) AS mature,
    mature / entered AS maturity_share,
    sum(parts.converted) AS converted,
    if(mature = 0, NULL, converted / mature) AS conversion
FROM
(
    -- Months for which the window is over or has not yet ended, by their totals; that in which it ends, row by row.
    SELECT assumeNotNull(month) AS cohort, source, from_stage, to_stage, sum(part) AS entered,
        sumIf(part, month < toStartOfMonth((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32}))) AS mature,
        sumIf(part, month < toStartOfMonth((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})) AND days_after >= 0 AND days_after <= toInt64({window_days:UInt32})) AS converted
    FROM counted_steps
    WHERE month IS NOT NULL
    GROUP BY cohort, source, from_stage, to_stage
    UNION ALL
    SELECT toStartOfMonth(assumeNotNull(at)) AS cohort, source, from_stage, step.1 AS to_stage, 0 AS entered, sum(sign) AS mature,
        sumIf(sign, step.2 >= 0 AND step.2 <= toInt64({window_days:UInt32})) AS converted
    FROM
    (
        SELECT 'inquiry' AS from_stage, source, inquiry_at AS at, [('mql', mql_after_inquiry), ('won', won_after_inquiry)] AS steps, sign
        FROM counted_journeys WHERE inquiry_at BETWEEN toDateTime64(toStartOfMonth((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})), 3, 'UTC') AND (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})
        UNION ALL
        SELECT 'mql' AS from_stage, source, mql_at AS at, [('sal', sal_after_mql), ('opportunity', opportunity_after_mql), ('won', won_after_mql)] AS steps, sign
        FROM counted_journeys WHERE mql_at BETWEEN toDateTime64(toStartOfMonth((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})), 3, 'UTC') AND (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})
        UNION ALL
        SELECT 'sal' AS from_stage, source, sal_at AS at, [('sql', sql_after_sal)] AS steps, sign
        FROM counted_journeys WHERE sal_at BETWEEN toDateTime64(toStartOfMonth((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})), 3, 'UTC') AND (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})
        UNION ALL
        SELECT 'sql' AS from_stage, source, sql_at AS at, [('opportunity', opportunity_after_sql)] AS steps, sign
        FROM counted_journeys WHERE sql_at BETWEEN toDateTime64(toStartOfMonth((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})), 3, 'UTC') AND (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})
        UNION ALL
        SELECT 'opportunity' AS from_stage, source, opportunity_at AS at, [('won', won_after_opportunity)] AS steps, sign
        FROM counted_journeys WHERE opportunity_at BETWEEN toDateTime64(toStartOfMonth((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})), 3, 'UTC') AND (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})
    )
    ARRAY JOIN steps AS step
    GROUP BY cohort, source, from_stage, to_stage
    UNION ALL
    SELECT toStartOfMonth(assumeNotNull(step.3)) AS cohort, source, step.1 AS from_stage, step.2 AS to_stage, sum(sign) AS entered,
        sumIf(sign, step.3 <= (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})) AS mature,
        sumIf(sign, step.3 <= (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32}) AND step.4 >= 0 AND step.4 <= toInt64({window_days:UInt32})) AS converted
    FROM journeys_since
    ARRAY JOIN [('inquiry', 'mql', inquiry_at, mql_after_inquiry), ('inquiry', 'won', inquiry_at, won_after_inquiry), ('mql', 'sal', mql_at, sal_after_mql), ('mql', 'opportunity', mql_at, opportunity_after_mql), ('mql', 'won', mql_at, won_after_mql), ('sal', 'sql', sal_at, sql_after_sal), ('sql', 'opportunity', sql_at, opportunity_after_sql), ('opportunity', 'won', opportunity_at, won_after_opportunity)] AS step
    WHERE step.3 IS NOT NULL
    GROUP BY cohort, source, from_stage, to_stage
) AS parts
GROUP BY cohort, source, from_stage, to_stage
HAVING entered > 0
COMMENT 'Cohort conversion between stages within a window, share (window_days).|Of those who entered a stage in a month, how many got further in time?|By month of entry, source and pair of stages, of first entries per cycle: converted = the later stage entered within window_days; of those for whom the window is over.|Cycles stand for themselves: what a later cycle reaches is not counted here. Small cohorts jump.';

CREATE OR REPLACE VIEW counted_months
AS SELECT from_stage AS stage, month, source, sum(part) AS part
FROM counted_steps
WHERE to_stage = transform(from_stage, ['inquiry', 'mql', 'sal', 'sql', 'opportunity'], ['mql', 'sal', 'sql', 'opportunity', 'won'], '')
GROUP BY stage, month, source
UNION ALL
SELECT 'won' AS stage, toStartOfMonth(won_at) AS month, source, sum(sign) AS part FROM counted_journeys GROUP BY month, source
COMMENT 'First entries of stages by UTC month and source';

CREATE OR REPLACE VIEW kpi_flow_conversion
AS SELECT
    source,
    step.1 AS from_stage,
    step.2 AS to_stage,
    step.3 AS entered_from,
    step.4 AS entered_to,
    if(entered_from = 0, NULL, entered_to / entered_from) AS flow
FROM
(
    SELECT source, sumIf(part, stage = 'inquiry') AS inquiry_n, sumIf(part, stage = 'mql') AS mql_n, sumIf(part, stage = 'sal') AS sal_n, sumIf(part, stage = 'sql') AS sql_n, sumIf(part, stage = 'opportunity') AS opportunity_n, sumIf(part, stage = 'won') AS won_n
    FROM
    (
        SELECT stage, source, sum(part) AS part
        FROM counted_months
        WHERE month >= toStartOfMonth({since:DateTime64(3, 'UTC')} - toIntervalMillisecond(1) + toIntervalMonth(1)) AND month < toStartOfMonth({until:DateTime64(3, 'UTC')})
        GROUP BY stage, source
        UNION ALL
        -- A period that begins or ends within a month: that month's rows.
        SELECT stage, source, sum(sign) AS part
        FROM
        (
            SELECT 'inquiry' AS stage, source, sign FROM counted_journeys
            WHERE inquiry_at >= {since:DateTime64(3, 'UTC')} AND inquiry_at < {until:DateTime64(3, 'UTC')} AND (inquiry_at < toDateTime64(toStartOfMonth({since:DateTime64(3, 'UTC')} - toIntervalMillisecond(1) + toIntervalMonth(1)), 3, 'UTC') OR inquiry_at >= toDateTime64(toStartOfMonth({until:DateTime64(3, 'UTC')}), 3, 'UTC'))
            UNION ALL
            SELECT 'mql' AS stage, source, sign FROM counted_journeys
            WHERE mql_at >= {since:DateTime64(3, 'UTC')} AND mql_at < {until:DateTime64(3, 'UTC')} AND (mql_at < toDateTime64(toStartOfMonth({since:DateTime64(3, 'UTC')} - toIntervalMillisecond(1) + toIntervalMonth(1)), 3, 'UTC') OR mql_at >= toDateTime64(toStartOfMonth({until:DateTime64(3, 'UTC')}), 3, 'UTC'))
            UNION ALL
            SELECT 'sal' AS stage, source, sign FROM counted_journeys
            WHERE sal_at >= {since:DateTime64(3, 'UTC')} AND sal_at < {until:DateTime64(3, 'UTC')} AND (sal_at < toDateTime64(toStartOfMonth({since:DateTime64(3, 'UTC')} - toIntervalMillisecond(1) + toIntervalMonth(1)), 3, 'UTC') OR sal_at >= toDateTime64(toStartOfMonth({until:DateTime64(3, 'UTC')}), 3, 'UTC'))
            UNION ALL
            SELECT 'sql' AS stage, source, sign FROM counted_journeys
            WHERE sql_at >= {since:DateTime64(3, 'UTC')} AND sql_at < {until:DateTime64(3, 'UTC')} AND (sql_at < toDateTime64(toStartOfMonth({since:DateTime64(3, 'UTC')} - toIntervalMillisecond(1) + toIntervalMonth(1)), 3, 'UTC') OR sql_at >= toDateTime64(toStartOfMonth({until:DateTime64(3, 'UTC')}), 3, 'UTC'))
            UNION ALL
            SELECT 'opportunity' AS stage, source, sign FROM counted_journeys
            WHERE opportunity_at >= {since:DateTime64(3, 'UTC')} AND opportunity_at < {until:DateTime64(3, 'UTC')} AND (opportunity_at < toDateTime64(toStartOfMonth({since:DateTime64(3, 'UTC')} - toIntervalMillisecond(1) + toIntervalMonth(1)), 3, 'UTC') OR opportunity_at >= toDateTime64(toStartOfMonth({until:DateTime64(3, 'UTC')}), 3, 'UTC'))
            UNION ALL
            SELECT 'won' AS stage, source, sign FROM counted_journeys
            WHERE won_at >= {since:DateTime64(3, 'UTC')} AND won_at < {until:DateTime64(3, 'UTC')} AND (won_at < toDateTime64(toStartOfMonth({since:DateTime64(3, 'UTC')} - toIntervalMillisecond(1) + toIntervalMonth(1)), 3, 'UTC') OR won_at >= toDateTime64(toStartOfMonth({until:DateTime64(3, 'UTC')}), 3, 'UTC'))
        )
        GROUP BY stage, source
        UNION ALL
        SELECT entry.1 AS stage, source, sum(sign) AS part
        FROM journeys_since
        ARRAY JOIN [('inquiry', inquiry_at), ('mql', mql_at), ('sal', sal_at), ('sql', sql_at), ('opportunity', opportunity_at), ('won', won_at)] AS entry
        WHERE entry.2 >= {since:DateTime64(3, 'UTC')} AND entry.2 < {until:DateTime64(3, 'UTC')}
        GROUP BY stage, source
        UNION ALL
        -- Every source that leads have.
        SELECT '' AS stage, source, sum(part) AS part
        FROM standing
        GROUP BY source
    )
    GROUP BY source
    HAVING sumIf(part, stage = '') > 0
)
ARRAY JOIN [
    ('inquiry', 'mql', inquiry_n, mql_n), ('mql', 'sal', mql_n, sal_n), ('sal', 'sql', sal_n, sql_n), ('sql', 'opportunity', sql_n, opportunity_n), ('opportunity', 'won', opportunity_n, won_n)
] AS step
COMMENT 'Flow conversion of a period, ratio (since, until).|How much goes in and comes out of a stage this month?|By source and pair of stages: first entries of the later one in [since, until) / those of the earlier one.|Not a cohort: those who come out are not those who went in, and it may exceed 1. For decisions take kpi_conversion.';

CREATE OR REPLACE VIEW stay_ranks
AS WITH
    -- The ranks that are wanted, the bucket that each lies in, and how many of that bucket stand before it: asked once, used twice.
    (
        SELECT groupArray((stage, source, rank.1, buckets[place], rank.2 - (upto[place] - counts[place])))
        FROM
        (
            SELECT stage, source, rank, buckets, counts, upto, arrayFirstIndex(sofar -> sofar > rank.2, upto) AS place
            FROM
            (
                SELECT stage, source, arraySort(groupArray((bucket, n))) AS pairs, pairs.1 AS buckets, pairs.2 AS counts, arrayCumSum(counts) AS upto,
                    toInt64(upto[-1]) AS total
                FROM
                (
                SELECT stage, source, took_bucket AS bucket, sum(sign) AS n
                FROM counted_stays
                WHERE NOT is_implied AND took_bucket >= 0
                GROUP BY stage, source, took_bucket
                HAVING n > 0
                )
                GROUP BY stage, source
            )
            ARRAY JOIN [('p50', toInt64(0.5 * total)), ('p90', toInt64(0.9 * total))] AS rank
        )
    ) AS wanted
SELECT stage, source,
    toNullable(anyIf(found, name = 'p50')) AS p50_ms, toNullable(anyIf(found, name = 'p90')) AS p90_ms
FROM
(
    SELECT want.1 AS stage, want.2 AS source, want.3 AS name, bitShiftRight(inside.signed[arrayFirstIndex(sofar -> sofar > want.5, arrayCumSum(x -> bitAnd(x, 3) - 1, inside.signed))], 2) AS found
    FROM (SELECT arrayJoin(wanted) AS want) AS marks
    INNER JOIN
    (
        SELECT stage, source, took_bucket AS bucket, arraySort(groupArray(bitShiftLeft(assumeNotNull(took_ms), 2) + sign + 1)) AS signed
        FROM counted_stays
        WHERE NOT is_implied AND took_bucket >= 0 AND (stage, source, took_bucket) IN (SELECT want.1, want.2, want.4 FROM (SELECT arrayJoin(wanted) AS want))
        GROUP BY stage, source, took_bucket
    ) AS inside ON inside.stage = want.1 AND inside.source = want.2 AND inside.bucket = want.4
)
GROUP BY stage, source
COMMENT 'Quantiles of the time in stage, milliseconds, by stage and source';

CREATE OR REPLACE VIEW kpi_time_in_stage
(
    stage String COMMENT 'Stage that was left',
    source String COMMENT 'The lead''s source; (none)',
    stays UInt64 COMMENT 'Stays that ended',
    p50_days Float64 COMMENT 'Wall time from entering to leaving',
    p90_days Float64 COMMENT 'Likewise'
)
AS SELECT told.stage AS stage, told.source AS source, told.stays AS stays, assumeNotNull(ranks.p50_ms) / 86400000 AS p50_days, assumeNotNull(ranks.p90_ms) / 86400000 AS p90_days
FROM
(
    SELECT stage, source, sum(sign) AS stays
    FROM counted_stays
    WHERE NOT is_implied AND took_bucket >= 0
    GROUP BY stage, source
    HAVING stays > 0
) AS told
INNER JOIN stay_ranks AS ranks ON ranks.stage = told.stage AND ranks.source = told.source
COMMENT 'Time in stage of stays that ended, days.|How long do leads stand where they stand?|By stage and source: entry of the next stage minus entry of this one.|Implied entries are left out. Long stays that have not ended are missing: see kpi_stage_age.';

CREATE OR REPLACE VIEW age_ranks
AS WITH
    -- The ranks that are wanted, the bucket that each lies in, and how many of that bucket stand before it: asked once, used twice.
    (
        SELECT groupArray((lead_stage, lead_team, rank.1, buckets[place], rank.2 - (upto[place] - counts[place])))
        FROM
        (
            SELECT lead_stage, lead_team, rank, buckets, counts, upto, arrayFirstIndex(sofar -> sofar > rank.2, upto) AS place
            FROM
            (
                SELECT lead_stage, lead_team, arraySort(groupArray((bucket, n))) AS pairs, pairs.1 AS buckets, pairs.2 AS counts, arrayCumSum(counts) AS upto,
                    toInt64(upto[-1]) AS total
                FROM
                (
                SELECT lead_stage, lead_team, since_bucket AS bucket, sum(sign) AS n
                FROM counted_journeys
                WHERE is_current AND lead_stage NOT IN ('won', 'lost', 'disqualified')
                GROUP BY lead_stage, lead_team, since_bucket
                HAVING n > 0
                )
                GROUP BY lead_stage, lead_team
            )
            ARRAY JOIN [('p50', toInt64(0.5 * total)), ('p90', toInt64(0.9 * total))] AS rank
        )
    ) AS wanted
SELECT lead_stage, lead_team,
    toNullable(anyIf(found, name = 'p50')) AS p50_ms, toNullable(anyIf(found, name = 'p90')) AS p90_ms
FROM
(
    SELECT want.1 AS lead_stage, want.2 AS lead_team, want.3 AS name, bitShiftRight(inside.signed[arrayFirstIndex(sofar -> sofar > want.5, arrayCumSum(x -> bitAnd(x, 3) - 1, inside.signed))], 2) AS found
    FROM (SELECT arrayJoin(wanted) AS want) AS marks
    INNER JOIN
    (
        SELECT lead_stage, lead_team, since_bucket AS bucket, arraySort(groupArray(bitShiftLeft(assumeNotNull(since_ms), 2) + sign + 1)) AS signed
        FROM counted_journeys
        WHERE is_current AND lead_stage NOT IN ('won', 'lost', 'disqualified') AND (lead_stage, lead_team, since_bucket) IN (SELECT want.1, want.2, want.4 FROM (SELECT arrayJoin(wanted) AS want))
        GROUP BY lead_stage, lead_team, since_bucket
    ) AS inside ON inside.lead_stage = want.1 AND inside.lead_team = want.2 AND inside.bucket = want.4
)
GROUP BY lead_stage, lead_team
COMMENT 'Quantiles of when the stage was entered where leads stand, as minus UTC milliseconds, by stage and team';

CREATE OR REPLACE VIEW kpi_stage_age
(
    stage String COMMENT 'Stage now, of those that are no end',
    team String COMMENT 'Team now; (none)',
    leads UInt64 COMMENT 'Leads that stand there',
    p50_days Float64 COMMENT 'Age since the entry',
    p90_days Float64 COMMENT 'Likewise'
)
AS SELECT
    told.lead_stage AS stage,
    told.lead_team AS team,
    told.leads AS leads,
    greatest(toUnixTimestamp64Milli(assumeNotNull((SELECT at FROM as_of))) + assumeNotNull(ranks.p50_ms), 0) / 86400000 AS p50_days,
    greatest(toUnixTimestamp64Milli(assumeNotNull((SELECT at FROM as_of))) + assumeNotNull(ranks.p90_ms), 0) / 86400000 AS p90_days
FROM
(
    SELECT lead_stage, lead_team, sum(sign) AS leads
    FROM counted_journeys
    WHERE is_current AND lead_stage NOT IN ('won', 'lost', 'disqualified')
    GROUP BY lead_stage, lead_team
    HAVING leads > 0
) AS told
INNER JOIN age_ranks AS ranks ON ranks.lead_stage = told.lead_stage AND ranks.lead_team = told.lead_team
COMMENT 'Age of leads in the stage where they stand, days.|What lies around, and for how long?|By stage and team, of leads now: as_of minus the entry.|won, lost and disqualified do not age.';

CREATE OR REPLACE VIEW kpi_stage_balance
AS SELECT
    stage,
    in_since - out_since AS at_start,
    in_until - in_since AS entered,
    out_until - out_since AS left,
    in_until - out_until AS at_end
FROM
(
    SELECT
        stage,
        sumIf(part, what = 'in_since') AS in_since, sumIf(part, what = 'in_until') AS in_until,
        sumIf(part, what = 'out_since') AS out_since, sumIf(part, what = 'out_until') AS out_until
    FROM
    (
        -- in before since: whole days by their totals, the last day by its rows.
        SELECT stage, 'in_since' AS what, sum(sign) AS part FROM counted_stays
        WHERE toDate(entered_at) < toDate({since:DateTime64(3, 'UTC')}) GROUP BY stage
        UNION ALL
        SELECT stage, 'in_since' AS what, sum(sign) AS part FROM counted_stays
        WHERE entered_at >= toStartOfDay({since:DateTime64(3, 'UTC')}) AND entered_at < {since:DateTime64(3, 'UTC')} GROUP BY stage
        UNION ALL
        SELECT stage, 'in_since' AS what, sum(sign) AS part FROM stays_since
        WHERE entered_at < {since:DateTime64(3, 'UTC')} GROUP BY stage
        UNION ALL
        -- in before until: whole days by their totals, the last day by its rows.
        SELECT stage, 'in_until' AS what, sum(sign) AS part FROM counted_stays
        WHERE toDate(entered_at) < toDate({until:DateTime64(3, 'UTC')}) GROUP BY stage
        UNION ALL
        SELECT stage, 'in_until' AS what, sum(sign) AS part FROM counted_stays
        WHERE entered_at >= toStartOfDay({until:DateTime64(3, 'UTC')}) AND entered_at < {until:DateTime64(3, 'UTC')} GROUP BY stage
        UNION ALL
        SELECT stage, 'in_until' AS what, sum(sign) AS part FROM stays_since
        WHERE entered_at < {until:DateTime64(3, 'UTC')} GROUP BY stage
        UNION ALL
        -- out before since: whole days by their totals, the last day by its rows.
        SELECT stage, 'out_since' AS what, sum(sign) AS part FROM counted_stays
        WHERE toDate(left_at) < toDate({since:DateTime64(3, 'UTC')}) GROUP BY stage
        UNION ALL
        SELECT stage, 'out_since' AS what, sum(sign) AS part FROM counted_stays
        WHERE left_at >= toStartOfDay({since:DateTime64(3, 'UTC')}) AND left_at < {since:DateTime64(3, 'UTC')} GROUP BY stage
        UNION ALL
        SELECT stage, 'out_since' AS what, sum(sign) AS part FROM stays_since
        WHERE left_at < {since:DateTime64(3, 'UTC')} GROUP BY stage
        UNION ALL
        -- out before until: whole days by their totals, the last day by its rows.
        SELECT stage, 'out_until' AS what, sum(sign) AS part FROM counted_stays
        WHERE toDate(left_at) < toDate({until:DateTime64(3, 'UTC')}) GROUP BY stage
        UNION ALL
        SELECT stage, 'out_until' AS what, sum(sign) AS part FROM counted_stays
        WHERE left_at >= toStartOfDay({until:DateTime64(3, 'UTC')}) AND left_at < {until:DateTime64(3, 'UTC')} GROUP BY stage
        UNION ALL
        SELECT stage, 'out_until' AS what, sum(sign) AS part FROM stays_since
        WHERE left_at < {until:DateTime64(3, 'UTC')} GROUP BY stage
        UNION ALL
        SELECT stage, 'all' AS what, sum(sign) AS part FROM counted_stays GROUP BY stage
        UNION ALL
        SELECT stage, 'all' AS what, sum(sign) AS part FROM stays_since GROUP BY stage
    )
    GROUP BY stage
    HAVING sumIf(part, what = 'all') > 0
)
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
    SELECT toStartOfMonth(assumeNotNull(at)) AS month, sum(part) AS qualified
    FROM
    (
        SELECT toStartOfFifteenMinutes(mql_at) AS at, sum(sign) AS part FROM counted_journeys GROUP BY at
        UNION ALL
        SELECT mql_at AS at, sign AS part FROM journeys_since
        UNION ALL
        -- A month without any is one, too, up to the running one.
        SELECT as_of.at, 0 FROM as_of WHERE as_of.at > toDateTime64(0, 3, 'UTC')
    )
    WHERE at IS NOT NULL
    GROUP BY month
    HAVING qualified > 0 OR month = toStartOfMonth((SELECT at FROM as_of))
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
    quantileExactOrNullIf(0.5)(amount, recent AND status = 'won') AS p50_won_amount,
    quantileExactOrNullIf(0.9)(amount, recent AND status = 'won') AS p90_won_amount,
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
    arraySum(x -> if(x.1 >= starts_at AND x.1 < ends_at, x.2, 0), happened) AS actual,
    actual / nullIf(target, 0) AS attainment,
    length(days_end_at) AS business_days,
    arrayCount(ended -> ended <= (SELECT at FROM as_of), days_end_at) AS elapsed_days,
    attainment / nullIf(elapsed_days / nullIf(business_days, 0), 0) AS pace,
    if(goals.metric = 'won_amount', base_currency, 'count') AS unit
FROM goals
LEFT JOIN
(
    SELECT metric, groupArray((at, part)) AS happened
    FROM
    (
        -- By quarters of an hour: months begin with one in every time zone.
        SELECT 'inquiry' AS metric, assumeNotNull(quarter) AS at, toFloat64(part) AS part
        FROM (SELECT toStartOfFifteenMinutes(inquiry_at) AS quarter, sum(sign) AS part FROM counted_journeys GROUP BY quarter)
        WHERE quarter >= (SELECT min(starts_at) FROM goals) AND quarter < (SELECT max(ends_at) FROM goals)
        UNION ALL
        SELECT 'mql' AS metric, assumeNotNull(quarter) AS at, toFloat64(part) AS part
        FROM (SELECT toStartOfFifteenMinutes(mql_at) AS quarter, sum(sign) AS part FROM counted_journeys GROUP BY quarter)
        WHERE quarter >= (SELECT min(starts_at) FROM goals) AND quarter < (SELECT max(ends_at) FROM goals)
        UNION ALL
        SELECT 'sal' AS metric, assumeNotNull(quarter) AS at, toFloat64(part) AS part
        FROM (SELECT toStartOfFifteenMinutes(sal_at) AS quarter, sum(sign) AS part FROM counted_journeys GROUP BY quarter)
        WHERE quarter >= (SELECT min(starts_at) FROM goals) AND quarter < (SELECT max(ends_at) FROM goals)
        UNION ALL
        SELECT 'sql' AS metric, assumeNotNull(quarter) AS at, toFloat64(part) AS part
        FROM (SELECT toStartOfFifteenMinutes(sql_at) AS quarter, sum(sign) AS part FROM counted_journeys GROUP BY quarter)
        WHERE quarter >= (SELECT min(starts_at) FROM goals) AND quarter < (SELECT max(ends_at) FROM goals)
        UNION ALL
        SELECT step.1 AS metric, toStartOfFifteenMinutes(assumeNotNull(step.2)) AS at, toFloat64(sum(sign)) AS part
        FROM journeys_since
        ARRAY JOIN [('inquiry', inquiry_at), ('mql', mql_at), ('sal', sal_at), ('sql', sql_at)] AS step
        WHERE step.2 IS NOT NULL
        GROUP BY metric, at
        UNION ALL
        SELECT 'opportunity' AS metric, toStartOfFifteenMinutes(opened_at) AS at, toFloat64(count()) AS part
        FROM deals
        GROUP BY at
        UNION ALL
        SELECT 'won' AS metric, toStartOfFifteenMinutes(assumeNotNull(closed_at)) AS at, toFloat64(count()) AS part
        FROM deals
        WHERE status = 'won'
        GROUP BY at
        UNION ALL
        SELECT 'won_amount' AS metric, toStartOfFifteenMinutes(assumeNotNull(closed_at)) AS at, sum(assumeNotNull(amount)) AS part
        FROM opportunities
        WHERE status = 'won' AND amount IS NOT NULL AND currency IN (SELECT base_currency FROM goals)
        GROUP BY at
    )
    GROUP BY metric
) AS told ON told.metric = goals.metric
COMMENT 'Joint goals: attainment and pace.|Are we where we wanted to be by now?|By month and metric: first entries of stages per cycle, opportunities opened and won, or amount won, in the month of the default calendar''s zone; pace = attainment / (business days over / business days).|NULL pace before the first business day is over. Amounts without a rate into the base currency are left out. Who sees some teams sees their part of the whole target.';

CREATE OR REPLACE VIEW kpi_source_coverage
(
    kind String COMMENT 'leads or opportunities',
    total UInt64 COMMENT 'All',
    with_source UInt64 COMMENT 'Those whose source is told',
    coverage Nullable(Float64) COMMENT 'with_source / total'
)
AS SELECT 'leads' AS kind, sum(leads) AS total, sumIf(leads, source != '(none)') AS with_source, with_source / nullIf(total, 0) AS coverage
FROM kpi_current_stages
UNION ALL
SELECT 'opportunities', count() AS total, countIf(source != '') AS with_source, with_source / nullIf(total, 0)
FROM deals
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
        assumeNotNull(told.campaign) AS campaign,
        sumIf(part, bitTest(entered, 0)) AS inquiries, sumIf(part, bitTest(entered, 1)) AS mqls, sumIf(part, bitTest(entered, 2)) AS sals,
        sumIf(part, bitTest(entered, 3)) AS sqls, sumIf(part, bitTest(entered, 4)) AS opportunities, sumIf(part, bitTest(entered, 5)) AS won
    FROM
    (
        SELECT campaign, entered, sum(sign) AS part FROM counted_journeys GROUP BY campaign, entered
        UNION ALL
        SELECT campaign, entered, sign AS part FROM journeys_since
    ) AS told
    WHERE told.campaign IS NOT NULL
    GROUP BY campaign
    HAVING sum(part) > 0
) AS reached USING (campaign)
COMMENT 'Cost of a campaign per lead that reached a stage, in units of a currency.|What does an MQL of this campaign cost us?|By campaign and currency of the cost: cost told / first entries per cycle of leads first captured by the campaign.|Costs without a rate into the base currency make a row of their own, with the same leads. Young leads have not cost less: they had less time. Who sees some teams sees their leads against the whole cost.';

CREATE OR REPLACE VIEW kpi_recycle_yield
AS SELECT
    reason,
    sum(entered_part) AS recycled,
    sum(mature_part) AS mature,
    mature / recycled AS maturity_share,
    sum(requalified_part) AS requalified,
    sum(won_part) AS won,
    if(mature = 0, NULL, requalified / mature) AS yield
FROM
(
    -- By totals of whole days; those of the day in which the window ends row by row.
    SELECT reason, sum(part) AS entered_part, sumIf(part, day < toDate((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32}))) AS mature_part,
        sumIf(part, day < toDate((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})) AND days_after >= 0 AND days_after <= toInt64({window_days:UInt32})) AS requalified_part, 0 AS won_part
    FROM (SELECT stage, toDate(entered_at) AS day, reason, requalified_after AS days_after, sum(sign) AS part FROM counted_stays WHERE stage = 'recycled' AND days_after >= -1 GROUP BY stage, day, reason, days_after)
    GROUP BY reason
    UNION ALL
    SELECT reason, 0, 0, 0, sumIf(part, day < toDate((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})) AND days_after >= 0 AND days_after <= toInt64({window_days:UInt32})) AS won_part
    FROM (SELECT stage, toDate(entered_at) AS day, reason, won_after AS days_after, sum(sign) AS part FROM counted_stays WHERE stage = 'recycled' AND days_after >= -1 GROUP BY stage, day, reason, days_after)
    GROUP BY reason
    UNION ALL
    SELECT reason, 0, sum(sign) AS mature_part,
        sumIf(sign, requalified_after >= 0 AND requalified_after <= toInt64({window_days:UInt32})) AS requalified_part,
        sumIf(sign, won_after >= 0 AND won_after <= toInt64({window_days:UInt32})) AS won_part
    FROM counted_stays
    WHERE stage = 'recycled' AND requalified_after >= -1 AND entered_at >= toStartOfDay((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})) AND entered_at <= (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})
    GROUP BY reason
    UNION ALL
    SELECT reason, sum(sign) AS entered_part, sumIf(sign, is_mature) AS mature_part,
        sumIf(sign, is_mature AND requalified_after >= 0 AND requalified_after <= toInt64({window_days:UInt32})) AS requalified_part,
        sumIf(sign, is_mature AND won_after >= 0 AND won_after <= toInt64({window_days:UInt32})) AS won_part
    FROM (SELECT *, entered_at <= (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32}) AS is_mature FROM stays_since WHERE stage = 'recycled' AND requalified_after >= -1)
    GROUP BY reason
)
GROUP BY reason
HAVING recycled > 0
COMMENT 'What comes of recycled leads, count and share (window_days).|Is it worth while to come back to them?|By reason, of first entries of recycled in a cycle: an mql or an opportunity again, and won, within window_days; of those for whom the window is over.|A lead recycled in two cycles stands twice.';

CREATE OR REPLACE VIEW kpi_collateral_lift
AS SELECT
    collateral_id,
    sum(sign) AS shown,
    sumIf(sign, ifNull(opportunity_at >= mql_at AND opportunity_at <= mql_at + toIntervalDay({window_days:UInt32}), 0)) AS shown_converted,
    shown_converted / shown AS shown_rate,
    (tupleElement(whole, 1) - shown) AS others,
    (tupleElement(whole, 2) - shown_converted) / nullIf(others, 0) AS others_rate,
    shown_rate / nullIf(others_rate, 0) - 1 AS lift,
    tupleElement(whole, 3) AS maturity_share
FROM counted_shows AS shown_to
CROSS JOIN
(
    SELECT (sum(mature_part), sum(converted_part), sum(mature_part) / greatest(sum(mql_part), 1)) AS whole
    FROM
    (
        SELECT sum(part) AS mql_part, sumIf(part, day < toDate((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32}))) AS mature_part,
            sumIf(part, day < toDate((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})) AND days_after >= 0 AND days_after <= toInt64({window_days:UInt32})) AS converted_part
        FROM (SELECT toDate(mql_at) AS day, opportunity_after_mql AS days_after, sum(sign) AS part FROM counted_journeys GROUP BY day, days_after)
        WHERE day IS NOT NULL
        UNION ALL
        SELECT 0, sum(sign), sumIf(sign, opportunity_after_mql >= 0 AND opportunity_after_mql <= toInt64({window_days:UInt32}))
        FROM counted_journeys
        WHERE mql_at BETWEEN toStartOfDay((SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})) AND (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32})
    )
) AS everybody
WHERE mql_at <= (SELECT at FROM as_of) - toIntervalDay({window_days:UInt32}) AND shown_at <= mql_at + toIntervalDay({window_days:UInt32})
GROUP BY collateral_id, whole
HAVING shown > 0
COMMENT 'Lift of a piece of collateral, ratio - 1 (window_days).|Do leads who saw it become opportunities more often?|By collateral, of MQLs for whom window_days are over: share of those with an opportunity in the window, among those it was shown to before that / among all others, - 1. What bounced was not shown.|No proof of cause: who is shown more is often closer already, and whoever converts at once had less time to be shown anything.';

CREATE OR REPLACE VIEW kpi_manual_events
(
    event_type String COMMENT 'Record name',
    source_system String COMMENT 'The system that says so',
    events UInt64 COMMENT 'Events that count',
    by_hand UInt64 COMMENT 'Those entered by a person',
    manual_ratio Float64 COMMENT 'by_hand / events'
)
AS SELECT event_type, source_system, sum(part) AS events, sumIf(part, entered_by = 'person') AS by_hand, by_hand / events AS manual_ratio
FROM (SELECT event_type, source_system, entered_by, sum(sign) AS part FROM counted_entered GROUP BY event_type, source_system, entered_by)
GROUP BY event_type, source_system
HAVING events > 0
COMMENT 'Manual-event ratio, share.|How much typing does all this cost?|By record and system: events entered by a person / events.|As the sending system says.';

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
    source, total AS leads, counts[6] AS complete, complete / leads AS complete_share,
    (arrayFirstIndex(sofar -> sofar > toInt64(0.5 * total), upto) - 1) / 5 AS p50_known,
    (arrayFirstIndex(sofar -> sofar > toInt64(0.9 * total), upto) - 1) / 5 AS p90_known
FROM
(
    SELECT source, sum(part) AS total, [sumIf(part, fields = 0), sumIf(part, fields = 1), sumIf(part, fields = 2), sumIf(part, fields = 3), sumIf(part, fields = 4), sumIf(part, fields = 5)] AS counts, arrayCumSum(counts) AS upto
    FROM (SELECT source, fields, sum(sign) AS part FROM counted_known GROUP BY source, fields)
    GROUP BY source
    HAVING total > 0
)
COMMENT 'Completeness of leads, share of five fields.|Do we know enough of a lead to call it?|By source, of leads: how many of name, email, phone, account and region some event gave; the values themselves are not in the store.|A field that was given once is known, whether or not it was right.';

CREATE OR REPLACE VIEW kpi_completed_by
(
    field String COMMENT 'name, email, phone, account or region',
    completed_by String COMMENT '(captured), (person), or the system that filled it by itself',
    leads UInt64 COMMENT 'Leads whose field was first given so'
)
AS SELECT field, completed_by, sum(sign) AS leads
FROM counted_fields
GROUP BY field, completed_by
HAVING leads > 0
COMMENT 'Who completes leads, count.|Who fills the gaps?|By field and by whom it was given first: with the capture, by a person (LeadEnriched, entered_by), or by a system on its own (its source_system).|As the sending system says. Who that person was, or which vendor a system asked (filled_by), stands in the view completions, for the role that may see names.';

CREATE OR REPLACE VIEW attribution_of
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
        -- The touches of the capture and the opening: the last one at or before it, else the first. 0: a lead that was never captured has none.
        if(captured_at IS NULL, 0, greatest(arrayCount(at -> at <= assumeNotNull(captured_at), path.1), 1)) AS creation,
        greatest(arrayCount(at -> at <= opened_at, path.1), 1) AS opening,
        arrayMap((i, at) -> multiIf(
            {model:String} = 'first', toFloat64(i = 1),
            {model:String} = 'last', toFloat64(i = n),
            {model:String} = 'linear', 1.,
            {model:String} = 'u', 0.4 * (i = 1) + 0.4 * (i = creation),
            {model:String} = 'w', 0.3 * (i = 1) + 0.3 * (i = creation) + 0.3 * (i = opening),
            {model:String} = 'time_decay', exp2(-dateDiff('second', at, closed_at) / 86400. / {half_life_days:UInt32}),
            throwIf({model:String} NOT IN ('first', 'last', 'linear', 'u', 'w', 'time_decay'), 'model is one of first, last, linear, u, w, time_decay')
        ), arrayEnumerate(path), path.1) AS anchors,
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
            won.opportunity_id AS opportunity_id, won.lead_id AS lead_id, any(assumeNotNull(won.closed_at)) AS closed_at,
            any(won.opened_at) AS opened_at, any(won.amount) AS amount, any(won.currency) AS currency, any(won.captured_at) AS captured_at,
            arraySort(arrayFilter(
                t -> t.1 <= closed_at AND t.1 >= closed_at - toIntervalMonth({lookback_months:UInt32}),
                arrayFlatten(groupArray(reached.ats))
            )) AS known,
            if(empty(known), [(closed_at, '', '', '(none)', '(none)')], known) AS path
        FROM
        (
            SELECT
                opportunities.opportunity_id AS opportunity_id, opportunities.lead_id AS lead_id, closed_at, opened_at, amount, currency, captured_at,
                if(ifNull(survivors.survivor, '') = '', person, survivors.survivor) AS reader
            FROM
            (
                SELECT *, arrayJoin(arrayDistinct(arrayConcat([lead_id], arrayMap(r -> r.1, contact_roles)))) AS person
                FROM opportunities
                WHERE status = 'won' AND closed_at >= {since:DateTime64(3, 'UTC')} AND closed_at < {until:DateTime64(3, 'UTC')}
            ) AS opportunities
            LEFT JOIN survivors ON survivors.lead_id = opportunities.person
            -- Two that were named may be one lead by now.
            LIMIT 1 BY opportunity_id, lead_id, reader
        ) AS won
        LEFT JOIN
        (
            SELECT lead_id, groupArray((at, toString(source_system), event_id, toString(channel), if(campaign = '', '(none)', campaign))) AS ats
            FROM touches
            WHERE outcome != 'bounced' AND lead_id IN
            (
                SELECT if(ifNull(survivors.survivor, '') = '', person, survivors.survivor)
                FROM
                (
                    SELECT arrayJoin(arrayConcat([lead_id], arrayMap(r -> r.1, contact_roles))) AS person
                    FROM deals
                    WHERE status = 'won' AND closed_at >= {since:DateTime64(3, 'UTC')} AND closed_at < {until:DateTime64(3, 'UTC')}
                ) AS won
                LEFT JOIN survivors ON survivors.lead_id = won.person
            )
            GROUP BY lead_id
        ) AS reached ON reached.lead_id = won.reader
        GROUP BY opportunity_id, lead_id
    )
)
ARRAY JOIN path AS touch, parts AS part
WHERE part > 0
COMMENT 'Weights of touches on won opportunities: attribution(model = first, last, linear, u, w or time_decay, half_life_days, lookback_months, since, until); of those won in [since, until). Exactly 1 for each opportunity';

CREATE OR REPLACE VIEW attribution
AS SELECT *
FROM attribution_of(model = {model:String}, half_life_days = {half_life_days:UInt32}, lookback_months = {lookback_months:UInt32}, since = '1970-01-01 00:00:00', until = '2299-01-01 00:00:00')
COMMENT 'Weights of touches on won opportunities: attribution(model = first, last, linear, u, w or time_decay, half_life_days, lookback_months); exactly 1 for each opportunity';

CREATE OR REPLACE VIEW kpi_attribution
AS SELECT
    told.campaign AS campaign,
    told.channel AS channel,
    told.currency AS currency,
    uniqExact(told.opportunity_id, told.lead_id) AS opportunities,
    sum(told.weight) AS weight,
    sum(ifNull(told.amount, 0) * toFloat64(told.weight)) AS amount
FROM attribution_of(model = {model:String}, half_life_days = {half_life_days:UInt32}, lookback_months = {lookback_months:UInt32}, since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}) AS told
GROUP BY campaign, channel, currency
COMMENT 'Amount won, shared out to the touches before it, in units of a currency (model, half_life_days, lookback_months, since, until).|Which campaigns and channels bring in what we win?|By campaign, channel and currency, of opportunities won in [since, until): touches of the primary lead and of those in contact roles, up to winning and lookback_months back, bounced ones left out. first, last: all to that one. linear: alike. u: 40 first, 40 the touch of the capture, 20 the rest. w: 30 first, 30 capture, 30 opening, 10 the rest. time_decay: half for every half_life_days before winning.|The weights of an opportunity sum to exactly 1; without touches (none) has them all. Without a rest, or without a capture, that part goes to the others in proportion. Customary: half_life_days 90, lookback_months 27.';

CREATE OR REPLACE VIEW kpi_campaign_return
AS SELECT
    campaign,
    currency,
    spent.cost AS cost,
    attributed.amount AS amount,
    if(cost = 0 OR countIf(cost != 0 OR amount != 0) OVER (PARTITION BY campaign) > 1, NULL, (amount - cost) / cost) AS roi
FROM (SELECT campaign, campaign_costs.currency AS currency, sum(campaign_costs.amount) AS cost FROM campaign_costs GROUP BY campaign, currency) AS spent
FULL OUTER JOIN
(
    SELECT campaign, told.currency AS currency, sum(ifNull(told.amount, 0) * toFloat64(told.weight)) AS amount
    FROM attribution_of(model = {model:String}, half_life_days = {half_life_days:UInt32}, lookback_months = {lookback_months:UInt32}, since = '1970-01-01 00:00:00', until = '2299-01-01 00:00:00') AS told
    GROUP BY campaign, currency
) AS attributed USING (campaign, currency)
COMMENT 'Return on a campaign (model, half_life_days, lookback_months).|Does this campaign earn its cost?|By campaign and currency: (amount won attributed to it - cost) / cost; models as in kpi_attribution.|Costs come first and deals 12 to 18 months later: young campaigns look bad. NULL without cost, and where there is no rate between currencies of its costs and amounts won: each has a row then. Who sees some teams sees their deals against the whole cost.';

CREATE OR REPLACE VIEW kpi_touch_stage
AS SELECT
    channel,
    origin,
    moves.stage AS stage,
    moves.moved AS moved,
    entered.entries AS entries,
    moved / entries AS share
FROM
(
    SELECT channel, origin, stage, sum(sign) AS moved
    FROM counted_moves
    WHERE lag_days < {days:UInt32}
    GROUP BY channel, origin, stage
    HAVING moved > 0
) AS moves
INNER JOIN
(
    SELECT stage, sum(sign) AS entries
    FROM counted_stays
    WHERE NOT is_implied AND stage IN ('mql', 'sal', 'sql', 'opportunity', 'won', 'lost')
    GROUP BY stage
) AS entered ON entered.stage = moves.stage
COMMENT 'Touch x stage matrix, count and share (days).|Which touches move leads on?|By channel, origin and stage: entries of the stage that had such a touch in the days before, and their share of all its entries.|One entry stands under every sort of touch before it: columns do not sum up to 1. Implied entries are left out.';
