-- The rows can be read from Kafka again: what retention has removed there is lost with the tables.

DROP VIEW IF EXISTS uncounted_leads;
DROP TABLE IF EXISTS dead_letters;
DROP TABLE IF EXISTS lanes;
DROP TABLE IF EXISTS leads;
DROP TABLE IF EXISTS sla_events;
DROP TABLE IF EXISTS sla_instances;
DROP TABLE IF EXISTS lead_transitions;
DROP TABLE IF EXISTS output_topics;
