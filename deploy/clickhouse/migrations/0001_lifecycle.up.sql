-- Tables of the lifecycle.
--
-- Every table is a ReplacingMergeTree(version, deleted): the sink writes each statement as it came, the newest version
-- under a key is what holds, a retraction is a row with deleted = 1. Views read FINAL, so they are right whether or not
-- merges have run. version = generation of the output topic * 2^48 + offset; (topic_id, partition, offset) name the
-- record that a row came from, and are what the sink resumes by. Ids only, no personal data.
-- Every statement can run again: a migration that was cut off is simply applied again.
--
-- Of each clock sla_instances keeps the newest statement, sla_events all: the audit trail of what was told.
--
--   sort key     of sla_events the lead, then the clock, so that the story of either lies together; then the record's place,
--                which makes one row of what was inserted twice and keeps what is told again on a topic made anew. The index
--                holds lead and clock: more would not be looked up and fills memory.
--   partitions   none. What was announced in a period is asked for seldom and reads one column of times; and an insert that
--                touches several partitions is several parts, of which a store that is lost in between keeps some: there
--                would be a gap below the offset that the sink goes on after.
--   codecs       of sla_events: neighbours are one clock's statements, alike but for a few columns: ids ZSTD(1), times Delta.
--   no TTL       nothing of an audit trail expires.

CREATE TABLE IF NOT EXISTS output_topics
(
    name String COMMENT 'Topic, with its prefix',
    topic_id String COMMENT 'Kafka''s own id of the topic; a re-created topic has another',
    generation UInt16 COMMENT 'Counts the topics that have had this name, from 1; the high part of every version',
    first_seen_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When the sink first met it'
)
ENGINE = ReplacingMergeTree
ORDER BY (name, topic_id)
COMMENT 'Output topics whose records the store holds';

