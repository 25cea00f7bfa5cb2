"""The embedded schema registry: the REST interface of Confluent's, over the mock registry of confluent-kafka.

It answers what serializers of any language ask (register, look up, fetch by id); it keeps nothing across a restart and
checks no compatibility.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_MEDIA = "application/vnd.schemaregistry.v1+json"


def _answer(content: Any, status: int = 200) -> Response:
    return JSONResponse(content, status, media_type=_MEDIA)


def app() -> Starlette:
    """A registry of its own, empty."""
    client = SchemaRegistryClient.new_client({"url": "mock://embedded"})
    levels: dict[str, str] = {}  # told back, not enforced: some serializers check it before they register
    ids: dict[str, int] = {}  # the same text has one id under every subject, as in a real registry

    async def schema_of(request: Request) -> Schema:
        body = await request.json()
        return Schema(json.dumps(json.loads(body["schema"]), separators=(",", ":")), body.get("schemaType", "AVRO"))

    async def register(request: Request) -> Response:
        schema = await schema_of(request)
        subject = request.path_params["subject"]
        number = client.register_schema(subject, schema)
        return _answer({"id": ids.setdefault(schema.schema_str, number)})

    async def lookup(request: Request) -> Response:
        subject, schema = request.path_params["subject"], await schema_of(request)
        found = client.lookup_schema(subject, schema)
        number = ids.get(schema.schema_str, found.schema_id)
        return _answer({"subject": subject, "id": number, "version": found.version, "schema": schema.schema_str})

    async def by_id(request: Request) -> Response:
        try:
            found = client.get_schema(int(request.path_params["id"]))
        except SchemaRegistryError:
            raise SchemaRegistryError(404, 40403, "schema not found") from None
        return _answer({"schema": found.schema_str, "schemaType": found.schema_type or "AVRO"})

    async def kinds(request: Request) -> Response:
        return _answer(["AVRO"])

    async def subjects(request: Request) -> Response:
        return _answer(client.get_subjects())

    async def versions(request: Request) -> Response:
        found = client.get_versions(request.path_params["subject"])
        if not found:
            raise SchemaRegistryError(404, 40401, "subject not found")
        return _answer(sorted(found))

    async def version(request: Request) -> Response:
        subject, wanted = request.path_params["subject"], request.path_params["version"]
        found = client.get_latest_version(subject) if wanted == "latest" else client.get_version(subject, int(wanted))
        return _answer(
            {
                "subject": subject,
                "id": ids.get(found.schema.schema_str, found.schema_id),
                "version": found.version,
                "schema": found.schema.schema_str,
            }
        )

    async def config(request: Request) -> Response:
        subject = request.path_params.get("subject", "")
        if request.method == "PUT":
            levels[subject] = (await request.json())["compatibility"]
            return _answer({"compatibility": levels[subject]})
        if subject and subject not in levels:
            return _answer({"error_code": 40408, "message": f"subject {subject} has no compatibility of its own"}, 404)
        return _answer({"compatibilityLevel": levels.get(subject, "NONE")})

    async def compatible(request: Request) -> Response:
        await schema_of(request)
        return _answer({"is_compatible": True})

    def guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except SchemaRegistryError as error:
                status = error.http_status_code if error.http_status_code >= 400 else 404
                return _answer({"error_code": error.error_code, "message": error.error_message}, status)
            except (ValueError, KeyError, TypeError) as error:
                return _answer({"error_code": 42201, "message": f"invalid schema: {type(error).__name__}"}, 422)

        return handle

    return Starlette(
        routes=[
            Route("/subjects", guarded(subjects)),
            Route("/subjects/{subject}", guarded(lookup), methods=["POST"]),
            Route("/subjects/{subject}/versions", guarded(register), methods=["POST"]),
            Route("/subjects/{subject}/versions", guarded(versions), methods=["GET"]),
            Route("/subjects/{subject}/versions/{version}", guarded(version)),
            Route("/schemas/types", guarded(kinds)),
            Route("/schemas/ids/{id:int}", guarded(by_id)),
            Route("/config", guarded(config), methods=["GET", "PUT"]),
            Route("/config/{subject}", guarded(config), methods=["GET", "PUT"]),
            Route("/compatibility/subjects/{subject}/versions/{version}", guarded(compatible), methods=["POST"]),
        ]
    )
