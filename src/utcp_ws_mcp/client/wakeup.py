"""Waiting for one notification until a deadline, in a task or in what runs without one."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Generator
from typing import Final
from weakref import ReferenceType, WeakKeyDictionary, ref

RESOLUTION: Final = 0.01
"""Seconds that a deadline may be noticed late where another one has just passed."""


def current_time() -> float:
    """Return the clock of the event loop. `anyio.current_time` returns the same after a search for the library."""
    return asyncio.get_running_loop().time()


class Deadlines:
    """Wake those that wait at their deadlines, with one timer of the event loop for all of them.

    Nearly every call gets its reply long before its deadline. A timer for each would be made, sorted and cancelled for
    nothing. This one is set for the earliest deadline, and stays set if the waiting is ended by something else.
    """

    def __init__(self) -> None:
        self._waiting: dict[Wakeup, float] = {}
        self._timer_at = math.inf
        self._timer: ReferenceType[asyncio.TimerHandle] | None = None  # a strong one would keep the loop alive

    def add(self, wakeup: Wakeup, deadline: float) -> None:
        """Wake at a deadline, if `discard` does not come first."""
        self._waiting[wakeup] = deadline
        if deadline < self._timer_at:
            self._set_timer(deadline)

    def discard(self, wakeup: Wakeup) -> None:
        """Forget one that no longer waits."""
        del self._waiting[wakeup]

    def _set_timer(self, when: float) -> None:
        if self._timer is not None and (replaced := self._timer()) is not None:
            replaced.cancel()
        self._timer_at = when
        self._timer = ref(asyncio.get_running_loop().call_at(when, self._wake_due, when))

    def _wake_due(self, when: float) -> None:
        now = max(when, current_time())  # the event loop may fire a timer early, by the resolution of its clock
        for wakeup, deadline in self._waiting.items():
            if deadline <= now:
                wakeup.resume()
        later = [deadline for deadline in self._waiting.values() if deadline > now]
        self._timer_at = math.inf
        if later:
            self._set_timer(max(min(later), now + RESOLUTION))


class Resumptions:
    """Continues those that wait without a task (`EagerTask`): the others are continued by the event loop.

    While it is held, it collects them: who wakes them may be in the middle of something. They continue when it is
    released, or in the next turn of the event loop.
    """

    def __init__(self) -> None:
        self._ready: list[Callable[[], None]] = []
        self._is_held = False

    def hold(self) -> None:
        """Continue none of them until `release`."""
        self._is_held = True

    def release(self) -> None:
        """Continue all that were added."""
        self._is_held = False
        if self._ready:
            self._run()

    def add(self, resume: Callable[[], None]) -> None:
        """Call a function when nothing else runs."""
        self._ready.append(resume)
        if not self._is_held and len(self._ready) == 1:
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        if asyncio.current_task() is not None:  # they must not take its place
            asyncio.get_running_loop().call_soon(self._run)
            return
        ready, self._ready = self._ready, []
        for resume in ready:
            resume()


class LoopState:
    """What all that wait on an event loop share."""

    def __init__(self) -> None:
        self.deadlines = Deadlines()
        self.resumptions = Resumptions()


_states: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopState] = WeakKeyDictionary()


def loop_state(loop: asyncio.AbstractEventLoop) -> LoopState:
    """Return what all that wait on an event loop share."""
    return _states.get(loop) or _states.setdefault(loop, LoopState())


class Wakeup:
    """An event for one that waits, with a deadline (the clock of the event loop, which is also that of anyio).

    A task waits for a future of asyncio. A cancel scope with an event of anyio does the same at several times the cost,
    and every call waits for its reply, and often for a connection. An `EagerTask` waits for the wakeup itself.
    """

    __slots__ = ("_is_set", "_on_resume")

    def __init__(self) -> None:
        self._is_set = False
        self._on_resume: Callable[[], None] | None = None

    def __await__(self) -> Generator[Wakeup, None, None]:
        """Suspend an `EagerTask`, which sets what resumes it."""
        yield self

    def set(self) -> None:
        """Wake the one that waits, or the next `wait`."""
        self._is_set = True
        on_resume, self._on_resume = self._on_resume, None
        if on_resume is not None:
            on_resume()

    def resume(self) -> None:
        """Let `wait` return, whether or not `set` was called."""
        on_resume, self._on_resume = self._on_resume, None
        if on_resume is not None:
            on_resume()

    def call_on_resume(self, function: Callable[[], None] | None) -> None:
        """Call a function when the waiting ends."""
        self._on_resume = function

    async def wait(self, deadline: float) -> bool:
        """Wait for `set`; return False if the deadline comes first. The next `wait` needs another `set`."""
        if not self._is_set:
            loop = asyncio.get_running_loop()
            deadlines = loop_state(loop).deadlines
            deadlines.add(self, deadline)
            try:
                if asyncio.current_task(loop) is None:
                    await self
                else:
                    await self._future(loop)
            finally:
                deadlines.discard(self)
                self._on_resume = None
        was_set, self._is_set = self._is_set, False
        return was_set

    def _future(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Return what a task waits for."""
        future: asyncio.Future[None] = loop.create_future()

        def resume() -> None:
            if not future.done():  # its task may have been cancelled
                future.set_result(None)

        self._on_resume = resume
        return future
