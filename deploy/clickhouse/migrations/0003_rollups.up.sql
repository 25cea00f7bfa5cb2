-- Rollups: what the KPI views read instead of going through all transitions and the whole archive for each question.
--
-- A table counted_… holds one row for each thing that counts, with a sign: a row that turns out different is taken back by the
-- same row with sign -1, and the new one is added. So sums of `sign` are right at any time, without FINAL and without
-- waiting for merges, and the totals that PROJECTIONs keep with every part are right, too.
--
-- How it stays exact. Each view …_now says what the rows of leads are: from the tables of 0001 and 0002, which hold what the
-- worker told. What is missing is …_now less what counted_… holds, of the leads that `rolling` names under a number
-- (streams/store/missing.py). `baton sink` inserts that of the leads that have changed, every few seconds; inserting it again
-- changes nothing, for there is no difference any more. Which leads have changed is written into changed_leads by materialized
-- views, with the inserts themselves.
--   KPIs that count leads, clocks and stays add to counted_… what has changed since (views …_since): they say the same whether or
--   not it is rolled up. Quantiles, and what is read from the archive (touches, deals, entered, fields, known, mqls, moves,
--   shows), are those of the last rollup: a quantile cannot be added to, and whose story an event is part of takes several
--   steps to find.
--
--   engine       CollapsingMergeTree: of the rows under one key a merge, and an insert, leaves the last that holds. It goes by
--                their order: what takes a row back has to be inserted before what takes its place.
--   sort key     the lead first: taking a lead's rows back looks them up by lead; small granules (512 rows) make that cheap.
--   partitions   none: a row and what takes it back have to meet. `rolling` and `rolling_facts` have one for each share of a rollup
--                under way, to be dropped as a whole, changed_leads one an hour.
--   projections  with GROUP BY: totals, for what a board asks; with ORDER BY: rows in the order in which few of them are looked
--                up, such as those of one bucket of durations or of one day; bucket and day come first, so that what is looked up
--                for every source, team or policy lies together.
--   months       of entering a stage, or days, and how many days (rounded up) until a later one: what happened within any window is
--                a sum of totals, but for the month or day in which the window ends; of that one the rows are looked at.
--   quarters     of an hour: months begin with one in every time zone.
--   buckets      of a duration: floor(64 * log2(ms + 1)). A quantile is exact: totals by bucket say in which bucket the
--                rank lies, and of that one alone the rows are looked at.
--   codecs       none of their own: LZ4 reads fastest, and what repeats is LowCardinality.
--   planning     of a question often takes longer than the answer: views name no column that they do not need, compute in nested
--                steps what is used twice (an alias is analysed anew wherever it is used), filter by lead outside of …_now, and look
--                up by single columns: a set of buckets is found in the index ten times as fast as one of buckets and sources.

CREATE TABLE IF NOT EXISTS changed_leads
(
    lead_id String COMMENT 'The lead',
    changed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'The store''s time when it was written',
    told_in LowCardinality(String) COMMENT 'Table that the row was inserted into',
    topic_id LowCardinality(String) COMMENT 'Kafka id of the topic that it came from',
    partition UInt32 COMMENT 'Partition of it',
    offset Int64 COMMENT 'Highest offset of the insert'
)
ENGINE = MergeTree
PARTITION BY toStartOfHour(changed_at)
ORDER BY lead_id
SETTINGS index_granularity = 512, non_replicated_deduplication_window = 1000
COMMENT 'Leads of which something was inserted, and when. Hours that are rolled up are dropped after a day';

CREATE TABLE IF NOT EXISTS rollups
(
    number UInt64 COMMENT 'Counts them, from 1',
    upto DateTime64(3, 'UTC') COMMENT 'What was marked as changed up to here is rolled up',
    owner String COMMENT 'Who does it, or has done it',
    everything Bool COMMENT 'All leads are looked at, changed or not',
    bounds Array(String) COMMENT 'Last leads of its shares, but for the last share',
    is_done Bool COMMENT 'False: under way, or broken off',
    written_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'The store''s time when it was written'
)
ENGINE = ReplacingMergeTree(is_done)
ORDER BY number
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'How far changes are rolled up. Read with FINAL';

CREATE TABLE IF NOT EXISTS rolling
(
    number UInt64 COMMENT 'A share of a rollup under way',
    lead_id String COMMENT 'A lead',
    is_changed Bool COMMENT 'Its rows are made anew',
    story_id String COMMENT 'What is told of it counts for this lead; empty: for none'
)
ENGINE = MergeTree
PARTITION BY number
ORDER BY lead_id
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Leads whose stories are being rolled up: those that have changed, those that these are part of by now, and all that are part of those';

CREATE TABLE IF NOT EXISTS rolling_facts
(
    number UInt64 COMMENT 'A share of a rollup under way',
    lead_id String COMMENT 'The lead that it counts for; of a merged one its survivor',
    source_system LowCardinality(String) COMMENT 'The system that says so',
    event_id String COMMENT 'Its identity there',
    event_type LowCardinality(String) COMMENT 'Record name',
    at DateTime64(3, 'UTC') COMMENT 'effective_at',
    entered_by LowCardinality(String) COMMENT 'system or person',
    person_fields Array(LowCardinality(String)) COMMENT 'As in events',
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
    ) COMMENT 'As in events'
)
ENGINE = MergeTree
PARTITION BY number
ORDER BY (event_type, lead_id)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Events that count of the stories being rolled up: found once, read for each table that is made of them';

