"""The clients that BI tools are built on, unmodified, each asked the same things. Imports nothing of the product.

Superset and its like use clickhouse-connect's SQLAlchemy dialect; DBeaver, Metabase and Tableau the JDBC driver.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import clickhouse_connect
import sqlalchemy
import yaml
from clickhouse_connect.driver.exceptions import ClickHouseError

from tests.real.artifacts import java, resolved
from tests.support.node import installed
from tests.support.tools import require

_HERE: Final = Path(__file__).parent
_PARAMETER: Final = re.compile(r"\{(\w+):\w+\}")


@dataclass(frozen=True)
class Query:
    sql: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Login:
    url: str
    user: str
    password: str
    database: str


@dataclass(frozen=True)
class Answer:
    """Rows with every value as text, or an error's code and text."""

    rows: list[list[str | None]] | None
    code: int = 0
    text: str = ""


Ask = Callable[[Login, Sequence[Query]], list[Answer]]


def queries(file: Path = _HERE / "queries.yaml") -> list[Query]:
    return [Query(item["sql"], item.get("parameters", {})) for item in yaml.safe_load(file.read_text())]


def _told(value: Any) -> str | None:
    """A value in a form that does not depend on the client's types: of a number 12 digits count."""
    if value is None:
        return None
    if isinstance(value, datetime):
        value = (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat(" ", "milliseconds")
    text = str(value)
    if text.lower() in ("true", "false"):
        return text.lower()
    if re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", text):
        return f"{float(text):.12g}"
    if found := re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?Z?", text):
        return f"{found[1]} {found[2]}.{(found[3] or '0'):0<3}"
    return text


def _rows(rows: Sequence[Sequence[Any]]) -> Answer:
    return Answer([[_told(value) for value in row] for row in rows])


def _connect(login: Login, asked: Sequence[Query]) -> list[Answer]:
    address = urlsplit(login.url)
    client = clickhouse_connect.get_client(
        host=address.hostname, port=address.port, username=login.user, password=login.password, database=login.database,
        compress="lz4", query_retries=0,
    )  # fmt: skip
    answers = []
    with client:
        for query in asked:
            try:
                answers.append(
                    _rows(client.query(query.sql, parameters=dict(query.parameters), query_tz="UTC").result_rows)
                )
            except ClickHouseError as error:
                answers.append(Answer(None, int(getattr(error, "code", 0) or 0), str(error)))
    return answers


def _sqlalchemy(login: Login, asked: Sequence[Query]) -> list[Answer]:
    address = urlsplit(login.url)
    user = f"{quote(login.user)}:{quote(login.password, safe='')}"
    engine = sqlalchemy.create_engine(f"clickhousedb://{user}@{address.hostname}:{address.port}/{login.database}")
    answers = []
    with engine.connect() as connection:
        for query in asked:
            try:
                text = sqlalchemy.text(_PARAMETER.sub(r":\1", query.sql))
                answers.append(_rows(connection.execute(text, dict(query.parameters)).all()))
            except sqlalchemy.exc.DBAPIError as error:
                answers.append(Answer(None, int(getattr(error.orig, "code", 0) or 0), str(error.orig)))
    engine.dispose()
    return answers


def _run(command: Sequence[str | Path], cwd: Path, given: str) -> list[Answer]:
    done = subprocess.run(command, cwd=cwd, input=given, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (
        f"{command[0]} ended with code {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-2000:]}"
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return [_rows(line["rows"]) if "rows" in line else Answer(None, _code(line), line["text"]) for line in told]


def _code(line: Mapping[str, Any]) -> int:
    """JDBC has a field for it that its driver leaves empty: there the code stands in ClickHouse's text alone."""
    found = re.search(r"Code: (\d+)\. DB::Exception: ", line["text"])
    return line["code"] or int(found[1] if found else 0)


def _jdbc(login: Login, asked: Sequence[Query]) -> list[Answer]:
    libraries = resolved(_HERE / "java" / "pom.xml") / "libs"
    lines = []
    for query in asked:
        names = _PARAMETER.findall(query.sql)
        lines.append("\t".join((_PARAMETER.sub("?", query.sql), *(query.parameters[name] for name in names))))
    command: list[str | Path] = [
        java(), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Duser.timezone=UTC", "-cp", f"{libraries}/*",
        _HERE / "java" / "Ask.java", f"jdbc:clickhouse:{login.url}/{login.database}", login.user, login.password,
    ]  # fmt: skip
    return _run(command, _HERE, "\n".join(lines) + "\n")


def _node(login: Login, asked: Sequence[Query]) -> list[Answer]:
    given = {**vars(login), "queries": [{"sql": query.sql, "parameters": dict(query.parameters)} for query in asked]}
    return _run([require("node", "nodejs"), "ask.js"], installed(_HERE / "node"), json.dumps(given))


CLIENTS: Final[Mapping[str, Ask]] = {
    "clickhouse-connect": _connect, "SQLAlchemy": _sqlalchemy, "JDBC": _jdbc, "Node": _node,
}  # fmt: skip
