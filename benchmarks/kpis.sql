-- Filled inside the store: see kpis.py. {start} and {count}: which leads.

-- stories
CREATE OR REPLACE VIEW bench_stories AS SELECT
    number,
    concat('lead-', lower(hex(toUInt64(number * 1000003 + sipHash64(number) % 1000003)))) AS lead_id,
    sipHash64(number, 1) AS luck,
    -- Of twenty leads one buys, twice; eight come as far as an opportunity and lose it; the others are recycled again and again.
    multiIf(luck % 100 < 55, 3, luck % 100 < 80, 4, luck % 100 < 95, 1, 2) AS way,
    [[1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3], [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2], [1, 1, 1, 1, 2, 2, 3, 3, 3, 3], [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]][way] AS cycles,
    [['inquiry', 'mql', 'sal', 'recycled', 'mql', 'sal', 'sql', 'opportunity', 'lost', 'recycled', 'mql'], ['inquiry', 'mql', 'sal', 'sql', 'opportunity', 'won', 'mql', 'sal', 'sql', 'opportunity', 'won'], ['inquiry', 'nurture', 'mql', 'recycled', 'mql', 'recycled', 'mql', 'sal', 'sql', 'recycled'], ['inquiry', 'mql', 'recycled', 'nurture', 'mql', 'sal', 'sql', 'opportunity', 'lost', 'recycled']][way] AS stages,
    [['LeadCaptured', 'LeadQualified', 'LeadAccepted', 'LeadRecycled', 'LeadQualified', 'LeadAccepted', 'LeadSalesQualified', 'OpportunityOpened', 'OpportunityLost', 'LeadRecycled', 'LeadQualified'], ['LeadCaptured', 'LeadQualified', 'LeadAccepted', 'LeadSalesQualified', 'OpportunityOpened', 'OpportunityWon', 'LeadQualified', 'LeadAccepted', 'LeadSalesQualified', 'OpportunityOpened', 'OpportunityWon'], ['LeadCaptured', 'LeadNurtured', 'LeadQualified', 'LeadRejected', 'LeadQualified', 'LeadRecycled', 'LeadQualified', 'LeadAccepted', 'LeadSalesQualified', 'LeadRecycled'], ['LeadCaptured', 'LeadQualified', 'LeadRejected', 'LeadNurtured', 'LeadQualified', 'LeadAccepted', 'LeadSalesQualified', 'OpportunityOpened', 'OpportunityLost', 'LeadRecycled']][way] AS types,
    toDateTime64('2026-10-01 12:00:00', 3, 'UTC') - toIntervalMillisecond(luck % 94608000000) AS began,
    -- Between two steps: minutes to weeks, the short more often.
    arrayCumSum(arrayMap(i -> if(i = 1, 0, toInt64(pow(1.06, sipHash64(number, i) % 200) * 13000)), arrayEnumerate(stages))) AS later,
    arrayMap(x -> began + toIntervalMillisecond(x), later) AS ats,
    arrayCount(at -> at <= toDateTime64('2026-10-01 12:00:00', 3, 'UTC'), ats) AS steps,
    concat('source-', toString(intDiv(luck, 7) % 10)) AS source,
    concat('campaign-', toString(intDiv(luck, 11) % 300)) AS campaign,
    concat('team-', toString(intDiv(luck, 13) % 20)) AS team,
    toUInt32(intDiv(luck, 17) % 12) AS lane,
    luck % 100 = 7 AS is_test
FROM numbers({start:UInt64}, {count:UInt64});

-- fixed
INSERT INTO lanes (lane, clock, topic_id, version) SELECT number, toDateTime64('2026-10-01 12:00:00', 3, 'UTC'), 'bench', 1 FROM numbers(12);

-- fixed
INSERT INTO dead_letters (origin_topic, origin_offset, reason, failed_at, topic_id, offset, version) SELECT 'leads', number, ['unreadable', 'unknown_source', 'missing_field'][1 + number % 3], toDateTime64('2026-10-01 12:00:00', 3, 'UTC'), 'bench', number, number FROM numbers(10000);

