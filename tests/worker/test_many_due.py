"""After an outage everything may be due at once: it is told in shares, with commits in between, and nothing overtakes it."""

from __future__ import annotations

from collections import Counter

from processors.erasure import Erased
from processors.lane import LaneFold
from processors.vocabulary import NEVER
from streams.config import ClockMode
from streams.topics import LANE_KEY, READ_BY_LANES, STATES
from streams.worker.intake import Intake
from streams.worker.lane import Batch, Lane
from tests.processors.support import AGREEMENTS, START
from tests.worker.support import ENCODER, HOUR, Read, decoder, lane, record

NOW = START + 50 * HOUR
LEADS = 3 * Lane.MOST_DUE + 10
KEPT = dict[bytes, bytes | None]


def captured() -> tuple[Lane, Read, KEPT]:
    """A lane of leads that are all to be answered within 4 h, and what it has written."""
    made = lane()
    read = Read(made)
    made.add(0, [
        record(number, "LeadCaptured", 0, lead_id=f"lead-{number}", event_id=f"e-{number}", hand_raise=True)
        for number in range(LEADS)
    ])  # fmt: skip
    while made.queued():
        made.work([START + HOUR] * 3)
    kept: KEPT = {}
    keep(kept, read.commit())
    return made, read, kept


def keep(kept: KEPT, batch: Batch) -> None:
    kept.update({message.key: message.value for message in batch.messages if message.topic == STATES and message.key})


def restored(kept: KEPT) -> Lane:
    """The lane that the next owner makes of it."""
    known = decoder()
    fold = LaneFold(AGREEMENTS, lambda value: known.decode(value)[1]["fold"], Erased(b"key"))
    position = None
    for key, value in kept.items():
        assert value is not None
        body = known.decode(value)[1]
        if key == LANE_KEY:
            position = body
        else:
            fold.restore(key.decode(), value, body["next_deadline"])
    fold.restored()
    intake = Intake(known, ENCODER, READ_BY_LANES, 0, clock=ClockMode.BROKER, max_record_bytes=1 << 20)
    return Lane(0, fold, intake, known, ENCODER, position)  # type: ignore[arg-type]


def test_what_is_due_is_told_in_shares_and_nothing_is_folded_before() -> None:
    made, read, _ = captured()
    made.work([NOW] * 3)
    first = read.commit()
    assert Counter(read.kinds)["breached"] == Lane.MOST_DUE
    assert (first.whole, first.told_until) == (False, START + 4 * HOUR + 2_000 - 1)
    assert made.dirty
    # In time, but it comes when the clock has passed the deadline: what is due has to be told first, as ever.
    made.add(1, [record(0, "TouchRecorded", 1, received=51, lead_id=f"lead-{LEADS - 1}")])
    for _ in range(3):
        assert made.positions[1] == 0
        assert made.work([NOW + 2 * HOUR] * 3) > 0
        last = read.commit()
    assert made.positions[1] == 0
    assert (last.whole, last.told_until, made.dirty) == (True, NOW - 1, False)
    assert Counter(read.kinds) == {"started": LEADS, "breached": LEADS}
    made.work([NOW + 2 * HOUR] * 3)
    read.commit()
    assert made.positions[1] == 1
    assert read.kinds[-1] == "breach_retracted"


def test_who_takes_over_in_between_tells_the_rest_once_and_before_anything_else() -> None:
    made, read, kept = captured()
    made.work([NOW] * 3)
    keep(kept, read.commit())
    again = restored(kept)
    reread = Read(again)
    assert again.clock.now == NOW - 1
    assert again.fold.next_deadline != NEVER
    again.add(1, [record(0, "TouchRecorded", 1, received=51, lead_id=f"lead-{LEADS - 1}")])
    while again.fold.is_due:
        again.work([NOW] * 3)
        assert again.positions[1] == 0
        reread.commit()
    assert Counter(reread.kinds) == {"breached": LEADS - Lane.MOST_DUE}
    assert {item["breached_at"] for item in reread.sla} == {START + 4 * HOUR}
    told = [item["instance_id"] for item in read.sla + reread.sla if item["kind"] == "breached"]
    assert len(set(told)) == len(told) == LEADS
