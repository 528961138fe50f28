"""The barrier between two exclusive exchanges: everything that the peer sent before it has arrived."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
import anyio.lowlevel

from ..core.exchange.dispatcher import Dispatcher
from .close_info import refuses_pings
from .websocket import WebSocket

QUIET_PERIOD: Final = 0.05
"""Seconds of silence that separate two exclusive exchanges where the manifest turns pings off."""

SYNC_TIMEOUT: Final = 0.5
"""Seconds that a peer has to answer the ping that separates two exclusive exchanges."""

UNANSWERED_PINGS: Final = 2
"""Pings on one connection of which a peer has answered none: it was not only slow."""


class Barrier:
    """The barrier of one connection. It is a ping, so that it also learns of a peer that does not accept pings.

    Args:
        websocket: The WebSocket.
        dispatcher: The exchanges on it.
        on_refused_pings: Called with how it shows that the peer does not accept pings.

    Attributes:
        refuses_pings: Whether it has shown that.
    """

    def __init__(self, websocket: WebSocket, dispatcher: Dispatcher, on_refused_pings: Callable[[str], None]) -> None:
        self.refuses_pings = False
        self._websocket = websocket
        self._dispatcher = dispatcher
        self._on_refused_pings = on_refused_pings
        self._answers_pings = False
        self._unanswered_pings = 0

    async def wait(self) -> bool:
        """Wait until everything that the peer sent before now has arrived; return whether the connection is available.

        A pong is sent in the order of messages (RFC 6455 §5.5.2): what comes after it was sent after the ping. Without
        a pong, only a connection without earlier exchanges counts as synced; without pings, a moment of silence does.
        """
        if self._websocket.ping_interval is None:
            while True:
                await anyio.sleep(QUIET_PERIOD)
                if not self._websocket.has_rest:  # what arrived before, and was not silence
                    return self._is_available
        answered = None
        with anyio.move_on_after(SYNC_TIMEOUT):
            answered = await self._websocket.ping()
        self._note_ping(answered)
        if answered is False or (answered is None and self._dispatcher.opened):
            return False
        unsolicited = self._dispatcher.unsolicited
        unsolicited.greeting_is_over = bool(answered) or unsolicited.greeting_is_over
        # The pong may have arrived together with a close frame or the end of the stream.
        await anyio.lowlevel.checkpoint()
        return self._is_available

    def note_end(self, reason: str) -> None:
        """Report a peer that closed the connection because of pings; `reason` is how it ended."""
        if refuses_pings(self._websocket, idle=not self._dispatcher.lost):
            self._report(reason)

    @property
    def _is_available(self) -> bool:
        return self._dispatcher.availability.reusable and self._websocket.is_open

    def _note_ping(self, answered: bool | None) -> None:
        """Report a peer that answers no pings; one that has answered before is only slow."""
        self._answers_pings |= bool(answered)
        self._unanswered_pings += answered is None
        if self._unanswered_pings == UNANSWERED_PINGS and not self._answers_pings:
            self._report("the server answers no pings, so that each call waits for one and opens a connection")

    def _report(self, reason: str) -> None:
        self.refuses_pings = True
        self._on_refused_pings(reason)
