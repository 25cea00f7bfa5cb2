"""The .avsc files themselves: complete, documented, and built so that they can grow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.catalog import CATALOG, Contract, on_topic, subject
from schemas.wire import RESERVED
from streams.topics import AGREEMENTS, CAMPAIGNS, FORWARDS, INPUTS, LETTER_REPLAYS, OUTPUTS

_EVENTS = {
    "leads": {
        "LeadCaptured", "LeadEnriched", "LeadScored", "LeadQualified", "LeadAssigned", "LeadAccepted", "LeadRejected",
        "LeadSalesQualified", "LeadPaused", "LeadResumed", "LeadNurtured", "LeadRecycled", "LeadDisqualified",
        "LeadMerged", "LeadErasureRequested", "LeadErased", "FactWithdrawn",
    },
    "touches": {"TouchRecorded", "FactWithdrawn"},
    "opportunities": {
        "OpportunityOpened", "OpportunityStageChanged", "OpportunityAmended", "OpportunityWon", "OpportunityLost",
        "FactWithdrawn",
    },
    "campaigns": {"CampaignAnnounced", "CampaignCostRecorded", "LeadListImported"},
    "agreements": {"AgreementVersion"},
    "lane-forwards": {"LaneForward"},
    "lead-transitions": {"LeadTransition"},
    "lead-states": {"LeadState", "LanePosition"},
    "sla-events": {"SlaEvent"},
    "dead-letters": {"DeadLetter"},
    "dead-letter-replays": {"LetterReplayed"},
}  # fmt: skip
_COMMON = {"event_id", "lead_id", "occurred_at", "source_system", "entered_by", "is_test"}
_PERSONAL = {"name", "email", "phone"}


def _nodes(kind: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every type within a type, with the path of field names to it."""
    if isinstance(kind, list):
        for item in kind:
            yield from _nodes(item, path)
        return
    yield path, kind
    if isinstance(kind, dict):
        for field in kind.get("fields", ()):
            yield from _nodes(field["type"], f"{path}.{field['name']}")
        for part in ("items", "values"):
            if part in kind:
                yield from _nodes(kind[part], path)


def _all_fields(contract: Contract) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, kind in _nodes(contract.schema, contract.name):
        for field in kind.get("fields", ()) if isinstance(kind, dict) else ():
            yield f"{path}.{field['name']}", field


each_contract = pytest.mark.parametrize("contract", CATALOG.values(), ids=lambda contract: contract.name)


def test_every_topic_carries_its_records_and_no_others() -> None:
    assert {topic: {contract.name for contract in on_topic(topic)} for topic in _EVENTS} == _EVENTS
    assert set(_EVENTS) == {*INPUTS, CAMPAIGNS, AGREEMENTS, FORWARDS, LETTER_REPLAYS, *OUTPUTS}
    assert {name for names in _EVENTS.values() for name in names} == set(CATALOG)


def test_every_file_is_in_the_catalog() -> None:
    files = {
        file.stem: json.loads(file.read_text())
        for file in (Path(__file__).parents[2] / "schemas").rglob("*.avsc")
        if "released" not in file.parts
    }
    assert files == {name: dict(contract.schema) for name, contract in CATALOG.items()}


@each_contract
def test_what_is_registered_is_what_the_file_states(contract: Contract) -> None:
    assert json.loads(contract.text) == contract.schema
    assert contract.fullname == f"baton.{contract.name}"


@pytest.mark.parametrize("topic", INPUTS)
def test_events_of_a_lead_carry_what_identifies_and_orders_them(topic: str) -> None:
    for contract in on_topic(topic):
        assert set(contract.field_names) >= _COMMON, contract.name
        mandatory = {field["name"] for field in contract.schema["fields"] if "default" not in field}
        assert mandatory >= {"event_id", "lead_id", "occurred_at", "source_system"}, contract.name


@each_contract
def test_every_field_and_type_is_documented(contract: Contract) -> None:
    assert contract.schema["doc"]
    for path, field in _all_fields(contract):
        assert field.get("doc"), path
    for path, kind in _nodes(contract.schema, contract.name):
        if isinstance(kind, dict) and kind["type"] in ("record", "enum"):
            assert kind.get("doc"), path


@each_contract
def test_instants_are_utc_milliseconds_and_say_so(contract: Contract) -> None:
    for path, field in _all_fields(contract):
        kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
        timed = any(isinstance(kind, dict) and kind.get("logicalType") == "timestamp-millis" for kind in kinds)
        if timed:
            assert "UTC, milliseconds" in field["doc"], path
        elif path != "LeadState.next_deadline":  # the largest long stands for never, which no calendar holds
            assert not path.endswith(("_at", "deadline", "until", "_date")), path


def test_a_restore_finds_the_next_deadline_without_decoding_the_rest() -> None:
    assert CATALOG["LeadState"].field_names[0] == "next_deadline"
    assert CATALOG["LeadState"].schema["fields"][0]["type"] == "long"


@each_contract
def test_amounts_say_their_unit(contract: Contract) -> None:
    for path, field in _all_fields(contract):
        if path.endswith("_minor"):
            assert "minor units" in field["doc"], path
            assert "currency" in contract.field_names, path
        if path.endswith("_ms"):
            assert "millisecond" in field["doc"], path


@each_contract
def test_an_enum_can_grow(contract: Contract) -> None:
    """A symbol that is newer than the reader becomes `unknown`: without that default no symbol could ever be added."""
    for path, kind in _nodes(contract.schema, contract.name):
        if isinstance(kind, dict) and kind["type"] == "enum":
            assert kind["default"] == RESERVED, path
            assert kind["symbols"].count(RESERVED) == 1, path


@each_contract
def test_personal_data_stands_in_person_alone(contract: Contract) -> None:
    for path, field in _all_fields(contract):
        if field["name"] in _PERSONAL and path != "CampaignAnnounced.name":
            assert path.removesuffix(field["name"]) in ("LeadCaptured.person.", "LeadEnriched.person."), path
        if field["name"] == "person":
            assert contract.name in ("LeadCaptured", "LeadEnriched"), path


def test_a_nested_type_of_one_name_is_one_type() -> None:
    """Java and TypeScript generators, and schemas/types.py, make one class of each name."""
    seen: dict[str, Any] = {}
    for contract in CATALOG.values():
        for path, kind in _nodes(contract.schema, contract.name):
            if isinstance(kind, dict) and "name" in kind:
                assert seen.setdefault(kind["name"], kind) == kind, path


def test_subject_follows_topic_and_record_name() -> None:
    assert subject("eu.leads", CATALOG["LeadCaptured"]) == "eu.leads-baton.LeadCaptured"
