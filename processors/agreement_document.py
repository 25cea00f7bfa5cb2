"""The document that a text states, or every problem in it with what would be right. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from processors.agreement_model import Document
from processors.agreement_text import AgreementError, Place, Text, meant, shape


def document(text: Text) -> Document:
    """The document that a text states. Raises AgreementError with every problem found."""
    if not isinstance(text.data, dict):
        what = f"expected a mapping with version, effective_from and policies; got {shape(text.data)}"
        raise AgreementError([text.problem((), what)])
    empty = list(_empty(text.data, ()))
    problems = [(place, "has no value: give it one, or leave the key out") for place in empty]
    found = None
    try:
        found = Document.model_validate(_without_empty(text.data))
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            place = tuple(part for part in problem["loc"] if part != "[key]")
            if place not in empty:
                problems.append((place, _right(place, problem)))
    if found is None or problems:
        problems.sort(key=lambda problem: text.line(problem[0]))
        raise AgreementError(text.problem(place, what) for place, what in problems)
    return found


def _empty(data: Any, place: Place) -> Iterator[Place]:
    if isinstance(data, dict):
        for key, value in data.items():
            if value is None:
                yield (*place, key)
            else:
                yield from _empty(value, (*place, key))


def _without_empty(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_empty(value) for key, value in data.items() if value is not None}
    return data


_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list, such as [one, two]",
    "date_type": "a date, such as 2026-12-31",
    "date_from_datetime_inexact": "a date, such as 2026-12-31",
}
_PATTERNS: Final[Mapping[str, str]] = {
    "version": "letters, digits, points, dashes and underscores, 64 at most",
    "goals": "a month, such as 2026-10",
    "currency": "an ISO 4217 code, such as EUR",
}


def _right(place: Place, found: ErrorDetails) -> str:
    """What is wrong at a place and what would be right."""
    value, context = found["input"], found.get("ctx", {})
    match found["type"]:
        case "agreement":
            return str(context["what"])
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            return f"unknown key{meant(str(place[-1]), _keys(place[:-1]))}"
        case "missing":
            return f"is missing: every {'agreement' if len(place) == 1 else place[-2]} needs it"
        case "too_short":
            return f"is empty: expected at least one; got {shape(value)}"
        case "string_too_short":
            return f"expected a text that is not empty; got {shape(value)}"
        case "string_pattern_mismatch":
            return f"expected {_PATTERNS[str(place[0])]}; got {shape(value)}"
        case "string_type" if isinstance(value, int | float | date):
            return f"expected a text; got {shape(value)}: put it in quotes"
        case kind if kind in _EXPECTED:
            return f"expected {_EXPECTED[kind]}; got {shape(value)}"
    return f"{found['msg']}; got {shape(value)}"


def _keys(place: Place) -> list[str]:
    """The keys that the mapping at a place may have."""
    here: Any = Document
    for part in place:
        here = here.model_fields[part].annotation if _is_model(here) else get_args(here)[-1]
        while not _is_model(here) and get_origin(here) not in (dict, list):
            here = get_args(here)[0]  # of Optional and Annotated
    return list(here.model_fields)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
