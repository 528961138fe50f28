"""Progress notifications of running calls: items of streams, and signs of life for clients that would give up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

from ..core.codecs.message import clean
from ..core.exchange.result import text_of

FIRST_SIGN: Final = 5.0
"""Seconds after which a client that wants progress hears that a call is still running; then every SIGN_EVERY."""

SIGN_EVERY: Final = 15.0
LONGEST_SIGN: Final = 2_000
"""Characters of a progress message."""

Report = Callable[[float, str], Awaitable[None]]
"""Sends one notification: its number, which only grows, and its message."""


class Progress:
    """The progress of one call. `report` sends a notification where the client asked for them."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._count = 0
        self._due = anyio.current_time() + FIRST_SIGN

    async def item(self, item: Any) -> None:
        """A stream's item."""
        await self._tell(clean(text_of(item))[:LONGEST_SIGN])

    async def sign(self) -> None:
        """A sign of life, where one is due."""
        if anyio.current_time() >= self._due:
            await self._tell("waiting for the endpoint")

    async def _tell(self, message: str) -> None:
        self._count += 1
        self._due = anyio.current_time() + SIGN_EVERY
        await self._report(float(self._count), message)


async def give_signs(running: set[Progress]) -> None:
    """Tell the clients of long calls that they still run, for ever."""
    while True:
        await anyio.sleep(FIRST_SIGN)
        for progress in list(running):
            await progress.sign()
