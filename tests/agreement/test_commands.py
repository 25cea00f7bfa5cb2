"""`baton agreement`: check, show, publish, schema, as people run them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from processors.agreement import DEFAULT
from processors.vocabulary import POLICIES
from streams.agreements import read
from streams.agreements.schema import json_schema
from streams.config import Settings
from streams.topic_admin import ensure_topics
from tests.agreement.support import TEXT, small
from tests.publishing.support import baton, settings_of
from tests.real.fixtures import Cluster
from tests.support.tools import ROOT

EXAMPLE = ROOT / "deploy" / "agreement"
SCHEMA = ROOT / "docs" / "reference" / "agreement.schema.json"


def agreement(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return baton("agreement", *argv, env={"COLUMNS": "120"})


def test_check_says_what_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT)
    done = agreement("check", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"2026-10 is valid, sha-256 [0-9a-f]{64}\n", done.stdout)


def test_check_tells_one_problem_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT.replace("cold: 3 bd", "cold: 3").replace("attempts: 4", "attemps: 4"))
    done = agreement("check", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"{path}:30: policies.first_response.targets.cold: expected an amount and a unit, such as 5 min, 4 h, 1 bd or 90 d; "
        "got the number 3",
        f"{path}:36: policies.cadence.attemps: unknown key: one of calendar, targets, teams, sources, attempts (did you "
        "mean attempts?)",
        f"baton: {path} is no valid agreement: 2 problems",
    ]


def test_show_can_be_read_by_people(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text(TEXT.replace("2026-10-01T00:00:00+02:00", "2020-10-01T00:00:00+02:00"))
    (tmp_path / "2.yaml").write_text(small("next", "2100-01-01T00:00:00Z"))
    done = agreement("show", tmp_path)
    assert done.returncode == 0, done.stderr
    shown = re.sub(r"\s+", " ", done.stdout)
    for part in (
        "2026-10 2020-10-01 00:00 Europe/Amsterdam in force",
        "next 2100-01-01 00:00 UTC to come",
        "Qualified (mql-3): one of these holds it asked for contact grade hot or warm and score at least 60 and source "
        "website or event",
        "team overseas 15 min 1 bd no clock the team's",
        "team north 5 min 1 bd 3 bd 24x7",
        "source event 1 h 2 bd no clock new_york",
        "opportunity 60 d the team's",
        "amsterdam for team north, team roving, everybody else: mon-fri 09:00-17:30; sat 10:00-12:00, 13:00-15:00, "
        "Europe/Amsterdam; 1 bd is 8 h 30 min",
        "holidays of NL from 2000 to 2050, 2026-12-31",
        "Not promised owner_response, qualification, next_response, wake, mend",
        "at 50 %, 75 %, 100 %, 200 % of a target",
        "for customer_request, holiday; 2 bd at most for one clock",
        "competitor: for 5 years",
        "1 USD = 0.92 EUR",
        "2026-10 400 250,000",
    ):
        assert part in shown
    other = agreement("show", tmp_path, "--version", "next")
    assert "Agreement next, from 2100-01-01 00:00 UTC" in other.stdout
    assert (
        agreement("show", tmp_path, "--version", "last").stderr == "baton: no version last: there are 2026-10, next\n"
    )


def test_show_as_json(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT)
    found = json.loads(agreement("show", path, "--json").stdout)
    (one,) = found["versions"]
    assert (one["version"], one["effective_from"]) == ("2026-10", "2026-09-30T22:00:00+00:00")
    assert found["agreement"]["policies"]["first_response"]["targets"] == {
        "hot": "5 min",
        "warm": "1 bd",
        "cold": "3 bd",
    }
    assert "2026-04-27" in found["holidays"]["amsterdam"]


@pytest.fixture
def settings(cluster: Cluster, topic_prefix: str) -> Settings:
    made = settings_of(cluster, topic_prefix)
    ensure_topics(made)
    return made


def test_publish_and_show(settings: Settings, tmp_path: Path) -> None:
    where = [
        "--brokers", settings.brokers, "--registry", settings.registry_url, "--topic-prefix", settings.topic_prefix,
    ]  # fmt: skip
    nothing = agreement("show", "--json", *where)
    assert json.loads(nothing.stdout)["versions"][0]["version"] == DEFAULT.version
    assert "nothing is published" in nothing.stderr

    path = tmp_path / "2026-10.yaml"
    path.write_text(TEXT)
    first = agreement("publish", tmp_path, *where)
    assert (first.returncode, first.stdout) == (0, "2026-10 published\n"), first.stderr
    (tmp_path / "2100.yaml").write_text(small("y2100", "2100-01-01T00:00:00Z"))
    second = agreement("publish", tmp_path, *where)
    assert second.stdout == "2026-10 was published before\ny2100 published\n"

    path.write_text(TEXT.replace("attempts: 4", "attempts: 5"))
    changed = agreement("publish", path, *where)
    assert changed.returncode == 1
    assert re.match(r"baton: version 2026-10 is published with another text .* a version never changes", changed.stderr)
    path.write_text(small("early", "2026-01-01T00:00:00Z"))
    assert "goes backwards" in agreement("publish", path, *where).stderr
    assert agreement("publish", path, "--backdated", *where).stdout == "early published\n"

    shown = json.loads(agreement("show", "--version", "2026-10", "--json", *where).stdout)
    assert [item["version"] for item in shown["versions"]] == ["early", "2026-10", "y2100"]
    assert shown["agreement"]["policies"]["cadence"]["attempts"] == 4


def test_an_invalid_agreement_is_not_published(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("version: a\n")
    done = agreement("publish", path, "--brokers", "127.0.0.1:1")
    assert done.returncode == 1
    assert f"{path}:1: policies: is missing" in done.stderr


def test_the_schema_for_editors_is_up_to_date() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json_schema(), (
        "baton agreement schema > docs/reference/agreement.schema.json"
    )
    assert agreement("schema").stdout == json_schema()


def test_the_schema_knows_every_key_of_a_complete_agreement() -> None:
    schema = json.loads(json_schema())
    unknown = [f"{place}.{key}" for place, key in _unknown(schema, schema, yaml.safe_load(TEXT), "")]
    assert unknown == []
    misspelt = yaml.safe_load(TEXT.replace("attempts: 4", "attemps: 4").replace("cold: 3 bd", "kold: 3 bd"))
    assert [key for _, key in _unknown(schema, schema, misspelt, "")] == ["kold", "attemps"]


def _unknown(root: dict, kind: dict, value: object, place: str) -> list[tuple[str, str]]:  # type: ignore[type-arg]
    """Keys of `value` that the schema refuses; enough of JSON Schema for that."""
    if "$ref" in kind:
        kind = root["$defs"][kind["$ref"].rpartition("/")[2]]
    if "anyOf" in kind:
        wanted = "object" if isinstance(value, dict) else "string"
        kind = next(item for item in kind["anyOf"] if item["type"] == wanted)
    if isinstance(value, list):
        return [found for item in value for found in _unknown(root, kind["items"], item, place)]
    found = []
    for key, item in value.items() if isinstance(value, dict) else ():
        if key in kind.get("properties", {}):
            found += _unknown(root, kind["properties"][key], item, f"{place}.{key}")
            continue
        others = [value for pattern, value in kind.get("patternProperties", {}).items() if re.search(pattern, key)]
        if isinstance(kind.get("additionalProperties"), dict):
            others.append(kind["additionalProperties"])
        if not others:
            found.append((place, key))
        for other in others:
            found += _unknown(root, other, item, f"{place}.{key}")
    return found


def test_the_example_is_valid_and_whole() -> None:
    (found,) = read(EXAMPLE)
    rules = found.document
    assert {name for name, _ in rules.policies.named()} == set(POLICIES)
    assert len(rules.teams) == 2
    assert len({rule.zone for rule in rules.calendars.values()}) == 2
    text = (EXAMPLE / "2026-10.yaml").read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    assert first == "# yaml-language-server: $schema=../../docs/reference/agreement.schema.json"
    assert (EXAMPLE / first.partition("=")[2]).resolve() == SCHEMA
