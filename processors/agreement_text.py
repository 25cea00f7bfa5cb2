"""YAML as people mean it: every value with its line, nothing swallowed. Pure; callers read the file.

Scalars follow YAML 1.2's core schema, as editors do (NO is Norway, 9:30 is a text), with dates and times on top. A key
that stands twice and an alias are refused: what is signed must say what it seems to say.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

import yaml

Place = tuple[str | int, ...]
"""Keys and list indexes from the top."""


class AgreementError(ValueError):
    """The text is no valid agreement. Each problem names file, line, place, what stands there and what would be right."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems: Final = tuple(problems)
        super().__init__("; ".join(self.problems))


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's own attribute

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "found an alias (*name): write out what it stands for", mark)
        return super().compose_node(parent, index)


_TAG: Final = "tag:yaml.org,2002:"
for _name, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (
        "timestamp",
        r"\d{4}-\d\d-\d\d(?:(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?)?",
        "0123456789",
    ),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), list(_first))


def spoken(place: Sequence[str | int]) -> str:
    """A place as people write it: policies.first_response.targets.hot, closed[0]."""
    out = ""
    for part in place:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out


def shape(value: object) -> str:
    """What a value is, for an error."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value!r}" if len(value) <= 60 else f"the text {value[:57]!r}..."
        case datetime():
            return f"the time {value.isoformat()}"
        case date():
            return f"the date {value}"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"a mapping of {len(value)}"
    return f"a {type(value).__name__}"


def meant(word: str, known: Iterable[str]) -> str:
    """`: one of a, b, c (did you mean b?)`."""
    names = list(known)
    folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f": one of {', '.join(names)}" + (f" (did you mean {folded[near[0]]}?)" if near else "")


class Text:
    """A YAML text that has been read. Raises AgreementError, naming every key that stands twice."""

    def __init__(self, text: str, source: str) -> None:
        self._source = source
        self._problems: list[str] = []
        try:
            loader = _Loader(text)
            self._node = loader.get_single_node()
            self.data: Any = None if self._node is None else self._built(loader, self._node, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = 1 if mark is None else mark.line + 1
            raise AgreementError([f"{source}:{line}: not valid YAML: {error.problem or error.context}"]) from None
        except yaml.YAMLError as error:
            raise AgreementError([f"{source}:1: not valid YAML: {' '.join(str(error).split())}"]) from None
        except RecursionError:
            raise AgreementError([f"{source}:1: nested too deeply"]) from None
        if self._problems:
            raise AgreementError(self._problems)

    def _built(self, loader: _Loader, node: yaml.Node, place: Place) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self._built(loader, item, (*place, index)) for index, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            try:
                return loader.construct_object(node)
            except ValueError as error:  # a date that no calendar has
                self._problem(node, place, f"{node.value} is no date or time: {error}")
                return None
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not (isinstance(key, yaml.ScalarNode) and key.tag == f"{_TAG}str"):
                self._problem(key, place, f'the key {key.value} is no text: put it in quotes, "{key.value}"')
                continue
            name: str = key.value
            if name in found:
                self._problem(key, (*place, name), f"stands twice, first on line {lines[name]}: keep one")
                continue
            lines[name] = key.start_mark.line + 1
            found[name] = self._built(loader, value, (*place, name))
        return found

    def _problem(self, node: yaml.Node, place: Place, what: str) -> None:
        self._problems.append(self._say(node.start_mark.line + 1, place, what))

    def _say(self, line: int, place: Place, what: str) -> str:
        return f"{self._source}:{line}: {spoken(place) or 'agreement'}: {what}"

    def problem(self, place: Place, what: str) -> str:
        """The message about what stands at `place`, or is missing there."""
        return self._say(self.line(place), place, what)

    def line(self, place: Place) -> int:
        """Where a place begins, from 1; of what is not there, where the mapping that lacks it begins."""
        node = self._node
        line = 1
        for part in place:
            if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            elif isinstance(node, yaml.MappingNode):
                pair = next((pair for pair in node.value if pair[0].value == part), None)
                if pair is None:
                    break
                line = pair[0].start_mark.line + 1
                node = pair[1]
            else:
                break
        return line
