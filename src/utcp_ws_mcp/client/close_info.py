"""How a WebSocket connection ended, in words (RFC 6455 §7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from ..core.codecs.message import Message, excerpt
from ..core.exchange.exchange import CloseInfo
from ..manifest.secret_names import MIN_SECRET_LENGTH, redact_by_key
from .websocket import GuardedConnection

CLOSED_LOCALLY: Final = "closed by the bridge"
CONNECTION_RESET: Final = "the network connection was cut"


def describe_close(websocket: GuardedConnection, *, heartbeat_timed_out: bool) -> CloseInfo:
    """How a connection ended, or is ending. `unanswered`: the peer has not answered a heartbeat."""
    if websocket.abort_reason:
        return CloseInfo(1006, websocket.abort_reason)
    received = websocket.protocol.close_rcvd
    if received is not None and not websocket.protocol.close_rcvd_then_sent:
        return CloseInfo(1006, CLOSED_LOCALLY)
    if received is not None:
        return CloseInfo(received.code, f"closed by the server {_format_code(received.code, received.reason)}")
    sent = websocket.protocol.close_sent
    if sent is not None and sent.code == 1009:
        return CloseInfo(1009, "message too big")
    if heartbeat_timed_out or (sent is not None and sent.reason == "keepalive ping timeout"):
        return CloseInfo(1006, "the server stopped answering pings")
    if sent is not None and sent.code in (1002, 1007):
        return CloseInfo(sent.code, "the server broke the WebSocket protocol")
    return CloseInfo(1006, CONNECTION_RESET if sent is None else CLOSED_LOCALLY)


def excerpt_without_secrets(message: Message, secrets: Iterable[Any], redact: Callable[[str], str] = str) -> str:
    """Return an excerpt of a message without credentials; empty if it contains one of the secrets."""
    text = (
        message.for_display if isinstance(message.for_display, str) else message.for_display.decode("utf-8", "replace")
    )
    repeats = any(len(each) >= MIN_SECRET_LENGTH and each in text for each in _iter_strings(secrets))
    return "" if repeats else excerpt(message.for_display, redact=lambda shown: redact_by_key(redact(shown)))


def _iter_strings(values: Iterable[Any]) -> Iterator[str]:
    """The texts among the values, and inside of them."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            yield from _iter_strings(value.values() if isinstance(value, dict) else value)


def _format_code(code: int, reason: str) -> str:
    """A code of a close frame, and its reason; 1005 stands for none (RFC 6455 §7.1.5)."""
    return "without a code" if code == 1005 else f"with code {code}" + (f": {reason}" if reason else "")
