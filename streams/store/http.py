"""ClickHouse's HTTP interface as an ASGI application over an Executor. Bytes and headers only: no SQL here.

Source: ClickHouse documentation, "HTTP Interface", and what its clients (clickhouse-connect, JDBC, Node) rely on.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import anyio
import structlog
from anyio import from_thread, to_thread
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from streams.store import request as requests
from streams.store.encodings import Transform, decoder, encoder
from streams.store.engine import Engine
from streams.store.execution import Answer, Executor, Stream
from streams.store.faults import ACCESS_DENIED, BAD_ARGUMENTS, UNKNOWN, Fault, describe, http_status

log = structlog.get_logger(__name__)

_CONTENT_TYPES: Final = {
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "JSONCompactEachRow": "application/x-ndjson; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
}
_BINARY: Final = re.compile(r"Native|RowBinary|Arrow|Parquet|ORC|Avro|MsgPack|BSON|Npy|Protobuf")
_PIECE: Final = 1 << 20
_LARGEST_FIELD: Final = 256 << 20
_QUERY_ID: Final = re.compile(r"[\x21-\x7e]{1,256}")
_WATCH_SECONDS: Final = 0.5


class _Body:
    """The request's body for a worker thread: pulls pieces through the event loop, as fast as they are used."""

    def __init__(self, http: HttpRequest) -> None:
        self._stream = http.stream()
        self.read = False

    async def _piece(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for data in self._stream:
            pieces.append(data)
            size += len(data)
            if size >= _PIECE:
                return b"".join(pieces)
        self.read = True
        return b"".join(pieces)

    def decoded(self, transform: Transform) -> Iterator[bytes]:
        while not self.read:
            data = transform.feed(from_thread.run(self._piece))
            if data:
                yield data
        rest = transform.finish()
        if rest:
            yield rest


class Interface:
    def __init__(self, engine: Engine, executor: Executor, *, local_only: bool) -> None:
        self._engine = engine
        self._executor = executor
        self._local_only = local_only

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/ping", self._ping, methods=["GET", "HEAD"]),
                Route("/replicas_status", self._ping, methods=["GET", "HEAD"]),
                Route("/", self._root, methods=["GET", "POST", "HEAD"]),
            ]
        )

    async def _ping(self, http: HttpRequest) -> Response:
        return PlainTextResponse("Ok.\n")

    async def _root(self, http: HttpRequest) -> Response:
        if http.method != "POST" and "query" not in http.query_params:
            return PlainTextResponse("Ok.\n")
        query_id = http.query_params.get("query_id") or http.headers.get("x-clickhouse-query-id") or ""
        if not _QUERY_ID.fullmatch(query_id):
            query_id = secrets.token_hex(16)
        headers = {
            "X-ClickHouse-Query-Id": query_id,
            "X-ClickHouse-Server-Display-Name": self._engine.host,
            "X-ClickHouse-Timezone": self._engine.timezone,
        }
        try:
            self._refuse_browsers(http)
            request, answer = await self._run(http, query_id)
            transform, encoding = encoder(
                request.accept_encoding, wanted=request.http_compression, framed=request.framed_answer
            )
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # every failure is an answer in ClickHouse's own form
            return self._refusal(error, headers)
        headers["X-ClickHouse-Format"] = answer.form
        headers["Content-Type"] = _content_type(answer.form)
        headers["X-ClickHouse-Summary"] = json.dumps({name: str(value) for name, value in answer.summary.items()})
        if encoding is not None and (answer.stream is not None or answer.body):
            headers["Content-Encoding"] = encoding
        if answer.stream is not None:
            tag = secrets.token_hex(8)
            headers["X-ClickHouse-Exception-Tag"] = tag
            return StreamingResponse(self._chunks(answer.stream, transform, tag), 200, headers)
        body = answer.body
        if body:
            body = await to_thread.run_sync(lambda: transform.feed(body) + transform.finish())
        return Response(body, 200, headers)

    def _refuse_browsers(self, http: HttpRequest) -> None:
        """A page of another site can make a browser send requests here; no client of the interface is a browser."""
        origin = http.headers.get("origin")
        host = http.headers.get("host", "")
        if (origin is not None and urlsplit(origin).netloc != host) or (
            self._local_only and urlsplit(f"//{host}").hostname not in ("127.0.0.1", "localhost", "::1")
        ):
            raise Fault(*ACCESS_DENIED, "requests of web pages are not answered: use a client on this machine")

    async def _run(self, http: HttpRequest, query_id: str) -> tuple[requests.Request, Answer]:
        fields = dict(parse_qsl(http.url.query, keep_blank_values=True))
        external: tuple[requests.External, ...] = ()
        body = _Body(http)
        is_form = http.headers.get("content-type", "").startswith("multipart/form-data")
        if is_form:
            external = await _form(http, fields)
            body.read = True
        request = requests.parse(http.method, fields, http.headers, query_id, external)
        transform = decoder("" if is_form else request.content_encoding, framed=request.framed_body and not is_form)
        tag = secrets.token_hex(16)
        answers: list[Answer] = []
        failures: list[Exception] = []

        async def work() -> None:
            try:
                answers.append(await to_thread.run_sync(self._executor.run, request, body.decoded(transform), tag))
            except Exception as error:  # passed on below: a task group would wrap it
                failures.append(error)
            finally:
                tasks.cancel_scope.cancel()

        async def watch() -> None:
            while True:
                await anyio.sleep(_WATCH_SECONDS)
                if body.read and await http.is_disconnected():
                    await to_thread.run_sync(self._engine.cancel, tag)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            tasks.start_soon(work)
        if failures:
            raise failures[0]
        return request, answers[0]

    async def _chunks(self, stream: Stream, transform: Transform, tag: str) -> AsyncIterator[bytes]:
        def step() -> bytes | None:
            chunk = stream.next()
            return None if chunk is None else transform.feed(chunk)

        try:
            while True:
                try:
                    data = await to_thread.run_sync(step)
                except Exception as error:  # the status is out: the error goes behind the data
                    text = (describe(error, self._engine.version)[1] + "\n").encode()
                    block = b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (
                        tag.encode(), text, len(text), tag.encode()
                    )  # fmt: skip
                    yield transform.feed(block) + transform.finish()
                    return
                if data is None:
                    break
                if data:
                    yield data
            rest = transform.finish()
            if rest:
                yield rest
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(stream.close)

    def _refusal(self, error: Exception, headers: dict[str, str]) -> Response:
        code, text = describe(error, self._engine.version)
        if code == UNKNOWN[0]:
            log.error("request failed", error=type(error).__name__, exc_info=error)
        return Response(
            text.rstrip() + "\n",
            http_status(code),
            {**headers, "X-ClickHouse-Exception-Code": str(code), "Content-Type": "text/plain; charset=UTF-8"},
        )


