"""What a call asks of the connections of its manual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...core.exchange.reply_rules import Concurrency
from ...core.handshake_request import HandshakeRequest


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """What a call wants: a connection of this upgrade. `arguments` are those of the call.

    `unread` asks for a new connection of which nothing has been read. A call that `listens` sends no request.
    """

    upgrade: HandshakeRequest
    concurrency: Concurrency
    arguments: dict[str, Any]
    fresh: bool = False
    passive: bool = False

    @property
    def exclusive(self) -> bool:
        """Whether the exchange must be alone on its connection."""
        return self.concurrency is Concurrency.EXCLUSIVE or not self.upgrade.template.keep_alive
