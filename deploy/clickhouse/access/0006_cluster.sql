-- On a cluster alone. Shards take what comes from another node as from baton_shards: name it as <user> of the replicas in
-- remote_servers, without a <secret>, and give it a password and the nodes as hosts. It reads and writes for everybody; what BI
-- sees of a shard is held by the row policies, which are that user's too, and by the setting of who asks, which goes with the query.
CREATE USER IF NOT EXISTS baton_shards HOST NONE DEFAULT ROLE NONE;
GRANT SELECT, INSERT ON * TO baton_shards;
GRANT REMOTE, CREATE TEMPORARY TABLE ON *.* TO baton_shards;
-- So whoever is to see all leads says so.
ALTER USER baton_sink SETTINGS SQL_baton_teams = '*' CONST;
ALTER USER baton_migrations SETTINGS SQL_baton_teams = '*' CONST;
GRANT CLUSTER, REMOTE, CREATE TEMPORARY TABLE ON *.* TO baton_sink;
GRANT CLUSTER, REMOTE, CREATE TEMPORARY TABLE ON *.* TO baton_migrations;
