"""Until when the answer to a fetch speaks for its partition."""

from __future__ import annotations

from streams.worker.handover import HandOvers, Place
from streams.worker.replicas import SETTLES, Replicas

PLACE: Place = ("touches", 3)
ALL, REST = {PLACE: frozenset({1, 2, 3})}, {PLACE: frozenset({2, 3})}


def told(at: float, *brokers: int, replicas: Replicas | None = None) -> Replicas:
    replicas = Replicas() if replicas is None else replicas
    for broker in brokers:
        replicas.answered(broker, at, ALL)
    return replicas


def test_of_a_partition_nobody_has_told_of_it_speaks_for_nothing() -> None:
    assert Replicas().until(PLACE, 10.0) is None
    assert told(9.0, 1, 2).until(PLACE, 10.0) is None  # broker 3 has not answered yet


def test_it_speaks_until_the_in_sync_replica_that_was_heard_of_least_lately() -> None:
    replicas = told(9.0, 1, 2, 3)
    assert replicas.until(PLACE, 10.0) == 9.0
    assert replicas.until(PLACE, 8.0) == 8.0
    assert told(9.8, 2, 3, replicas=replicas).until(PLACE, 10.0) == 9.0


def test_a_replica_that_was_given_up_is_waited_for_no_more() -> None:
    replicas = told(9.0, 1, 2, 3)
    for broker in (2, 3):
        replicas.answered(broker, 18.0, REST)
    # Sent before the leader must have known it: what it hid it may hide still.
    assert replicas.until(PLACE, 18.0 + SETTLES / 2) is None
    assert replicas.until(PLACE, 18.0 + SETTLES) == 18.0
    replicas.answered(1, 17.0, ALL)  # an answer that was long on its way
    assert replicas.until(PLACE, 18.0 + SETTLES) == 18.0


def test_what_was_known_once_stays_known() -> None:
    hand_overs = HandOvers()
    hand_overs.asked({PLACE: 9.0})
    hand_overs.asked({PLACE: 8.0})
    hand_overs.handed_over([(PLACE, 5, 5, 5)])
    assert hand_overs.known[PLACE].asked_at == 9.0
