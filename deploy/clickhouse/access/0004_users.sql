-- Users that cannot log in until they are given a password and hosts, outside of any file:
--   ALTER USER baton_reader IDENTIFIED WITH sha256_password BY '...' HOST IP '10.0.0.0/8'
-- One user for each person or tool, each with its teams as CONST; a tool for one team: SETTINGS SQL_baton_teams = 'north' CONST
-- and the role baton_bi_team. The server's configuration has custom_settings_prefixes: SQL_.
CREATE USER IF NOT EXISTS baton_reader HOST NONE DEFAULT ROLE NONE;
ALTER USER baton_reader SETTINGS SQL_baton_teams = '*' CONST;
CREATE USER IF NOT EXISTS baton_team_reader HOST NONE DEFAULT ROLE NONE SETTINGS SQL_baton_teams = '' CONST;
CREATE USER IF NOT EXISTS baton_sink HOST NONE DEFAULT ROLE NONE;
CREATE USER IF NOT EXISTS baton_migrations HOST NONE DEFAULT ROLE NONE;
GRANT baton_bi TO baton_reader;
GRANT baton_bi_team TO baton_team_reader;
GRANT baton_sink TO baton_sink;
GRANT baton_migrations TO baton_migrations;
ALTER USER baton_reader DEFAULT ROLE baton_bi;
ALTER USER baton_team_reader DEFAULT ROLE baton_bi_team;
ALTER USER baton_sink DEFAULT ROLE baton_sink;
ALTER USER baton_migrations DEFAULT ROLE baton_migrations;
