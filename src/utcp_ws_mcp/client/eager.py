"""Run a coroutine without a task, as long as it waits for nothing but replies.

A task begins in the next turn of the event loop, and continues in the turn after the one in which what it waits for
has come. Most calls send their request at once and wait only for the reply, so that these turns are a tenth of their
time. The eager tasks of Python 3.12 save the first of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from functools import partial
from types import coroutine
from typing import Any

from .wakeup import Wakeup, loop_state

Step = Callable[[], Any]
"""Runs a coroutine until it waits; returns what it waits for."""


class EagerTask:
    """A coroutine that runs at once, and again when a `Wakeup` for which it waits is set.

    It becomes a task of asyncio as soon as it waits for anything else, or is cancelled. What needs a task before that,
    such as a cancel scope of anyio, must be preceded by `ensure_task`. So only calls of tools run like this whose way
    is short and known (`ToolService.begins_at_once`).

    Attributes:
        task: The task that it has become, or None.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.task: asyncio.Task[None] | None = None
        self._work: Coroutine[Any, Any, None]
        self._loop = loop
        self._context = copy_context()
        self._wake = partial(loop_state(loop).resumptions.add, self._run)
        self._awaited: Wakeup | None = None

    def start(self, work: Coroutine[Any, Any, None], *, at_once: bool = True) -> None:
        """Run a coroutine until it waits; not `at_once`, it is a task from the beginning."""
        self._work = work
        if at_once and asyncio.current_task(self._loop) is None:
            self._run()
        else:  # in another task, what runs here would take that for its own
            self.task = self._loop.create_task(work)

    def cancel(self, msg: Any = None) -> None:
        """Raise CancelledError in it, as the method of tasks does."""
        if self.task is not None:
            self.task.cancel(msg)
        elif self._awaited is not None:
            self._awaited.call_on_resume(None)
            self._continue_in_task(partial(self._work.throw, asyncio.CancelledError()))

    def _run(self) -> None:
        self._awaited = None
        if self.task is not None:  # it was cancelled after it was woken
            return
        try:
            awaited = self._context.run(self._work.send, None)
        except (StopIteration, asyncio.CancelledError):
            return
        except Exception as error:
            self._loop.call_exception_handler({"message": "an eager task failed", "exception": error})
            return
        if isinstance(awaited, Wakeup):
            self._awaited = awaited
            awaited.call_on_resume(self._wake)
        else:
            self._continue_in_task(lambda: awaited)

    def _continue_in_task(self, first: Step) -> None:
        rest = _continue(self._work, first)
        rest.send(None)  # a task that is cancelled before its first turn would not begin it, and nothing be cleaned up
        self.task = self._loop.create_task(rest, context=self._context)


async def _continue(work: Coroutine[Any, Any, None], step: Step) -> None:
    """Continue a coroutine that has begun, with a first step in the first turn of the task."""
    awaited = None
    try:
        while True:
            try:
                await _suspend(awaited)
            except BaseException as error:  # of what it waits for, or the cancellation of the task
                step = partial(work.throw, error)
            awaited, step = step(), partial(work.send, None)
    except StopIteration:
        return


@coroutine
def _suspend(awaited: Any) -> Generator[Any, None, None]:
    yield awaited


async def ensure_task() -> None:
    """Let what follows run in a task of asyncio."""
    if asyncio.current_task() is None:
        await asyncio.sleep(0)
