"""One lead's story as `baton lead show` tells it, after a week in the embedded pipeline."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from streams.cli.lead import _HELP
from streams.config import Settings
from streams.explain.shapes import ClockTold, EventTold, StageTold, Story
from tests.explain.support import PERSON, at, week
from tests.publishing.support import baton
from tests.support.processes import free_port


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with week(tmp_path_factory.mktemp("week")) as pipeline:
        yield pipeline.settings


def show(settings: Settings, lead: str, *more: str, agreement: bool = True) -> subprocess.CompletedProcess[str]:
    where = ["--store", settings.store_url, "--brokers", settings.brokers, "--registry", settings.registry_url]
    if agreement:
        where += ["--agreement", str(settings.agreement)]
    done = baton("lead", "show", lead, *where, *more, env={"COLUMNS": "200"})
    assert "Traceback" not in done.stderr
    for value in PERSON.values():
        assert value not in done.stdout
    return done


_TOLD: dict[tuple[str, ...], dict[str, Any]] = {}


def told(settings: Settings, lead: str, *more: str) -> dict[str, Any]:
    """Asked for once each: the week is over."""
    asked = (settings.brokers, lead, *more)
    if asked not in _TOLD:
        _TOLD[asked] = _told(settings, lead, *more)
    return _TOLD[asked]


def _told(settings: Settings, lead: str, *more: str) -> dict[str, Any]:
    done = show(settings, lead, "--json", *more)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def clocks(story: dict[str, Any], policy: str) -> list[dict[str, Any]]:
    return [clock for clock in story["clocks"] if clock["policy"] == policy]


def does(story: dict[str, Any], event_id: str) -> list[str]:
    [event] = [event for event in story["events"] if event["event_id"] == event_id]
    return list(event["does"])


def test_a_breach_a_reassignment_a_pause_and_a_merge(settings: Settings) -> None:
    story = told(settings, "late")
    assert story["notes"] == []
    assert (story["zone"], story["as_of"], story["absorbed"]) == (
        "Europe/Amsterdam",
        "2026-11-06T11:00:00.000Z",
        ["other"],
    )
    late, moved = clocks(story, "first_response")
    assert (late["verdict"], late["deadline_local"]) == ("late_met", "2026-11-02T14:00:00.000+01:00")
    assert late["why"] == (
        "Breached: nobody from sales got in touch before Mon 2 Nov 2026 14:00; outbound call by sales (ben), connected "
        "(late-TouchRecorded-2-15:10) at Mon 2 Nov 2026 15:10 was 70 working minutes late. It had no owner for the first 60 "
        "working minutes; its owner then had 3 working hours left."
    )
    anna, ben = clocks(story, "owner_response")
    assert (anna["owner"], anna["verdict"], ben["owner"], ben["verdict"]) == ("anna", "transferred", "ben", "met")
    assert anna["why"] == (
        "Passed on at Mon 2 Nov 2026 13:00, before the deadline Mon 2 Nov 2026 15:00: assigned to ben (team north) "
        "(late-LeadAssigned-2-13:00). It counts for nobody (owner then: anna)."
    )
    [qualification] = clocks(story, "qualification")
    assert qualification["why"] == (
        "Breached: the accepted lead was neither sales-qualified nor recycled nor disqualified before Thu 5 Nov 2026 16:30, "
        "nor since: 3 working hours 30 min by now. A pause took out 7 working hours (Tue 3 Nov 2026 12:00 to Wed 4 Nov 2026 "
        "11:00)."
    )
    assert qualification["pauses"] == [{"from_at": "2026-11-03T11:00:00.000Z", "until_at": "2026-11-04T10:00:00.000Z"}]
    assert moved["verdict"] == "met"
    assert moved["why"].startswith(
        "Kept: outbound call by sales (ben), connected (other-TouchRecorded-4-11:00) at Wed 4 Nov"
    )
    assert moved["why"].endswith("It came with a lead that was merged into this one.")


def test_every_event_says_what_it_did(settings: Settings) -> None:
    story = told(settings, "late")
    assert does(story, "late-LeadCaptured-2-10:00") == ["→ inquiry", "starts first_response, due Mon 2 Nov 2026 14:00"]
    assert does(story, "late-LeadAssigned-2-13:00") == [
        "ends owner_response of the old owner",
        "starts owner_response, due Mon 2 Nov 2026 17:00",
    ]
    assert does(story, "late-TouchRecorded-2-15:10") == ["too late for first_response", "meets owner_response"]
    assert does(story, "late-LeadNurtured-3-10:00") == ["not possible from stage sal: recorded, not applied"]
    assert does(story, "late-LeadPaused-3-12:00") == ["pauses qualification, due Fri 6 Nov 2026 09:30 at the latest"]
    assert does(story, "other-LeadMerged-4-10:00") == ["brings first_response, due Wed 4 Nov 2026 12:00"]
    assert does(story, "other-TouchRecorded-4-11:00") == [
        "ends the pause of qualification, due Thu 5 Nov 2026 16:30",
        "meets first_response",
    ]
    assert story["refusals"] == {"illegal": 1}
    assert [event["effective_at"] for event in story["events"]] == sorted(e["effective_at"] for e in story["events"])


def test_late_evidence_takes_a_breach_back(settings: Settings) -> None:
    [clock] = told(settings, "heard-late")["clocks"]
    assert (clock["verdict"], clock["late_evidence"]) == ("met", True)
    assert clock["why"] == (
        "Kept: outbound call by sales, connected (heard-late-TouchRecorded-2-13:30) at Mon 2 Nov 2026 13:30, 3 working hours "
        "30 min after the start; 4 working hours were allowed, until Mon 2 Nov 2026 14:00. Baton heard of it only at Mon 2 "
        "Nov 2026 18:00, after the deadline: the breach told at Mon 2 Nov 2026 17:00 is taken back."
    )
    kinds = [item["kind"] for item in clock["told"] if item["kind"] != "rung"]
    assert kinds == ["started", "breached", "breach_retracted"]


def test_a_lead_that_nobody_answered(settings: Settings) -> None:
    [clock] = told(settings, "nobody")["clocks"]
    assert clock["why"] == (
        "Breached: nobody from sales got in touch before Mon 2 Nov 2026 14:00, nor since: 30 working hours by now. No person "
        "owned the lead meanwhile."
    )


def test_the_loser_of_a_merge_says_where_it_went(settings: Settings) -> None:
    story = told(settings, "other")
    assert (story["lead"]["stage"], story["merged_into"], story["clocks"]) == ("merged", "late", [])
    assert "first_response goes to the other lead" in does(story, "other-LeadMerged-4-10:00")
    assert does(story, "other-TouchRecorded-4-11:00") == ["counts on the lead that this one has merged into"]


def test_implied_stages_name_their_evidence(settings: Settings) -> None:
    stages = told(settings, "won")["stages"]
    assert [(stage["stage"], stage["implied"]) for stage in stages] == [
        ("sal", True), ("sql", True), ("opportunity", True), ("won", False),
    ]  # fmt: skip
    assert stages[0]["why"] == (
        "implied by opportunity o-1 won (won-OpportunityWon-4-10:00): nobody reported this step"
    )


def test_an_erased_lead_keeps_its_verdicts_and_loses_its_events(settings: Settings) -> None:
    story = told(settings, "bad-data")
    assert (story["lead"], story["events"]) == (None, None)
    assert story["erased_at"] == "2026-11-04T09:00:00.000Z"
    assert [(clock["policy"], clock["verdict"]) for clock in story["clocks"]] == [
        ("first_response", "breached_ended"),
        ("erasure", "met"),
    ]
    assert "owned the lead" not in story["clocks"][0]["why"]  # nobody knows any more
    assert [letter["reason"] for letter in story["dead_letters"]] == ["refused_erased"]


def test_on_a_screen(settings: Settings) -> None:
    text = show(settings, "late").stdout
    lines = [line.strip() for line in text.splitlines()]
    assert lines[:4] == [
        "Lead late",
        "sal, cycle 1; work status connected",
        "owner: person ben (team north); source: website",
        "merged into this one: other",
    ]
    for heading in ("Stages", "Promises", "Events"):
        assert heading in lines
    assert (
        "from Mon 2 Nov 2026 10:00 to Mon 2 Nov 2026 14:00 Europe/Amsterdam, by calendar office (agreement week-1)"
        in lines
    )
    assert "was 70 working minutes late" in text
    assert "late evidence" in show(settings, "heard-late").stdout


def test_without_a_broker_the_store_tells_it(settings: Settings) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    story = told(settings, "late", "--brokers", nobody)
    assert story["events"] is None
    assert [note for note in story["notes"] if nobody in note and "Events are not shown" in note] != []
    [late, _] = clocks(story, "first_response")
    assert "; event late-TouchRecorded-2-15:10 at Mon 2 Nov 2026 15:10 was 70 working minutes late" in late["why"]
    assert told(settings, "late", "--no-events")["notes"] == []


def test_without_the_agreement_nothing_is_made_up(settings: Settings) -> None:
    story = json.loads(show(settings, "late", "--json", agreement=False).stdout)
    assert story["zone"] == "UTC"
    assert "Agreement week-1 is not known here" in story["notes"][0]
    assert {does for event in story["events"] for does in event["does"]} == set()
    assert clocks(story, "first_response")[0]["deadline_local"] == "2026-11-02T13:00:00.000+00:00"


def test_a_lead_that_nobody_knows_is_one_line(settings: Settings) -> None:
    done = show(settings, "no [such] lead")
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("baton: no lead 'no [such] lead': the store at http://")
    assert f"nor does the log at {settings.brokers}" in line


def test_the_help_names_every_key() -> None:
    for shape in (Story, StageTold, ClockTold, EventTold):
        for field in fields(shape):
            assert field.name in _HELP, field.name


def test_the_week_is_what_it_says(tmp_path: Path) -> None:
    assert at(2, "10:00") == 1_793_610_000_000  # Mon 2 Nov 2026 09:00 UTC
