"""Versions in files: a file or a folder, with the holidays of the library."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from processors.agreement import AgreementError
from streams.agreements import read, read_agreement
from streams.agreements.holidays import YEARS, public_holidays
from streams.errors import ConfigurationError
from tests.agreement.support import TEXT, small


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(AgreementError) as error:
        read(path)
    return error.value.problems


def test_a_file_is_one_version(tmp_path: Path) -> None:
    path = tmp_path / "any-name.txt"
    path.write_text(small("a"))
    assert [item.version for item in read(path)] == ["a"]


def test_a_folder_has_one_version_a_file(tmp_path: Path) -> None:
    (tmp_path / "v2.yaml").write_text(small("b", "2026-02-01T00:00:00Z"))
    (tmp_path / "v10.yml").write_text(small("c", "2026-03-01T00:00:00Z"))
    (tmp_path / "v1.yaml").write_text(small("a", "2026-01-01T00:00:00Z"))
    (tmp_path / ".v3.yaml").write_text("an editor's own")
    (tmp_path / "README.md").write_text("no version")
    assert [item.version for item in read(tmp_path)] == ["a", "b", "c"]


def test_a_version_that_goes_backwards(tmp_path: Path) -> None:
    (tmp_path / "2026-10.yaml").write_text(small("2026-10", "2026-10-01T00:00:00Z"))
    (tmp_path / "2027-01.yaml").write_text(small("2027-01", "2026-01-01T00:00:00Z"))
    assert problems(tmp_path) == (
        f"{tmp_path}/2027-01.yaml: effective_from: version 2027-01 goes backwards: it does not take effect after 2026-10 in "
        "2026-10.yaml, which stands before it by name",
    )


def test_one_version_in_two_files(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text(small("a"))
    (tmp_path / "2.yaml").write_text(small("a", target="2 h"))
    assert problems(tmp_path) == (
        f"{tmp_path}/2.yaml: version: a is another text under the same version as in {tmp_path}/1.yaml: keep one, or rename "
        "it",
    )
    (tmp_path / "2.yaml").write_text(small("a"))
    assert problems(tmp_path) == (
        f"{tmp_path}/2.yaml: version: a is the same version as in {tmp_path}/1.yaml: keep one, or rename it",
    )


def test_problems_of_all_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text("version: a\n")
    (tmp_path / "2.yaml").write_bytes(b"version: a\nreasons: {other: \xe9t\xe9}\n")
    (tmp_path / "3.yaml").write_text(small("c", target="0 h"))
    assert problems(tmp_path) == (
        f"{tmp_path}/1.yaml:1: effective_from: is missing: every agreement needs it",
        f"{tmp_path}/1.yaml:1: policies: is missing: every agreement needs it",
        f"{tmp_path}/2.yaml:2: not UTF-8: save the file in that encoding",
        f"{tmp_path}/3.yaml:4: policies.mend.targets: the text '0 h' is no time at all: expected more than zero, such as "
        "5 min, 4 h, 1 bd or 90 d",
    )


def test_nothing_there(tmp_path: Path) -> None:
    assert problems(tmp_path / "gone.yaml") == (f"{tmp_path}/gone.yaml: No such file or directory",)
    assert problems(tmp_path) == (
        f"{tmp_path}: no agreement in this folder: expected one YAML file a version, such as 2026-10.yaml",
    )
    with pytest.raises(ConfigurationError, match=r"^agreement .*gone\.yaml: No such file or directory$"):
        read_agreement(tmp_path / "gone.yaml")


def test_holidays_come_from_the_library(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT)
    (found,) = read(path)
    days = found.holidays["amsterdam"]
    # Source: the Dutch government's list of public holidays (rijksoverheid.nl), 2026.
    assert [day for day in days if day.year == 2026] == [
        date(2026, 1, 1), date(2026, 4, 3), date(2026, 4, 5), date(2026, 4, 6), date(2026, 4, 27), date(2026, 5, 14),
        date(2026, 5, 24), date(2026, 5, 25), date(2026, 12, 25), date(2026, 12, 26),
    ]  # fmt: skip
    assert (days[0].year, days[-1].year) == (YEARS[0], YEARS[-1])


@pytest.mark.parametrize(
    ("place", "field", "what"),
    [
        ("{country: XX}", "country", "XX is no country with known holidays: give its ISO 3166 code, such as NL"),
        ("{country: nl}", "country", "nl is no country with known holidays (did you mean NL?): give its ISO 3166 code, such "
         "as NL"),
        ("{country: LU, subdivision: ZH}", "subdivision", "ZH is no known part of LU: it has none"),
        ("{country: AU, subdivision: NWS}", "subdivision", "NWS is no known part of AU: one of ACT, NSW"),
    ],
)  # fmt: skip
def test_a_place_whose_holidays_are_not_known(tmp_path: Path, place: str, field: str, what: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT.replace("{country: NL}", place))
    (problem,) = problems(path)
    assert problem.startswith(f"{path}:16: calendars.amsterdam.holidays.{field}: {what}")


def test_a_part_of_a_country_has_holidays_of_its_own() -> None:
    assert date(2026, 1, 6) in public_holidays("any", "DE", "BY")  # Epiphany
    assert date(2026, 1, 6) not in public_holidays("any", "DE", "HH")
