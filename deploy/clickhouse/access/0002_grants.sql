CREATE USER IF NOT EXISTS baton_views HOST NONE DEFAULT ROLE NONE;
GRANT SELECT ON * TO baton_views;

-- BI reads the KPI views, and of what lies below them nothing: the views read as baton_views, a user that cannot log in
-- (0005). No KPI view names a lead or a person. baton_bi_person has views that do, for those whose work needs names; who
-- has it has it beside baton_bi or baton_bi_team.
GRANT SELECT ON kpi_* TO baton_bi;
GRANT SELECT ON as_of TO baton_bi;

-- The same, of one's own teams alone: see 0003.
GRANT baton_bi TO baton_bi_team;

GRANT SELECT ON journeys TO baton_bi_person;
GRANT SELECT ON response_times TO baton_bi_person;
GRANT SELECT ON opportunities TO baton_bi_person;
GRANT SELECT ON touches TO baton_bi_person;
GRANT SELECT ON completions TO baton_bi_person;

-- The sink inserts and asks where it stands.
GRANT SELECT, INSERT ON lead_transitions TO baton_sink;
GRANT SELECT, INSERT ON sla_instances TO baton_sink;
GRANT SELECT, INSERT ON sla_events TO baton_sink;
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
GRANT SELECT, INSERT ON rolling_facts TO baton_sink;
GRANT ALTER DELETE ON changed_leads TO baton_sink;
GRANT ALTER DELETE ON rolling TO baton_sink;
GRANT ALTER DELETE ON rolling_facts TO baton_sink;
-- And takes the rows of erased leads out.
GRANT ALTER DELETE ON leads TO baton_sink;
GRANT ALTER DELETE ON counted_journeys TO baton_sink;
GRANT SELECT, INSERT ON counted_merges TO baton_sink;
GRANT SELECT, INSERT ON counted_journeys TO baton_sink;
GRANT SELECT, INSERT ON counted_clocks TO baton_sink;
GRANT SELECT, INSERT ON counted_responses TO baton_sink;
GRANT SELECT, INSERT ON counted_stays TO baton_sink;
GRANT SELECT, INSERT ON counted_touches TO baton_sink;
GRANT SELECT, INSERT ON counted_deals TO baton_sink;
GRANT SELECT, INSERT ON counted_entered TO baton_sink;
GRANT SELECT, INSERT ON counted_fields TO baton_sink;
GRANT SELECT, INSERT ON counted_known TO baton_sink;
GRANT SELECT, INSERT ON counted_mqls TO baton_sink;
GRANT SELECT, INSERT ON counted_moves TO baton_sink;
GRANT SELECT, INSERT ON counted_shows TO baton_sink;
GRANT SELECT(database, engine, name, uuid) ON system.tables TO baton_sink;
GRANT SELECT(active, database, modification_time, partition, table) ON system.parts TO baton_sink;
GRANT SELECT(query_kind, elapsed) ON system.processes TO baton_sink;
-- Who makes a view or keeps the ledger needs the right to read what is read there.
GRANT CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, ALTER, INSERT, SELECT, TRUNCATE, OPTIMIZE ON * TO baton_migrations;
GRANT CREATE DATABASE ON * TO baton_migrations;
