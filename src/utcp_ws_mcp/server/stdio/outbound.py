"""The host's end of the session: the lines that go to it, and the requests that it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final

import anyio

from .writer import Writer

MAX_JOINED_LENGTH: Final = 1 << 16
"""Characters of a line that are not copied together."""


class StdioOutbound:
    """Answers requests and tells news. What cannot be encoded is replaced: nothing breaks the session."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._pending: set[Any] = set()
        self._idle = asyncio.Event()

    def request_started(self, request_id: Any) -> None:
        """A request came."""
        self._pending.add(request_id)

    def respond(self, request_id: Any, line: Iterable[str]) -> None:
        """Write the answer to a request: the parts of a line."""
        self._writer.write(*_encode_line(line))
        self.request_finished(request_id)

    def request_finished(self, request_id: Any) -> None:
        """A request needs no answer any more."""
        self._pending.discard(request_id)
        if not self._pending:
            self._idle.set()

    def send(self, line: str) -> None:
        """Write a line."""
        self._writer.write(line.encode("utf-8", "replace") + b"\n")

    async def drain(self) -> None:
        """Wait as long as the host does not keep up with what is written."""
        await self._writer.drain()

    async def wait_idle(self, timeout: float) -> None:
        """Wait until nothing is open, for so long at most."""
        if self._pending:
            self._idle.clear()
            with anyio.move_on_after(timeout):
                await self._idle.wait()


def _encode_line(line: Iterable[str]) -> Iterator[bytes]:
    """A line in few chunks, without copying large parts together; a part is let go when it is encoded."""
    small: list[str] = []
    for part in line:
        if len(part) < MAX_JOINED_LENGTH:
            small.append(part)
        else:
            yield "".join(small).encode("utf-8", "replace")
            yield part.encode("utf-8", "replace")
            small = []
    yield "".join((*small, "\n")).encode("utf-8", "replace")
