"""Waiting for one notification until a deadline."""

from __future__ import annotations

import asyncio


def current_time() -> float:
    """Return the clock of the event loop. `anyio.current_time` returns the same after a search for the library."""
    return asyncio.get_running_loop().time()


class Wakeup:
    """An event for one waiting task, with a deadline (the clock of the event loop, which is also that of anyio).

    It is a future and a timer of asyncio. A cancel scope with an event of anyio does the same at several times the
    cost, and every call waits for its reply, and often for a connection.
    """

    __slots__ = ("_future", "_is_set")

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None
        self._is_set = False

    def set(self) -> None:
        """Wake the waiting task, or the next `wait`."""
        self._is_set = True
        if self._future is not None:
            _wake(self._future)

    async def wait(self, deadline: float) -> bool:
        """Wait for `set`; return False if the deadline comes first. The next `wait` needs another `set`."""
        if not self._is_set:
            loop = asyncio.get_running_loop()
            future = self._future = loop.create_future()
            timer = loop.call_at(deadline, _wake, future)
            try:
                await future
            finally:
                timer.cancel()
                self._future = None
        was_set, self._is_set = self._is_set, False
        return was_set


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
