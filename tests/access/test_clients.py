"""JDBC, Node, clickhouse-connect and SQLAlchemy, unmodified, as the read-only user: the same questions, the same answers."""

from __future__ import annotations

import pytest

from deploy.clickhouse.catalogue import calls
from tests.access.clients import CLIENTS, Answer, Login, Query, queries
from tests.store.raw import send

QUERIES = queries()


@pytest.fixture(scope="module")
def expected() -> dict[str, list[Answer]]:
    return {}


@pytest.mark.parametrize("name", CLIENTS)
def test_the_same_answers(login: Login, expected: dict[str, list[Answer]], name: str) -> None:
    if not expected:
        expected["first"] = CLIENTS["clickhouse-connect"](login, QUERIES)
        for query, answer in zip(QUERIES, expected["first"], strict=True):
            assert answer.rows, (query.sql, answer.text)
            assert any(value not in (None, "0", "0.0") for row in answer.rows for value in row)
    for query, answer, other in zip(QUERIES, CLIENTS[name](login, QUERIES), expected["first"], strict=True):
        assert answer == other, query.sql


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CLIENTS)
def test_every_view_is_the_same_to_all(company: Login, expected: dict[str, list[Answer]], name: str) -> None:
    """Dates, decimals, flags and what is NULL; parameters of views as text, and bound by the client.

    Bound are up to two: JDBC's driver finds no `?` in a call with more.
    """
    asked = [Query(f"SELECT * FROM {call} ORDER BY ALL", {}) for call in calls().values()]  # noqa: S608  # names of ours
    asked += [
        Query("SELECT * FROM kpi_ignored(days = {days:UInt32}) ORDER BY ALL", {"days": "30"}),
        Query(
            "SELECT * FROM kpi_sla_missed(since = {since:String}, until = {until:String}) ORDER BY ALL",
            {"since": "2026-10-01 00:00:00", "until": "2026-11-01 00:00:00"},
        ),
    ]
    if "views" not in expected:
        expected["views"] = CLIENTS["clickhouse-connect"](company, asked)
    for query, answer, other in zip(asked, CLIENTS[name](company, asked), expected["views"], strict=True):
        assert answer.rows, (query.sql, answer.text)
        assert answer == other, query.sql


@pytest.mark.parametrize("name", CLIENTS)
def test_errors_are_clickhouses_own(login: Login, name: str) -> None:
    """The reader's limits as well, and the connection goes on working after each."""
    wrong = {
        "SELECT nope FROM kpi_funnel_by_source": (47, "nope"),
        "SELECT * FROM no_such_view": (60, "no_such_view"),
        "SELEC 1": (62, "Syntax error"),
        "INSERT INTO lanes (lane) SELECT 1": (164, "readonly"),
        "DROP VIEW kpi_funnel_by_source": (164, "readonly"),
        "SELECT throwIf(number = 3, 'as asked') FROM numbers(5)": (395, "as asked"),
        "SELECT file('/etc/passwd')": (497, "outside the store"),
    }
    asked = [Query(sql, {}) for sql in wrong]
    answers = CLIENTS[name](login, [*asked, Query("SELECT 1", {})])
    for (sql, (code, text)), answer in zip(wrong.items(), answers, strict=False):
        assert (answer.rows, answer.code) == (None, code), (sql, answer)
        assert text in answer.text, (sql, answer)
    assert answers[-1].rows == [["1"]]


@pytest.mark.parametrize("name", ["clickhouse-connect", "SQLAlchemy"])
def test_a_wrong_password(login: Login, name: str) -> None:
    with pytest.raises(Exception, match=r"Authentication failed|AUTHENTICATION_FAILED"):
        CLIENTS[name](Login(login.url, login.user, "wrong", login.database), QUERIES[:1])


def test_no_answer_holds_personal_data(login: Login) -> None:
    """What BI reads names no person: neither lead nor owner."""
    [answer] = CLIENTS["clickhouse-connect"](
        login,
        [Query(
            "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND startsWith(table, 'kpi_')"
            " AND match(name, '(?i)owner|email|phone|person|name$|^lead_id$')", {},
        )],
    )  # fmt: skip
    assert answer.rows == []


def test_progress_headers_and_compression_are_the_clients_choice(login: Login) -> None:
    """Asked for or not, an answer is the same; no header is repeated, which some proxies refuse."""
    plain = send(login.url, "SELECT 7", user=login.user, password=login.password)
    asked = send(
        login.url, "SELECT 7", user=login.user, password=login.password, send_progress_in_http_headers="1",
        http_headers_progress_interval_ms="1", enable_http_compression="1", headers={"Accept-Encoding": "gzip"},
    )  # fmt: skip
    assert (plain.status, plain.body) == (200, b"7\n")
    assert asked.status == 200
    assert asked.headers["content-encoding"] == "gzip"
    assert not any("progress" in name for name in asked.headers)