-- fixed
INSERT INTO campaign_events (campaign, source_system, event_id, event_type, occurred_at, received_at, body, topic_id, offset) SELECT concat('campaign-', toString(number % 300)), 'ads', toString(number), 'CampaignCostRecorded', toDateTime64('2026-10-01 12:00:00', 3, 'UTC') - toIntervalDay(number % 900), toDateTime64('2026-10-01 12:00:00', 3, 'UTC'), concat('{"amount_minor": ', toString(100000 + number), ', "currency": "EUR"}'), 'bench', number FROM numbers(9000);

-- fixed
INSERT INTO agreement_versions (agreement_version, effective_from, base_currency, rates, `goals.month`, `goals.metric`, `goals.target`, `goals.starts_at`, `goals.ends_at`, `goals.days_end_at`) SELECT 'v1', toDateTime64('2020-01-01 00:00:00', 3, 'UTC'), 'EUR', map('USD', 0.9), arrayMap(x -> x.1, g), arrayMap(x -> x.2, g), arrayMap(x -> 1000., g), arrayMap(x -> toDateTime64(x.1, 3, 'UTC'), g), arrayMap(x -> toDateTime64(addMonths(x.1, 1), 3, 'UTC'), g), arrayMap(x -> arrayMap(d -> toDateTime64(addDays(x.1, d), 3, 'UTC'), range(1, 23)), g) FROM (SELECT arrayFlatten(arrayMap(m -> arrayMap(name -> (toDate(addMonths(toDate('2026-01-01'), m)), name), ['inquiry', 'mql', 'sal', 'sql', 'opportunity', 'won', 'won_amount']), range(12))) AS g);

-- leads
INSERT INTO leads (lead_id, stage, cycle, work_status, source, campaign, owner, owner_kind, team, grade,
    stage_entered_at, first_captured_at, last_received_at, is_test, cycles.cycle, cycles.source, cycles.campaign, cycles.team,
    cycles.inquiry_at, cycles.mql_at, cycles.sal_at, cycles.sql_at, cycles.opportunity_at, cycles.won_at, cycles.lost_at, cycles.nurture_at, cycles.recycled_at, cycles.disqualified_at, cycles.merged_at, cycles.erased_at,
    cycles.owner, cycles.grade, cycles.implied,
    cycles.hand_raised_at, cycles.first_assigned_at, cycles.first_touched_at, topic_id, partition, offset, version, deleted)
