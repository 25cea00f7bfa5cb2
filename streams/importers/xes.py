"""Event logs in XES (IEEE 1849-2016), plain or gzipped, by a mapping from their activities to our events.

The file is read as a stream, one case in memory at a time. Its events are grouped by case: the global order is an external
sort. Event ids are the case's name and the event's place in the case: a log in which two traces bear the same name has
events of one id and another body, which end as dead letters `event_id_conflict`.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, Final, cast

from lxml import etree

from streams.errors import InputError
from streams.importers.external_sort import in_order
from streams.importers.shape import RefusedEvent, complete, meaningful
from streams.importers.source import GZIP_MAGIC, Imported
from streams.importers.times import millis
from streams.importers.xes_mapping import SKIP, Attributes, Rule, common, read_mapping

_PLACE: Final = re.compile(r", line \d+, column \d+.*$", re.DOTALL)
"""What libxml2 appends to its messages; the position is told once."""


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
            with ExitStack() as stack:
                # No entities and no network: the file is somebody else's.
                for _, trace in etree.iterparse(
                    self._open(stack), tag="{*}trace", resolve_entities=False, no_network=True, load_dtd=False
                ):
                    case += 1
                    yield from self._case(case, trace)
                    trace.clear()
                    while trace.getprevious() is not None:
                        del trace.getparent()[0]
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise InputError(
                f"{self._path}: expected a whole gzip file, but the data breaks off after case {case}"
            ) from None
        except etree.XMLSyntaxError as error:
            line, column = error.position
            raise InputError(
                f"{self._path}, line {line}, column {column}: expected well-formed XES, but after case {case}: "
                f"{_PLACE.sub('', error.msg or 'it breaks')}"
            ) from None
        except LookupError:
            raise InputError(f"{self._path}, line 1: unknown encoding; expected XES in UTF-8") from None
        except OSError as error:
            raise InputError(f"{self._path}: {error.strerror or error}") from None
        if not case:
            raise InputError(f"{self._path}: no trace in it; expected an XES log")

    def _open(self, stack: ExitStack) -> IO[bytes]:
        file = stack.enter_context(self._path.open("rb"))
        match file.peek(2)[:2]:
            case b"":
                raise InputError(f"{self._path}: empty; expected an XES log")
            case magic if magic == GZIP_MAGIC:
                return cast("IO[bytes]", stack.enter_context(gzip.open(file, "rb")))
        return file

    def _case(self, number: int, trace: Any) -> Iterator[Imported]:
        keys = self._mapping.attributes
        case = _attributes(trace).get(keys.case)
        if not case:
            raise InputError(f"{self._path}, case {number}: no {keys.case}; expected the attribute that names the case")
        where = f"{self._path}, case {number} ({case})"
        entries = []
        for place, element in enumerate(trace.iterfind("{*}event"), 1):
            entry = _attributes(element)
            entries.append((self._time(entry, f"{where}, event {place}"), place, entry))
        entries.sort(key=lambda item: item[:2])
        had: set[str] = set()
        for at, place, entry in entries:
            activity = entry.get(keys.activity, "")
            rule = next((rule for rule in self._mapping.rules if _fits(rule, activity, entry, keys, had)), None)
            if rule is None or rule.event == SKIP:
                self.skipped[activity] += 1
                continue
            had.add(rule.event)
            known = {"case": case, "activity": activity, "resource": entry.get(keys.resource, "")}
            given = common(case, place, at, self._mapping.source_system) | rule.filled(known)
            try:
                event = complete(rule.event, given)
                meaningful(rule.event, event)
            except RefusedEvent as error:
                raise InputError(f"{where}, event {place}: {error}") from None
            yield Imported(rule.event, event, at)

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
