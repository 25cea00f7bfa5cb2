"""What lanes pass on is waited for in a replay: rounds over all lanes, and what they let become final."""

from __future__ import annotations

from streams.worker.arrivals import HOPS, Arrivals, Standing

EARLY, LATE = 1_000, 9_000


def standings(
    at: float, *, clock: int = LATE, read_at: float | None = None, durable_at: float | None = None
) -> Standing:
    return Standing(clock, at if read_at is None else read_at, at if durable_at is None else durable_at)


def rounds(arrivals: Arrivals, start: float, looks: int, *, slow: int = LATE) -> int:
    """Looks once a second at two lanes that have just read and made durable everything; the second's clock is `slow`."""
    until = arrivals.until
    for look in range(looks):
        at = start + look
        until = arrivals.look(at, {0: standings(at), 1: standings(at, clock=slow)})
    return until


def test_the_lane_that_is_farthest_behind_says_until_when_all_has_arrived() -> None:
    assert rounds(Arrivals(), 1.0, 2 * HOPS + 1, slow=EARLY) == EARLY


def test_every_hop_is_read_and_made_durable_before_anything_is_certain() -> None:
    arrivals = Arrivals()
    assert rounds(arrivals, 1.0, 2 * HOPS, slow=EARLY) == 0
    assert rounds(arrivals, 100.0, 1, slow=EARLY) == EARLY


def test_what_was_read_before_the_hop_began_is_not_enough() -> None:
    arrivals = Arrivals()
    for look in range(20):
        at = 1.0 + look
        assert arrivals.look(at, {0: standings(at), 1: standings(at, read_at=1.0)}) == 0


def test_what_came_of_it_has_to_be_durable() -> None:
    arrivals = Arrivals()
    for look in range(20):
        at = 1.0 + look
        assert arrivals.look(at, {0: standings(at), 1: standings(at, durable_at=1.0)}) == 0


def test_a_lane_need_not_be_read_to_its_end_at_the_instant_at_which_the_others_are() -> None:
    arrivals = Arrivals()
    for look in range(8 * HOPS):
        at = 1.0 + look
        lanes = {number: standings(at, read_at=at if look % 2 == number else 0.0) for number in (0, 1)}
        arrivals.look(at, lanes)
    assert arrivals.until == LATE


def test_a_round_holds_for_the_lanes_that_it_began_with() -> None:
    arrivals = Arrivals()
    rounds(arrivals, 1.0, 2 * HOPS, slow=LATE)
    for look in range(2 * HOPS):
        at = 50.0 + look
        assert arrivals.look(at, {0: standings(at), 2: standings(at, clock=EARLY)}) == 0
    assert arrivals.look(90.0, {0: standings(90.0), 2: standings(90.0, clock=EARLY)}) == EARLY


def test_it_never_goes_back() -> None:
    arrivals = Arrivals()
    assert rounds(arrivals, 1.0, 2 * HOPS + 1, slow=LATE) == LATE
    assert rounds(arrivals, 50.0, 4 * HOPS + 2, slow=EARLY) == LATE
