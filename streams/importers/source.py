"""What an importer is, and which one reads a path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from streams.errors import InputError

KINDS: Final = ("xes", "olist", "jsonl")
GZIP_MAGIC: Final = b"\x1f\x8b"


class Imported(NamedTuple):
    """One event of a file. `received_at` in UTC milliseconds; None: now, when it is published.

    `topic`: for records that may stand on several topics.
    """

    name: str
    event: dict[str, Any]
    received_at: int | None
    topic: str | None = None


class Source(Protocol):
    """A file being read. `skipped` and `end_of_data` are complete as soon as `events` yields its first."""

    skipped: Counter[str]
    """Entries that are no event of ours, by name."""
    end_of_data: int
    """Latest time seen, skipped entries included; UTC milliseconds."""

    def events(self) -> Iterator[Imported]:
        """In the order of (received_at, rank, event_id). Raises InputError naming file, place and what was expected.

        Sorting needs the whole file: one that cannot be read to its end yields nothing at all.
        """
        ...


def _kind(path: Path) -> str:
    if path.is_dir():
        return "olist"
    name = path.name.removesuffix(".gz")
    if name.endswith(".xes"):
        return "xes"
    if name.endswith((".jsonl", ".ndjson", ".json")) or str(path) == "-":
        return "jsonl"
    raise InputError(f"{path}: cannot tell what this is; name it with --kind {'|'.join(KINDS)}")


def open_source(path: Path, kind: str | None = None, mapping: Path | None = None) -> Source:
    """The importer for a path: xes (.xes, .xes.gz), olist (its folder) or jsonl (.jsonl, .jsonl.gz, - for standard input).

    Raises InputError, and ConfigurationError for a wrong mapping.
    """
    if str(path) != "-" and not path.exists():
        raise InputError(f"{path}: no such file or folder")
    match kind or _kind(path):
        case "xes":
            from streams.importers.xes import XesLog

            return XesLog(path, mapping)
        case "olist":
            from streams.importers.olist import OlistFunnel

            return OlistFunnel(path)
        case "jsonl":
            from streams.importers.jsonl import JsonLines

            return JsonLines(path)
        case other:
            raise InputError(f"--kind {other}: expected one of {', '.join(KINDS)}")
