-- BI reads the KPI views, and of the tables below them the columns that name nobody: views read as the user who asks.
-- Of leads, journeys and clocks the owner is left out; baton_bi_person has it, for those whose work needs names.
GRANT SELECT ON kpi_* TO baton_bi;
GRANT SELECT(lead_id) ON uncounted_leads TO baton_bi;
GRANT SELECT ON response_times TO baton_bi;
GRANT SELECT ON lanes TO baton_bi;
GRANT SELECT ON dead_letters TO baton_bi;
GRANT SELECT(
    transition_id, lead_id, change, cycle, sequence, from_stage, to_stage, entered_at, event_type, source_system, entered_by,
    implied, confirmed, disputed, source, campaign, team, grade, reason, agreement_version, is_test, emitted_at, topic_id,
    partition, offset, version, deleted
) ON lead_transitions TO baton_bi;
GRANT SELECT(
    instance_id, lead_id, kind, policy, verdict, cycle, start_event_type, started_at, deadline, breached_at, satisfied_at,
    ended_at, end, elapsed_ms, overrun_ms, late_evidence, notify, rung, agreement_version, calendar, target_ms, budget_ms,
    paused_ms, moves, grade, team, source, is_test, emitted_at, topic_id, partition, offset, version, deleted
) ON sla_instances TO baton_bi;
GRANT SELECT(
    lead_id, stage, cycle, work_status, source, campaign, owner_kind, team, grade, stage_entered_at, first_captured_at,
    last_received_at, next_deadline, refusals, is_test, `cycles.cycle`, `cycles.source`, `cycles.campaign`, `cycles.team`,
    `cycles.grade`, `cycles.inquiry_at`, `cycles.mql_at`, `cycles.sal_at`, `cycles.sql_at`, `cycles.opportunity_at`,
    `cycles.won_at`, `cycles.lost_at`, `cycles.nurture_at`, `cycles.recycled_at`, `cycles.disqualified_at`,
    `cycles.merged_at`, `cycles.erased_at`, `cycles.implied`, `cycles.hand_raised_at`, `cycles.first_assigned_at`,
    `cycles.first_touched_at`, topic_id, partition, offset, version, deleted
) ON leads TO baton_bi;

-- The same, of one's own teams alone: see 0003.
GRANT baton_bi TO baton_bi_team;

GRANT baton_bi TO baton_bi_person;
GRANT SELECT(owner) ON lead_transitions TO baton_bi_person;
GRANT SELECT(owner) ON sla_instances TO baton_bi_person;
GRANT SELECT(owner, `cycles.owner`) ON leads TO baton_bi_person;
GRANT SELECT ON journeys TO baton_bi_person;

-- The sink inserts and asks where it stands; `baton migrate` makes tables and views, and may not read them.
GRANT SELECT, INSERT ON lead_transitions TO baton_sink;
GRANT SELECT, INSERT ON sla_instances TO baton_sink;
GRANT SELECT, INSERT ON leads TO baton_sink;
GRANT SELECT, INSERT ON lanes TO baton_sink;
GRANT SELECT, INSERT ON dead_letters TO baton_sink;
GRANT SELECT, INSERT ON events TO baton_sink;
GRANT SELECT, INSERT ON campaign_events TO baton_sink;
GRANT SELECT, INSERT ON agreement_versions TO baton_sink;
GRANT SELECT, INSERT ON output_topics TO baton_sink;
GRANT SELECT ON migrations TO baton_sink;
-- It rolls up, too, by views that read all tables.
GRANT SELECT ON * TO baton_sink;
GRANT SELECT, INSERT ON changed_leads TO baton_sink;
GRANT SELECT, INSERT ON rollups TO baton_sink;
GRANT SELECT, INSERT ON rolling TO baton_sink;
GRANT ALTER DELETE ON changed_leads TO baton_sink;
GRANT ALTER DELETE ON rolling TO baton_sink;
GRANT SELECT, INSERT ON counted_merges TO baton_sink;
GRANT SELECT, INSERT ON counted_journeys TO baton_sink;
GRANT SELECT, INSERT ON counted_clocks TO baton_sink;
GRANT SELECT, INSERT ON counted_stays TO baton_sink;
GRANT SELECT, INSERT ON counted_touches TO baton_sink;
GRANT SELECT, INSERT ON counted_deals TO baton_sink;
GRANT SELECT, INSERT ON counted_entered TO baton_sink;
GRANT SELECT, INSERT ON counted_fields TO baton_sink;
GRANT SELECT, INSERT ON counted_known TO baton_sink;
GRANT SELECT, INSERT ON counted_mqls TO baton_sink;
GRANT SELECT, INSERT ON counted_moves TO baton_sink;
GRANT SELECT, INSERT ON counted_shows TO baton_sink;
GRANT SELECT(database, name, uuid) ON system.tables TO baton_sink;
GRANT CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, ALTER, INSERT, SELECT, TRUNCATE, OPTIMIZE ON * TO baton_migrations;
GRANT CREATE DATABASE ON * TO baton_migrations;
