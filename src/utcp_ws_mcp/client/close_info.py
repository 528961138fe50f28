"""How a WebSocket connection ended, in words (RFC 6455 §7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ..core.codecs.message import Message, excerpt
from ..core.exchange.exchange import Close
from ..manifest.secret_names import SHORTEST, without_credentials
from .websocket import GuardedConnection

CLOSED_BY_US: Final = "closed by the bridge"
CUT: Final = "the network connection was cut"


def describe_close(websocket: GuardedConnection, *, unanswered: bool) -> Close:
    """How a connection ended, or is ending. `unanswered`: the peer has not answered a heartbeat."""
    if websocket.dropped:
        return Close(1006, websocket.dropped)
    received = websocket.protocol.close_rcvd
    if received is not None and not websocket.protocol.close_rcvd_then_sent:
        return Close(1006, CLOSED_BY_US)
    if received is not None:
        return Close(received.code, f"closed by the server {_code(received.code, received.reason)}")
    sent = websocket.protocol.close_sent
    if sent is not None and sent.code == 1009:
        return Close(1009, "message too big")
    if unanswered or (sent is not None and sent.reason == "keepalive ping timeout"):
        return Close(1006, "the server stopped answering pings")
    if sent is not None and sent.code in (1002, 1007):
        return Close(sent.code, "the server broke the WebSocket protocol")
    return Close(1006, CUT if sent is None else CLOSED_BY_US)


def without_repeats(said: Message, known: Iterable[Any]) -> str:
    """An excerpt of a server's last words without credentials; nothing where they repeat one of the values."""
    text = said.shown if isinstance(said.shown, str) else said.shown.decode("utf-8", "replace")
    repeats = any(len(each) >= SHORTEST and each in text for each in _texts(known))
    return "" if repeats else without_credentials(excerpt(said.shown))


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """The texts among the values, and inside of them."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            yield from _texts(value.values() if isinstance(value, dict) else value)


def _code(code: int, reason: str) -> str:
    """A code of a close frame, and its reason; 1005 stands for none (RFC 6455 §7.1.5)."""
    return "without a code" if code == 1005 else f"with code {code}" + (f": {reason}" if reason else "")
