"""What a dead letter is published as: its own bytes, or an event made of them with other fields, or one that a file gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from schemas.wire import Encoder, WireError
from streams.deadletters.reading import Letter, Letters, Place
from streams.errors import InputError
from streams.importers.jsonl import Lines
from streams.importers.shape import EVENTS, RefusedEvent, complete, contract_of, meaningful
from streams.topics import INPUTS, RECEIVED_AT_HEADER
from streams.worker.intake import Bare, received_at

Header = tuple[str, bytes | None]


class Outgoing(NamedTuple):
    """A record to publish. `topic`: without prefix."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    mended: bool


class CannotMend(ValueError):  # noqa: N818  # what it is
    """This letter is passed over; the text says why."""


Mend = Callable[[Letter], Outgoing]


def _headers(letter: Letter) -> list[Header]:
    """The original's, with its arrival: published again, it was received when it first was."""
    record = letter.record
    headers: list[Header] = [(header["key"], header["value"]) for header in record["headers"]]
    arrived = received_at(Bare(record["offset"], record["timestamp"], None, None, tuple(headers)))
    kept = [header for header in headers if header[0] != RECEIVED_AT_HEADER]
    return [*kept, (RECEIVED_AT_HEADER, str(arrived).encode())]


def unchanged(letters: Letters) -> Mend:
    """The original bytes: for what a newer worker understands, or a registry that has learnt the schema."""

    def mend(letter: Letter) -> Outgoing:
        record = letter.record
        if record["value"] is None:
            raise CannotMend("no bytes: they were left out, or stand in the original record alone; give it in a file")
        return Outgoing(letters.topics.bare(record["topic"]), record["key"], record["value"], _headers(letter), False)

    return mend


def _event(letters: Letters, encoder: Encoder, letter: Letter, name: str, given: Mapping[str, Any]) -> Outgoing:
    """Raises RefusedEvent."""
    event = complete(name, given)
    meaningful(name, event)
    allowed = EVENTS[name].topics
    topic = letters.topics.bare(letter.record["topic"])
    if topic not in allowed:
        topic = allowed[0]
    if topic not in INPUTS:
        raise RefusedEvent(f"{name} is not read by lanes")
    return Outgoing(topic, event["lead_id"].encode(), encoder.encode(name, event), _headers(letter), True)


def with_fields(letters: Letters, encoder: Encoder, fields: Mapping[str, Any]) -> Mend:
    """The original event with these fields in place of its own, keyed by its lead_id."""

    def mend(letter: Letter) -> Outgoing:
        try:
            name, event = letters.decoded(letter.record["value"])
            return _event(letters, encoder, letter, name, {**event, **fields})
        except (WireError, RefusedEvent) as error:
            detail = error.detail if isinstance(error, WireError) else error
            raise CannotMend(f"cannot be mended by --set: {detail}") from None

    return mend


def from_file(letters: Letters, encoder: Encoder, events: Mapping[Place, tuple[str, Mapping[str, Any]]]) -> Mend:
    """The event that the file gives for the letter."""

    def mend(letter: Letter) -> Outgoing:
        name, event = events[letter.place]
        try:
            return _event(letters, encoder, letter, name, event)
        except RefusedEvent as error:
            raise CannotMend(str(error)) from None

    return mend


def place(text: object) -> Place:
    """Of PARTITION/OFFSET. Raises InputError."""
    partition, slash, offset = str(text).partition("/")
    if not (slash and partition.isdecimal() and offset.isdecimal()):
        raise InputError("a letter is named PARTITION/OFFSET, as `baton dead-letters list` shows it, such as 0/17")
    return Place(int(partition), int(offset))


def settings_of(given: Iterable[str]) -> dict[str, Any]:
    """Of field=value: the value as JSON where it is that, else as text. Raises InputError."""
    fields: dict[str, Any] = {}
    for item in given:
        field, equals, value = item.partition("=")
        if not (field and equals):
            raise InputError("--set expects FIELD=VALUE, such as source=website")
        try:
            fields[field] = json.loads(value)
        except ValueError:
            fields[field] = value
    return fields


_LETTER: Final = "letter"


def line(letter: Letter, name: str, event: Mapping[str, Any]) -> str:
    """The letter's event as a line of a mending file."""
    return json.dumps({_LETTER: str(letter.place), "type": name, **event}, ensure_ascii=False)


def read_file(path: Path) -> dict[Place, tuple[str, dict[str, Any]]]:
    """The events of a mending file by letter: lines as `baton publish` takes them, with the key `letter`. Raises
    InputError for the first line that is none; nothing was published then.
    """
    found: dict[Place, tuple[str, dict[str, Any]]] = {}
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    lines = Lines(path)
    for text in lines:
        if not text.strip():
            continue
        where = f"{path}, line {lines.number}"
        try:
            given = json.loads(text)
        except ValueError:
            raise InputError(f"{where}: no JSON: expected an object with letter, type and fields") from None
        if not isinstance(given, dict):
            raise InputError(f"{where}: expected an object with letter, type and fields")
        try:
            of = place(given.pop(_LETTER, ""))
            name = contract_of(given.pop("type", None)).name
            event = complete(name, given)
            meaningful(name, event)
        except (RefusedEvent, InputError) as error:
            raise InputError(f"{where}: {error}") from None
        if of in found:
            raise InputError(f"{where}: letter {of} stands there twice")
        found[of] = (name, event)
    return found