SELECT lead_id, stages[steps] AS stage, cycles[steps] AS cycle, 'connected', source, campaign, 'owner', 'person', team, 'warm',
    ats[steps], began, ats[steps], is_test, arrayDistinct(arraySlice(cycles, 1, steps)) AS told,
    arrayMap(c -> source, told), arrayMap(c -> campaign, told), arrayMap(c -> team, told),
    arrayMap(i -> if(i = 0, NULL, ats[i]), arrayMap(c -> arrayFirstIndex((k, s, i) -> k = c AND s = 'inquiry' AND i <= steps, cycles, stages, arrayEnumerate(stages)), told)), arrayMap(i -> if(i = 0, NULL, ats[i]), arrayMap(c -> arrayFirstIndex((k, s, i) -> k = c AND s = 'mql' AND i <= steps, cycles, stages, arrayEnumerate(stages)), told)), arrayMap(i -> if(i = 0, NULL, ats[i]), arrayMap(c -> arrayFirstIndex((k, s, i) -> k = c AND s = 'sal' AND i <= steps, cycles, stages, arrayEnumerate(stages)), told)), arrayMap(i -> if(i = 0, NULL, ats[i]), arrayMap(c -> arrayFirstIndex((k, s, i) -> k = c AND s = 'sql' AND i <= steps, cycles, stages, arrayEnumerate(stages)), told)), arrayMap(i -> if(i = 0, NULL, ats[i]), arrayMap(c -> arrayFirstIndex((k, s, i) -> k = c AND s = 'opportunity' AND i <= steps, cycles, stages, arrayEnumerate(stages)), told)), arrayMap(i -> if(i = 0, NULL, ats[i]), arrayMap(c -> arrayFirstIndex((k, s, i) -> k = c AND s = 'won' AND i <= steps, cycles, stages, arrayEnumerate(stages)), told)), arrayMap(i -> if(i = 0, NULL, ats[i]), arrayMap(c -> arrayFirstIndex((k, s, i) -> k = c AND s = 'lost' AND i <= steps, cycles, stages, arrayEnumerate(stages)), told)), arrayMap(i -> if(i = 0, NULL, ats[i]), arrayMap(c -> arrayFirstIndex((k, s, i) -> k = c AND s = 'nurture' AND i <= steps, cycles, stages, arrayEnumerate(stages)), told)), arrayMap(i -> if(i = 0, NULL, ats[i]), arrayMap(c -> arrayFirstIndex((k, s, i) -> k = c AND s = 'recycled' AND i <= steps, cycles, stages, arrayEnumerate(stages)), told)),
    arrayMap(c -> NULL, told), arrayMap(c -> NULL, told), arrayMap(c -> NULL, told),
    arrayMap(c -> NULL, told), arrayMap(c -> NULL, told), arrayMap(c -> emptyArrayString(), told),
    arrayMap(c -> if(c = 1, began, NULL), told),
    arrayMap(c -> if(c = 1, began + toIntervalMillisecond(luck % 7200000), NULL), told),
    arrayMap(c -> if(c = 1 AND luck % 10 < 9, began + toIntervalMillisecond(luck % 259200000), NULL), told),
    'bench' AS topic_id, lane AS partition, toInt64(number) AS offset, toUInt64(offset) AS version, 0 AS deleted
FROM bench_stories(start = {start:UInt64}, count = {count:UInt64});

-- lead_transitions
INSERT INTO lead_transitions (transition_id, lead_id, change, cycle, sequence, from_stage, to_stage,
    entered_at, event_type, event_id, source_system, entered_by, implied, source, campaign, owner, team, grade, reason,
    agreement_version, is_test, emitted_at, topic_id, partition, offset, version, deleted)
SELECT lower(hex(sipHash128(number, i))), lead_id, 'stated', cycles[i], i, if(i = 1, NULL, stages[i - 1]), stages[i], ats[i], types[i],
    concat(lower(hex(sipHash64(number, i))), '-', toString(i)), 'crm', if(luck % 3 = 0, 'person', 'system'), sipHash64(number, i, 2) % 20 = 0,
    source, campaign, 'owner', team, 'warm', if(stages[i] = 'recycled', ['no_budget', 'timing', 'incomplete_data', 'wrong_route'][1 + sipHash64(number, i) % 4], NULL),
    'v1', is_test, ats[i], 'bench' AS topic_id, lane AS partition, toInt64(number * 16 + i) AS offset, toUInt64(offset) AS version, 0 AS deleted
FROM bench_stories(start = {start:UInt64}, count = {count:UInt64})
ARRAY JOIN arrayEnumerate(arraySlice(stages, 1, steps)) AS i;

-- sla_instances
INSERT INTO sla_instances (instance_id, lead_id, kind, policy, verdict, cycle, start_event_id, start_source_system,
    start_event_type, started_at, deadline, breached_at, satisfied_at, elapsed_ms, agreement_version, calendar, target_ms, budget_ms,
    team, source, is_test, emitted_at, topic_id, partition, offset, version, deleted)
