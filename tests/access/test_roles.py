"""Roles, definers and row policies of the access files, in force: by ClickHouse's own access control, on a store's files.

No server can be started here. Instead the engine opens a filled store with its one user given what a role has: its grants, and
the policies of baton_views, which is there to be the definer. Not proven so: passwords, quotas, settings profiles, and that a
server's SQL_baton_teams reaches the policies; its place is taken by log_comment, which the engine has already.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import pytest

from streams.store.access import access_statements
from streams.store.client import connect
from streams.store.migrations import Migrator
from streams.store.rollup import Rollups
from tests.access.test_reader import PARAMETERS
from tests.kpis.data import EMAIL, NAME, STAFF, generated
from tests.kpis.fill import fill
from tests.kpis.known import Known
from tests.kpis.views import CHECKS, different
from tests.store.fixtures import fresh, start_store

SETTING: Final = "SQL_baton_teams"
NAMED: Final = re.compile(r"(?i)owner|email|phone|person|^name$|lead_id|event_id")
KNOWN: Final = 60
IDENTITY: Final = ("lead_id", "event_id", "opportunity_id", "message_id", "owner", "performed_by", "filled_by")


def _statements(pattern: str) -> list[str]:
    return [sql.replace(SETTING, "log_comment") for _, sql in access_statements() if re.search(pattern, sql, re.DOTALL)]


def _grants(role: str, database: str) -> list[str]:
    """What is granted to the role, and to those that it has."""
    out = []
    for sql in _statements(rf"GRANT .* TO {role}\Z"):
        sql = re.sub(r"(?m)^--.*\n", "", sql)
        inner = re.fullmatch(r"GRANT (\w+) TO \w+", sql)
        if inner:
            out += _grants(inner[1], database)
        else:
            privileges, on = re.fullmatch(r"GRANT (.*) ON (\S+) TO \w+", sql, re.DOTALL).groups()  # type: ignore[union-attr]
            out.append(f"GRANT {privileges} ON {database}.{on}")
    return out


class Files:
    """A store that nothing serves any more."""

    def __init__(self, path: Path, database: str, known: Known) -> None:
        self.path, self.database, self.known = path, database, known

    def ask(self, sql: Sequence[str], grants: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """As a user with the grants; without: as who may do everything."""
        policies = {
            table: using
            for text in _statements(r"POLICY OR REPLACE baton_team ON")
            for table, using in re.findall(r"ON (\w+) USING(.*)TO baton_views", text, re.DOTALL)
        }
        assert len(policies) > 3
        tables = "".join(f"<{name}><filter>{escape(using)}</filter></{name}>" for name, using in policies.items())
        views = "".join(f"<query>{grant}</query>" for grant in _grants("baton_views", self.database))
        own = "".join(f"<query>{grant}</query>" for grant in grants or ())
        common = (
            "<password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
        )
        right = f"<grants>{own}</grants>" if grants else "<access_management>1</access_management>"
        users = self.path.parent / "users.xml"
        users.write_text(
            f"<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default>{common}{right}</default>"
            f"<baton_views>{common}<grants>{views}</grants><databases><{self.database}>{tables}</{self.database}></databases>"
            "</baton_views></users></clickhouse>"
        )
        config = users.with_name("config.xml")
        config.write_text(
            f"<clickhouse><users_config>{users}</users_config><logger><level>none</level></logger></clickhouse>"
        )
        done = subprocess.run(
            [sys.executable, "-m", "tests.access.as_role", self.path, config],
            input=json.dumps([f"USE {self.database}", *sql]), capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)[1:]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("roles")
    child, url = start_store(folder / "data", folder)
    settings = fresh(url)
    Migrator(settings).up()
    client = connect(settings)
    world = generated(KNOWN)
    fill(client, world)
    Rollups(client, url).roll()
    client.close()
    child.stop()
    made = Files(folder / "data" / "engine", settings.store_database, Known(world))
    for answer in made.ask(_statements("MODIFY SQL SECURITY")):
        assert "error" not in answer, answer
    return made


def _calls(files: Files) -> dict[str, str]:
    [answer] = files.ask(
        [
            "SELECT name, arraySort(arrayDistinct(extractAll(create_table_query, '\\\\{(\\\\w+):'))) FROM system.tables"
            " WHERE database = currentDatabase() AND startsWith(name, 'kpi_')"
        ]
    )
    views = dict(json.loads(row) for row in answer["rows"])
    return {
        name: f"{name}({', '.join(f'{one} = {PARAMETERS[one]}' for one in parameters)})" if parameters else name
        for name, parameters in views.items()
    }


def _rows(answer: dict[str, Any]) -> Counter[str]:
    assert "error" not in answer, answer
    return Counter(answer["rows"])


def test_bi_reads_every_view_and_no_table(files: Files) -> None:
    calls = _calls(files)
    assert len(calls) > 25
    told = [f"SELECT * FROM {call} SETTINGS log_comment = '*'" for call in calls.values()]  # noqa: S608
    bi = _grants("baton_bi", files.database)
    [seen, whole] = [files.ask(told, grants) for grants in (bi, None)]
    for name, mine, all_of_it in zip(calls, seen, whole, strict=True):
        assert _rows(mine) == _rows(all_of_it), name
    assert sum(bool(one["rows"]) for one in seen) > 20
    columns = files.ask([f"DESCRIBE {call}" for call in calls.values()], bi)
    assert not [json.loads(row)[0] for one in columns for row in one["rows"] if NAMED.search(json.loads(row)[0])]
    tables = [
        "leads", "events", "sla_instances", "lead_transitions", "journeys", "response_times", "counted_journeys",
        "dead_letters", "agreement_versions", "facts(number = 0)", "opportunities", "survivors", "changed_leads",
        "counted_clocks", "counted_touches", "rolling", "standing", "journeys_since", "counted_responses", "response_marks",
    ]  # fmt: skip
    asked = [f"SELECT * FROM {table} LIMIT 1" for table in tables]  # noqa: S608
    for table, answer in zip(tables, files.ask(asked, bi), strict=True):
        assert "ACCESS_DENIED" in answer.get("error", ""), (table, answer)


def test_persons_are_for_their_role(files: Files) -> None:
    grants = _grants("baton_bi", files.database) + _grants("baton_bi_person", files.database)
    asked = [
        "SELECT count() > 0, countIf(owner IS NOT NULL) > 0 FROM journeys SETTINGS log_comment = '*'",
        "SELECT count() > 0 FROM response_times SETTINGS log_comment = '*'",
        "SELECT count() > 0 FROM opportunities SETTINGS log_comment = '*'",
        "SELECT count() > 0 FROM touches SETTINGS log_comment = '*'",
    ]
    assert [one.get("rows", one) for one in files.ask(asked, grants)] == [["[1, 1]"], ["[1]"], ["[1]"], ["[1]"]]
    assert "ACCESS_DENIED" in files.ask(["SELECT body FROM events"], grants)[0]["error"]


def test_a_team_sees_its_own(files: Files) -> None:
    """In every view: its leads, what they did before they came to the team, and what was told of leads merged into them."""
    teams = Counter(one.team for one in files.known.leads.values() if one.team)
    assert len(teams) > 1
    for team in teams:
        known = files.known.of_team(team)
        names = [name for name in CHECKS if " FROM kpi_" in CHECKS[name][0](known)]
        asked = [f"SELECT {CHECKS[name][0](known)} SETTINGS log_comment = '{team}'" for name in names]
        answers = files.ask(asked, _grants("baton_bi_team", files.database))
        assert sum(bool(answer.get("rows")) for answer in answers) > 20
        for name, answer in zip(names, answers, strict=True):
            assert "error" not in answer, (name, answer)
            assert (found := different([json.loads(row) for row in answer["rows"]], known, name)) is None, (team, found)


@pytest.mark.parametrize(
    ("view", "totals"),
    [("kpi_current_stages", "standing"), ("kpi_sla_compliance", "verdicts"), ("kpi_manual_events", "totals")],
)
def test_who_sees_all_teams_is_answered_by_totals(files: Files, view: str, totals: str) -> None:
    """ClickHouse works the policy out before it plans. For one team it has to look at each lead, and reads rows."""
    asked = [f"EXPLAIN SELECT * FROM {view} SETTINGS log_comment = '{teams}'" for teams in ("*", "north")]  # noqa: S608  # ours
    every, one = ("\n".join(answer["rows"]) for answer in files.ask(asked, _grants("baton_bi", files.database)))
    assert f"ReadFromMergeTree ({totals})" in every
    assert f"ReadFromMergeTree ({totals})" not in one


def test_no_answer_of_bi_names_anybody(files: Files) -> None:
    """Of whatever publishers sent: neither leads, nor those who work them, whoever typed the event in."""
    told = [record.event for record in files.known.world.records]
    named = {str(event[field]) for event in told for field in IDENTITY if event.get(field)}
    named |= {value for event in told for value in (event.get("person") or {}).values() if value}
    assert {NAME, EMAIL, STAFF} <= named
    asked = [f"SELECT * FROM {call} SETTINGS log_comment = '*'" for call in _calls(files).values()]  # noqa: S608  # names of ours
    answers = files.ask(asked, _grants("baton_bi", files.database))
    cells = {cell for answer in answers for row in answer["rows"] for cell in json.loads(row) if isinstance(cell, str)}
    assert "(person)" in cells
    assert not cells & named
    assert not [cell for cell in cells for one in (NAME, EMAIL, STAFF) if one in cell]
    # Whose work needs names has a role for it.
    [answer] = files.ask(
        ["SELECT filled_by FROM completions SETTINGS log_comment = '*'"], _grants("baton_bi_person", files.database)
    )
    assert STAFF in {json.loads(row)[0] for row in answer["rows"]}


def test_who_has_no_team_sees_nothing(files: Files) -> None:
    asked = [
        f"SELECT sum({number}) FROM {view}{setting}"  # noqa: S608  # names that stand here
        for number, view in (("leads", "kpi_current_stages"), ("events", "kpi_manual_events"))
        for setting in ("", " SETTINGS log_comment = ''", " SETTINGS log_comment = 'nobody'")
    ]
    answers = files.ask(asked, _grants("baton_bi_team", files.database))
    assert [one.get("rows", one) for one in answers] == [["[0]"]] * len(asked)


def test_every_kpi_view_has_its_definer(files: Files) -> None:
    """A view that is new and was forgotten could be read by nobody."""
    named = set(re.findall(r"ALTER TABLE (\w+) MODIFY", "\n".join(_statements("MODIFY SQL SECURITY"))))
    assert {*_calls(files), "as_of"} <= named
