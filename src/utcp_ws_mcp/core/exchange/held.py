"""Exchanges whose HTTP requests are under way, and the messages that wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..codecs.message import Message
from .exchange import Exchange

MAX_HELD_MESSAGES: Final = 1024
"""Messages that wait for an exchange."""

MAX_HELD_BYTES: Final = 64 << 20
"""Bytes of these messages: four of the largest that are accepted by default."""


class HeldExchanges:
    """Exchanges that cannot be matched yet: what their HTTP requests bring may be a part of their rules.

    `messages` are those that wait for each of them.
    """

    def __init__(self) -> None:
        self.messages: dict[Exchange, list[Message]] = {}
        self._bytes: dict[Exchange, int] = {}

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(list(self.messages))

    def add(self, exchange: Exchange) -> None:
        """Hold an exchange."""
        self.messages[exchange] = []
        self._bytes[exchange] = 0

    def note(self, message: Message) -> None:
        """Keep a message for each exchange that is held. One for which there are too many fails: a part may be lost."""
        for exchange, messages in self.messages.items():
            if exchange.finished:
                continue
            messages.append(message)
            self._bytes[exchange] += message.size
            if len(messages) > MAX_HELD_MESSAGES or self._bytes[exchange] > MAX_HELD_BYTES:
                messages.clear()
                exchange.fail_flooded()

    def remove(self, exchange: Exchange) -> list[Message]:
        """Hold an exchange no longer; return the messages that waited for it."""
        self._bytes.pop(exchange, None)
        return self.messages.pop(exchange, [])
