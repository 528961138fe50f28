"""The discoveries of a bridge: who is asked, and how long somebody waits for the answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from ..errors import BridgeError
from ..manifest.loader import Entry
from .discovery import Discovery

GRACE: Final = 0.02
"""Seconds that a list of tools waits at least for further manuals after one has come."""


class Discoveries:
    """The discoveries that run in `tasks`. `make` makes one that gives its manuals to a function."""

    def __init__(self, tasks: TaskGroup, make: Callable[[Entry], Discovery]) -> None:
        self._tasks = tasks
        self._make = make
        self._running: dict[str, Discovery] = {}
        self._started = anyio.current_time()
        self._answers_until = math.inf
        self._patient: list[anyio.CancelScope] = []

    @property
    def failures(self) -> dict[str, BridgeError]:
        """Why manuals are missing: the last failure of each discovery that has not succeeded since."""
        failed = {name: discovery.error for name, discovery in self._running.items()}
        return {name: error for name, error in failed.items() if error is not None}

    def ask(self, entry: Entry) -> None:
        """Ask an endpoint for its tools, if the manifest says so."""
        if entry.discovers:
            discovery = self._running[entry.name] = self._make(entry)
            self._tasks.start_soon(discovery.run)

    def forget(self, name: str) -> None:
        """A call template is gone, or has changed."""
        if discovery := self._running.pop(name, None):
            discovery.stop(gone=True)

    def stop(self) -> None:
        """The bridge is shutting down."""
        for discovery in self._running.values():
            discovery.stop(gone=False)

    def connection_lost(self, name: str) -> None:
        """An endpoint went away: its manual may be another one when it is back."""
        if name in self._running:
            self._running[name].connection_lost()

    def answered(self) -> None:
        """A manual came."""
        now = anyio.current_time()
        self._answers_until = now + max(GRACE, now - self._started)
        for scope in self._patient:
            scope.deadline = min(scope.deadline, self._answers_until)

    async def find(self, tool: str, known: Callable[[], Any]) -> None:
        """Ask the endpoints anew that may have a tool `manual.tool`, until it is `known`.

        Raises:
            BridgeError: why an endpoint has not told its tools.
        """
        for name, discovery in list(self._running.items()):
            if tool.startswith(f"{name}."):
                await discovery.ask_again()
                if not known() and discovery.error is not None:
                    raise discovery.error

    async def wait_told(self, name: str) -> None:
        """Wait until the endpoint of a call template was asked; at once where it is not asked.

        Raises:
            BridgeError: why it has not told its tools.
        """
        if discovery := self._running.get(name):
            await discovery.attempted.wait()
            if discovery.error is not None:
                raise discovery.error

    async def wait(self, seconds: float) -> bool:
        """Wait until every endpoint was asked once, for so long at most; whether all were."""
        with anyio.move_on_after(seconds):
            for discovery in list(self._running.values()):
                await discovery.attempted.wait()
            return True
        return False

    async def wait_quick(self, seconds: float) -> None:
        """Wait until every endpoint was asked once, or all that answer about as fast as the first ones have.

        Whoever takes more than twice as long is not waited for, nor anybody longer than `seconds`.
        """
        with anyio.CancelScope(deadline=min(anyio.current_time() + seconds, self._answers_until)) as scope:
            self._patient.append(scope)
            try:
                await self.wait(seconds)
            finally:
                self._patient.remove(scope)