CREATE TABLE IF NOT EXISTS counted_merges
(
    lead_id String COMMENT 'A merged lead',
    into String COMMENT 'The lead that it was merged into',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything'
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'Merged leads, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_journeys
(
    lead_id String COMMENT 'The lead',
    cycle UInt32 COMMENT 'Cycle; 0: the lead has none yet',
    is_current Bool COMMENT 'The lead''s last cycle: the row that stands for the lead itself',
    source LowCardinality(String) COMMENT 'The lead''s source; (none)',
    campaign LowCardinality(Nullable(String)) COMMENT 'The lead''s campaign',
    team LowCardinality(String) COMMENT 'Last team in the cycle; (none)',
    lead_team LowCardinality(String) COMMENT 'The lead''s team now; (none)',
    lead_stage LowCardinality(String) COMMENT 'Stage of the lead now',
    reached UInt16 COMMENT 'In the row that stands for the lead: stages it ever entered, a bit each: inquiry 1, mql 2, sal 4, sql 8, opportunity 16, won 32, lost 64',
    inquiry_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First entry into the stage in this cycle',
    mql_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First entry into the stage in this cycle',
    sal_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First entry into the stage in this cycle',
    sql_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First entry into the stage in this cycle',
    opportunity_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First entry into the stage in this cycle',
    won_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First entry into the stage in this cycle',
    lost_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First entry into the stage in this cycle',
    entered UInt8 COMMENT 'Stages entered in this cycle, a bit each: inquiry 1, mql 2, sal 4, sql 8, opportunity 16, won 32',
    mql_after_inquiry Int32 COMMENT 'Days from inquiry_at until mql_at is no later, whole ones; -1: not entered, or before. Likewise the next seven',
    won_after_inquiry Int32,
    sal_after_mql Int32,
    opportunity_after_mql Int32,
    won_after_mql Int32,
    sql_after_sal Int32,
    opportunity_after_sql Int32,
    won_after_opportunity Int32,
    is_raised Bool COMMENT 'There is a hand-raise in the cycle',
    routing_ms Nullable(Int64) COMMENT 'From the hand-raise to the first assignment to a person, milliseconds; NULL: none after it',
    routing_bucket Int16 COMMENT 'Bucket of routing_ms; -1: NULL',
    rep_ms Nullable(Int64) COMMENT 'From that assignment to the first response evidence of the cycle, milliseconds; NULL: none after it',
    rep_bucket Int16 COMMENT 'Bucket of rep_ms; -1: NULL',
    since_ms Int64 COMMENT 'When the stage was entered where the lead stands, as minus UTC milliseconds: the older, the larger',
    since_bucket Int32 COMMENT 'Its day',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything',
    PROJECTION standing (SELECT is_current, source, lead_stage, reached, sum(sign) GROUP BY is_current, source, lead_stage, reached),
    PROJECTION routed (SELECT is_raised, team, routing_bucket, sum(sign) GROUP BY is_raised, team, routing_bucket),
    PROJECTION answered (SELECT is_raised, team, rep_bucket, sum(sign) GROUP BY is_raised, team, rep_bucket),
    PROJECTION by_routing (SELECT is_raised, routing_bucket, team, routing_ms, sign ORDER BY is_raised, routing_bucket, team),
    PROJECTION by_rep (SELECT is_raised, rep_bucket, team, rep_ms, sign ORDER BY is_raised, rep_bucket, team),
    PROJECTION ages (SELECT is_current, lead_stage, lead_team, since_bucket, sum(sign) GROUP BY is_current, lead_stage, lead_team, since_bucket),
    PROJECTION by_since (SELECT is_current, lead_stage, since_bucket, lead_team, since_ms, sign ORDER BY is_current, lead_stage, since_bucket, lead_team),
    PROJECTION inquiry_to_mql (SELECT toStartOfMonth(inquiry_at), source, mql_after_inquiry, sum(sign) GROUP BY toStartOfMonth(inquiry_at), source, mql_after_inquiry),
    PROJECTION inquiry_to_won (SELECT toStartOfMonth(inquiry_at), source, won_after_inquiry, sum(sign) GROUP BY toStartOfMonth(inquiry_at), source, won_after_inquiry),
    PROJECTION mql_to_sal (SELECT toStartOfMonth(mql_at), source, sal_after_mql, sum(sign) GROUP BY toStartOfMonth(mql_at), source, sal_after_mql),
    PROJECTION mql_to_opportunity (SELECT toStartOfMonth(mql_at), source, opportunity_after_mql, sum(sign) GROUP BY toStartOfMonth(mql_at), source, opportunity_after_mql),
    PROJECTION mql_days_to_opportunity (SELECT toDate(mql_at), opportunity_after_mql, sum(sign) GROUP BY toDate(mql_at), opportunity_after_mql),
    PROJECTION mql_to_won (SELECT toStartOfMonth(mql_at), source, won_after_mql, sum(sign) GROUP BY toStartOfMonth(mql_at), source, won_after_mql),
    PROJECTION sal_to_sql (SELECT toStartOfMonth(sal_at), source, sql_after_sal, sum(sign) GROUP BY toStartOfMonth(sal_at), source, sql_after_sal),
    PROJECTION sql_to_opportunity (SELECT toStartOfMonth(sql_at), source, opportunity_after_sql, sum(sign) GROUP BY toStartOfMonth(sql_at), source, opportunity_after_sql),
    PROJECTION opportunity_to_won (SELECT toStartOfMonth(opportunity_at), source, won_after_opportunity, sum(sign) GROUP BY toStartOfMonth(opportunity_at), source, won_after_opportunity),
    PROJECTION won_months (SELECT toStartOfMonth(won_at), source, sum(sign) GROUP BY toStartOfMonth(won_at), source),
    PROJECTION dispositions (SELECT toDate(mql_at), source, team, sal_after_mql >= 0, sum(sign) GROUP BY toDate(mql_at), source, team, sal_after_mql >= 0),
    PROJECTION inquiry_quarters (SELECT toStartOfFifteenMinutes(inquiry_at), sum(sign) GROUP BY toStartOfFifteenMinutes(inquiry_at)),
    PROJECTION mql_quarters (SELECT toStartOfFifteenMinutes(mql_at), sum(sign) GROUP BY toStartOfFifteenMinutes(mql_at)),
    PROJECTION sal_quarters (SELECT toStartOfFifteenMinutes(sal_at), sum(sign) GROUP BY toStartOfFifteenMinutes(sal_at)),
    PROJECTION sql_quarters (SELECT toStartOfFifteenMinutes(sql_at), sum(sign) GROUP BY toStartOfFifteenMinutes(sql_at)),
    PROJECTION campaigns (SELECT campaign, entered, sum(sign) GROUP BY campaign, entered),
    PROJECTION by_inquiry (SELECT inquiry_at, source, mql_after_inquiry, won_after_inquiry, sign ORDER BY inquiry_at),
    PROJECTION by_mql (SELECT mql_at, source, team, sal_after_mql, opportunity_after_mql, won_after_mql, sign ORDER BY mql_at),
    PROJECTION by_sal (SELECT sal_at, source, sql_after_sal, sign ORDER BY sal_at),
    PROJECTION by_sql (SELECT sql_at, source, opportunity_after_sql, sign ORDER BY sql_at),
    PROJECTION by_opportunity (SELECT opportunity_at, source, won_after_opportunity, sign ORDER BY opportunity_at),
    PROJECTION by_won (SELECT won_at, source, sign ORDER BY won_at)
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id, cycle)
SETTINGS index_granularity = 512, max_projections = 50, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'Journeys of the leads that count, one row for each cycle, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_clocks
(
    lead_id String COMMENT 'The lead',
    instance_id String COMMENT 'The clock',
    policy LowCardinality(String) COMMENT 'Policy',
    verdict LowCardinality(String) COMMENT 'Verdict',
    source LowCardinality(String) COMMENT 'The lead''s source; (none)',
    team LowCardinality(String) COMMENT 'Team when it started; (none)',
    lane UInt32 COMMENT 'Lane, whose clock says what is due',
    deadline DateTime64(3, 'UTC') COMMENT 'Deadline',
    deadline_day Date COMMENT 'Its UTC day',
    breached_at Nullable(DateTime64(3, 'UTC')) COMMENT 'The deadline, once it passed without satisfaction',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything',
    PROJECTION verdicts (SELECT policy, source, verdict, lane, sum(sign) GROUP BY policy, source, verdict, lane),
    PROJECTION months (SELECT verdict, policy, source, toStartOfMonth(deadline_day), sum(sign) GROUP BY verdict, policy, source, toStartOfMonth(deadline_day)),
    PROJECTION days (SELECT verdict, deadline_day, policy, source, sum(sign) GROUP BY verdict, deadline_day, policy, source),
    PROJECTION deadlines (SELECT verdict, deadline_day, policy, source, deadline, lane, sign ORDER BY verdict, deadline_day, policy, source),
    PROJECTION breaches (SELECT breached_at, policy, team, verdict, sign ORDER BY breached_at)
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id, instance_id)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'SLA clocks of the leads that count, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_responses
(
    lead_id String COMMENT 'The lead',
    instance_id String COMMENT 'A first_response clock that a hand-raise started',
    is_open Bool COMMENT 'The time is open time of the calendar; of the same clock another row has the wall time',
    source LowCardinality(String) COMMENT 'The lead''s source when it started; (none)',
    took_ms Nullable(Int64) COMMENT 'From the hand-raise to the response, milliseconds; NULL: there was none',
    took_bucket Int32 COMMENT 'Bucket of took_ms, of open time 1,000,000 more, so that a bucket is of one kind; -1: NULL, the clock ended without; -2: NULL, it runs',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything',
    PROJECTION times (SELECT source, took_bucket, sum(sign) GROUP BY source, took_bucket),
    PROJECTION by_time (SELECT took_bucket, source, took_ms, sign ORDER BY took_bucket, source)
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id, instance_id, is_open)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'How long hand-raises of the leads that count waited for a response, as rolled up last: two rows each, once they have it';

CREATE TABLE IF NOT EXISTS counted_stays
(
    lead_id String COMMENT 'The lead',
    transition_id String COMMENT 'The entry',
    stage LowCardinality(String) COMMENT 'Stage entered',
    source LowCardinality(String) COMMENT 'The lead''s source now; (none)',
    team LowCardinality(String) COMMENT 'Last team in the cycle of the entry; (none)',
    entered_at DateTime64(3, 'UTC') COMMENT 'When it was entered',
    left_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When the next one was entered; NULL: still there',
    is_implied Bool COMMENT 'Entered only because a later stage was',
    took_ms Nullable(Int64) COMMENT 'left_at - entered_at, milliseconds',
    took_bucket Int16 COMMENT 'Bucket of took_ms; -1: NULL',
    reason LowCardinality(String) COMMENT 'Reason given; (none)',
    is_rejection Bool COMMENT 'LeadRejected caused it',
    first_rejected_mql_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Of the first rejection of a cycle that did not enter sal after mql: when mql was entered',
    requalified_after Int32 COMMENT 'Of the first entry of recycled in a cycle: days until the next entry of mql or opportunity, whole ones; -1: none; -2: it is no such entry',
    won_after Int32 COMMENT 'Likewise until the next entry of won',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything',
    PROJECTION times (SELECT stage, source, is_implied, took_bucket, sum(sign) GROUP BY stage, source, is_implied, took_bucket),
    PROJECTION by_time (SELECT stage, is_implied, took_bucket, source, took_ms, sign ORDER BY stage, is_implied, took_bucket, source),
    PROJECTION entries (SELECT toDate(entered_at), stage, sum(sign) GROUP BY toDate(entered_at), stage),
    PROJECTION by_entry (SELECT entered_at, stage, reason, requalified_after, won_after, sign ORDER BY entered_at),
    PROJECTION exits (SELECT toDate(left_at), stage, sum(sign) GROUP BY toDate(left_at), stage),
    PROJECTION by_exit (SELECT left_at, stage, sign ORDER BY left_at),
    PROJECTION by_rejection (SELECT is_rejection, source, team, first_rejected_mql_at, sign ORDER BY is_rejection),
    PROJECTION requalified (SELECT stage, toDate(entered_at), reason, requalified_after, sum(sign) GROUP BY stage, toDate(entered_at), reason, requalified_after),
    PROJECTION won_again (SELECT stage, toDate(entered_at), reason, won_after, sum(sign) GROUP BY stage, toDate(entered_at), reason, won_after),
    PROJECTION rejections (SELECT is_rejection, source, reason, sum(sign) GROUP BY is_rejection, source, reason)
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id, transition_id)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'Stays in stages of the leads that count, one row for each entry, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_touches
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
    collateral_id String COMMENT 'What was shown or sent; empty: nothing',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything'
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id, source_system, event_id)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'Touches that count, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_deals
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
    contact_roles Array(Tuple(lead_id String, role String)) COMMENT 'The leads it names, last told',
    captured_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First LeadCaptured of its primary lead; NULL: none',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything'
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id, opportunity_id)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'Opportunities that count, with their contact roles, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_entered
(
    lead_id String COMMENT 'The lead; of a merged one its survivor',
    event_type LowCardinality(String) COMMENT 'Record name',
    source_system LowCardinality(String) COMMENT 'The system that says so',
    entered_by LowCardinality(String) COMMENT 'system or person',
    sign Int64 COMMENT 'How many; negative: taken back. Only sums of it mean anything',
    PROJECTION totals (SELECT event_type, source_system, entered_by, sum(sign) GROUP BY event_type, source_system, entered_by)
)
ENGINE = SummingMergeTree(sign)
ORDER BY (lead_id, event_type, source_system, entered_by)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'How many events that count came, by who entered them, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_fields
(
    lead_id String COMMENT 'The lead; of a merged one its survivor',
    field LowCardinality(String) COMMENT 'name, email, phone, account or region',
    completed_by LowCardinality(String) COMMENT '(captured), (person), or the system that filled it by itself',
    filled_by String COMMENT 'Who or what filled it, as told; may name a person',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything',
    PROJECTION totals (SELECT field, completed_by, sum(sign) GROUP BY field, completed_by)
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id, field)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'Which of five fields are known of a lead, and who gave them first, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_known
(
    lead_id String COMMENT 'The lead',
    source LowCardinality(String) COMMENT 'Its source; (none)',
    fields UInt8 COMMENT 'How many of the five fields are known',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything',
    PROJECTION totals (SELECT source, fields, sum(sign) GROUP BY source, fields)
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'How much is known of each lead that counts, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_mqls
(
    lead_id String COMMENT 'The lead',
    cycle UInt32 COMMENT 'Cycle',
    source LowCardinality(String) COMMENT 'The lead''s source; (none)',
    mql_at DateTime64(3, 'UTC') COMMENT 'First entry of mql in the cycle',
    touched_ms Nullable(Int64) COMMENT 'From there to the next touch by a human, milliseconds; NULL: none',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything'
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id, cycle)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'Cycles with an mql, and when somebody looked, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_moves
(
    lead_id String COMMENT 'The lead',
    stage LowCardinality(String) COMMENT 'Stage entered, not implied',
    channel LowCardinality(String) COMMENT 'Channel of a touch before',
    origin LowCardinality(String) COMMENT 'Its origin',
    lag_days UInt32 COMMENT 'Whole days from the last such touch to the entry',
    sign Int64 COMMENT 'How many; negative: taken back. Only sums of it mean anything',
    PROJECTION totals (SELECT stage, channel, origin, lag_days, sum(sign) GROUP BY stage, channel, origin, lag_days)
)
ENGINE = SummingMergeTree(sign)
ORDER BY (lead_id, stage, channel, origin, lag_days)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'Entries into stages and the last touch of each sort before, as rolled up last';

CREATE TABLE IF NOT EXISTS counted_shows
(
    lead_id String COMMENT 'The lead',
    cycle UInt32 COMMENT 'Cycle',
    collateral_id String COMMENT 'What was shown',
    mql_at DateTime64(3, 'UTC') COMMENT 'First entry of mql in the cycle',
    shown_at DateTime64(3, 'UTC') COMMENT 'First time at or after it, and before the opportunity; what bounced was not shown',
    opportunity_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First entry of opportunity in the cycle',
    sign Int8 COMMENT '1: holds; -1: takes a row back that was rolled up before. Only sums of it mean anything'
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (lead_id, cycle, collateral_id)
SETTINGS index_granularity = 512, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000
COMMENT 'Collateral shown to leads between mql and opportunity, as rolled up last';

-- Who has changed ----------------------------------------------------------------------------------------------------

CREATE MATERIALIZED VIEW IF NOT EXISTS leads_changed TO changed_leads
AS SELECT lead_id, 'leads' AS told_in, topic_id, partition, max(offset) AS offset FROM leads GROUP BY lead_id, topic_id, partition;

CREATE MATERIALIZED VIEW IF NOT EXISTS transitions_changed TO changed_leads
AS SELECT lead_id, 'lead_transitions' AS told_in, topic_id, partition, max(offset) AS offset FROM lead_transitions GROUP BY lead_id, topic_id, partition;

CREATE MATERIALIZED VIEW IF NOT EXISTS clocks_changed TO changed_leads
AS SELECT lead_id, 'sla_instances' AS told_in, topic_id, partition, max(offset) AS offset FROM sla_instances GROUP BY lead_id, topic_id, partition;

CREATE MATERIALIZED VIEW IF NOT EXISTS events_changed TO changed_leads
AS SELECT lead_id, 'events' AS told_in, topic_id, partition, max(offset) AS offset FROM events GROUP BY lead_id, topic_id, partition;

CREATE MATERIALIZED VIEW IF NOT EXISTS letters_changed TO changed_leads
AS SELECT assumeNotNull(lead_id) AS lead_id, 'dead_letters' AS told_in, topic_id, partition, max(offset) AS offset
FROM dead_letters
WHERE dead_letters.lead_id IS NOT NULL
GROUP BY lead_id, topic_id, partition;

CREATE OR REPLACE VIEW changed
(
    lead_id String COMMENT 'The lead'
)
AS SELECT lead_id
FROM changed_leads
WHERE changed_at > (SELECT max(upto) FROM rollups WHERE is_done)
COMMENT 'Leads changed since the last rollup';

CREATE OR REPLACE VIEW merges_now
AS SELECT leads.lead_id AS lead_id, assumeNotNull(merged_into) AS into
FROM leads FINAL
WHERE merged_into IS NOT NULL
COMMENT 'Merged leads: as the tables below say';

CREATE OR REPLACE VIEW survivors
(
    lead_id String COMMENT 'A lead that was merged into another',
    survivor String COMMENT 'The lead that it is part of in the end'
)
AS WITH RECURSIVE
    merged AS (SELECT lead_id, into FROM counted_merges FINAL),
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

CREATE OR REPLACE VIEW letters_of
AS SELECT origin_topic, origin_partition, origin_offset, origin_timestamp
FROM dead_letters
WHERE lead_id IS NULL OR lead_id IN (SELECT lead_id FROM rolling WHERE number = {number:UInt64} AND story_id != '')
COMMENT 'Records set aside that may be of the stories being rolled up';

CREATE OR REPLACE VIEW facts
AS SELECT story_id AS lead_id, source_system, event_id, event_type, effective_at AS at, entered_by, person_fields, said
FROM
(
    -- Of events under the names of two leads that are one by now the first counts, whether or not it was withdrawn.
    SELECT members.story_id AS story_id, told.lead_id AS named_lead_id, source_system, event_id, event_type, effective_at, entered_by, person_fields, said,
        event_type NOT IN ('FactWithdrawn', 'LeadErased') AND ifNull(effective_at >= withdrawn_at - toIntervalHour(72), false) AS is_withdrawn
    FROM
    (
        -- A withdrawal stands beside the event that it names: the first one says when.
        SELECT lead_id, source_system, event_id, event_type, effective_at, entered_by, person_fields, said, topic,
            minIf(toNullable(received_at), event_type = 'FactWithdrawn') OVER (PARTITION BY lead_id, topic,
                if(event_type = 'FactWithdrawn' AND said.withdrawn_source_system != '', said.withdrawn_source_system, source_system),
                if(event_type = 'FactWithdrawn', said.withdrawn_event_id, event_id)) AS withdrawn_at
        FROM
        (
            -- First told wins, whatever it is: of two bodies under one id the other is none, and withdraws nothing.
            SELECT lead_id, source_system, event_id, event_type, effective_at, received_at, entered_by, person_fields, said, topic
            FROM events
            WHERE lead_id IN (SELECT lead_id FROM rolling WHERE number = {number:UInt64} AND story_id != '')
                AND (topic, partition, offset, timestamp)
                    NOT IN (SELECT origin_topic, origin_partition, origin_offset, origin_timestamp FROM letters_of(number = {number:UInt64}))
            ORDER BY lead_id, source_system, event_id, received_at, body_hash
            LIMIT 1 BY lead_id, source_system, event_id
        )
    ) AS told
    INNER JOIN (SELECT lead_id, story_id FROM rolling WHERE number = {number:UInt64} AND story_id != '') AS members ON members.lead_id = told.lead_id
    ORDER BY story_id, source_system, event_id, effective_at, named_lead_id
    LIMIT 1 BY story_id, source_system, event_id
)
WHERE NOT is_withdrawn
COMMENT 'Events that count, once each, under the lead that they are part of now, of the leads that rolling names under the number. Left out: copies, what was set aside, what was withdrawn within 72 h of being effective, test traffic, erased leads';

CREATE OR REPLACE VIEW journeys_now
AS SELECT
    lead_id, cycle, is_current, source, campaign, team, lead_team, lead_stage, if(is_current, reached, 0) AS reached,
    inquiry_at, mql_at, sal_at, sql_at, opportunity_at, won_at, lost_at, entered,
    days[1] AS mql_after_inquiry, days[2] AS won_after_inquiry, days[3] AS sal_after_mql, days[4] AS opportunity_after_mql, days[5] AS won_after_mql,
    days[6] AS sql_after_sal, days[7] AS opportunity_after_sql, days[8] AS won_after_opportunity,
    is_raised,
    routing_ms, if(routing_ms IS NULL, -1, toInt16(floor(log2(greatest(assumeNotNull(routing_ms), 0) + 1) * 64))) AS routing_bucket,
    rep_ms, if(rep_ms IS NULL, -1, toInt16(floor(log2(greatest(assumeNotNull(rep_ms), 0) + 1) * 64))) AS rep_bucket,
    since_ms, toInt32(intDiv(since_ms, 86400000)) AS since_bucket
FROM
(
    SELECT
        lead_id, cycle, place = places AS is_current, source, campaign, team, lead_team, lead_stage, reached,
        inquiry_at, mql_at, sal_at, sql_at, opportunity_at, won_at, lost_at,
        toUInt8(arraySum((at, bit) -> if(at IS NULL, 0, bit), [inquiry_at, mql_at, sal_at, sql_at, opportunity_at, won_at], [1, 2, 4, 8, 16, 32])) AS entered,
        -- Rounded up: within n days is the same as days <= n.
        arrayMap((a, b) -> toInt32(ifNull(if(b < a, -1, intDiv(toUnixTimestamp64Milli(b) - toUnixTimestamp64Milli(a) + 86399999, 86400000)), -1)),
            [inquiry_at, inquiry_at, mql_at, mql_at, mql_at, sal_at, sql_at, opportunity_at],
            [mql_at, won_at, sal_at, opportunity_at, won_at, sql_at, opportunity_at, won_at]) AS days,
        raised_at IS NOT NULL AS is_raised,
        -- First hand-raise, first assignment, first answer: in that order, or there was no delay of the kind.
        if(raised_at IS NULL OR assigned_at < raised_at, NULL, toUnixTimestamp64Milli(assigned_at) - toUnixTimestamp64Milli(raised_at)) AS routing_ms,
        if(routing_ms IS NULL OR touched_at < assigned_at, NULL, toUnixTimestamp64Milli(touched_at) - toUnixTimestamp64Milli(assigned_at)) AS rep_ms,
        if(place = places, -toUnixTimestamp64Milli(ifNull(stage_entered_at, toDateTime64(0, 3, 'UTC'))), 0) AS since_ms
    FROM
    (
        SELECT
            lead_id, journey_cycle AS cycle, place, length(cycles.cycle) AS places, ifNull(leads.source, '(none)') AS source, leads.campaign AS campaign,
            ifNull(journey_team, '(none)') AS team, ifNull(leads.team, '(none)') AS lead_team, stage AS lead_stage, leads.reached AS reached, stage_entered_at,
            inquiry_at, mql_at, sal_at, sql_at, opportunity_at, won_at, lost_at, raised_at, assigned_at, touched_at
        FROM leads FINAL
        LEFT ARRAY JOIN cycles.cycle AS journey_cycle, cycles.team AS journey_team, cycles.inquiry_at AS inquiry_at, cycles.mql_at AS mql_at,
            cycles.sal_at AS sal_at, cycles.sql_at AS sql_at, cycles.opportunity_at AS opportunity_at, cycles.won_at AS won_at, cycles.lost_at AS lost_at,
            cycles.hand_raised_at AS raised_at, cycles.first_assigned_at AS assigned_at, cycles.first_touched_at AS touched_at,
            arrayEnumerate(cycles.cycle) AS place
        WHERE NOT is_test AND stage NOT IN ('', 'merged', 'erased')
    )
)
COMMENT 'Journeys of the leads that count, one row for each cycle: as the tables below say';

CREATE OR REPLACE VIEW journeys_since
AS SELECT * REPLACE (-toInt64(sign) AS sign) FROM counted_journeys WHERE lead_id IN (SELECT lead_id FROM changed)
UNION ALL
SELECT *, toInt64(1) AS sign FROM journeys_now WHERE lead_id IN (SELECT lead_id FROM changed)
COMMENT 'Likewise of the leads that have changed since the last rollup: what a KPI of now has to add to counted_journeys';

CREATE OR REPLACE VIEW clocks_now
AS SELECT lead_id, instance_id, policy, verdict, ifNull(sla_instances.source, '(none)') AS source, ifNull(sla_instances.team, '(none)') AS team,
    partition AS lane, deadline, toDate(deadline) AS deadline_day, breached_at
FROM sla_instances FINAL
WHERE NOT is_test
COMMENT 'SLA clocks, those of leads in uncounted_leads too: as the tables below say';

CREATE OR REPLACE VIEW responses_now
AS SELECT lead_id, instance_id, is_open, source, took_ms,
    if(took_ms IS NULL, if(is_running, -2, -1), toInt32(floor(log2(greatest(assumeNotNull(took_ms), 0) + 1) * 64)) + if(is_open, 1000000, 0)) AS took_bucket
FROM
(
    SELECT lead_id, instance_id, source, is_running, time.1 AS is_open, time.2 AS took_ms
    FROM
    (
        SELECT lead_id, instance_id, ifNull(sla_instances.source, '(none)') AS source, satisfied_at IS NULL AND ended_at IS NULL AS is_running,
            toUnixTimestamp64Milli(satisfied_at) - toUnixTimestamp64Milli(started_at) AS wall_ms, elapsed_ms
        FROM sla_instances FINAL
        WHERE NOT is_test AND policy = 'first_response' AND start_event_type = 'LeadCaptured'
    )
    ARRAY JOIN if(elapsed_ms IS NULL, [(false, wall_ms)], [(false, wall_ms), (true, elapsed_ms)]) AS time
)
COMMENT 'How long hand-raises waited for a response, those of leads in uncounted_leads too: as the tables below say';

CREATE OR REPLACE VIEW clocks_since
AS SELECT * REPLACE (-toInt64(sign) AS sign) FROM counted_clocks WHERE lead_id IN (SELECT lead_id FROM changed)
UNION ALL
SELECT *, toInt64(1) AS sign FROM clocks_now WHERE lead_id IN (SELECT lead_id FROM changed) AND lead_id NOT IN (SELECT lead_id FROM uncounted_leads WHERE lead_id IN (SELECT lead_id FROM changed))
COMMENT 'Likewise of the leads that have changed since the last rollup: what a KPI of now has to add to counted_clocks';

CREATE OR REPLACE VIEW stays_now
AS SELECT
    lead_id, transition_id, stage, source, team, entered_at, left_at, is_implied,
    took_ms, if(took_ms IS NULL, -1, toInt16(floor(log2(greatest(assumeNotNull(took_ms), 0) + 1) * 64))) AS took_bucket,
    reason, is_rejection, first_rejected_mql_at,
    if(is_recycled, ifNull(toInt32(intDiv(requalified_ms + 86399999, 86400000)), -1), -2) AS requalified_after,
    if(is_recycled, ifNull(toInt32(intDiv(won_ms + 86399999, 86400000)), -1), -2) AS won_after
FROM
(
    SELECT
        lead_id, transition_id, stage, source, team, entered_at, left_at, is_implied,
        toUnixTimestamp64Milli(left_at) - toUnixTimestamp64Milli(entered_at) AS took_ms,
        reason, is_rejection, if(rejections = 1 AND ifNull(sal_at < mql_at, true), mql_at, NULL) AS first_rejected_mql_at,
        stage = 'recycled' AND recycled_in != cycle AS is_recycled,
        toUnixTimestamp64Milli(next_qualified_at) - toUnixTimestamp64Milli(entered_at) AS requalified_ms,
        toUnixTimestamp64Milli(next_won_at) - toUnixTimestamp64Milli(entered_at) AS won_ms
    FROM
    (
        SELECT
            lead_id, transition_id, to_stage AS stage, cycle, source, ifNull(teams[place], '(none)') AS team, entered_at,
            leadInFrame(toNullable(entered_at)) OVER later_on AS left_at,
            implied AS is_implied, ifNull(reason, '(none)') AS reason, is_rejection,
            if(is_rejection, row_number() OVER (PARTITION BY lead_id, cycle, is_rejection ORDER BY sequence), 0) AS rejections,
            mqls[place] AS mql_at, sals[place] AS sal_at,
            maxIf(cycle, to_stage = 'recycled') OVER before_it AS recycled_in,
            minIf(toNullable(entered_at), to_stage IN ('mql', 'opportunity')) OVER after_it AS next_qualified_at,
            minIf(toNullable(entered_at), to_stage = 'won') OVER after_it AS next_won_at
        FROM
        (
            SELECT told.lead_id AS lead_id, transition_id, to_stage, entered_at, implied, told.reason AS reason, event_type = 'LeadRejected' AS is_rejection,
                told.cycle AS cycle, sequence, lead.source AS source, lead.teams AS teams, lead.mqls AS mqls, lead.sals AS sals,
                indexOf(lead.cycles, told.cycle) AS place
            FROM
            (
                SELECT lead_id, transition_id, to_stage, entered_at, implied, reason, event_type, cycle, sequence
                FROM lead_transitions FINAL
                WHERE NOT is_test
            ) AS told
            -- The source that the lead has now: a late capture may have told it.
            INNER JOIN
            (
                SELECT leads.lead_id AS lead_id, ifNull(leads.source, '(none)') AS source, cycles.cycle AS cycles, cycles.team AS teams, cycles.mql_at AS mqls, cycles.sal_at AS sals
                FROM leads FINAL
                WHERE NOT leads.is_test AND leads.stage NOT IN ('', 'merged', 'erased')
            ) AS lead ON lead.lead_id = told.lead_id
        )
        WINDOW
            before_it AS (PARTITION BY lead_id ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
            later_on AS (PARTITION BY lead_id ORDER BY sequence ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
            after_it AS (PARTITION BY lead_id ORDER BY sequence ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
    )
)
COMMENT 'Stays in stages of the leads that count, one row for each entry: as the tables below say';

CREATE OR REPLACE VIEW stays_since
AS SELECT * REPLACE (-toInt64(sign) AS sign) FROM counted_stays WHERE lead_id IN (SELECT lead_id FROM changed)
UNION ALL
SELECT *, toInt64(1) AS sign FROM stays_now WHERE lead_id IN (SELECT lead_id FROM changed)
COMMENT 'Likewise of the leads that have changed since the last rollup: what a KPI of now has to add to counted_stays';

CREATE OR REPLACE VIEW touches_now
AS SELECT
    lead_id, source_system, event_id, at,
    said.channel AS channel, said.direction AS direction, said.origin AS origin, said.actor AS actor, said.outcome AS outcome,
    said.campaign AS campaign, said.collateral_id AS collateral_id
FROM rolling_facts
WHERE number = {number:UInt64} AND event_type = 'TouchRecorded'
COMMENT 'Touches that count: as the tables below say, of the leads asked for';

CREATE OR REPLACE VIEW deals_now
AS SELECT
    opportunity_id,
    deals.lead_id AS lead_id,
    source,
    owner,
    tupleElement(standing, 1) AS status,
    tupleElement(standing, 2) AS opened_at,
    if(status = 'open', NULL, tupleElement(standing, 3)) AS closed_at,
    amount_minor,
    told_currency,
    contact_roles,
    captured.at AS captured_at
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
        argMaxIf(roles, place, notEmpty(roles)) AS contact_roles
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
        FROM rolling_facts
        WHERE number = {number:UInt64}
            AND event_type IN ('OpportunityOpened', 'OpportunityAmended', 'OpportunityStageChanged', 'OpportunityWon', 'OpportunityLost')
    )
    GROUP BY opportunity_id, lead_id
) AS deals
LEFT JOIN (SELECT lead_id, toNullable(min(at)) AS at FROM rolling_facts WHERE number = {number:UInt64} AND event_type = 'LeadCaptured' GROUP BY lead_id) AS captured
    ON captured.lead_id = deals.lead_id
WHERE status != ''
COMMENT 'Opportunities that count, with their contact roles: as the tables below say, of the leads asked for';

CREATE OR REPLACE VIEW entered_now
AS SELECT lead_id, event_type, source_system, entered_by
FROM rolling_facts
WHERE number = {number:UInt64} AND event_type NOT IN ('FactWithdrawn', 'LeadErased')
COMMENT 'How many events that count came, by who entered them: as the tables below say, of the leads asked for';

CREATE OR REPLACE VIEW fields_now
AS SELECT
    lead_id,
    field,
    argMin(by, (at, event_type, source_system, event_id)) AS completed_by,
    argMin(said_by, (at, event_type, source_system, event_id)) AS filled_by
FROM
(
    SELECT told.lead_id AS lead_id, told.at AS at, told.event_type AS event_type, told.source_system AS source_system, told.event_id AS event_id,
        -- what a publisher tells of who it was may be anybody's name: no key of a number
        multiIf(told.event_type = 'LeadCaptured', '(captured)', told.entered_by = 'person', '(person)', toString(told.source_system)) AS by,
        if(told.event_type = 'LeadCaptured', '', toString(told.said.filled_by)) AS said_by,
        arrayJoin(arrayDistinct(arrayConcat(
            arrayMap(x -> toString(x), told.person_fields), arrayMap(x -> toString(x), told.said.fields),
            if(told.said.account = '', [], ['account']), if(told.said.region = '', [], ['region'])
        ))) AS field
    FROM (SELECT * FROM rolling_facts WHERE number = {number:UInt64} AND event_type IN ('LeadCaptured', 'LeadEnriched')) AS told
)
WHERE field IN ('name', 'email', 'phone', 'account', 'region')
GROUP BY lead_id, field
COMMENT 'Which of five fields are known of a lead, and who gave them first: as the tables below say, of the leads asked for';

CREATE OR REPLACE VIEW known_now
AS SELECT counted.lead_id AS lead_id, counted.source AS source, toUInt8(ifNull(told.fields, 0)) AS fields
FROM (SELECT leads.lead_id AS lead_id, ifNull(leads.source, '(none)') AS source FROM leads FINAL WHERE leads.lead_id IN (SELECT lead_id FROM rolling WHERE number = {number:UInt64} AND is_changed) AND NOT leads.is_test AND leads.stage NOT IN ('', 'merged', 'erased')) AS counted
LEFT JOIN (SELECT lead_id, count() AS fields FROM fields_now(number = {number:UInt64}) GROUP BY lead_id) AS told ON told.lead_id = counted.lead_id
COMMENT 'How much is known of each lead that counts: as the tables below say, of the leads asked for';

CREATE OR REPLACE VIEW mqls_now
AS SELECT counted.lead_id AS lead_id, cycle, source, mql_at,
    -- empty: nobody touched it at or after the mql
    if(empty(arrayFilter(at -> at >= mql_at, touched.ats) AS later), NULL, toUnixTimestamp64Milli(arrayMin(later)) - toUnixTimestamp64Milli(mql_at)) AS touched_ms
FROM
(
    SELECT lead_id, journey.1 AS cycle, source, assumeNotNull(journey.2) AS mql_at
    FROM (SELECT leads.lead_id AS lead_id, ifNull(leads.source, '(none)') AS source, arrayZip(cycles.cycle, cycles.mql_at) AS journeys FROM leads FINAL WHERE leads.lead_id IN (SELECT lead_id FROM rolling WHERE number = {number:UInt64} AND is_changed) AND NOT leads.is_test AND leads.stage NOT IN ('', 'merged', 'erased'))
    ARRAY JOIN journeys AS journey
    WHERE journey.2 IS NOT NULL
) AS counted
LEFT JOIN (SELECT lead_id, groupArray(at) AS ats FROM touches_now(number = {number:UInt64}) WHERE actor = 'human' GROUP BY lead_id) AS touched
    ON touched.lead_id = counted.lead_id
COMMENT 'Cycles with an mql, and when somebody looked: as the tables below say, of the leads asked for';

CREATE OR REPLACE VIEW moves_now
AS SELECT lead_id, stage, before.1 AS channel, before.2 AS origin,
    toUInt32(intDiv(toUnixTimestamp64Milli(entered_at) - toUnixTimestamp64Milli(arrayMax(ats) AS last_at), 86400000)) AS lag_days
FROM
(
    SELECT entered.lead_id AS lead_id, entered.stage AS stage, entered.entered_at AS entered_at, (told.channel, told.origin) AS before,
        arrayFilter(at -> at <= entered_at, told.ats) AS ats
    FROM
    (
        SELECT lead_id, to_stage AS stage, entered_at
        FROM (SELECT * FROM lead_transitions FINAL WHERE lead_id IN (SELECT lead_id FROM rolling WHERE number = {number:UInt64} AND is_changed) AND NOT is_test) AS lead_transitions
        WHERE NOT implied AND to_stage IN ('mql', 'sal', 'sql', 'opportunity', 'won', 'lost')
            AND lead_id IN (SELECT lead_id FROM (SELECT leads.lead_id AS lead_id, ifNull(leads.source, '(none)') AS source FROM leads FINAL WHERE leads.lead_id IN (SELECT lead_id FROM rolling WHERE number = {number:UInt64} AND is_changed) AND NOT leads.is_test AND leads.stage NOT IN ('', 'merged', 'erased')))
    ) AS entered
    INNER JOIN (SELECT lead_id, channel, origin, groupArray(at) AS ats FROM touches_now(number = {number:UInt64}) GROUP BY lead_id, channel, origin) AS told
        ON told.lead_id = entered.lead_id
)
WHERE notEmpty(ats)
COMMENT 'Entries into stages and the last touch of each sort before: as the tables below say, of the leads asked for';

CREATE OR REPLACE VIEW shows_now
AS SELECT lead_id, cycle, collateral_id, mql_at, arrayMin(later) AS shown_at, opportunity_at
FROM
(
    SELECT counted.lead_id AS lead_id, cycle, mql_at, opportunity_at, seen.collateral_id AS collateral_id,
        arrayFilter(at -> at >= mql_at AND (opportunity_at IS NULL OR at < opportunity_at), seen.ats) AS later
    FROM
    (
        SELECT lead_id, journey.1 AS cycle, assumeNotNull(journey.2) AS mql_at, journey.3 AS opportunity_at
        FROM (SELECT leads.lead_id AS lead_id, ifNull(leads.source, '(none)') AS source, arrayZip(cycles.cycle, cycles.mql_at, cycles.opportunity_at) AS journeys FROM leads FINAL WHERE leads.lead_id IN (SELECT lead_id FROM rolling WHERE number = {number:UInt64} AND is_changed) AND NOT leads.is_test AND leads.stage NOT IN ('', 'merged', 'erased'))
        ARRAY JOIN journeys AS journey
        WHERE journey.2 IS NOT NULL
    ) AS counted
    INNER JOIN (SELECT lead_id, collateral_id, groupArray(at) AS ats FROM touches_now(number = {number:UInt64}) WHERE collateral_id != '' AND outcome != 'bounced' GROUP BY lead_id, collateral_id) AS seen
        ON seen.lead_id = counted.lead_id
)
WHERE notEmpty(later)
COMMENT 'Collateral shown to leads between mql and opportunity: as the tables below say, of the leads asked for';

