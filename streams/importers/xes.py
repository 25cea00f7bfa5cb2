"""Event logs in XES (IEEE 1849), plain or gzipped, by a mapping from their activities to our events.

The file is read as a stream, a case at a time. Its events are grouped by case: the global order is an external sort.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import IO, Annotated, Any, Final, cast

import yaml
from lxml import etree
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from schemas.catalog import CATALOG
from streams.errors import ConfigurationError, InputError
from streams.importers.external_sort import in_order
from streams.importers.source import Imported
from streams.importers.times import millis


def _event_type(value: object) -> object:
    if value != "skip" and not (isinstance(value, str) and value in CATALOG and CATALOG[value].is_event):
        raise ValueError(f"{value!r} is none of our events; expected a record name such as LeadCaptured, or skip")
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


class Attributes(_Model):
    """Keys of the XES attributes that hold each thing."""

    case: str = "concept:name"
    activity: str = "concept:name"
    lifecycle: str = "lifecycle:transition"
    resource: str = "org:resource"
    timestamp: str = "time:timestamp"


class Mapping_(_Model):  # noqa: N801  # Mapping is taken by the standard library
    """A mapping file."""

    source_system: str = Field(min_length=1)
    attributes: Attributes = Attributes()
    rules: list[Rule] = Field(min_length=1)


def read_mapping(path: Path | None) -> Mapping_:
    """The mapping in a YAML file, or the one for the BPI Challenge 2012 log. Raises ConfigurationError."""
    try:
        if path is None:
            text = files("streams.importers").joinpath("mappings/bpic2012.yaml").read_text(encoding="utf-8")
        else:
            text = path.read_text(encoding="utf-8")
        return Mapping_.model_validate(yaml.safe_load(text))
    except OSError as error:
        raise ConfigurationError(f"mapping {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"mapping {path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise ConfigurationError(f"mapping {path}: {place}: {problem['msg']}") from None


_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    name: {
        field["name"]: field["default"]
        for field in contract.schema["fields"]
        if "default" in field and field["name"] not in ("entered_by", "is_test")
    }
    for name, contract in CATALOG.items()
    if contract.is_event
}


class XesLog:
    """`path`: the log. received_at = occurred_at: the log knows no arrival times."""

    def __init__(self, path: Path, mapping: Path | None = None) -> None:
        self._path = path
        self._mapping = read_mapping(mapping)
        self.skipped: Counter[str] = Counter()
        self.end_of_data = 0

    def events(self) -> Iterator[Imported]:
        return in_order(self._unordered())

    def _unordered(self) -> Iterator[Imported]:
        case = 0
        try:
            with self._open() as file:
                # No entities and no network: the file is somebody else's.
                for _, trace in etree.iterparse(
                    file, tag="{*}trace", resolve_entities=False, no_network=True, load_dtd=False
                ):
                    case += 1
                    yield from self._case(case, trace)
                    trace.clear()
                    while trace.getprevious() is not None:
                        del trace.getparent()[0]
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise InputError(
                f"{self._path}: the gzip data ends or breaks after case {case}: fetch the file anew"
            ) from None
        except etree.XMLSyntaxError as error:
            raise InputError(f"{self._path}, line {error.lineno}: no well-formed XES after case {case}") from None
        except OSError as error:
            raise InputError(f"{self._path}: {error.strerror or error}") from None
        if not case:
            raise InputError(f"{self._path}: no trace in it; expected an XES log")

    def _open(self) -> IO[bytes]:
        with self._path.open("rb") as probe:
            zipped = probe.read(2) == b"\x1f\x8b"
        return cast("IO[bytes]", gzip.open(self._path, "rb")) if zipped else self._path.open("rb")

    def _case(self, number: int, trace: Any) -> Iterator[Imported]:
        keys = self._mapping.attributes
        case = _attributes(trace).get(keys.case)
        if not case:
            raise InputError(f"{self._path}, case {number}: no {keys.case}; expected the attribute that names the case")
        entries = []
        for place, element in enumerate(trace.iterfind("{*}event"), 1):
            entry = _attributes(element)
            entries.append((self._time(entry, f"{self._path}, case {number}, event {place}"), place, entry))
        entries.sort(key=lambda item: item[:2])
        had: set[str] = set()
        for at, place, entry in entries:
            activity = entry.get(keys.activity, "")
            rule = next((rule for rule in self._mapping.rules if _fits(rule, activity, entry, keys, had)), None)
            if rule is None or rule.event == "skip":
                self.skipped[activity] += 1
                continue
            had.add(rule.event)
            yield self._event(rule, case, place, at, activity, entry.get(keys.resource, ""))

    def _time(self, entry: Mapping[str, str], place: str) -> int:
        key = self._mapping.attributes.timestamp
        if key not in entry:
            raise InputError(f"{place}: no {key}; expected a date attribute with an offset")
        try:
            at = millis(entry[key])
        except ValueError as error:
            raise InputError(f"{place}: {key}: {error}") from None
        self.end_of_data = max(self.end_of_data, at)
        return at

    def _event(self, rule: Rule, case: str, place: int, at: int, activity: str, resource: str) -> Imported:
        known = {"case": case, "activity": activity, "resource": resource}
        fields = {
            key: (value.format_map(known) or None) if isinstance(value, str) else value
            for key, value in rule.fields.items()
        }
        event = {
            "event_id": f"{case}:{place}",
            "lead_id": case,
            "occurred_at": at,
            "source_system": self._mapping.source_system,
            "entered_by": "system",
            "is_test": False,
            **_DEFAULTS[rule.event],
            **fields,
        }
        return Imported(rule.event, event, at)


def _attributes(element: Any) -> dict[str, str]:
    """The element's own attributes, key -> value; nested ones are passed over."""
    return {child.get("key"): child.get("value", "") for child in element if child.get("key") is not None}


def _fits(rule: Rule, activity: str, entry: Mapping[str, str], keys: Attributes, had: set[str]) -> bool:
    return (
        any(fnmatchcase(activity, pattern) for pattern in rule.activity)
        and (rule.lifecycle is None or entry.get(keys.lifecycle) == rule.lifecycle)
        and entry.get(keys.resource, "") not in rule.resource_not
        and (rule.after is None or rule.after in had)
        and (rule.before is None or rule.before not in had)
    )
