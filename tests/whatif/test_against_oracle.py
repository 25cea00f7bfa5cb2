"""What differs between two agreements is what differs between the oracle's two full replays of generated histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from processors.whatif import BREACHED, Change, Span, Tally
from schemas.types import SlaEvent
from streams.errors import InputError
from streams.whatif.period import Period
from tests.oracle.calendar import DAY, HOUR
from tests.oracle.histories import START, History, histories
from tests.oracle.terms import AGREED, LATE_ONLY, NEXT_AGREED, NEXT_QUICK, NIGHTS, PATIENT, QUICK
from tests.oracle.test_against_fold import excepted
from tests.oracle.walk import LeadStory
from tests.oracle.walk import tell as oracle
from tests.whatif.support import asked

STARTS: Final = (START - DAY, START + 2 * DAY, START + 5 * DAY + 4 * HOUR)
PROPOSED: Final = (QUICK, AGREED, PATIENT, NIGHTS, LATE_ONLY, NEXT_AGREED, NEXT_QUICK)

Clock = tuple[str, str, str, str, int, int, str]


def _since(mapping: Mapping[str, Any]) -> int:
    return round(datetime.fromisoformat(mapping["effective_from"]).timestamp() * 1000)


def adopted(versions: Sequence[Mapping[str, Any]], proposed: Mapping[str, Any], start: int) -> list[Mapping[str, Any]]:
    """`proposed` from `start` on, written as YAML has it."""

    def dated(mapping: Mapping[str, Any], at: int, **more: Any) -> dict[str, Any]:
        text = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
        return {**mapping, "effective_from": text, **more}

    past = [item for item in versions if _since(item) < start]
    earliest = min(versions, key=_since)
    return [*(past or [dated(earliest, start - 1)]), dated(proposed, start, version="proposed")]


def right(stories: Mapping[str, LeadStory], span: Span) -> Counter[Clock]:
    """The clocks that count, by the oracle."""
    return Counter(
        (
            lead_id,
            item.policy,
            item.start_event_id,
            item.start_source_system,
            item.started_at,
            item.deadline,
            item.verdict,
        )
        for lead_id, story in stories.items()
        if story.stage not in {"merged", "erased"}
        for item in story.instances
        if span.start <= item.started_at < span.end
    )


def clock(told: SlaEvent | None) -> Clock | None:
    if told is None:
        return None
    return (
        told["lead_id"], told["policy"], told["start_event_id"], told["start_source_system"], told["started_at"],
        told["deadline"], told["verdict"],
    )  # fmt: skip


def tally(clocks: Counter[Clock], now: int) -> Tally:
    verdicts: Counter[str] = Counter()
    due = met = 0
    for (*_, deadline, verdict), count in clocks.items():
        verdicts[verdict] += count
        if deadline <= now and verdict in {*BREACHED, "met"}:
            due += count
            met += count * (verdict == "met")
    breached = sum(verdicts[verdict] for verdict in BREACHED)
    called_off = verdicts["cancelled"] + verdicts["transferred"]
    return Tally(verdicts.total(), verdicts["open"], verdicts["met"], breached, called_off, due, met)


def differences(changes: Sequence[Change]) -> tuple[Counter[Clock], Counter[Clock]]:
    before, after = ([clock(getattr(change, side)) for change in changes] for side in ("before", "after"))
    return Counter(item for item in before if item), Counter(item for item in after if item)


EXAMPLES: Final = settings(
    max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True,
    phases=[Phase.explicit, Phase.generate], print_blob=True,
)  # fmt: skip


def test_the_difference_is_that_of_two_full_replays() -> None:
    kinds: Counter[str] = Counter()

    @EXAMPLES
    @given(histories(), st.sampled_from(PROPOSED), st.sampled_from(STARTS), st.sampled_from((2 * DAY, 30 * DAY)))
    def compare(history: History, proposed: Mapping[str, Any], start: int, lasts: int) -> None:
        records, versions, now = history
        span = Span(start, start + lasts)
        if excepted(records):
            return
        new = adopted(versions, proposed, start)
        before, after = (right(oracle(records, side, now=now), span) for side in (versions, new))
        refused = ""
        try:
            report, changes = asked(records, versions, [proposed], Period("now", "UTC", span), now)
        except InputError as error:  # nothing in the span, received only after it, or the same agreement
            refused = str(error)
        if refused:
            assert before == after or "the archive begins at" in refused
            return
        assert differences(changes) == (before - after, after - before)
        assert report.totals.before == tally(before, now)
        assert report.totals.after == tally(after, now)
        kinds.update(change.kind for change in changes)

    compare()
    # other_verdict is rare in what is drawn: test_by_hand.py has one.
    assert {"newly_breached", "no_longer_breached", "starts", "no_longer_starts", "other_deadline"} <= set(kinds), kinds


@settings(EXAMPLES, max_examples=100)
@given(histories(), st.sampled_from(STARTS))
def test_a_copy_under_another_name_changes_nothing(history: History, start: int) -> None:
    records, versions, now = history
    copies = [{**item, "version": f"{item['version']}-copy"} for item in versions]
    try:
        report, changes = asked(records, versions, copies, Period("now", "UTC", Span(start, start + 30 * DAY)), now)
    except InputError:
        return
    assert changes == []
    assert report.totals.before == report.totals.after
