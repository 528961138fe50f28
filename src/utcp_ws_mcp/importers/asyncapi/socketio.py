"""Socket.IO in AsyncAPI: a message is an event of its name, and its payload the argument of the event."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, Final

from ...recorder.templates import REQUEST_ID, escape_template
from ..model import Document

PRESET: Final = "socketio4"

SUBJECT: Final = "(message.data[0] if message.type == 'event' else none)"
"""The expression of the name of an event."""

_PROTOCOL: Final = re.compile(r"(?:socket[.-]?io)s?\Z")
_PATH: Final = "/socket.io/"
_QUERY: Final = "EIO=4&transport=websocket"


def is_socketio(protocol: str) -> bool:
    """Return whether a server speaks Socket.IO, by its protocol in lower case."""
    return _PROTOCOL.match(protocol) is not None


def server_url(address: str) -> str:
    """Return the URL of the WebSocket of a server, whose address is a host and perhaps a path."""
    host, _, path = address.partition("://")[2].partition("/") if "://" in address else address.partition("/")
    scheme = "ws" if _is_near(host) else "wss"
    return f"{scheme}://{host}{f'/{path}' if path else _PATH}?{_QUERY}"


def _is_near(host: str) -> bool:
    """Return whether a host is this machine or an address of a private network, which have no certificate."""
    name = host.rpartition(":")[0] if re.search(r":\d+\Z", host) else host
    try:
        return ip_address(name.strip("[]")).is_private
    except ValueError:
        return name == "localhost"


def event_template(name: str, payload: Any, is_acknowledged: bool) -> Document:
    """Return the template that sends an event, and waits for its acknowledgement if it has one."""
    data = [escape_template(name, ()), *([] if payload == {} else [payload])]
    if is_acknowledged:  # the preset has the rules
        return {"message": {"type": "event", "id": REQUEST_ID, "data": data}}
    return {"message": {"type": "event", "data": data}, "reply": "none"}