CREATE TABLE IF NOT EXISTS lead_transitions
(
    transition_id String COMMENT '32 hex digits: hash of lead, causing event and entered stage',
    lead_id String COMMENT 'The lead',
    change LowCardinality(String) COMMENT 'stated, corrected or retracted: what the newest statement was',
    cycle UInt32 COMMENT 'Cycle of the lead, from 1',
    sequence UInt32 COMMENT 'Place in the lead''s story, from 1',
    from_stage LowCardinality(Nullable(String)) COMMENT 'Stage left; NULL for the first',
    to_stage LowCardinality(String) COMMENT 'Stage entered',
    entered_at DateTime64(3, 'UTC') COMMENT 'effective_at of the causing event',
    event_type LowCardinality(String) COMMENT 'Record name of the causing event',
    event_id String COMMENT 'event_id of the causing event',
    source_system LowCardinality(String) COMMENT 'source_system of the causing event',
    entered_by LowCardinality(String) COMMENT 'system or person',
    implied Bool COMMENT 'Entered only because a later stage was reached; left out of time in stage',
    confirmed Bool COMMENT 'Implied, and the stage''s own event came after all',
    disputed Bool COMMENT 'The causing event was dated more than 72 h before it was received',
    source LowCardinality(Nullable(String)) COMMENT 'The lead''s source',
    campaign Nullable(String) COMMENT 'The lead''s campaign',
    owner Nullable(String) COMMENT 'Owner at that instant',
    team LowCardinality(Nullable(String)) COMMENT 'Team at that instant',
    grade LowCardinality(Nullable(String)) COMMENT 'Grade at that instant',
    reason LowCardinality(Nullable(String)) COMMENT 'Reason given by the causing event',
    agreement_version LowCardinality(String) COMMENT 'Agreement version in force at entered_at',
    is_test Bool COMMENT 'Test traffic',
    emitted_at DateTime64(3, 'UTC') COMMENT 'Lane clock when it was stated; not reproducible',
    topic_id LowCardinality(String) COMMENT 'Kafka id of the output topic',
    partition UInt32 COMMENT 'Partition of the output topic; also the lane',
    offset Int64 COMMENT 'Offset in it',
    version UInt64 COMMENT 'Topic generation * 2^48 + offset; the highest under a key holds',
    deleted UInt8 COMMENT '1: taken back'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (lead_id, transition_id)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Entries of leads into stages. Read with FINAL';

CREATE TABLE IF NOT EXISTS sla_instances
(
    instance_id String COMMENT '32 hex digits: hash of policy, lead and start event',
    lead_id String COMMENT 'The lead',
    kind LowCardinality(String) COMMENT 'What was told last: started, rung, breached, met, ...',
    policy LowCardinality(String) COMMENT 'Policy, e.g. first_response',
    verdict LowCardinality(String) COMMENT 'open, breached_open, met, late_met, breached_ended, cancelled, transferred',
    cycle UInt32 COMMENT 'Cycle of the lead when the clock started',
    start_event_id String COMMENT 'event_id of the event that started the clock',
    start_source_system LowCardinality(String) COMMENT 'source_system of that event',
    start_event_type LowCardinality(String) COMMENT 'Record name of that event',
    started_at DateTime64(3, 'UTC') COMMENT 'effective_at of that event; of a wake clock the date it waited for',
    deadline DateTime64(3, 'UTC') COMMENT 'Meeting it exactly is in time',
    breached_at Nullable(DateTime64(3, 'UTC')) COMMENT 'The deadline, once it passed without satisfaction',
    satisfied_at Nullable(DateTime64(3, 'UTC')) COMMENT 'effective_at of the satisfying event',
    satisfied_by Nullable(String) COMMENT 'event_id of it',
    ended_at Nullable(DateTime64(3, 'UTC')) COMMENT 'effective_at of the event that ended it unsatisfied',
    ended_by Nullable(String) COMMENT 'event_id of it',
    end LowCardinality(Nullable(String)) COMMENT 'The stage entered, transferred (another owner) or superseded (at a merge another clock of its policy stays)',
    elapsed_ms Nullable(Int64) COMMENT 'Open time of the calendar from start to satisfaction, milliseconds',
    overrun_ms Nullable(Int64) COMMENT 'Open time of the calendar from the deadline to a late satisfaction or end, milliseconds',
    late_evidence Bool COMMENT 'Met in time by an event received after deadline and grace',
    notify Bool COMMENT 'False for what was due more than 24 h before the lane clock; not reproducible',
    rung Nullable(Int32) COMMENT 'Percent of the way from start to deadline that was announced last',
    agreement_version LowCardinality(String) COMMENT 'Agreement version in force at started_at',
    calendar LowCardinality(String) COMMENT 'Calendar that measures it',
    target_ms Int64 COMMENT 'Target, milliseconds of open time',
    budget_ms Int64 COMMENT 'Open time allowed in the end: the target, or less after an upgrade of the grade',
    paused_ms Int64 COMMENT 'Open time that pauses take out',
    moves UInt16 COMMENT 'Merges through which it has moved from lead to lead',
    grade LowCardinality(Nullable(String)) COMMENT 'Grade the target was picked by',
    owner Nullable(String) COMMENT 'Owner when the clock started',
    team LowCardinality(Nullable(String)) COMMENT 'Team when the clock started',
    source LowCardinality(Nullable(String)) COMMENT 'The lead''s source',
    is_test Bool COMMENT 'Test traffic',
    emitted_at DateTime64(3, 'UTC') COMMENT 'Lane clock when it was told; not reproducible',
    topic_id LowCardinality(String) COMMENT 'Kafka id of the output topic',
    partition UInt32 COMMENT 'Partition of the output topic; also the lane',
    offset Int64 COMMENT 'Offset in it',
    version UInt64 COMMENT 'Topic generation * 2^48 + offset; the highest under a key holds',
    deleted UInt8 COMMENT '1: the instance never was, or it runs on under the survivor of a merge'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (lead_id, instance_id)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'SLA clocks as they stand. Read with FINAL';

CREATE TABLE IF NOT EXISTS sla_events
(
    instance_id String COMMENT '32 hex digits: hash of policy, lead and start event' CODEC(ZSTD(1)),
    lead_id String COMMENT 'The lead' CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'What was told: started, rung, breached, met, ..., breach_retracted, retracted, moved',
    policy LowCardinality(String) COMMENT 'Policy, e.g. first_response',
    verdict LowCardinality(String) COMMENT 'open, breached_open, met, late_met, breached_ended, cancelled, transferred',
    cycle UInt32 COMMENT 'Cycle of the lead when the clock started',
    start_event_id String COMMENT 'event_id of the event that started the clock' CODEC(ZSTD(1)),
    start_source_system LowCardinality(String) COMMENT 'source_system of that event',
    start_event_type LowCardinality(String) COMMENT 'Record name of that event',
    started_at DateTime64(3, 'UTC') COMMENT 'effective_at of that event; of a wake clock the date it waited for' CODEC(Delta, ZSTD(1)),
    deadline DateTime64(3, 'UTC') COMMENT 'Meeting it exactly is in time' CODEC(Delta, ZSTD(1)),
    breached_at Nullable(DateTime64(3, 'UTC')) COMMENT 'The deadline, once it passed without satisfaction',
    satisfied_at Nullable(DateTime64(3, 'UTC')) COMMENT 'effective_at of the satisfying event',
    satisfied_by Nullable(String) COMMENT 'event_id of it' CODEC(ZSTD(1)),
    ended_at Nullable(DateTime64(3, 'UTC')) COMMENT 'effective_at of the event that ended it unsatisfied',
    ended_by Nullable(String) COMMENT 'event_id of it' CODEC(ZSTD(1)),
    end LowCardinality(Nullable(String)) COMMENT 'The stage entered, transferred (another owner) or superseded (at a merge another clock of its policy stays)',
    elapsed_ms Nullable(Int64) COMMENT 'Open time of the calendar from start to satisfaction, milliseconds',
    overrun_ms Nullable(Int64) COMMENT 'Open time of the calendar from the deadline to a late satisfaction or end, milliseconds',
    late_evidence Bool COMMENT 'Met in time by an event received after deadline and grace',
    notify Bool COMMENT 'False for what was due more than 24 h before the lane clock; not reproducible',
    rung Nullable(Int32) COMMENT 'Percent of the way from start to deadline that was announced last',
    agreement_version LowCardinality(String) COMMENT 'Agreement version in force at started_at',
    calendar LowCardinality(String) COMMENT 'Calendar that measures it',
    target_ms Int64 COMMENT 'Target, milliseconds of open time',
    budget_ms Int64 COMMENT 'Open time allowed in the end: the target, or less after an upgrade of the grade',
    paused_ms Int64 COMMENT 'Open time that pauses take out',
    moves UInt16 COMMENT 'Merges through which it has moved from lead to lead',
    grade LowCardinality(Nullable(String)) COMMENT 'Grade the target was picked by',
    owner Nullable(String) COMMENT 'Owner when the clock started' CODEC(ZSTD(1)),
    team LowCardinality(Nullable(String)) COMMENT 'Team when the clock started',
    source LowCardinality(Nullable(String)) COMMENT 'The lead''s source',
    is_test Bool COMMENT 'Test traffic',
    emitted_at DateTime64(3, 'UTC') COMMENT 'Lane clock when it was told; not reproducible' CODEC(Delta, ZSTD(1)),
    topic_id LowCardinality(String) COMMENT 'Kafka id of the output topic',
    partition UInt32 COMMENT 'Partition of the output topic; also the lane',
    offset Int64 COMMENT 'Offset in it' CODEC(Delta, ZSTD(1)),
    version UInt64 COMMENT 'Topic generation * 2^48 + offset: the order in which things were told' CODEC(Delta, ZSTD(1)),
    deleted UInt8 COMMENT 'Always 0: a retraction is a statement, too'
)
ENGINE = ReplacingMergeTree(version, deleted)
PRIMARY KEY (lead_id, instance_id)
ORDER BY (lead_id, instance_id, topic_id, partition, offset)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'All that was told about SLA clocks, each with the clock as it then stood. Read with FINAL';

CREATE TABLE IF NOT EXISTS leads
(
    lead_id String COMMENT 'The lead',
    stage LowCardinality(String) COMMENT 'Stage now; empty: no event has moved it yet',
    cycle UInt32 COMMENT 'Cycle now',
    work_status LowCardinality(String) COMMENT 'new, assigned, attempting, connected or meeting_set',
    source LowCardinality(Nullable(String)) COMMENT 'Source',
    campaign Nullable(String) COMMENT 'Campaign',
    owner Nullable(String) COMMENT 'Owner now',
    owner_kind LowCardinality(Nullable(String)) COMMENT 'person or queue',
    team LowCardinality(Nullable(String)) COMMENT 'Team now',
    grade LowCardinality(Nullable(String)) COMMENT 'Grade now',
    merged_into Nullable(String) COMMENT 'The lead that this one has merged into',
    stage_entered_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When the stage was entered',
    first_captured_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First LeadCaptured',
    last_received_at DateTime64(3, 'UTC') COMMENT 'Newest received_at of the lead',
    next_deadline Nullable(DateTime64(3, 'UTC')) COMMENT 'When the lane clock looks at the lead next; NULL: never',
    refusals Map(LowCardinality(String), UInt32) COMMENT 'Facts recorded but not applied, by kind',
    is_test Bool COMMENT 'Test traffic',
    cycles Nested
    (
        cycle UInt32,
        source LowCardinality(Nullable(String)),
        campaign Nullable(String),
        owner Nullable(String),
        team LowCardinality(Nullable(String)),
        grade LowCardinality(Nullable(String)),
        inquiry_at Nullable(DateTime64(3, 'UTC')),
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
        implied Array(LowCardinality(String)),
        hand_raised_at Nullable(DateTime64(3, 'UTC')),
        first_assigned_at Nullable(DateTime64(3, 'UTC')),
        first_touched_at Nullable(DateTime64(3, 'UTC'))
    ) COMMENT 'The lead''s cycles; one row each in the view journeys',
    reached UInt16 MATERIALIZED toUInt16(arraySum((i, ats) -> bitShiftLeft(arrayExists(at -> at IS NOT NULL, ats), i), range(7), [cycles.inquiry_at, cycles.mql_at, cycles.sal_at, cycles.sql_at, cycles.opportunity_at, cycles.won_at, cycles.lost_at])) COMMENT 'Stages it ever entered, a bit each: inquiry 1, mql 2, sal 4, sql 8, opportunity 16, won 32, lost 64',
    topic_id LowCardinality(String) COMMENT 'Kafka id of the output topic',
    partition UInt32 COMMENT 'Partition of the output topic; also the lane',
    offset Int64 COMMENT 'Offset in it',
    version UInt64 COMMENT 'Topic generation * 2^48 + offset; the highest under a key holds',
    deleted UInt8 COMMENT '1: the state was taken away'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY lead_id
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Leads as they stand, with all their cycles in one row, so that a correction that removes a cycle removes it here. Read with FINAL';

CREATE TABLE IF NOT EXISTS lanes
(
    lane UInt32 COMMENT 'Partition number of the input topics',
    clock DateTime64(3, 'UTC') COMMENT 'Everything received up to here has been folded',
    positions Map(LowCardinality(String), Int64) COMMENT 'Next offset to read, by input topic',
    reached Map(LowCardinality(String), Int64) COMMENT 'Running maximum of received_at, by input topic, UTC milliseconds',
    counters Map(LowCardinality(String), Int64) COMMENT 'What the lane has done since its state began',
    worker_version LowCardinality(String) COMMENT 'Version that wrote it',
    topic_id LowCardinality(String) COMMENT 'Kafka id of the output topic',
    partition UInt32 COMMENT 'Partition of the output topic',
    offset Int64 COMMENT 'Offset in it',
    version UInt64 COMMENT 'Topic generation * 2^48 + offset; the highest under a key holds',
    deleted UInt8 COMMENT 'Always 0'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY lane
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Where each lane of the worker stands. Read with FINAL';

CREATE TABLE IF NOT EXISTS dead_letters
(
    origin_topic LowCardinality(String) COMMENT 'Topic of the record that could not be processed',
    origin_partition UInt32 COMMENT 'Its partition',
    origin_offset Int64 COMMENT 'Its offset',
    origin_timestamp Int64 COMMENT 'Its Kafka timestamp as it came, UTC milliseconds',
    reason LowCardinality(String) COMMENT 'Closed word for counting',
    detail String COMMENT 'What is wrong and the mend; never the value of personal data',
    schema_id Nullable(Int64) COMMENT 'Schema id of the value, where one could be read',
    lead_id Nullable(String) COMMENT 'The lead, where it could be told',
    failed_at DateTime64(3, 'UTC') COMMENT 'Lane clock when it was set aside; not reproducible',
    worker_version LowCardinality(String) COMMENT 'Version that set it aside',
    topic_id LowCardinality(String) COMMENT 'Kafka id of the output topic',
    partition UInt32 COMMENT 'Partition of the output topic',
    offset Int64 COMMENT 'Offset in it: the bytes are there',
    version UInt64 COMMENT 'Topic generation * 2^48 + offset; the highest under a key holds',
    deleted UInt8 COMMENT 'Always 0'
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (origin_topic, origin_partition, origin_offset, origin_timestamp)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Records set aside, without their bytes: those are on the topic dead-letters. Read with FINAL';

CREATE OR REPLACE VIEW uncounted_leads
(
    lead_id String COMMENT 'The lead'
)
AS SELECT lead_id
FROM leads FINAL
WHERE is_test OR stage IN ('merged', 'erased')
COMMENT 'Leads that every KPI leaves out: test traffic, merged, erased';
