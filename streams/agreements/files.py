"""Versions in files: one YAML file each, in a folder or alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from processors.agreement import Agreement, AgreementError, Agreements
from streams.agreements.holidays import public_holidays

_SUFFIXES: Final = frozenset({".yaml", ".yml"})
_DIGITS: Final = re.compile(r"(\d+)")


def read(path: Path) -> Agreements:
    """The versions in a file, or in the YAML files of a folder. Raises AgreementError naming file, line and mend.

    The files of a folder sort by name as they take effect, as `2026-10.yaml`, `2027-01.yaml` do: a version that goes
    backwards is a slip of the year.
    """
    found: list[tuple[Path, Agreement]] = []
    problems: list[str] = []
    for file in _files(path):
        try:
            found.append((file, Agreement.parse(_text(file), source=str(file), holidays=public_holidays)))
        except AgreementError as error:
            problems += error.problems
    by_name: dict[str, tuple[Path, Agreement]] = {}
    for file, agreement in found:
        other, known = by_name.setdefault(agreement.version, (file, agreement))
        if other != file:
            same = "the same version" if known.checksum == agreement.checksum else "another text under the same version"
            problems.append(f"{file}: version: {agreement.version} is {same} as in {other}: keep one, or rename it")
    for (before, earlier), (file, later) in pairwise(found):
        if later.effective_from <= earlier.effective_from and later.version != earlier.version:
            problems.append(
                f"{file}: effective_from: version {later.version} goes backwards: it does not take effect after "
                f"{earlier.version} in {before.name}, which stands before it by name"
            )
    if problems:
        raise AgreementError(problems)
    return Agreements(agreement for _, agreement in found)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [file for file in path.iterdir() if file.suffix in _SUFFIXES and not file.name.startswith(".")]
    if not files:
        raise AgreementError(
            [f"{path}: no agreement in this folder: expected one YAML file a version, such as 2026-10.yaml"]
        )
    return sorted(files, key=lambda file: list(_sortable(file.stem)))


def _sortable(name: str) -> Iterator[tuple[int, int, str]]:
    """So that v10 comes after v2."""
    for part in _DIGITS.split(name):
        yield (1, int(part), "") if part.isdecimal() else (0, 0, part)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise AgreementError([f"{file}: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise AgreementError([f"{file}:{line}: not UTF-8: save the file in that encoding"]) from None
