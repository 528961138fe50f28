"""Messages that came while no call listened, and wait for one that does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from ..codecs.message import Message

MAX_BYTES: Final = 1 << 20
"""Bytes of messages that are kept; the oldest give way."""


class Inbox:
    """The messages of one connection for which `wanted` holds, oldest first, `size` at most."""

    def __init__(self, size: int, wanted: Callable[[Message], bool]) -> None:
        self._size = size
        self._wanted = wanted
        self._kept: deque[Message] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def offer(self, message: Message) -> bool:
        """Keep a message that no call has taken, if it is wanted."""
        if not self._wanted(message):
            return False
        self._kept.append(message)
        self._bytes += message.size
        while len(self._kept) > self._size or self._bytes > MAX_BYTES:
            self._bytes -= self._kept.popleft().size
        return True

    def taken(self, claims: Callable[[Message], bool]) -> Iterator[Message]:
        """Give the messages that somebody claims, and keep them no longer; whoever stops early leaves the others."""
        for message in list(self._kept):
            if claims(message):
                self._kept.remove(message)
                self._bytes -= message.size
                yield message
