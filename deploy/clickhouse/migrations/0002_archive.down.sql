-- What retention has removed from Kafka is lost with the archive.

DROP VIEW IF EXISTS goals;
DROP VIEW IF EXISTS campaign_costs;
DROP VIEW IF EXISTS campaigns;
DROP VIEW IF EXISTS agreed_rates;
DROP VIEW IF EXISTS letters_for_good;
DROP VIEW IF EXISTS as_of;
DROP TABLE IF EXISTS agreement_versions;
DROP TABLE IF EXISTS campaign_events;
DROP TABLE IF EXISTS events;
