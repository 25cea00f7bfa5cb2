"""How the activities of an event log become our events: the mapping file, checked against the contracts when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Final, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from processors.vocabulary import EARLIEST
from streams.errors import ConfigurationError
from streams.importers.shape import RefusedEvent, complete, contract_of

SKIP: Final = "skip"
_PLACEHOLDERS: Final = ("case", "activity", "resource")


def _event_type(value: object) -> object:
    if value != SKIP:
        try:
            contract_of(value)
        except RefusedEvent as error:
            raise ValueError(f"{error}; or {SKIP}") from None
    return value


EventType = Annotated[str, BeforeValidator(_event_type)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Model):
    """Fields as explained in mappings/bpic2012.yaml."""

    activity: list[str] = Field(min_length=1)
    lifecycle: str | None = None
    resource_not: list[str] = []
    after: EventType | None = None
    before: EventType | None = None
    event: EventType
    fields: dict[str, Any] = {}

    def filled(self, known: Mapping[str, str]) -> dict[str, Any]:
        """The rule's fields with case, activity and resource put in; null where nothing comes of it."""
        return {
            key: (value.format_map(known) or None) if isinstance(value, str) else value
            for key, value in self.fields.items()
        }

    @model_validator(mode="after")
    def _makes_an_event(self) -> Self:
        for key, value in self.fields.items():
            for _, name, _, _ in Formatter().parse(value) if isinstance(value, str) else ():
                if name is not None and name not in _PLACEHOLDERS:
                    raise ValueError(f"{key}: {{{name}}} is none of {', '.join(f'{{{x}}}' for x in _PLACEHOLDERS)}")
        if self.event != SKIP:
            sample = common("sample", 1, EARLIEST, "sample") | self.filled({name: name for name in _PLACEHOLDERS})
            complete(self.event, sample)
        return self


class Attributes(_Model):
    """Keys of the XES attributes that hold each thing."""

    case: str = "concept:name"
    activity: str = "concept:name"
    lifecycle: str = "lifecycle:transition"
    resource: str = "org:resource"
    timestamp: str = "time:timestamp"


class LogMapping(_Model):
    """A mapping file."""

    source_system: str = Field(min_length=1)
    attributes: Attributes = Attributes()
    rules: list[Rule] = Field(min_length=1)


def common(case: str, place: int, at: int, source_system: str) -> dict[str, Any]:
    """The fields that every event of a case has; `place`: the log event's number within its case."""
    return {
        "event_id": f"{case}:{place}",
        "lead_id": case,
        "occurred_at": at,
        "source_system": source_system,
        "entered_by": "system",
    }


def read_mapping(path: Path | None) -> LogMapping:
    """The mapping in a YAML file, or the one for the BPI Challenge 2012 log. Raises ConfigurationError."""
    try:
        if path is None:
            text = files("streams.importers").joinpath("mappings/bpic2012.yaml").read_text(encoding="utf-8")
        else:
            text = path.read_text(encoding="utf-8")
        return LogMapping.model_validate(yaml.safe_load(text))
    except OSError as error:
        raise ConfigurationError(f"mapping {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"mapping {path}: no UTF-8 text") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"mapping {path}: no valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "top level"
        raise ConfigurationError(f"mapping {path}: {place}: {problem['msg'].removeprefix('Value error, ')}") from None