def _content_type(form: str) -> str:
    known = _CONTENT_TYPES.get(form)
    if known is not None:
        return known
    return "application/octet-stream" if _BINARY.search(form) else "text/plain; charset=UTF-8"


async def _form(http: HttpRequest, fields: dict[str, Any]) -> tuple[requests.External, ...]:
    """Text fields join `fields`; files become external tables, described by NAME_structure or NAME_types, NAME_format."""
    external: list[tuple[str, bytes]] = []
    parser = MultiPartParser(http.headers, http.stream(), max_part_size=_LARGEST_FIELD)
    parser.spool_max_size = _LARGEST_FIELD  # by default what is larger than 1 MB goes to the disk and comes back
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Fault(*BAD_ARGUMENTS, f"the form cannot be read: {error.message}") from None
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                external.append((name, await value.read()))
            else:
                fields[name] = value
    finally:
        await form.close()
    tables = []
    for name, data in external:
        structure = fields.pop(f"{name}_structure", None)
        types = fields.pop(f"{name}_types", None)
        if structure is None and types is None:
            raise Fault(*BAD_ARGUMENTS, f"external table {name}: give {name}_structure or {name}_types")
        if structure is None:
            structure = ", ".join(f"_{number} {kind}" for number, kind in enumerate(_split(types), 1))
        tables.append(requests.External(name, structure, fields.pop(f"{name}_format", "TabSeparated"), data))
    return tuple(tables)


def _split(types: str) -> list[str]:
    """At the commas that stand outside brackets."""
    parts, depth = [""], 0
    for letter in types:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
