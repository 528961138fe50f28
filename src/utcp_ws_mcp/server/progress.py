"""Progress notifications of running calls: the items of streams, and keepalives for clients that would give up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

from ..core.codecs.message import redact_beginning, to_json_safe
from ..core.exchange.result import as_text
from .content import json_text

FIRST_KEEPALIVE: Final = 5.0
"""Seconds after which a call without items sends its first keepalive; the next follow every KEEPALIVE_INTERVAL."""

KEEPALIVE_INTERVAL: Final = 15.0
MAX_PROGRESS_LENGTH: Final = 2_000
"""Characters of a progress message."""


ProgressCallback = Callable[[float, str], Awaitable[None]]
"""Sends one notification: its number, which must increase with each notification (MCP, Progress), and its message."""


class Progress:
    """The progress of one call. `report` sends a notification if the client requested progress.

    `redact` removes credentials from the items of a stream. `is_parsed`: items come from a parser of JSON.
    """

    def __init__(
        self, report: ProgressCallback, redact: Callable[[str], str] = str, *, is_parsed: bool = False
    ) -> None:
        self._report = report
        self._is_parsed = is_parsed
        self._redact = redact
        self._count = 0
        self._time = asyncio.get_running_loop().time  # to look for the loop for each item takes longer
        self._keepalive_at = self._time() + FIRST_KEEPALIVE

    async def report_item(self, item: Any) -> None:
        """Report an item of a stream."""
        text = as_text(item) if isinstance(item, str | bytes) else json_text(item, is_parsed=self._is_parsed)
        shown = redact_beginning(text, MAX_PROGRESS_LENGTH, self._redact)
        await self._send(to_json_safe(shown[:MAX_PROGRESS_LENGTH]))

    async def keepalive(self) -> None:
        """Send a keepalive if one is due."""
        if self._time() >= self._keepalive_at:
            await self._send("waiting for the endpoint")

    async def _send(self, message: str) -> None:
        self._count += 1
        self._keepalive_at = self._time() + KEEPALIVE_INTERVAL
        await self._report(float(self._count), message)


async def send_keepalive_progress(running: set[Progress]) -> None:
    """Send keepalives for running calls, until cancelled."""
    while True:
        await anyio.sleep(FIRST_KEEPALIVE)
        for progress in list(running):
            await progress.keepalive()
