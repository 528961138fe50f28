"""Messages that arrived while no call listened, and wait for one that does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from ..codecs.message import Message

MAX_INBOX_BYTES: Final = 1 << 20
"""Bytes of buffered messages; the oldest are dropped first."""


class Inbox:
    """The buffered messages of one connection, oldest first.

    Args:
        size: The number of messages; the oldest are dropped first.
        accepts: Returns whether a message is buffered (`inbox.match`).
    """

    def __init__(self, size: int, accepts: Callable[[Message], bool]) -> None:
        self._size = size
        self._accepts = accepts
        self._messages: deque[Message] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def offer(self, message: Message) -> bool:
        """Buffer a message that no call got, if `inbox.match` is true for it; return whether it was buffered."""
        if not self._accepts(message):
            return False
        self._messages.append(message)
        self._bytes += message.size
        while len(self._messages) > self._size or self._bytes > MAX_INBOX_BYTES:
            self._bytes -= self._messages.popleft().size
        return True

    def take_matching(self, matches: Callable[[Message], bool]) -> Iterator[Message]:
        """Yield the messages that match, and remove each; a caller that stops leaves the others."""
        for message in list(self._messages):
            if matches(message):
                self._messages.remove(message)
                self._bytes -= message.size
                yield message
