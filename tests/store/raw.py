"""A bare HTTP client: what an official client hides, a test must see."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def code(self) -> int:
        return int(self.headers.get("x-clickhouse-exception-code", 0))

    @property
    def text(self) -> str:
        return self.body.decode()


def send(
    url: str,
    sql: str = "",
    *,
    method: str = "POST",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    **more: str,
) -> Reply:
    """`sql` goes into the URL, `body` behind it; `fields` and `more` are the other parameters of the URL."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    query = urlencode({**({"query": sql} if sql else {}), **(fields or {}), **more}, quote_via=quote)
    try:
        connection.request(method, f"/?{query}", body=body, headers=headers or {})
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def parses(url: str, sql: str) -> bool:
    """By ClickHouse's own parser, whether or not the engine could carry it out."""
    quoted = sql.replace("\\", "\\\\").replace("'", "\\'")
    reply = send(url, body=f"SELECT formatQuery('{quoted}')".encode())
    assert reply.code in (0, 62), reply.text
    return reply.status == 200
