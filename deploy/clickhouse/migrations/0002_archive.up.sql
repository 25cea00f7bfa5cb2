-- The archive of what came in, and what is read from it: touches, opportunities, campaigns, agreements.
--
-- `events` keeps every record of the input topics that could be decoded, copies and records set aside included: it is the
-- audit trail, and what a replay reads once Kafka's 24 days are over. So it has no TTL: attribution looks back 27 months, and
-- a TTL under 24 would falsify it. It has no personal data either: `person` stays in Kafka, of its fields only the names of
-- those that were given are kept. Nothing in it has to be deleted when a lead is erased.
--
--   sort key     the lead first: every question about touches or deals is asked by lead, and a lead's rows lie together. Then
--                the event's identity, so that copies lie together, then the record's place, which makes a row of one that
--                was inserted twice. The index holds the lead alone: more would not be looked up and fills memory.
--   partitions   by year of receipt, for dropping and moving. Not by month: an import of many years would touch more than the
--                100 partitions that one insert may. A row's own place never changes partition: received_at is a fact.
--                Tables of statements (transitions, clocks, leads) have no partitions: a correction may move a statement in
--                time, and FINAL would not find the older one in another partition.
--   codecs       bodies ZSTD(3), read by replays alone; times Delta: neighbours are one lead's; ids ZSTD(1).
--   said         the fields that are asked for, parsed from the body once, at the insert: one column each on disk.

CREATE TABLE IF NOT EXISTS events
(
    lead_id String COMMENT 'The lead that the event names' CODEC(ZSTD(1)),
    source_system LowCardinality(String) COMMENT 'The system that says so',
    event_id String COMMENT 'Its identity there' CODEC(ZSTD(1)),
    event_type LowCardinality(String) COMMENT 'Record name',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened, as its source says' CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') COMMENT 'When it was received: the record''s timestamp, or an import''s original arrival' CODEC(Delta, ZSTD(1)),
    entered_by LowCardinality(String) COMMENT 'system or person',
    is_test Bool COMMENT 'Test traffic, by the event''s own word',
    person_fields Array(LowCardinality(String)) COMMENT 'Names of the personal fields that came with it; never their values',
    body_hash UInt64 COMMENT 'Tells copies from conflicts: of two received at one instant the smaller counts' CODEC(ZSTD(1)),
    body String COMMENT 'The event as JSON without `person`, as `baton import` reads it' CODEC(ZSTD(3)),
    topic LowCardinality(String) COMMENT 'Input topic, with its prefix',
    timestamp Int64 COMMENT 'The record''s Kafka timestamp, UTC milliseconds' CODEC(Delta, ZSTD(1)),
    effective_at DateTime64(3, 'UTC') MATERIALIZED least(greatest(occurred_at, received_at - toIntervalHour(72)), received_at) COMMENT 'occurred_at clamped to the 72 h before received_at: what orders and judges' CODEC(Delta, ZSTD(1)),
    said Tuple(
        source LowCardinality(String),
        campaign String,
        channel LowCardinality(String),
        direction LowCardinality(String),
        origin LowCardinality(String),
        actor LowCardinality(String),
        outcome LowCardinality(String),
        collateral_id String,
        hand_raise Bool,
        landing_page String,
        account String,
        region LowCardinality(String),
        fields Array(LowCardinality(String)),
        filled_by LowCardinality(String),
        reason LowCardinality(String),
        opportunity_id String,
        amount_minor Nullable(Int64),
        currency LowCardinality(String),
        stage_status LowCardinality(String),
        contact_roles Array(Tuple(lead_id String, role String)),
        owner String,
        withdrawn_event_id String,
        withdrawn_source_system String
    ) MATERIALIZED JSONExtract(body, 'Tuple(source LowCardinality(String), campaign String, channel LowCardinality(String), direction LowCardinality(String), origin LowCardinality(String), actor LowCardinality(String), outcome LowCardinality(String), collateral_id String, hand_raise Bool, landing_page String, account String, region LowCardinality(String), fields Array(LowCardinality(String)), filled_by LowCardinality(String), reason LowCardinality(String), opportunity_id String, amount_minor Nullable(Int64), currency LowCardinality(String), stage_status LowCardinality(String), contact_roles Array(Tuple(lead_id String, role String)), owner String, withdrawn_event_id String, withdrawn_source_system String)') COMMENT 'Fields of the event; empty where it has none of the kind',
    topic_id LowCardinality(String) COMMENT 'Kafka id of the input topic',
    partition UInt32 COMMENT 'Its partition',
    offset Int64 COMMENT 'Offset in it' CODEC(Delta, ZSTD(1)),
    version UInt64 COMMENT 'Topic generation * 2^48 + offset' CODEC(Delta, ZSTD(1)),
    deleted UInt8 COMMENT 'Always 0'
)
ENGINE = ReplacingMergeTree(version, deleted)
PARTITION BY toYear(received_at)
PRIMARY KEY lead_id
ORDER BY (lead_id, source_system, event_id, topic_id, partition, offset)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Every event that was received, copies included. No personal data. What counts of it: the view facts';

