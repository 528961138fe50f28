"""Do long work on the event loop in slices, so that calls of other endpoints do not wait for it."""

from __future__ import annotations

import time
from typing import Final, TypeVar

import anyio

from ..manifest.steps import Steps

MIN_SLICE: Final = 0.005
"""Seconds of work before others are served; a wait costs more than the smallest steps."""

T = TypeVar("T")


class SlicedWork:
    """Work that may take a number of seconds of CPU time; what is left of it then is skipped."""

    def __init__(self, max_seconds: float) -> None:
        self._left = max_seconds

    async def run(self, steps: Steps[T]) -> T:
        """Return the result of work in steps. Others get at least as much time as the work takes."""
        began = time.thread_time()
        try:
            next(steps)
            while True:
                if (used := time.thread_time() - began) >= MIN_SLICE:
                    self._left -= used
                    await anyio.sleep(used)
                    began = time.thread_time()
                steps.send(self._left <= 0)
        except StopIteration as done:
            result: T = done.value
            return result
