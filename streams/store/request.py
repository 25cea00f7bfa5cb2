"""One request of ClickHouse's HTTP interface, taken apart: who asks, the query, its settings, parameters and body. No I/O.

Source: ClickHouse documentation, "HTTP Interface".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streams.store.faults import AUTHENTICATION_FAILED, BAD_ARGUMENTS, INVALID_SESSION_TIMEOUT, Fault
from streams.store.sessions import DEFAULT_TIMEOUT

_OF_THE_INTERFACE: Final = frozenset(
    {
        "add_http_cors_header", "buffer_size", "cancel_http_readonly_queries_on_client_close", "client_protocol_version",
        "close_session", "compress", "database", "decompress", "default_format", "enable_http_compression", "framing",
        "http_headers_progress_interval_ms", "http_write_exception_in_output_format", "http_zlib_compression_level",
        "password", "query", "query_id", "quota_key", "role", "send_progress_in_http_headers", "session_check",
        "session_id", "session_timeout", "stacktrace", "user", "wait_end_of_query",
    }
)  # fmt: skip
"""URL parameters that are no settings of the engine."""
_SETTING: Final = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class External:
    """A temporary table that comes with the query."""

    name: str
    structure: str
    form: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Request:
    user: str
    password: str
    method: str
    query: str
    """From the URL; the body follows it after a line break."""
    query_id: str
    database: str | None
    default_format: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    session_id: str | None
    session_timeout: int
    session_check: bool
    close_session: bool
    wait_end_of_query: bool
    framed_answer: bool
    framed_body: bool
    content_encoding: str
    accept_encoding: str
    http_compression: bool
    external: tuple[External, ...]

    @property
    def read_only(self) -> bool:
        """The request itself asks for it. A GET must change nothing."""
        return self.method in ("GET", "HEAD") or self.settings.get("readonly", "0") != "0"


def parse(
    method: str,
    fields: Mapping[str, str],
    headers: Mapping[str, str],
    query_id: str,
    external: tuple[External, ...] = (),
) -> Request:
    """`fields`: of the URL and, where the body is a form, of that; `headers` by lower-case name. Raises Fault."""
    user, password = _credentials(fields, headers)
    timeout = fields.get("session_timeout", str(DEFAULT_TIMEOUT))
    if not timeout.isdigit():
        raise Fault(*INVALID_SESSION_TIMEOUT, f"Invalid session timeout: '{timeout}'")
    settings = {}
    for name, value in fields.items():
        if name in _OF_THE_INTERFACE or name.startswith("param_"):
            continue
        if not _SETTING.fullmatch(name):
            raise Fault(*BAD_ARGUMENTS, "a URL parameter is no name of a setting: letters, digits and _ only")
        settings[name] = value
    return Request(
        user=user,
        password=password,
        method=method,
        query=fields.get("query", ""),
        query_id=query_id,
        database=fields.get("database") or headers.get("x-clickhouse-database") or None,
        default_format=fields.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated",
        settings=settings,
        parameters={name[6:]: value for name, value in fields.items() if name.startswith("param_")},
        session_id=fields.get("session_id") or None,
        session_timeout=int(timeout),
        session_check=fields.get("session_check") == "1",
        close_session=fields.get("close_session") == "1",
        wait_end_of_query=fields.get("wait_end_of_query") == "1",
        framed_answer=fields.get("compress") == "1",
        framed_body=fields.get("decompress") == "1",
        content_encoding=headers.get("content-encoding", ""),
        accept_encoding=headers.get("accept-encoding", ""),
        http_compression=fields.get("enable_http_compression") == "1",
        external=external,
    )


def _credentials(fields: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise Fault(
                *AUTHENTICATION_FAILED, "Invalid HTTP authentication: the header is not base64 of user:password"
            ) from None
        return user, password
    return (
        headers.get("x-clickhouse-user", fields.get("user", "")),
        headers.get("x-clickhouse-key", fields.get("password", "")),
    )
