"""The WebSocket transport for UTCP's own client, `UtcpClient`: a plugin of `utcp` that nobody else imports.

`utcp` finds `register` by its entry point, in every process that makes a client.
"""

from __future__ import annotations

import logging

from utcp.plugins import discovery

logger = logging.getLogger(__name__)


def register() -> None:
    """Serve the call templates of the type "websocket", also where `utcp-websocket` is installed.

    That plugin takes no place that is taken, and this one takes the place from whoever has it: their order is the
    same to both.
    """
    if not hasattr(discovery, "register_communication_protocol_factory"):
        logger.warning("utcp-ws-mcp does not serve this client: it needs utcp 1.2 or newer")
        return
    from .protocol import WebSocketProtocol
    from .template import WEBSOCKET, WebSocketCallTemplateSerializer

    discovery.register_call_template(WEBSOCKET, WebSocketCallTemplateSerializer(), override=True)
    discovery.register_communication_protocol_factory(WEBSOCKET, WebSocketProtocol, override=True)
