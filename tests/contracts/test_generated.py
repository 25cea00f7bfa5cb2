"""What is generated from the contracts: up to date, and fit for the tools that read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas.types
from schemas.catalog import CATALOG, on_topic
from schemas.generate import generated, main
from streams.topics import AGREEMENTS, CAMPAIGNS, FORWARDS, INPUTS, LETTER_REPLAYS, OUTPUTS
from tests.contracts.records import records

_ROOT = Path(__file__).parents[2]
_TOPICS = {*INPUTS, CAMPAIGNS, AGREEMENTS, FORWARDS, LETTER_REPLAYS, *OUTPUTS}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((_ROOT / "docs/reference/asyncapi.yaml").read_text(encoding="utf-8"))
    return read


def _resolve(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/")
    node: Any = document
    for part in reference[2:].split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


def test_everything_generated_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_a_stale_file_is_named_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("schemas.generate._ROOT", tmp_path)
    stale = tmp_path / "docs" / "reference" / "events.md"
    assert main([]) == 0
    stale.write_text("old")
    capsys.readouterr()
    assert main(["--check"]) == 1
    assert capsys.readouterr().out == "out of date, run make docs: docs/reference/events.md\n"
    assert stale.read_text() == "old"
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_asyncapi_has_the_parts_that_version_3_demands(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert set(document) <= {
        "asyncapi",
        "id",
        "info",
        "servers",
        "defaultContentType",
        "channels",
        "operations",
        "components",
    }
    assert {"title", "version"} <= set(document["info"])
    for channel in document["channels"].values():
        assert channel["address"]
        assert channel["messages"]
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert _resolve(document, operation["channel"]["$ref"]) in document["channels"].values()


def test_asyncapi_references_resolve(document: dict[str, Any]) -> None:
    found = _references(document)
    assert len(found) > len(CATALOG)
    for reference in found:
        assert _resolve(document, reference)


def test_asyncapi_has_every_topic_with_its_records(document: dict[str, Any]) -> None:
    assert {channel["address"] for channel in document["channels"].values()} == _TOPICS
    for topic in _TOPICS:
        assert set(document["channels"][topic]["messages"]) == {contract.name for contract in on_topic(topic)}
    read = {
        op["channel"]["$ref"].rpartition("/")[2] for op in document["operations"].values() if op["action"] == "receive"
    }
    assert read == {*INPUTS, CAMPAIGNS}


def test_asyncapi_has_every_contract_whole(document: dict[str, Any]) -> None:
    messages = document["components"]["messages"]
    assert set(messages) == set(CATALOG)
    for name, contract in CATALOG.items():
        assert messages[name]["name"] == contract.fullname
        assert messages[name]["payload"]["schemaFormat"].startswith("application/vnd.apache.avro")
        assert messages[name]["payload"]["schema"] == contract.schema


def test_the_reference_page_has_every_field_of_every_contract() -> None:
    page = (_ROOT / "docs/reference/events.md").read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: part for part in page.split("\n### ")[1:]}
    assert set(sections) == set(CATALOG)
    for name, contract in CATALOG.items():
        assert contract.schema["doc"] in sections[name]
        for field in contract.schema["fields"]:
            (row,) = [line for line in sections[name].splitlines() if line.startswith(f"| `{field['name']}` |")]
            assert field["doc"] in row
            assert ("mandatory" in row.split("|")[3]) is ("default" not in field), row
            assert row.count("|") == 5, f"a table row of {name} is broken: {row}"


def _fits(value: object, kind: Any) -> bool:
    """Whether a value is of a type as schemas/types.py uses them."""
    if is_typeddict(kind):
        hints = get_type_hints(kind)
        return (
            isinstance(value, dict)
            and set(value) == set(hints) == kind.__required_keys__
            and all(_fits(value[name], hint) for name, hint in hints.items())
        )
    arguments = get_args(kind)
    if not arguments:
        return type(value) is (type(None) if kind is None else kind)
    match get_origin(kind):
        case origin if origin is list:
            return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
        case origin if origin is dict:
            return isinstance(value, dict) and all(_fits(item, arguments[1]) for item in value.values())
        case _:
            return value in arguments or any(_fits(value, item) for item in arguments if not isinstance(item, str))


@pytest.mark.parametrize("name", CATALOG)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_generated_type_is_the_shape_of_its_records(name: str, data: st.DataObject) -> None:
    record = data.draw(records(CATALOG[name]))
    kind = getattr(schemas.types, name)
    assert _fits(record, kind)
    lacking = dict(record)
    del lacking[CATALOG[name].field_names[-1]]
    assert not _fits(lacking, kind)


def test_event_is_any_of_the_input_events() -> None:
    assert {kind.__name__ for kind in get_args(schemas.types.Event)} == {
        contract.name for topic in (*INPUTS, CAMPAIGNS) for contract in on_topic(topic)
    }


def test_generation_is_deterministic() -> None:
    assert generated() == generated()
