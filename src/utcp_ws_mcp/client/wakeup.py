"""Waiting for one notification until a deadline."""

from __future__ import annotations

import asyncio
import math
from typing import Final
from weakref import ReferenceType, WeakKeyDictionary, ref

RESOLUTION: Final = 0.01
"""Seconds that a deadline may be noticed late where another one has just passed."""


def current_time() -> float:
    """Return the clock of the event loop. `anyio.current_time` returns the same after a search for the library."""
    return asyncio.get_running_loop().time()


class Deadlines:
    """Wake futures at their deadlines, with one timer of the event loop for all of them.

    Nearly every call gets its reply long before its deadline. A timer for each would be made, sorted and cancelled for
    nothing. This one is set for the earliest deadline, and stays set if the future is woken by something else.
    """

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], float] = {}
        self._timer_at = math.inf
        self._timer: ReferenceType[asyncio.TimerHandle] | None = None  # a strong one would keep the loop alive

    def add(self, future: asyncio.Future[None], deadline: float) -> None:
        """Wake a future at a deadline, if `discard` does not come first."""
        self._waiting[future] = deadline
        if deadline < self._timer_at:
            self._set_timer(deadline)

    def discard(self, future: asyncio.Future[None]) -> None:
        """Forget a future that no longer waits."""
        del self._waiting[future]

    def _set_timer(self, when: float) -> None:
        if self._timer is not None and (replaced := self._timer()) is not None:
            replaced.cancel()
        self._timer_at = when
        self._timer = ref(asyncio.get_running_loop().call_at(when, self._wake_due, when))

    def _wake_due(self, when: float) -> None:
        now = max(when, current_time())  # the event loop may fire a timer early, by the resolution of its clock
        for future, deadline in self._waiting.items():
            if deadline <= now and not future.done():
                future.set_result(None)
        later = [deadline for deadline in self._waiting.values() if deadline > now]
        self._timer_at = math.inf
        if later:
            self._set_timer(max(min(later), now + RESOLUTION))


_deadlines: WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines] = WeakKeyDictionary()


class Wakeup:
    """An event for one waiting task, with a deadline (the clock of the event loop, which is also that of anyio).

    It is a future of asyncio. A cancel scope with an event of anyio does the same at several times the cost, and every
    call waits for its reply, and often for a connection.
    """

    __slots__ = ("_future", "_is_set")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self._is_set = False

    def set(self) -> None:
        """Wake the waiting task, or the next `wait`."""
        self._is_set = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, deadline: float) -> bool:
        """Wait for `set`; return False if the deadline comes first. The next `wait` needs another `set`."""
        if not self._is_set:
            loop = asyncio.get_running_loop()
            future = self._future = loop.create_future()
            deadlines = _deadlines.get(loop) or _deadlines.setdefault(loop, Deadlines())
            deadlines.add(future, deadline)
            try:
                await future
            finally:
                deadlines.discard(future)
                self._future = None
        was_set, self._is_set = self._is_set, False
        return was_set
