"""The lines that go to the host, and the requests for whose answer it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final

import anyio

from .writer import Writer

MAX_JOINED_LENGTH: Final = 1 << 16
"""Parts of a line that are longer are written separately instead of being joined: joining copies them."""


class StdioOutbound:
    """Sends responses and notifications. Characters that UTF-8 cannot encode are replaced: the session must go on."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._pending: set[Any] = set()
        self._idle = asyncio.Event()

    def request_started(self, request_id: Any) -> None:
        """Record that the host waits for the answer to a request."""
        self._pending.add(request_id)

    def respond(self, request_id: Any, line: Iterable[str]) -> None:
        """Write the answer to a request, given as the parts of a line."""
        self._writer.write(*_encode_line(line))
        self.request_finished(request_id)

    def request_finished(self, request_id: Any) -> None:
        """Record that the host no longer waits for a request: it was answered or cancelled."""
        self._pending.discard(request_id)
        if not self._pending:
            self._idle.set()

    def send(self, line: str) -> None:
        """Write a line."""
        self._writer.write(line.encode("utf-8", "replace") + b"\n")

    async def drain(self) -> None:
        """Wait while the host reads more slowly than lines are written."""
        await self._writer.drain()

    async def wait_idle(self, timeout: float) -> None:
        """Wait until every request is answered, at most `timeout` seconds."""
        if self._pending:
            self._idle.clear()
            with anyio.move_on_after(timeout):
                await self._idle.wait()


def _encode_line(line: Iterable[str]) -> Iterator[bytes]:
    """Yield a line in few chunks; large parts are not copied, and each is released once it is encoded."""
    small: list[str] = []
    for part in line:
        if len(part) < MAX_JOINED_LENGTH:
            small.append(part)
        else:
            yield "".join(small).encode("utf-8", "replace")
            yield part.encode("utf-8", "replace")
            small = []
    yield "".join((*small, "\n")).encode("utf-8", "replace")
