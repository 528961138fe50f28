"""What has arrived on a connection: it is passed on at once where it is wanted, and waits otherwise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .messages import Data

if TYPE_CHECKING:
    from asyncio import Future

MAX_WAITING_MESSAGES: Final = 16
"""Messages that wait for `receive` before the connection stops reading from its socket."""

MessageHandler = Callable[[Data], bool]
"""Takes a message; returns whether it takes the next one, too."""


class Inbox:
    """The messages of one connection.

    Args:
        create_future: Returns a new future of the event loop.
        read_more: Reads from the socket, or lets further messages wait in it.
    """

    def __init__(self, create_future: Callable[[], Future[bool]], read_more: Callable[[bool], None]) -> None:
        self._create_future = create_future
        self._read_more = read_more
        self._handler: MessageHandler | None = None
        self._receiving: Future[bool] | None = None
        self._waiting: deque[Data] = deque()
        self._has_ended = False

    @property
    def is_read(self) -> bool:
        """Return whether a handler takes the next message."""
        return self._handler is not None

    async def receive(self, handler: MessageHandler) -> bool:
        """Pass each message to `handler` as soon as it arrives, beginning with those that wait.

        Returns:
            True when the handler wants no more messages; False when the connection has ended. What arrives after that
            waits for the next `receive`.
        """
        self._handler = handler
        while self._waiting:
            self._deliver(self._waiting.popleft())
            if self._handler is None:
                return True
        if self._has_ended:
            self._handler = None
            return False
        self._receiving = self._create_future()
        self._read_more(True)
        try:
            return await self._receiving
        finally:
            self._receiving = self._handler = None

    def add(self, message: Data) -> None:
        """Take a message that has arrived."""
        if self._handler is not None:
            self._deliver(message)
            return
        self._waiting.append(message)
        if len(self._waiting) >= MAX_WAITING_MESSAGES:
            self._read_more(False)

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def end(self) -> None:
        """Let `receive` return when it has passed on what waits: the connection has ended."""
        self._has_ended = True
        self._settle(False)

    def _deliver(self, message: Data) -> None:
        assert self._handler is not None
        if not self._handler(message):
            self._handler = None
            self._settle(True)

    def _settle(self, wants_no_more: bool) -> None:
        if self._receiving is not None and not self._receiving.done():
            self._receiving.set_result(wants_no_more)
