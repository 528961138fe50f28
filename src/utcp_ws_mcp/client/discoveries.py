"""The discoveries of a bridge: who is asked, and how long somebody waits for the answers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from ..errors import BridgeError
from ..manifest.loader import ManifestEntry
from .discovery import DiscoveryTask

FAST_DISCOVERY_MARGIN: Final = 0.02
"""Seconds that a list of tools waits at least for further manuals after one has come."""


class DiscoveryManager:
    """The discoveries that run in `tasks`. `make` makes one that gives its manuals to a function."""

    def __init__(self, tasks: TaskGroup, make_task: Callable[[ManifestEntry], DiscoveryTask]) -> None:
        self._tasks = tasks
        self._make_task = make_task
        self._by_entry: dict[str, DiscoveryTask] = {}
        self._started_at = anyio.current_time()
        self._fast_deadline = math.inf
        self._deadline_scopes: list[anyio.CancelScope] = []

    @property
    def errors(self) -> dict[str, BridgeError]:
        """Why manuals are missing: the last failure of each discovery that has not succeeded since."""
        failed = {name: discovery.error for name, discovery in self._by_entry.items()}
        return {name: error for name, error in failed.items() if error is not None}

    def start(self, entry: ManifestEntry) -> None:
        """Ask an endpoint for its tools, if the manifest says so."""
        if entry.uses_discovery:
            discovery = self._by_entry[entry.name] = self._make_task(entry)
            self._tasks.start_soon(discovery.run)

    def remove(self, name: str) -> None:
        """A call template is gone, or has changed."""
        if discovery := self._by_entry.pop(name, None):
            discovery.stop(removed=True)

    def stop(self) -> None:
        """The bridge is shutting down."""
        for discovery in self._by_entry.values():
            discovery.stop(removed=False)

    def connection_lost(self, name: str) -> None:
        """An endpoint went away: its manual may be another one when it is back."""
        if name in self._by_entry:
            self._by_entry[name].connection_lost()

    def on_manual(self) -> None:
        """A manual came."""
        now = anyio.current_time()
        self._fast_deadline = now + max(FAST_DISCOVERY_MARGIN, now - self._started_at)
        for scope in self._deadline_scopes:
            scope.deadline = min(scope.deadline, self._fast_deadline)

    async def find_tool(self, tool_name: str, is_known: Callable[[], Any]) -> None:
        """Ask the endpoints anew that may have a tool `manual.tool`, until it is `known`.

        Raises:
            BridgeError: why an endpoint has not told its tools.
        """
        for name, discovery in list(self._by_entry.items()):
            if tool_name.startswith(f"{name}."):
                await discovery.refresh()
                if not is_known() and discovery.error is not None:
                    raise discovery.error

    async def wait_discovered(self, name: str) -> None:
        """Wait until the endpoint of a call template was asked; at once where it is not asked.

        Raises:
            BridgeError: why it has not told its tools.
        """
        if discovery := self._by_entry.get(name):
            await discovery.attempt_done.wait()
            if discovery.error is not None:
                raise discovery.error

    async def wait_all(self, seconds: float) -> bool:
        """Wait until every endpoint was asked once, for so long at most; whether all were."""
        with anyio.move_on_after(seconds):
            for discovery in list(self._by_entry.values()):
                await discovery.attempt_done.wait()
            return True
        return False

    async def wait_for_fast(self, seconds: float) -> None:
        """Wait until every endpoint was asked once, or all that answer about as fast as the first ones have.

        Whoever takes more than twice as long is not waited for, nor anybody longer than `seconds`.
        """
        with anyio.CancelScope(deadline=min(anyio.current_time() + seconds, self._fast_deadline)) as scope:
            self._deadline_scopes.append(scope)
            try:
                await self.wait_all(seconds)
            finally:
                self._deadline_scopes.remove(scope)
