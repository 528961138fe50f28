"""Messages that came while no call listened, and wait for one that does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from ..codecs.message import Message

MAX_INBOX_BYTES: Final = 1 << 20
"""Bytes of messages that are kept; the oldest give way."""


class Inbox:
    """The messages of one connection for which `wanted` holds, oldest first, `size` at most."""

    def __init__(self, size: int, accepts: Callable[[Message], bool]) -> None:
        self._size = size
        self._accepts = accepts
        self._messages: deque[Message] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def offer(self, message: Message) -> bool:
        """Keep a message that no call has taken, if it is wanted."""
        if not self._accepts(message):
            return False
        self._messages.append(message)
        self._bytes += message.size
        while len(self._messages) > self._size or self._bytes > MAX_INBOX_BYTES:
            self._bytes -= self._messages.popleft().size
        return True

    def take_matching(self, matches: Callable[[Message], bool]) -> Iterator[Message]:
        """Give the messages that somebody claims, and keep them no longer; whoever stops early leaves the others."""
        for message in list(self._messages):
            if matches(message):
                self._messages.remove(message)
                self._bytes -= message.size
                yield message
