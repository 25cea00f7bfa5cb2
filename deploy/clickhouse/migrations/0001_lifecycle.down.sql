-- The rows can be read from Kafka again: what retention has removed there is lost with the tables.

DROP VIEW IF EXISTS kpi_dead_letters;
DROP VIEW IF EXISTS kpi_open_clocks;
DROP VIEW IF EXISTS kpi_sla_compliance;
DROP VIEW IF EXISTS kpi_response_time;
DROP VIEW IF EXISTS response_times;
DROP VIEW IF EXISTS kpi_current_stages;
DROP VIEW IF EXISTS kpi_funnel_by_source;
DROP VIEW IF EXISTS uncounted_leads;
DROP VIEW IF EXISTS journeys;
DROP TABLE IF EXISTS dead_letters;
DROP TABLE IF EXISTS lanes;
DROP TABLE IF EXISTS leads;
DROP TABLE IF EXISTS sla_instances;
DROP TABLE IF EXISTS lead_transitions;
DROP TABLE IF EXISTS output_topics;