CREATE TABLE IF NOT EXISTS campaign_events
(
    campaign String COMMENT 'The campaign',
    source_system LowCardinality(String) COMMENT 'The system that says so',
    event_id String COMMENT 'Its identity there',
    event_type LowCardinality(String) COMMENT 'CampaignAnnounced, CampaignCostRecorded or LeadListImported',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened, as its source says',
    received_at DateTime64(3, 'UTC') COMMENT 'When it was received',
    entered_by LowCardinality(String) COMMENT 'system or person',
    is_test Bool COMMENT 'Test traffic',
    body_hash UInt64 COMMENT 'Of two received at one instant under one id the smaller counts',
    body String COMMENT 'The event as JSON' CODEC(ZSTD(3)),
    topic LowCardinality(String) COMMENT 'Topic, with its prefix',
    timestamp Int64 COMMENT 'The record''s Kafka timestamp, UTC milliseconds',
    topic_id LowCardinality(String) COMMENT 'Kafka id of the topic',
    partition UInt32 COMMENT 'Its partition',
    offset Int64 COMMENT 'Offset in it',
    version UInt64 COMMENT 'Topic generation * 2^48 + offset',
    deleted UInt8 COMMENT 'Always 0'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (campaign, source_system, event_id, topic_id, partition, offset)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Every event about campaigns, copies included. What counts of it: the views campaigns and campaign_costs';

CREATE TABLE IF NOT EXISTS agreement_versions
(
    agreement_version String COMMENT 'Its name',
    effective_from DateTime64(3, 'UTC') COMMENT 'The instant from which it holds',
    published_at DateTime64(3, 'UTC') COMMENT 'When it was published',
    checksum String COMMENT 'SHA-256 of what it says',
    text String COMMENT 'The YAML as it was published' CODEC(ZSTD(3)),
    zone LowCardinality(String) COMMENT 'Time zone of its default calendar: where its months begin',
    base_currency LowCardinality(String) COMMENT 'ISO 4217; empty: it has no rule on currencies',
    rates Map(LowCardinality(String), Float64) COMMENT 'What one unit of another currency is worth in the base',
    goals Nested
    (
        month Date,
        metric LowCardinality(String),
        target Float64,
        starts_at DateTime64(3, 'UTC'),
        ends_at DateTime64(3, 'UTC'),
        days_end_at Array(DateTime64(3, 'UTC'))
    ) COMMENT 'Joint goals: month, what is counted, how much; the month''s first instant and the first after it; the last instant of each of its business days, in the default calendar',
    topic_id LowCardinality(String) COMMENT 'Kafka id of the topic',
    partition UInt32 COMMENT 'Its partition',
    offset Int64 COMMENT 'Offset in it',
    version UInt64 COMMENT 'Topic generation * 2^48 + offset; the highest under a key holds',
    deleted UInt8 COMMENT 'Always 0'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY agreement_version
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Versions of the agreement, with their goals. Read with FINAL';

-- What counts of the archive ----------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW as_of
(
    at DateTime64(3, 'UTC') COMMENT 'Everything received up to here is in the numbers'
)
AS SELECT min(clock) AS at
FROM lanes FINAL
COMMENT 'The instant that numbers hold for: the clock of the lane that is furthest behind. What is "now" or "due by now" in a KPI means this';

CREATE OR REPLACE VIEW survivors
(
    lead_id String COMMENT 'A lead that was merged into another',
    survivor String COMMENT 'The lead that it is part of in the end'
)
AS WITH RECURSIVE
    merged AS (SELECT lead_id, assumeNotNull(merged_into) AS into FROM leads FINAL WHERE merged_into IS NOT NULL),
    hops AS
    (
        SELECT lead_id, into, 1 AS depth FROM merged
        UNION ALL
        SELECT hops.lead_id AS lead_id, merged.into AS into, hops.depth + 1 AS depth
        FROM hops INNER JOIN merged ON merged.lead_id = hops.into
        WHERE hops.depth < 1000
    )
SELECT lead_id, argMax(into, depth) AS survivor
FROM hops
GROUP BY lead_id
COMMENT 'Merged leads, and which lead they are now part of';

CREATE OR REPLACE VIEW withdrawals
(
    lead_id String COMMENT 'The lead',
    source_system String COMMENT 'source_system of the withdrawn event',
    event_id String COMMENT 'event_id of the withdrawn event',
    topic String COMMENT 'Its topic',
    received_at DateTime64(3, 'UTC') COMMENT 'When its first FactWithdrawn was received'
)
AS SELECT
    events.lead_id AS lead_id,
    if(said.withdrawn_source_system = '', events.source_system, said.withdrawn_source_system) AS source_system,
    said.withdrawn_event_id AS event_id,
    events.topic AS topic,
    min(events.received_at) AS received_at
FROM
(
    -- First told wins, whatever it is: a FactWithdrawn under an id that is taken withdraws nothing.
    SELECT lead_id, source_system, event_type, received_at, said, topic
    FROM events
    WHERE lead_id IN (SELECT lead_id FROM events WHERE event_type = 'FactWithdrawn')
        AND (topic, partition, offset, timestamp)
            NOT IN (SELECT origin_topic, origin_partition, origin_offset, origin_timestamp FROM dead_letters)
    ORDER BY lead_id, source_system, event_id, received_at, body_hash
    LIMIT 1 BY lead_id, source_system, event_id
) AS events
WHERE event_type = 'FactWithdrawn'
GROUP BY lead_id, source_system, event_id, topic
COMMENT 'Events that were taken back. One that was effective more than 72 h before stays; the view facts sees to that';

CREATE OR REPLACE VIEW twins
(
    lead_id String COMMENT 'The lead that the event names',
    source_system String COMMENT 'Its source_system',
    event_id String COMMENT 'Its event_id'
)
AS SELECT lead_id, source_system, event_id
FROM
(
    SELECT
        first.lead_id AS lead_id,
        first.source_system AS source_system,
        first.event_id AS event_id,
        row_number() OVER (
            PARTITION BY if(ifNull(survivors.survivor, '') = '', first.lead_id, survivors.survivor), source_system, event_id
            ORDER BY first.effective_at, lead_id
        ) AS place
    FROM
    (
        SELECT lead_id, source_system, event_id, effective_at
        FROM events
        WHERE (lead_id IN (SELECT lead_id FROM survivors) OR lead_id IN (SELECT survivor FROM survivors))
            AND (topic, partition, offset, timestamp)
                NOT IN (SELECT origin_topic, origin_partition, origin_offset, origin_timestamp FROM dead_letters)
        ORDER BY lead_id, source_system, event_id, received_at, body_hash
        LIMIT 1 BY lead_id, source_system, event_id
    ) AS first
    LEFT JOIN survivors ON survivors.lead_id = first.lead_id
)
WHERE place > 1
COMMENT 'Events that came under the names of two leads that are one by now: all but the first of each';

CREATE OR REPLACE VIEW uncounted_leads
(
    lead_id String COMMENT 'The lead'
)
AS SELECT lead_id
FROM leads FINAL
WHERE is_test OR stage IN ('merged', 'erased')
UNION DISTINCT
-- The row of an erased lead is deleted; that it was erased stays told.
SELECT lead_id
FROM lead_transitions FINAL
WHERE to_stage = 'erased'
COMMENT 'Leads that every KPI leaves out: test traffic, merged, erased';

CREATE OR REPLACE VIEW facts
AS SELECT
    if(ifNull(survivors.survivor, '') = '', first.lead_id, survivors.survivor) AS lead_id,
    first.lead_id AS named_lead_id,
    first.source_system AS source_system,
    first.event_id AS event_id,
    first.event_type AS event_type,
    first.effective_at AS at,
    first.received_at AS received_at,
    first.entered_by AS entered_by,
    first.person_fields AS person_fields,
    first.said AS said
FROM
(
    SELECT lead_id, source_system, event_id, event_type, effective_at, received_at, entered_by, person_fields, said, topic
    FROM events
    WHERE (topic, partition, offset, timestamp)
            NOT IN (SELECT origin_topic, origin_partition, origin_offset, origin_timestamp FROM dead_letters)
    ORDER BY lead_id, source_system, event_id, received_at, body_hash
    LIMIT 1 BY lead_id, source_system, event_id
) AS first
LEFT JOIN withdrawals
    ON withdrawals.lead_id = first.lead_id
    AND withdrawals.source_system = first.source_system
    AND withdrawals.event_id = first.event_id
    AND withdrawals.topic = first.topic
LEFT JOIN survivors ON survivors.lead_id = first.lead_id
-- After copies and conflicts are gone: of two bodies under one id the first counts, whatever its type.
WHERE (empty({types:Array(String)}) OR first.event_type IN {types:Array(String)})
    AND NOT (
        ifNull(withdrawals.event_id, '') != ''
        AND first.event_type NOT IN ('FactWithdrawn', 'LeadErased')
        AND first.effective_at >= ifNull(withdrawals.received_at, toDateTime64(0, 3, 'UTC')) - toIntervalHour(72)
    )
    AND (first.lead_id, first.source_system, first.event_id) NOT IN (SELECT lead_id, source_system, event_id FROM twins)
    AND if(ifNull(survivors.survivor, '') = '', first.lead_id, survivors.survivor) NOT IN (SELECT lead_id FROM uncounted_leads)
COMMENT 'Events that count, once each, under the lead that they are part of now: facts(types = [...]), [] for all. Left out: copies, what was set aside or withdrawn, test traffic, erased leads';

CREATE OR REPLACE VIEW touches
(
    lead_id String COMMENT 'The lead; of a merged one its survivor',
    source_system LowCardinality(String) COMMENT 'The system that says so',
    event_id String COMMENT 'Its identity there',
    at DateTime64(3, 'UTC') COMMENT 'effective_at',
    channel LowCardinality(String) COMMENT 'call, email, sms, meeting, chat, social, web, event, ad',
    direction LowCardinality(String) COMMENT 'inbound or outbound',
    origin LowCardinality(String) COMMENT 'marketing or sales',
    actor LowCardinality(String) COMMENT 'human or automated',
    outcome LowCardinality(String) COMMENT 'attempted, connected, replied, bounced, no_answer',
    campaign String COMMENT 'Campaign; empty: none',
    collateral_id String COMMENT 'What was shown or sent; empty: nothing'
)
AS SELECT
    lead_id, source_system, event_id, at,
    said.channel AS channel, said.direction AS direction, said.origin AS origin, said.actor AS actor, said.outcome AS outcome,
    said.campaign AS campaign, said.collateral_id AS collateral_id
FROM facts(types = ['TouchRecorded'])
COMMENT 'Touches that count, one row each. All that were recorded: a bot''s flood is not thinned out here';

CREATE OR REPLACE VIEW agreed_rates
(
    effective_from DateTime64(3, 'UTC') COMMENT 'From when; of the first version since ever',
    base_currency String COMMENT 'ISO 4217; empty: no rule',
    rates Map(String, Float64) COMMENT 'What one unit of another currency is worth in the base'
)
AS SELECT
    if(agreement_versions.effective_from = (SELECT min(effective_from) FROM agreement_versions FINAL), toDateTime64(0, 3, 'UTC'), agreement_versions.effective_from) AS effective_from,
    agreement_versions.base_currency AS base_currency,
    CAST(agreement_versions.rates, 'Map(String, Float64)') AS rates
FROM agreement_versions FINAL
COMMENT 'Currencies by version of the agreement';

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
    currency LowCardinality(String) COMMENT 'The agreement''s base currency where it has a rate, else as told',
    contact_roles Array(Tuple(lead_id String, role String)) COMMENT 'The leads it names, last told'
)
AS SELECT
    deals.opportunity_id AS opportunity_id,
    deals.lead_id AS lead_id,
    source,
    owner,
    tupleElement(standing, 1) AS status,
    tupleElement(standing, 2) AS opened_at,
    if(status = 'open', NULL, tupleElement(standing, 3)) AS closed_at,
    amount_minor,
    told_currency,
    multiIf(
        amount_minor IS NULL, NULL,
        agreed.base_currency = '' OR agreed.base_currency = told_currency OR agreed.rates[told_currency] = 0, major,
        major * agreed.rates[told_currency]
    ) AS amount,
    if(agreed.base_currency = '' OR (agreed.base_currency != told_currency AND agreed.rates[told_currency] = 0), told_currency, agreed.base_currency) AS currency,
    contact_roles
FROM
(
    SELECT
        opportunity_id,
        lead_id,
        argMinIf(told_source, place, event_type = 'OpportunityOpened') AS source,
        argMaxIf(told_owner, place, told_owner != '') AS owner,
        -- What became of it, told in order: a closed one stays as it is, but for a lost one that opens again.
        arrayFold(
            (acc, x) -> multiIf(
                x.2 = 'open', if(acc.1 = '', ('open', x.1, x.1), acc),
                x.2 = 'reopen', if(acc.1 = 'lost', ('open', acc.2, acc.3), acc),
                x.2 IN ('won', 'lost'), if(acc.1 IN ('', 'open'), (x.2, if(acc.1 = '', x.1, acc.2), x.1), acc),
                acc
            ),
            arrayMap(p -> (p.1, p.2), arraySort(p -> (p.1, p.3, p.4, p.5), groupArray((at, move, rank, source_system, event_id)))),
            ('', toDateTime64(0, 3, 'UTC'), toDateTime64(0, 3, 'UTC'))
        ) AS standing,
        argMaxIf(told_amount, place, told_amount IS NOT NULL) AS amount_minor,
        argMaxIf(told, place, told_amount IS NOT NULL) AS told_currency,
        argMaxIf(roles, place, notEmpty(roles)) AS contact_roles,
        amount_minor / multiIf(
            told_currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'), 1,
            told_currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'), 1000,
            told_currency IN ('CLF', 'UYW'), 10000,
            100
        ) AS major
    FROM
    (
        SELECT
            lead_id,
            source_system,
            event_id,
            event_type,
            at,
            said.opportunity_id AS opportunity_id,
            said.source AS told_source,
            said.owner AS told_owner,
            said.amount_minor AS told_amount,
            said.currency AS told,
            said.contact_roles AS roles,
            indexOf(['OpportunityOpened', 'OpportunityAmended', 'OpportunityStageChanged', 'OpportunityWon', 'OpportunityLost'], event_type) AS rank,
            (at, rank, source_system, event_id) AS place,
            multiIf(
                event_type = 'OpportunityOpened', 'open',
                event_type = 'OpportunityWon', 'won',
                event_type = 'OpportunityLost', 'lost',
                event_type = 'OpportunityStageChanged', if(said.stage_status = 'open', 'reopen', said.stage_status),
                ''
            ) AS move
        FROM facts(types = ['OpportunityOpened', 'OpportunityAmended', 'OpportunityStageChanged', 'OpportunityWon', 'OpportunityLost'])
    )
    GROUP BY opportunity_id, lead_id
) AS deals
CROSS JOIN (SELECT groupArray((effective_from, base_currency, rates)) AS versions FROM agreed_rates) AS known
ARRAY JOIN [
    if(
        empty(versions),
        CAST((toDateTime64(0, 3, 'UTC'), '', map()), 'Tuple(effective_from DateTime64(3, \'UTC\'), base_currency String, rates Map(String, Float64))'),
        CAST(arrayLast(v -> v.1 <= if(tupleElement(standing, 1) = 'open', (SELECT at FROM as_of), tupleElement(standing, 3)), arraySort(v -> v.1, versions)), 'Tuple(effective_from DateTime64(3, \'UTC\'), base_currency String, rates Map(String, Float64))')
    )
] AS agreed
WHERE status != ''
COMMENT 'Opportunities as their own events tell them, one row each, whatever became of the lead''s stage. Amounts by the rates in force when they closed, of open ones now';

CREATE OR REPLACE VIEW campaigns
(
    campaign String COMMENT 'The campaign',
    name String COMMENT 'Its name, last told',
    channel String COMMENT 'Marketing channel; empty: not told',
    starts_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Start',
    ends_at Nullable(DateTime64(3, 'UTC')) COMMENT 'End',
    budget_minor Nullable(Int64) COMMENT 'Budget in minor units of `currency`',
    currency String COMMENT 'ISO 4217 code; empty: not told'
)
AS SELECT
    campaign,
    JSONExtractString(latest, 'name') AS name,
    JSONExtractString(latest, 'channel') AS channel,
    fromUnixTimestamp64Milli(JSONExtract(latest, 'starts_at', 'Nullable(Int64)'), 'UTC') AS starts_at,
    fromUnixTimestamp64Milli(JSONExtract(latest, 'ends_at', 'Nullable(Int64)'), 'UTC') AS ends_at,
    JSONExtract(latest, 'budget_minor', 'Nullable(Int64)') AS budget_minor,
    JSONExtractString(latest, 'currency') AS currency
FROM
(
    SELECT campaign, argMax(body, (occurred_at, received_at, source_system, event_id)) AS latest
    FROM
    (
        SELECT campaign, source_system, event_id, occurred_at, received_at, body
        FROM campaign_events
        WHERE event_type = 'CampaignAnnounced' AND NOT is_test
        ORDER BY received_at, body_hash
        LIMIT 1 BY campaign, source_system, event_id
    )
    GROUP BY campaign
)
COMMENT 'Campaigns as last announced';

CREATE OR REPLACE VIEW campaign_costs
(
    campaign String COMMENT 'The campaign',
    source_system String COMMENT 'The system that says so',
    event_id String COMMENT 'Its identity there',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it was spent; what counts for the rate',
    amount_minor Int64 COMMENT 'Amount in minor units of `told_currency`',
    told_currency String COMMENT 'Its currency',
    amount Float64 COMMENT 'The amount in units of `currency`',
    currency String COMMENT 'The agreement''s base currency where it has a rate, else as told'
)
AS SELECT
    campaign,
    source_system,
    event_id,
    occurred_at,
    amount_minor,
    told_currency,
    if(agreed.base_currency = '' OR agreed.base_currency = told_currency OR agreed.rates[told_currency] = 0, major, major * agreed.rates[told_currency]) AS amount,
    if(agreed.base_currency = '' OR (agreed.base_currency != told_currency AND agreed.rates[told_currency] = 0), told_currency, agreed.base_currency) AS currency
FROM
(
    SELECT
        campaign,
        source_system,
        event_id,
        occurred_at,
        JSONExtractInt(body, 'amount_minor') AS amount_minor,
        JSONExtractString(body, 'currency') AS told_currency,
        amount_minor / multiIf(
            told_currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'), 1,
            told_currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'), 1000,
            told_currency IN ('CLF', 'UYW'), 10000,
            100
        ) AS major
    FROM campaign_events
    WHERE event_type = 'CampaignCostRecorded' AND NOT is_test
    ORDER BY received_at, body_hash
    LIMIT 1 BY campaign, source_system, event_id
) AS spent
CROSS JOIN (SELECT groupArray((effective_from, base_currency, rates)) AS versions FROM agreed_rates) AS known
ARRAY JOIN [
    if(
        empty(versions),
        CAST((toDateTime64(0, 3, 'UTC'), '', map()), 'Tuple(effective_from DateTime64(3, \'UTC\'), base_currency String, rates Map(String, Float64))'),
        CAST(arrayLast(v -> v.1 <= occurred_at, arraySort(v -> v.1, versions)), 'Tuple(effective_from DateTime64(3, \'UTC\'), base_currency String, rates Map(String, Float64))')
    )
] AS agreed
COMMENT 'What was spent on campaigns, once for each event';

CREATE OR REPLACE VIEW goals
(
    month Date COMMENT 'First day of the month, in the default calendar''s time zone',
    metric LowCardinality(String) COMMENT 'inquiry, mql, sal, sql, opportunity, won or won_amount',
    target Float64 COMMENT 'What both sides want of it',
    starts_at DateTime64(3, 'UTC') COMMENT 'First instant of the month',
    ends_at DateTime64(3, 'UTC') COMMENT 'First instant after it',
    days_end_at Array(DateTime64(3, 'UTC')) COMMENT 'Last instant of each of its business days',
    base_currency LowCardinality(String) COMMENT 'Currency of won_amount; empty: the agreement has none',
    agreement_version String COMMENT 'The version that says so'
)
AS SELECT
    goal.month AS month,
    goal.metric AS metric,
    argMax(goal.target, effective_from) AS target,
    argMax(goal.starts_at, effective_from) AS starts_at,
    argMax(goal.ends_at, effective_from) AS ends_at,
    argMax(goal.days_end_at, effective_from) AS days_end_at,
    argMax(agreement_versions.base_currency, effective_from) AS base_currency,
    argMax(agreement_versions.agreement_version, effective_from) AS agreement_version
FROM agreement_versions FINAL
ARRAY JOIN goals AS goal
WHERE effective_from < goal.ends_at
GROUP BY month, metric
COMMENT 'Joint goals: of each month what the newest version says that came into force before its end';
