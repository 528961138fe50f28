"""The pings of one connection that wait for their pongs (RFC 6455 §5.5.2)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import Future


class PendingPings:
    """Pings by their payloads, in the order of sending. A result says whether the pong came before the end."""

    def __init__(self, create_future: Callable[[], Future[bool]]) -> None:
        self._create_future = create_future
        self._waiting: dict[bytes, Future[bool]] = {}
        self._count = 0

    def add(self) -> tuple[bytes, Future[bool]]:
        """Return the payload of a new ping, and its result."""
        self._count += 1
        payload = struct.pack("!Q", self._count)
        answered = self._waiting[payload] = self._create_future()
        return payload, answered

    def remove(self, payload: bytes) -> None:
        """Forget a ping for whose pong nothing waits any more."""
        self._waiting.pop(payload, None)

    def settle(self, payload: bytes) -> None:
        """Settle a ping and all before it: a peer may answer only the last one (RFC 6455 §5.5.3)."""
        if payload not in self._waiting:
            return
        for sent, answered in self._waiting.items():
            if not answered.done():
                answered.set_result(True)
            if sent == payload:
                return

    def fail(self) -> None:
        """Settle all: the connection has ended."""
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_result(False)
