-- What a query of a BI tool may cost. A tool sets how its answers look (readonly = 2), but cannot lift these.
CREATE SETTINGS PROFILE OR REPLACE baton_bi SETTINGS
    readonly = 2 CONST,
    max_execution_time = 60 MAX 60,
    max_memory_usage = 4000000000 MAX 4000000000,
    max_threads = 4 MAX 4,
    max_result_rows = 1000000 MAX 1000000,
    max_rows_to_read = 2000000000 MAX 2000000000,
    max_concurrent_queries_for_user = 8 CONST,
    allow_ddl = 0 CONST,
    allow_introspection_functions = 0 CONST;

CREATE ROLE IF NOT EXISTS baton_bi;
CREATE ROLE IF NOT EXISTS baton_bi_team;
CREATE ROLE IF NOT EXISTS baton_bi_person;
CREATE ROLE IF NOT EXISTS baton_sink;
CREATE ROLE IF NOT EXISTS baton_migrations;

ALTER ROLE baton_bi SETTINGS PROFILE 'baton_bi';
ALTER ROLE baton_bi_team SETTINGS PROFILE 'baton_bi';
ALTER ROLE baton_bi_person SETTINGS PROFILE 'baton_bi';

-- A dashboard that asks in a loop is stopped before it slows the others.
CREATE QUOTA OR REPLACE baton_bi KEYED BY user_name
    FOR INTERVAL 1 minute MAX queries = 600, errors = 100,
    FOR INTERVAL 1 hour MAX execution_time = 1800, read_rows = 20000000000, result_rows = 20000000
    TO baton_bi, baton_bi_team, baton_bi_person;
