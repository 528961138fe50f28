"""The WebSocket transport for UTCP's own client, `UtcpClient`: a plugin of `utcp`, not used by the rest of the package.

`utcp` finds `register` by its entry point, in every process that creates a client.
"""

from __future__ import annotations

import logging

from utcp.plugins import discovery

logger = logging.getLogger(__name__)


def register() -> None:
    """Register the transport for call templates of the type "websocket", also if `utcp-websocket` is installed.

    The order of the two plugins does not matter: that one registers nothing over another transport, this one overrides.
    """
    if not hasattr(discovery, "register_communication_protocol_factory"):
        logger.warning("utcp-ws-mcp is not registered: it needs utcp 1.2 or newer. Upgrade utcp.")
        return
    from .protocol import WebSocketProtocol  # here, because the entry point is loaded in every process with utcp
    from .template import WEBSOCKET, WebSocketCallTemplateSerializer

    discovery.register_call_template(WEBSOCKET, WebSocketCallTemplateSerializer(), override=True)
    discovery.register_communication_protocol_factory(WEBSOCKET, WebSocketProtocol, override=True)
