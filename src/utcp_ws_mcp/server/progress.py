"""Progress notifications of running calls: items of streams, and signs of life for clients that would give up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

from ..core.codecs.message import to_json_safe
from ..core.exchange.result import as_text

FIRST_KEEPALIVE: Final = 5.0
"""Seconds after which a client that wants progress hears that a call is still running; then every SIGN_EVERY."""

KEEPALIVE_INTERVAL: Final = 15.0
MAX_PROGRESS_LENGTH: Final = 2_000
"""Characters of a progress message."""

ProgressCallback = Callable[[float, str], Awaitable[None]]
"""Sends one notification: its number, which only grows, and its message."""


class Progress:
    """The progress of one call. `report` sends a notification where the client asked for them."""

    def __init__(self, report: ProgressCallback) -> None:
        self._report = report
        self._count = 0
        self._keepalive_at = anyio.current_time() + FIRST_KEEPALIVE

    async def report_item(self, item: Any) -> None:
        """A stream's item."""
        await self._send(to_json_safe(as_text(item))[:MAX_PROGRESS_LENGTH])

    async def keepalive(self) -> None:
        """A sign of life, where one is due."""
        if anyio.current_time() >= self._keepalive_at:
            await self._send("waiting for the endpoint")

    async def _send(self, message: str) -> None:
        self._count += 1
        self._keepalive_at = anyio.current_time() + KEEPALIVE_INTERVAL
        await self._report(float(self._count), message)


async def send_keepalive_progress(running: set[Progress]) -> None:
    """Tell the clients of long calls that they still run, for ever."""
    while True:
        await anyio.sleep(FIRST_KEEPALIVE)
        for progress in list(running):
            await progress.keepalive()
