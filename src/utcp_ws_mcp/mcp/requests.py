"""What both ends of the session with a host share."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Self

import anyio
from mcp_types import JSONRPCNotification, JSONRPCRequest


class Stream:
    """What the SDK expects of a stream besides `receive` or `send`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        raise NotImplementedError


class Requests:
    """The requests that the host waits for."""

    def __init__(self) -> None:
        self._open: set[Any] = set()
        self._idle = asyncio.Event()

    def came(self, message: Any) -> None:
        """Something came from the host."""
        if isinstance(message, JSONRPCRequest) and message.method != "subscriptions/listen":
            self._open.add(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self.answered((message.params or {}).get("requestId"))

    def answered(self, request_id: Any) -> None:
        """A request was answered, or needs no answer any more."""
        with suppress(TypeError):
            self._open.discard(request_id)
        if not self._open:
            self._idle.set()

    async def settled(self, seconds: float) -> None:
        """Wait until nothing is open, for so long at most."""
        if self._open:
            self._idle.clear()
            with anyio.move_on_after(seconds):
                await self._idle.wait()
