"""The catalogue of KPIs."""

from __future__ import annotations

import re

import pytest

from deploy.clickhouse.catalogue import calls, page

_SECTIONS = dict(section.split("\n", 1) for section in page().split("\n## ")[1:])


@pytest.mark.parametrize("view", sorted(calls()))
def test_every_view_says_its_question_definition_and_caveat(view: str) -> None:
    said = re.match(r"\n[^\n]+\n\n\*\*[^\n]+\?\*\*\n\n(?P<definition>[^\n]+)\n\n\*Caveat\.\* [^\n]+\n", _SECTIONS[view])
    assert said is not None
    assert said["definition"]
