"""What a call gets from a pool: a lease of a connection, and its turn under the rate limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from ...core.handshake_request import HandshakeRequest
from ...records import Record

if TYPE_CHECKING:
    from ..connection import Connection


class Lease(Record):
    """The right to use `connection`, until `release` is called, exactly once.

    `start_reading` is set for a fresh connection: the call invokes it when it is ready for the first message.
    """

    connection: Connection
    release: Callable[[], None]
    start_reading: Callable[[], None] | None = None


class RateLimiter:
    """Space out the requests of a manual (`limits.requests_per_second`)."""

    def __init__(self) -> None:
        self._next_start = 0.0

    async def wait_turn(self, handshake: HandshakeRequest) -> None:
        """Wait until a request over a connection may be sent; its `requests_per_second` is set."""
        rate = handshake.template.limits.requests_per_second
        assert rate is not None
        await self.acquire(1 / rate)

    async def acquire(self, interval: float) -> None:
        """Wait until a request may start, `interval` seconds after the one before."""
        start = max(anyio.current_time(), self._next_start)
        # Reserved before waiting: calls that wait at the same time get consecutive instants.
        self._next_start = start + interval
        await anyio.sleep_until(start)
