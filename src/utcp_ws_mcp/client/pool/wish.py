"""What a call asks of the connections of its manual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...core.exchange.reply_rules import Sharing
from ...core.handshake_request import Upgrade


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call wants: a connection of this upgrade. `arguments` are those of the call.

    `unread` asks for a new connection of which nothing has been read. A call that `listens` sends no request.
    """

    upgrade: Upgrade
    sharing: Sharing
    arguments: dict[str, Any]
    unread: bool = False
    listens: bool = False

    @property
    def owns(self) -> bool:
        """Whether the exchange must be alone on its connection."""
        return self.sharing is Sharing.OWNED or not self.upgrade.template.keep_alive
