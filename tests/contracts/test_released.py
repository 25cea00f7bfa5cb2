"""The contracts of now and every release: FULL_TRANSITIVE, without a registry; and the judge of it is judged itself."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from schemas import release
from schemas.catalog import CATALOG, subject
from schemas.compatibility import incompatible
from streams.registry import Registry
from streams.topics import Topics
from tests.contracts.records import TOUCH

Schema = dict[str, Any]


def changed(change: Callable[[Schema], object], name: str = "TouchRecorded") -> Schema:
    schema: Schema = copy.deepcopy(dict(CATALOG[name].schema))
    change(schema)
    return schema


def field(schema: Schema, name: str) -> Schema:
    found: Schema = next(item for item in schema["fields"] if item["name"] == name)
    return found


def test_every_contract_is_compatible_with_every_release() -> None:
    assert release.released(), "no release is kept: make release-schemas"
    assert release.problems() == []


def test_the_releases_among_themselves() -> None:
    versions = list(release.released().values())
    for one in versions:
        for other in versions:
            for name in one.keys() & other.keys():
                assert incompatible(one[name], other[name]) == []


def optional(schema: Schema) -> None:
    schema["fields"].append({"name": "mood", "type": ["null", "string"], "default": None})


def mandatory(schema: Schema) -> None:
    schema["fields"].append({"name": "mood", "type": "string"})


FIT: list[Callable[[Schema], object]] = [
    optional,
    lambda s: s["fields"].reverse(),
    lambda s: field(s, "channel")["type"]["symbols"].append("fax"),
    lambda s: s.update(doc="another text", namespace="com.example"),
    lambda s: s["fields"].remove(field(s, "performed_by")),
]
UNFIT: list[Callable[[Schema], object]] = [
    mandatory,
    lambda s: s["fields"].remove(field(s, "lead_id")),
    lambda s: field(s, "lead_id").update(type="long"),
    lambda s: field(s, "lead_id").update(type=["null", "string"]),
    lambda s: (field(s, "channel")["type"]["symbols"].remove("ad"), field(s, "channel")["type"].pop("default")),
    lambda s: field(s, "channel")["type"].update(name="Medium"),
    lambda s: s.update(name="TouchNoted"),
    lambda s: field(s, "occurred_at").update(type="int"),
]


def test_another_unit_of_time_is_unfit_though_registries_let_it_pass() -> None:
    micros = changed(lambda s: field(s, "occurred_at")["type"].update(logicalType="timestamp-micros"))
    assert "TouchRecorded.occurred_at: timestamp-millis cannot be read as timestamp-micros" in incompatible(
        micros, TOUCH.schema
    )


@pytest.mark.parametrize("change", FIT, ids=range(len(FIT)))
def test_fit(change: Callable[[Schema], object]) -> None:
    assert incompatible(changed(change), TOUCH.schema) == []


@pytest.mark.parametrize("change", UNFIT, ids=range(len(UNFIT)))
def test_unfit(change: Callable[[Schema], object]) -> None:
    assert incompatible(changed(change), TOUCH.schema) != []


@pytest.mark.parametrize("change", [*FIT, *UNFIT], ids=range(len(FIT) + len(UNFIT)))
def test_a_real_registry_says_the_same(
    apicurio_url: str, topic_prefix: str, change: Callable[[Schema], object]
) -> None:
    ours = changed(change)
    topics = Topics(topic_prefix)
    with Registry(apicurio_url) as registry:
        registry.ids(topics, [TOUCH.name])
        registry.require_compatibility(topics, [TOUCH.name])
    answer = urllib3.request(
        "POST", f"{apicurio_url}/subjects/{subject(topics.name('touches'), TOUCH)}/versions",
        json={"schema": json.dumps(ours)}, timeout=30,
    )  # fmt: skip
    refused = answer.status == 409
    assert refused == bool(incompatible(ours, TOUCH.schema)), answer.data


def test_a_release_is_kept_once(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(release, "RELEASED", tmp_path)
    assert release.main([]) == 0
    [kept] = release.released().values()
    assert kept == {name: dict(contract.schema) for name, contract in CATALOG.items()}
    assert release.main([]) == 1
    assert release.main(["--again"]) == 0
    assert "is released" in capsys.readouterr().err


def test_a_release_that_would_break_an_earlier_one_is_refused(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(release, "RELEASED", tmp_path)
    (tmp_path / "0.0.1").mkdir()
    (tmp_path / "0.0.1" / "TouchRecorded.avsc").write_text(json.dumps(changed(mandatory)))
    (tmp_path / "0.0.1" / "TouchForgotten.avsc").write_text(json.dumps(TOUCH.schema))
    assert release.main([]) == 1
    said = capsys.readouterr().err
    assert "TouchRecorded.mood has no default" in said
    assert "TouchForgotten: was released with 0.0.1 and is gone" in said
