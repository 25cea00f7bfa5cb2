"""An event loop in virtual time, in which every callback belongs to a process that may be stopped, resumed and killed.

Nothing waits: when nothing is ready, time leaps to the next timer. What runs when is a function of the seed alone.
"""

from __future__ import annotations

import asyncio
import heapq
import traceback
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class StuckError(AssertionError):
    """What was waited for did not come in the time that was given."""


class Process:
    """What dies and stands still together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.shelf: list[asyncio.Handle] = []
        """What would have run while it was stopped."""


CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)
"""Whose code runs; None: the world's."""


class Loop:
    """As much of an event loop as tasks, futures and sleep need. `asyncio` takes it for one."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._self: Any = self
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self.unheard: list[str] = []
        """Exceptions that ended tasks."""
        self.handled = 0
        """Callbacks that were run."""

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A task that failed and nobody looked. Other futures whose outcome nobody looks at are no news here."""
        if context["message"].startswith("Task exception"):
            self.unheard.append("".join(traceback.format_exception(context["exception"])))

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self._self, name=name, context=context)
        self._tasks.append(task)
        return task

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._self, copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self._self, copy_context() if context is None else context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """The handle says so itself when its time comes."""

    # Processes.

    def start(self, process: Process, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of that process, and with it all it starts."""
        context = copy_context()
        context.run(CURRENT.set, process)
        return self.create_task(coro, context=context)

    def resume(self, process: Process) -> None:
        process.stopped = False
        self._ready.extend(process.shelf)
        process.shelf.clear()

    # Running.

    def run(self, done: Callable[[], bool], limit: float) -> None:
        """Until `done`, which is asked whenever time goes on. Raises StuckError when `limit` is passed."""
        asyncio.events._set_running_loop(self._self)
        try:
            while not done():
                self._run_ready()
                if not self._timers:
                    raise StuckError("nothing is left to happen")
                self.now = max(self.now, self._timers[0][0])
                if self.now > limit:
                    raise StuckError("it takes too long")
                while self._timers and self._timers[0][0] <= self.now:
                    self._ready.append(heapq.heappop(self._timers)[2])
        finally:
            asyncio.events._set_running_loop(None)

    def _run_ready(self) -> None:
        ready = self._ready
        while ready:
            handle = ready.popleft()
            if handle.cancelled():
                continue
            process = handle._context.get(CURRENT)  # type: ignore[attr-defined]
            if process is not None:
                if not process.alive:
                    continue
                if process.stopped:
                    process.shelf.append(handle)
                    continue
            self.handled += 1
            handle._run()

    def close(self) -> None:
        """Ends what is still under way, without letting it run on."""
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coro = task.get_coro()
                if coro is not None:
                    coro.close()
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()
