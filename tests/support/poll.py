"""Waiting for a condition with a deadline: the only way tests wait. Imports nothing of the product."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    fn: Callable[[], T], timeout: float = 10.0, *, interval: float = 0.05, ignore: tuple[type[Exception], ...] = ()
) -> T:
    """Calls `fn` until its answer is truthy and returns it.

    An AssertionError of `fn`, or one of the exceptions in `ignore`, counts as "not yet". After `timeout` seconds
    the last such exception is raised; where there was none, AssertionError with the last answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            answer = fn()
            if answer:
                return answer
            problem: Exception = AssertionError(f"not true after {timeout:g} s; the last answer was {answer!r}")
        except AssertionError as error:
            problem = error
        except ignore as error:
            problem = error
        if time.monotonic() >= deadline:
            raise problem
        time.sleep(interval)


def never(fn: Callable[[], object], seconds: float, *, interval: float = 0.05) -> None:
    """Asserts that `fn` stays falsy for `seconds`. For absences only; what shall happen is `eventually`'s."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = fn()
        assert not answer, f"became true: {answer!r}"
        time.sleep(interval)
