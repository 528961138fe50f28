"""Exchanges whose HTTP requests are under way, and the messages that wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from ..codecs.message import Message
from .exchange import Exchange

MAX_HELD_MESSAGES: Final = 1024
"""Messages that wait for an exchange; the oldest are dropped first."""


class HeldExchanges:
    """Exchanges that cannot be matched yet: what their HTTP requests bring may be a part of their rules."""

    def __init__(self) -> None:
        self._messages: dict[Exchange, deque[Message]] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(list(self._messages))

    def add(self, exchange: Exchange) -> None:
        """Hold an exchange."""
        self._messages[exchange] = deque(maxlen=MAX_HELD_MESSAGES)

    def note(self, message: Message) -> None:
        """Keep a message for each exchange that is held."""
        for messages in self._messages.values():
            messages.append(message)

    def remove(self, exchange: Exchange) -> list[Message]:
        """Hold an exchange no longer; return the messages that waited for it."""
        return list(self._messages.pop(exchange, ()))
