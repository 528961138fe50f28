"""The lines that go to the host, and the requests for whose answer it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import anyio

from ..guard import Guard, encode_line
from .writer import Writer


class StdioOutbound:
    """Sends responses and notifications. `guard` removes credentials from every line."""

    def __init__(self, writer: Writer, guard: Guard = str) -> None:
        self._writer = writer
        self._guard = guard
        self._pending: set[Any] = set()
        self._idle = asyncio.Event()

    def request_started(self, request_id: Any) -> None:
        """Record that the host waits for the answer to a request."""
        self._pending.add(request_id)

    def respond(self, request_id: Any, line: Iterable[str]) -> None:
        """Write the answer to a request, given as the parts of a line."""
        self._writer.write(*encode_line(line, self._guard))
        self.request_finished(request_id)

    def request_finished(self, request_id: Any) -> None:
        """Record that the host no longer waits for a request: it was answered or cancelled."""
        self._pending.discard(request_id)
        if not self._pending:
            self._idle.set()

    def send(self, line: str) -> None:
        """Write a line."""
        self._writer.write(*encode_line((line,), self._guard))

    async def drain(self) -> None:
        """Wait while the host reads more slowly than lines are written."""
        await self._writer.drain()

    async def wait_idle(self, timeout: float) -> None:
        """Wait until every request is answered, at most `timeout` seconds."""
        if self._pending:
            self._idle.clear()
            with anyio.move_on_after(timeout):
                await self._idle.wait()
