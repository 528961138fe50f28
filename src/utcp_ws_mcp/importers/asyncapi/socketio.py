"""Socket.IO in AsyncAPI: a message is an event of its name, and its payload the argument of the event."""

from __future__ import annotations

import re
from typing import Any, Final

from ...recorder.manifest import is_near
from ...recorder.templates import REQUEST_ID, escape_template
from ..model import Document

PRESET: Final = "socketio4"

SUBJECT: Final = "(message.data[0] if message.type == 'event' else none)"
"""The expression of the name of an event."""

_PROTOCOL: Final = re.compile(r"(?:socket[.-]?io)s?\Z")
_PATH: Final = "/socket.io/"
_QUERY: Final = "EIO=4&transport=websocket"
_TLS: Final = {"https": True, "wss": True, "http": False, "ws": False}


def is_socketio(protocol: str) -> bool:
    """Return whether a server speaks Socket.IO, by its protocol in lower case."""
    return _PROTOCOL.match(protocol) is not None


def server_url(address: str) -> str:
    """Return the URL of the WebSocket of a server, whose address is a host, perhaps with a scheme, a path and a query.

    Clients of Socket.IO send a path that ends with `/`, and servers wait for that.
    """
    scheme, _, rest = address.rpartition("://")
    rest, _, query = rest.partition("?")
    host, _, path = rest.partition("/")
    path = f"/{path.rstrip('/')}/" if path.strip("/") else _PATH
    kept = [each for each in query.split("&") if each and each.partition("=")[0] not in ("EIO", "transport")]
    has_tls = _TLS.get(scheme.lower(), not _is_near(host))
    return f"{'wss' if has_tls else 'ws'}://{host}{path}?{'&'.join([*kept, _QUERY])}"


def _is_near(host: str) -> bool:
    """Return whether a host is this machine or in its own network, where it has no certificate."""
    name = re.sub(r":\d+\Z", "", host)
    return "$" not in name and is_near(name.strip("[]"))


def event_template(name: str, payload: Any, is_acknowledged: bool) -> Document:
    """Return the template that sends an event, and waits for its acknowledgement if it has one."""
    data = [escape_template(name, ()), *([] if payload == {} else [payload])]
    if is_acknowledged:  # the preset has the rules
        return {"message": {"type": "event", "id": REQUEST_ID, "data": data}}
    return {"message": {"type": "event", "data": data}, "reply": "none"}
