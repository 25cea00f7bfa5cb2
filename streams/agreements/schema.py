"""The JSON Schema of an agreement file, for editors: docs/reference/agreement.schema.json."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from processors.agreement_model import Document


class _Plain(GenerateJsonSchema):
    """Without titles that repeat names, and without null: a key without a value is refused."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        return (
            self.generate_inner(schema["schema"])
            if schema.get("default", 0) is None
            else super().default_schema(schema)
        )


def json_schema() -> str:
    """JSON, indented. It knows keys, words and amounts; that they fit together, `baton agreement check` knows."""
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Document.model_json_schema(schema_generator=_Plain),
    }
    return json.dumps(found | {"title": "Baton agreement"}, indent=2, ensure_ascii=False) + "\n"
