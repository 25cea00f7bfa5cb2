"""Every contract, read once from the .avsc files beside this module. May not import anything that moves bytes.

The folder of a file says on which topics its record may stand: `any` means each of the three input topics.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import fastavro
from fastavro.schema import to_parsing_canonical_form

_TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "leads": ("leads",),
    "touches": ("touches",),
    "opportunities": ("opportunities",),
    "any": ("leads", "touches", "opportunities"),
    "campaigns": ("campaigns",),
}
_OUTPUT_TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "AgreementVersion": ("agreements",),
    "DeadLetter": ("dead-letters",),
    "LaneForward": ("lane-forwards",),
    "LanePosition": ("lead-states",),
    "LeadState": ("lead-states",),
    "LeadTransition": ("lead-transitions",),
    "LetterReplayed": ("dead-letter-replays",),
    "SlaEvent": ("sla-events",),
}
_OUTPUTS: Final = frozenset(topic for topics in _OUTPUT_TOPICS.values() for topic in topics)


@dataclass(frozen=True)
class Contract:
    """One record type."""

    name: str
    """Record name, e.g. LeadCaptured."""
    fullname: str
    """With its namespace, e.g. baton.LeadCaptured."""
    topics: tuple[str, ...]
    """Topics it may stand on, without any prefix."""
    schema: Mapping[str, Any]
    """The schema as the file states it."""
    text: str
    """The same as compact JSON: what is registered."""
    parsed: Any
    """For fastavro, logical types stripped: times are integers, UTC milliseconds."""
    canonical: str
    """Avro's parsing canonical form: schemas that agree in it read the same bytes as the same record."""

    @property
    def is_event(self) -> bool:
        """Whether it comes in; what is not an event is an output of ours."""
        return not set(self.topics) <= _OUTPUTS

    @property
    def field_names(self) -> tuple[str, ...]:
        return tuple(field["name"] for field in self.schema["fields"])


def without_logical_types(schema: Any) -> Any:
    """The same schema with plain longs for times: a datetime per event would cost a third of decoding."""
    if isinstance(schema, dict):
        return {key: without_logical_types(value) for key, value in schema.items() if key != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(item) for item in schema]
    return schema


def parse(schema: Any) -> Any:
    """Parsed for fastavro, without logical types."""
    return fastavro.parse_schema(without_logical_types(schema), named_schemas={})


def _load() -> dict[str, Contract]:
    contracts: dict[str, Contract] = {}
    for folder in sorted((*_TOPICS, "outputs")):
        for file in sorted(files("schemas").joinpath(folder).iterdir(), key=lambda entry: entry.name):
            if not file.name.endswith(".avsc"):
                continue
            schema = json.loads(file.read_text(encoding="utf-8"))
            name = schema["name"]
            parsed = parse(schema)
            contracts[name] = Contract(
                name=name,
                fullname=f"{schema['namespace']}.{name}",
                topics=_OUTPUT_TOPICS[name] if folder == "outputs" else _TOPICS[folder],
                schema=schema,
                text=json.dumps(schema, separators=(",", ":"), ensure_ascii=False),
                parsed=parsed,
                canonical=to_parsing_canonical_form(parsed),
            )
    return contracts


CATALOG: Final[Mapping[str, Contract]] = _load()
"""Every contract by record name."""


def on_topic(topic: str) -> tuple[Contract, ...]:
    """The contracts whose records may stand on `topic` (without prefix)."""
    return tuple(contract for contract in CATALOG.values() if topic in contract.topics)


def subject(topic_name: str, contract: Contract) -> str:
    """Registry subject by Confluent's TopicRecordNameStrategy; `topic_name` with its prefix."""
    return f"{topic_name}-{contract.fullname}"
