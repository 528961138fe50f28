"""Describe how a WebSocket connection ended (RFC 6455 §7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from ..core.codecs.message import Message, excerpt
from ..core.exchange.exchange import CloseInfo, Exchange
from ..core.exchange.held import MAX_HELD_MESSAGES
from ..core.login_demand import login_hint
from ..errors import (
    BridgeError,
    ConnectionLost,
    MessageTooBig,
    Outcome,
    SessionLost,
    TooManyHeldMessages,
    UnidentifiableReply,
    end_sentence,
    quote_endpoint,
)
from ..manifest.models.call_template import CallTemplate
from ..manifest.secret_names import MIN_SECRET_LENGTH, redact_by_key
from ..manifest.variables import find_variables

if TYPE_CHECKING:
    from ..core.tools.tool import CompiledTool
    from .connection import Connection
    from .websocket import WebSocket

CLOSED_LOCALLY: Final = "closed by utcp-ws-mcp"
POLICY_VIOLATION: Final = 1008
CONNECTION_RESET: Final = "the network connection was cut"
_CODE_MEANINGS: Final = {
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1007: "invalid data",
    POLICY_VIOLATION: "policy violation",
    1009: "message too big",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
}
"""What the codes say that servers send without a reason (RFC 6455 §7.4.1, and IANA's registry)."""


def describe_close(websocket: WebSocket, *, heartbeat_timed_out: bool, redact: Callable[[str], str] = str) -> CloseInfo:
    """Return how a connection ended, or is ending; `heartbeat_timed_out`: the peer did not answer a heartbeat.

    `redact` removes secrets from the reason of the server.

    Code 1006 stands for an end without a close frame of the server (RFC 6455 §7.1.5), whatever the reason.
    """
    if websocket.abort_reason:
        return CloseInfo(1006, websocket.abort_reason)
    received, sent = websocket.protocol.close_rcvd, websocket.protocol.close_sent
    if received is not None and not websocket.protocol.close_rcvd_then_sent:
        # Its close frame only answers ours.
        return CloseInfo(1006, CLOSED_LOCALLY)
    if received is not None:
        return CloseInfo(received.code, f"closed by the server {_format_code(received.code, redact(received.reason))}")
    if sent is not None and sent.code == 1009:
        return CloseInfo(1009, "message too big")
    if heartbeat_timed_out:
        return CloseInfo(1006, "the server stopped answering pings")
    if sent is not None and sent.code in (1002, 1007):
        return CloseInfo(sent.code, "the server violated the WebSocket protocol")
    return CloseInfo(1006, CONNECTION_RESET if sent is None else CLOSED_LOCALLY)


def refuses_pings(websocket: WebSocket, *, idle: bool) -> bool:
    """Return whether the peer closed the connection because of pings, as far as its close frame shows.

    Some servers count pings as a flood, and close with a policy code (RFC 6455 §7.4.1, 1008).

    Args:
        websocket: The WebSocket, which has ended.
        idle: Whether no call was pending, so that only pings can be the reason.
    """
    received, by_peer = websocket.protocol.close_rcvd, websocket.protocol.close_rcvd_then_sent
    if received is None or not by_peer or websocket.ping_interval is None:
        return False
    return "ping" in received.reason.lower() or (idle and received.code == POLICY_VIOLATION)


def excerpt_without_secrets(message: Message, secrets: Iterable[Any], redact: Callable[[str], str] = str) -> str:
    """Return an excerpt of a message for an error; nothing if the message repeats one of the values in `secrets`.

    An endpoint that rejects a credential often quotes it, and an error is shown to a model. `redact` removes other
    secrets before the message is cut.
    """
    shown = message.for_display
    text = shown if isinstance(shown, str) else shown.decode("utf-8", "replace")
    repeats = any(len(each) >= MIN_SECRET_LENGTH and each in text for each in _iter_strings(secrets))
    return "" if repeats else excerpt(shown, redact=lambda text: redact_by_key(redact(text)))


def _iter_strings(values: Iterable[Any]) -> Iterator[str]:
    """Yield the strings among the values, and inside of them."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            yield from _iter_strings(value.values() if isinstance(value, dict) else value)


def _format_code(code: int, reason: str) -> str:
    """Return a close code with its reason; 1005 stands for a close frame without a code (RFC 6455 §7.1.5)."""
    if code == 1005:
        return "without a code"
    if reason:
        return f"with code {code}; {quote_endpoint(reason)}"
    meaning = _CODE_MEANINGS.get(code)
    return f"with code {code} ({meaning})" if meaning else f"with code {code}"


def _expired_credential_hint(template: CallTemplate, info: CloseInfo, received: int) -> str:
    """Return what to check where a server closes before it sent anything: a credential of the handshake may be old.

    Args:
        template: The call template of the connection.
        info: How the connection ended.
        received: The number of messages that arrived.
    """
    if received or info.reason == CLOSED_LOCALLY:
        return ""
    offered = template.protocol
    protocols = [offered] if isinstance(offered, str) else list(offered or ())
    places = {"url": template.url.partition("?")[2], "query": template.query, "protocol": protocols}
    named = [f'"{field}"' for field, value in places.items() if any(find_variables({field: value}))]
    return f"Check whether the credential in {' and '.join(named)} has expired." if named else ""


def lost_connection(
    connection: Connection, info: CloseInfo, outcome: Outcome, template: CallTemplate
) -> ConnectionLost:
    """Return the error of a call whose connection ended."""
    hint = _expired_credential_hint(template, info, connection.received_count)
    if not hint and info.reason != CLOSED_LOCALLY:
        said = (connection.dispatcher.messages.explains_close, connection.closing_words)
        hint = login_hint(template, said, info.code)
    reason = end_sentence(info.reason) + (f" {hint}" if hint else "")
    return ConnectionLost(connection.address, reason, outcome, close_code=info.code)


def unidentifiable_reply(connection: Connection, tool: CompiledTool, outcome: Outcome) -> UnidentifiableReply:
    """Return the error of a call whose reply may be a message that the endpoint has sent without a request."""
    hint = login_hint(tool.template, [connection.dispatcher.unsolicited.last])
    return UnidentifiableReply(tool.full_name, connection.address, connection.unsolicited_excerpt, outcome, hint=hint)


def error_of_lost_exchange(
    connection: Connection, exchange: Exchange, tool: CompiledTool, outcome: Outcome
) -> BridgeError | None:
    """Return why an exchange has finished without its reply; None if its connection and session did not end.

    Args:
        connection: The connection of the exchange.
        exchange: The exchange, which has finished.
        tool: The tool that was called.
        outcome: What is known of the request.
    """
    if exchange.is_unproven:
        return unidentifiable_reply(connection, tool, Outcome.MAYBE_EXECUTED)
    if exchange.is_flooded:
        return TooManyHeldMessages(connection.address, MAX_HELD_MESSAGES, outcome)
    if exchange.failure:
        return SessionLost(connection.address, exchange.failure, outcome)
    lost = exchange.close_info
    if lost is None:
        return None
    # 1009 is sent by either side: the peer, too, may close because our request was too big.
    if lost.code == 1009 and connection.closed_by_oversized_message:
        limit, others = tool.template.limits.max_message_bytes, connection.dispatcher.lost > 1
        return MessageTooBig(connection.address, limit, outcome, other_calls_pending=others)
    return lost_connection(connection, lost, outcome, tool.template)