SELECT lower(hex(sipHash128(number, i, 3))), lead_id, 'told', ['first_response', 'qualification', 'stage_age'][i] AS policy,
    multiIf(deadline > toDateTime64('2026-10-01 12:00:00', 3, 'UTC') AND chance < 50, 'open', chance < 85, 'met', chance < 93, 'late_met', chance < 96, 'breached_ended',
        chance < 98, 'cancelled', 'breached_open') AS verdict,
    1, concat(lower(hex(sipHash64(number, i))), '-', toString(i)), 'crm', if(i = 1, 'LeadCaptured', 'LeadAccepted'),
    began + toIntervalHour(24 * (i - 1)) AS started_at, started_at + toIntervalHour(8 * i * i) AS deadline,
    if(verdict IN ('late_met', 'breached_ended', 'breached_open'), deadline, NULL),
    if(verdict IN ('met', 'late_met'), began + toIntervalMillisecond(sipHash64(number, i, 5) % if(verdict = 'met', 28800000, 259200000)) + toIntervalHour(24 * (i - 1)), NULL) AS satisfied_at,
    intDiv(toUnixTimestamp64Milli(satisfied_at) - toUnixTimestamp64Milli(started_at), 3), 'v1', 'office', 28800000, 28800000, team, source, is_test, started_at,
    'bench' AS topic_id, lane AS partition, toInt64(number * 4 + i) AS offset, toUInt64(offset) AS version, 0 AS deleted
FROM (SELECT *, i, sipHash64(number, i, 4) % 100 AS chance FROM bench_stories(start = {start:UInt64}, count = {count:UInt64}) ARRAY JOIN [1, 2, 3] AS i);

-- events
INSERT INTO events (lead_id, source_system, event_id, event_type, occurred_at, received_at, entered_by, is_test,
    person_fields, body_hash, body, topic, timestamp, topic_id, partition, offset, version, deleted)
SELECT lead_id, 'crm', concat(lower(hex(sipHash64(number, j, 6))), '-', toString(j)) AS event_id, event_type, at, at,
    if(luck % 3 = 0, 'person', 'system'), is_test, if(event_type = 'LeadCaptured', ['name', 'email'], []), sipHash64(number, j), body, topic,
    toUnixTimestamp64Milli(at), 'bench' AS topic_id, lane AS partition, toInt64(number * 32 + j) AS offset, toUInt64(offset) AS version, 0 AS deleted
FROM
(
    SELECT number, lead_id, luck, lane, is_test, j, event_type, at,
        if(j = 1, 'leads', if(j <= 6, 'touches', 'opportunities')) AS topic,
        concat('{"type": "', event_type, '", ', multiIf(
            j = 1, concat('"source": "', source, '", "campaign": "', campaign, '", "hand_raise": true, "account": "', if(luck % 2, 'acme', ''), '"'),
            j <= 6, concat('"channel": "', ['call', 'email', 'web', 'event', 'meeting'][1 + sipHash64(number, j) % 5], '", "direction": "outbound", "origin": "',
                if(j % 2, 'sales', 'marketing'), '", "actor": "', if(sipHash64(number, j) % 4, 'human', 'automated'), '", "outcome": "connected", "campaign": "campaign-',
                toString(sipHash64(number, j) % 300), '", "collateral_id": "', if(sipHash64(number, j) % 8, '', concat('deck-', toString(sipHash64(number, j) % 20))), '"'),
            concat('"opportunity_id": "', lead_id, '-', toString(k), '", "source": "', source, '", "owner": "owner", "amount_minor": ', toString(100000 + luck % 10000000), ', "currency": "EUR"')
        ), '}') AS body
    FROM
    (
        SELECT *, j, if(j <= 6, 0, places[j - 6]) AS i, if(j <= 6, 0, cycles[i]) AS k,
            multiIf(j = 1, 'LeadCaptured', j <= 6, 'TouchRecorded', types[i]) AS event_type,
            -- Touches lie about the steps.
            multiIf(j = 1, began, j <= 6, ats[1 + (j * 2) % steps] - toIntervalMillisecond(sipHash64(number, j, 7) % 864000000), ats[i]) AS at
        FROM
        (
            SELECT *, arrayFilter(i -> startsWith(types[i], 'Opportunity'), arrayEnumerate(arraySlice(types, 1, steps))) AS places
            FROM bench_stories(start = {start:UInt64}, count = {count:UInt64})
        )
        ARRAY JOIN range(1, 7 + length(places)) AS j
    )
);
