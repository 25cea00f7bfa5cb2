-- Who has baton_bi_team sees the rows of their own teams. Which those are stands in a setting of the user that they cannot
-- change: SETTINGS SQL_baton_teams = 'north,south' CONST. Everyone else is not narrowed. Rows without a team are nobody's.
CREATE ROW POLICY OR REPLACE baton_everyone ON leads USING 1 TO ALL EXCEPT baton_bi_team;
CREATE ROW POLICY OR REPLACE baton_everyone ON lead_transitions USING 1 TO ALL EXCEPT baton_bi_team;
CREATE ROW POLICY OR REPLACE baton_everyone ON sla_instances USING 1 TO ALL EXCEPT baton_bi_team;
CREATE ROW POLICY OR REPLACE baton_team ON leads
    USING has(splitByChar(',', getSetting('SQL_baton_teams')), ifNull(team, '')) AND ifNull(team, '') != ''
    TO baton_bi_team;
CREATE ROW POLICY OR REPLACE baton_team ON lead_transitions
    USING has(splitByChar(',', getSetting('SQL_baton_teams')), ifNull(team, '')) AND ifNull(team, '') != ''
    TO baton_bi_team;
CREATE ROW POLICY OR REPLACE baton_team ON sla_instances
    USING has(splitByChar(',', getSetting('SQL_baton_teams')), ifNull(team, '')) AND ifNull(team, '') != ''
    TO baton_bi_team;
-- What is rolled up from them.
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_journeys USING 1 TO ALL EXCEPT baton_bi_team;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_stays USING 1 TO ALL EXCEPT baton_bi_team;
CREATE ROW POLICY OR REPLACE baton_everyone ON counted_clocks USING 1 TO ALL EXCEPT baton_bi_team;
CREATE ROW POLICY OR REPLACE baton_team ON counted_journeys
    USING has(splitByChar(',', getSetting('SQL_baton_teams')), lead_team) AND lead_team != '(none)'
    TO baton_bi_team;
CREATE ROW POLICY OR REPLACE baton_team ON counted_stays
    USING has(splitByChar(',', getSetting('SQL_baton_teams')), team) AND team != '(none)'
    TO baton_bi_team;
CREATE ROW POLICY OR REPLACE baton_team ON counted_clocks
    USING has(splitByChar(',', getSetting('SQL_baton_teams')), team) AND team != '(none)'
    TO baton_bi_team;
