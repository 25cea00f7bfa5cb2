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
--   partitions   none. An insert that touches several is several parts, and of those a store that is lost in between keeps
--                some: there would be a gap below the offset that the sink goes on after, and an import of many years, whose
--                records come in any order of years, would leave one. Tables of statements (transitions, clocks, leads) have
--                none for another reason, too: a correction may move a statement in time, and FINAL would not find the older
--                one in another partition.
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
    body String COMMENT 'The event as JSON without `person` and free text; `baton export` writes it as `baton replay` reads it' CODEC(ZSTD(3)),
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

CREATE OR REPLACE VIEW letters_for_good
AS SELECT origin_topic, origin_partition, origin_offset, origin_timestamp
FROM dead_letters
WHERE reason NOT IN ('unknown_source', 'unknown_campaign', 'event_id_conflict', 'refused_erased')
COMMENT 'Records that were set aside for what they are. The others were for what is agreed on, or for what else had come: a replay judges them anew';

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
AS SELECT goal.month AS month, goal.metric AS metric, goal.target AS target, goal.starts_at AS starts_at, goal.ends_at AS ends_at,
    goal.days_end_at AS days_end_at, base_currency, agreement_version
FROM
(
    SELECT goal, base_currency, agreement_version, effective_from, max(effective_from) OVER (PARTITION BY goal.month) AS newest
    FROM agreement_versions FINAL
    ARRAY JOIN goals AS goal
    -- Before the first version the first holds.
    WHERE effective_from < goal.ends_at OR effective_from = (SELECT min(effective_from) FROM agreement_versions FINAL)
)
WHERE effective_from = newest
COMMENT 'Joint goals: of each month those of the newest version that names the month and came into force before its end';
