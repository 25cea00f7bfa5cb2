"""No alarm for a lead that was touched in time, whatever the worker's clock says; a true breach keeps its true time.

The wall clock is far past every deadline in all of these: a lane that fired on it would fail each of them.
"""

from __future__ import annotations

from dataclasses import replace

from processors.agreement import Agreement, Agreements
from streams.config import ClockMode
from tests.processors.support import AGREEMENT, START
from tests.worker.support import HOUR, Read, imported, lane, record

CAPTURED = record(0, "LeadCaptured", 0, hand_raise=True)  # warm: to be answered within 4 h
TOUCHED = record(0, "TouchRecorded", 1)
ELSEWHERE = record(0, "TouchRecorded", 0.5, lead_id="lead-9")
NOW = START + 100 * HOUR
"""The broker's present time: long past the deadline."""


def test_a_touch_that_waits_in_an_unread_backlog_raises_no_alarm() -> None:
    made = lane()
    read = Read(made)
    made.add(0, [CAPTURED])
    made.add(1, [ELSEWHERE])
    # Leads and opportunities are read to their ends; of touches something is still unread.
    made.work([NOW, None, NOW])
    made.work([NOW, None, NOW])
    read.commit()
    assert read.kinds == ["started"]
    made.add(1, [replace(TOUCHED, offset=1)])
    made.work([NOW, NOW, NOW])
    read.commit()
    assert read.kinds == ["started", "met"]


def test_without_the_touch_the_same_backlog_ends_in_a_breach_at_its_true_time() -> None:
    made = lane()
    read = Read(made)
    made.add(0, [CAPTURED])
    made.add(1, [ELSEWHERE])
    made.work([NOW, None, NOW])
    made.work([NOW, NOW, NOW])
    read.commit()
    assert read.kinds == ["started", "breached"]
    assert read.sla[-1]["breached_at"] == START + 4 * HOUR
    assert read.sla[-1]["verdict"] == "breached_open"


def test_a_breach_fires_only_when_the_lane_clock_has_passed_deadline_and_grace() -> None:
    made = lane()
    read = Read(made)
    made.add(0, [CAPTURED])
    due = START + 4 * HOUR + 2_000
    made.work([due] * 3)  # everything received before that instant: more may have been received in it
    read.commit()
    assert read.kinds == ["started"]
    made.work([due + 1] * 3)
    read.commit()
    assert read.kinds == ["started", "breached"]


def test_a_touch_received_in_the_very_millisecond_of_deadline_and_grace_is_waited_for() -> None:
    made = lane()
    read = Read(made)
    grace = 2_000 / HOUR
    made.add(0, [CAPTURED, record(1, "LeadCaptured", 4 + grace, lead_id="lead-2", event_id="other", hand_raise=True)])
    made.work([None, START + 4 * HOUR + 2_000, NOW])
    made.add(1, [record(0, "TouchRecorded", 4, received=4 + grace)])
    made.work([NOW, NOW, NOW])
    read.commit()
    assert read.kinds == ["started", "started", "met", "breached"]
    assert {item["lead_id"] for item in read.sla if item["kind"] == "breached"} == {"lead-2"}


def test_one_topic_that_lags_holds_the_clock_for_all() -> None:
    made = lane()
    made.add(0, [CAPTURED])
    made.work([NOW, None, NOW])
    assert made.clock.now == 0
    made.work([NOW, START + HOUR, NOW])
    assert made.clock.now == START + HOUR - 1


def test_an_idle_topic_holds_nothing_back() -> None:
    made = lane()
    read = Read(made)
    made.add(0, [CAPTURED])
    made.work([NOW, NOW, NOW])  # touches and opportunities never had a record
    read.commit()
    assert read.kinds == ["started", "breached"]


def test_an_end_that_an_open_transaction_hides_says_nothing_about_time() -> None:
    made = lane()
    read = Read(made)
    made.add(0, [CAPTURED])
    made.work([NOW, 0, NOW])  # at the last stable offset, which is not the high watermark
    read.commit()
    assert read.kinds == ["started"]


