-- Through the views everybody sees the leads of the teams that stand in a setting of their user, SQL_baton_teams: '*' for all,
-- 'north,south', '' for none. Each user has it as CONST (0004); who has none sees nothing. A lead is its team's with all that is
-- told of it, of before it came there and of the leads merged into it too; one without a team is nobody's but of '*'.
-- Views read as baton_views: the policies are that user's, the setting is the one of who asks.
CREATE ROW POLICY OR REPLACE baton_everyone ON leads USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON lead_transitions USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON sla_instances USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON sla_events USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON events USING 1 TO ALL EXCEPT baton_views;
-- Merged leads are in no number: their rows are there so that it is known whose they are now.
CREATE ROW POLICY OR REPLACE baton_team ON leads USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR stage = 'merged'
    OR (team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON lead_transitions USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON sla_instances USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON sla_events USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON events USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    OR lead_id IN (SELECT survivors.lead_id FROM survivors WHERE survivors.survivor IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team))))
    TO baton_views;
-- What is rolled up stands under the lead that counts: a team's are those of its leads. For '*' the policies fold away before a query is planned, and totals are read; for some teams, rows.
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_journeys USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_clocks USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_responses USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_stays USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_touches USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_deals USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_entered USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_fields USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_known USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_mqls USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_moves USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_shows USING 1 TO ALL EXCEPT baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_journeys USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_clocks USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_responses USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_stays USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_touches USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_deals USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_entered USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_fields USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_known USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_mqls USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_moves USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
CREATE ROW POLICY OR REPLACE baton_team ON counted_shows USING
    getSettingOrDefault('SQL_baton_teams', '') = '*'
    OR lead_id IN (SELECT lead_id FROM leads FINAL WHERE team IS NOT NULL AND team != '' AND has(splitByChar(',', getSettingOrDefault('SQL_baton_teams', '')), assumeNotNull(team)))
    TO baton_views;
