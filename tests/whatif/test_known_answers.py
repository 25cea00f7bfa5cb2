"""A real log under two targets: the verdicts differ as two counts of the raw log by an independent program do."""

from __future__ import annotations

from collections import Counter

from processors.whatif import Span, Tally
from streams.importers import open_source
from streams.whatif.period import Period
from tests.replay.support import BPIC2012, needs
from tests.replay.test_known_answers import VERDICTS
from tests.whatif.support import asked

CASES = 2617


def version(target: str) -> dict[str, object]:
    return {
        "version": f"within-{target.replace(' ', '-')}",
        "effective_from": "2000-01-01T00:00:00+00:00",
        "policies": {"first_response": {"targets": target}},
        "ladder": [100],
    }


@needs(BPIC2012)
def test_a_day_instead_of_an_hour() -> None:
    source = open_source(BPIC2012, "xes")
    records = list(source.events())
    span = Span(min(record.received_at or 0 for record in records), source.end_of_data)
    period = Period("the log", "UTC", span)
    report, changes = asked(records, [version("1 h")], [version("24 h")], period, source.end_of_data)  # type: ignore[arg-type]
    hour, day = VERDICTS["1 h"], VERDICTS["24 h"]
    for tally, (met, late_met, breached_ended, cancelled) in ((report.totals.before, hour), (report.totals.after, day)):
        breached = late_met + breached_ended
        assert tally == Tally(CASES, 0, met, breached, cancelled, met + breached, met)
    pairs = Counter((item.before["verdict"], item.after["verdict"]) for item in changes if item.before and item.after)
    assert len(changes) == CASES  # all have another deadline at least
    assert {pair: count for pair, count in pairs.items() if pair[0] != pair[1]} == {
        ("late_met", "met"): day[0] - hour[0],
        ("breached_ended", "cancelled"): hour[2] - day[2],
    }