def test_an_event_dated_a_day_ahead_moves_no_clock() -> None:
    made = lane()
    read = Read(made)
    ahead = record(1, "LeadCaptured", 23.9, received=0.1, lead_id="lead-2", event_id="ahead")
    made.add(0, [CAPTURED, ahead])
    made.work([None, START + HOUR, START + HOUR])
    read.commit()
    assert made.clock.now == START + round(0.1 * HOUR) - 1
    assert read.kinds == ["started"]


def test_a_partition_that_runs_ahead_is_held_back_until_the_others_have_come() -> None:
    made = lane()
    made.add(0, [CAPTURED, record(1, "LeadQualified", 10)])
    made.add(1, [TOUCHED])
    made.work([None, None, NOW])  # touches may still bring what was received between 1 h and 10 h
    assert made.positions == [1, 1, 0, 0]
    made.work([None, NOW, NOW])
    assert made.positions == [2, 1, 0, 0]


def test_late_evidence_takes_a_breach_back() -> None:
    made = lane()
    read = Read(made)
    made.add(0, [CAPTURED])
    made.work([NOW, NOW, NOW])
    made.add(1, [record(0, "TouchRecorded", 3, received=50)])
    made.work([NOW, NOW, NOW])
    read.commit()
    assert read.kinds == ["started", "breached", "breach_retracted"]
    last = read.sla[-1]
    assert (last["verdict"], last["late_evidence"], last["breached_at"]) == ("met", True, None)


def test_a_breach_is_announced_once() -> None:
    made = lane()
    read = Read(made)
    made.add(0, [CAPTURED])
    for hours in (10, 20, 30):
        made.work([START + hours * HOUR] * 3)
        read.commit()
    assert read.kinds == ["started", "breached"]


def test_of_rungs_that_are_told_together_the_highest_alone_gives_notice() -> None:
    ladder = Agreement.parse(AGREEMENT.text.replace("ladder: [100]", "ladder: [50, 100, 200]"))
    made = lane(agreements=Agreements([ladder]))
    read = Read(made)
    made.add(0, [CAPTURED])
    made.work([START + 9 * HOUR] * 3)  # the lane was away: four hours were promised
    read.commit()
    told = [(item["kind"], item["rung"], item["notify"]) for item in read.sla[1:]]
    assert told == [("rung", 50, False), ("breached", 100, False), ("rung", 200, True)]
    assert made.fold.counters["breaches.first_response"] == 1


def test_history_imported_into_a_live_lane_gives_no_notice() -> None:
    made = lane()
    read = Read(made)
    years = 24 * 365 * 3
    made.add(0, [imported(CAPTURED, 0, years)])
    made.work([START + years * HOUR] * 3)
    read.commit()
    breach = read.sla[-1]
    assert (breach["kind"], breach["notify"], breach["breached_at"]) == ("breached", False, START + 4 * HOUR)
    # Nor is it worth a page: that is what this counter is for.
    assert (made.fold.counters["sla.breached"], made.fold.counters["breaches.first_response"]) == (1, 0)


def test_an_import_into_a_live_lane_may_bring_its_topics_one_after_the_other() -> None:
    made = lane()
    read = Read(made)
    years = 24 * 365 * 3
    now = START + years * HOUR
    leads = [CAPTURED, record(1, "LeadQualified", 200), record(2, "LeadAccepted", 400)]
    made.work([now, now, now])  # the lane has long been at work
    made.add(0, [imported(rec, hours, years) for rec, hours in zip(leads, (0, 200, 400), strict=True)])
    made.work([now, now, now])
    made.add(1, [imported(TOUCHED, 1, years)])
    made.work([now, now, now])
    read.commit()
    assert read.sla[-1]["verdict"] == "met"
    assert read.transitions[0]["disputed"] is False


def test_in_a_replay_being_at_the_end_says_nothing_about_time() -> None:
    made = lane(ClockMode.EVENT)
    read = Read(made)
    made.add(0, [CAPTURED, record(1, "LeadQualified", 50)])
    made.work([0, 0, 0])
    read.commit()
    assert (made.clock.now, read.kinds) == (0, ["started"])
    made.add(1, [TOUCHED])
    made.work([0, 0, 0])
    read.commit()
    assert read.kinds == ["started", "met"]
