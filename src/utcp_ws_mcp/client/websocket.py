"""The upgrade (RFC 6455 §4.1): from a connected socket to an open WebSocket."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, NegotiationError, PayloadTooBig
from websockets.frames import DATA_OPCODES, CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI

from .. import USER_AGENT
from ..core.codecs.message import http_error_detail
from ..core.network_policy import URL
from ..errors import BridgeError, ConnectError, ForbiddenRedirect, HandshakeRejected
from ..manifest.models.call_template import Limits

CLOSE_TIMEOUT: Final = 2.0
"""Seconds for the closing handshake."""

MAX_UNREAD_BYTES: Final = 4 << 20
"""Bytes of answers to pings and messages that a peer may leave unread before the connection is dropped."""

MAX_FRAGMENTS: Final = 4096
"""Frames that a message may consist of."""

MessageHandler = Callable[[str | bytes], None]

_SILENT_LOGGER = logging.getLogger("utcp_ws_mcp.websockets")
_SILENT_LOGGER.setLevel(logging.CRITICAL)
logging.getLogger("websockets").setLevel(logging.INFO)  # its DEBUG prints credentials


@dataclass(frozen=True, slots=True)
class OpeningHandshake:
    """What is asked for in an upgrade."""

    url: URL
    target: str
    headers: Sequence[tuple[str, str]]
    subprotocols: Sequence[str]
    limits: Limits
    ssl_context: ssl.SSLContext | None


class GuardedConnection(ClientConnection):
    """A client connection that hands messages over at once, and drops a peer which does not read.

    `dropped` says why, where that has happened.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._message_handler: MessageHandler | None = None
        self._fragments: list[Frame] = []
        self._is_closing = False
        self._unread_bytes = 0
        self.abort_reason = ""

    @property
    def write_buffer_size(self) -> int:
        """Bytes that were written and wait for the peer to read."""
        return self.transport.get_write_buffer_size()

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self.protocol.state is State.OPEN and not self.transport.is_closing()

    async def receive_until_closed(self, handler: MessageHandler) -> None:
        """Give every message to `take` as soon as it is here, until the connection has ended.

        Nothing more is read while `take` runs.

        Raises:
            ConnectionClosed: where the connection has ended before.
        """
        while len(self.recv_messages.frames):
            handler(await self.recv())
        self._message_handler = handler
        await self.wait_closed()

    def data_received(self, data: bytes) -> None:
        """Read, and drop a peer that leaves too many answers unread; after a farewell, go.

        Nothing comes after a close frame, so what waits here need not wait for the peer to close TCP first
        (RFC 6455 §7.1.1 lets the client do it).
        """
        unsent, unread = self.write_buffer_size, self._unread_bytes
        super().data_received(data)
        state = self.protocol.state
        if state is State.OPEN:
            self.enforce_write_limit(unsent + self._unread_bytes - unread)  # `post` has counted its own
        elif state is State.CLOSING and not self._is_closing:
            self._is_closing = True
            self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)
            if self.protocol.close_rcvd is not None:
                self.transport.close()

    def process_event(self, event: object) -> None:
        """Hand a whole message over; everything else is the library's."""
        if self._message_handler is None or not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)  # type: ignore[arg-type]  # the library calls its two kinds Event
        elif event.fin and not self._fragments:
            self._dispatch_frame(event)
        else:
            self._assemble(event)

    def _assemble(self, frame: Frame) -> None:
        self._fragments.append(frame)
        if len(self._fragments) > MAX_FRAGMENTS:
            self._fail_connection(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
        elif frame.fin:
            frames, self._fragments = self._fragments, []
            self._dispatch_frame(Frame(frames[0].opcode, b"".join(part.data for part in frames)))

    def _dispatch_frame(self, frame: Frame) -> None:
        assert self._message_handler is not None
        try:
            message = str(frame.data, "utf-8") if frame.opcode is Opcode.TEXT else bytes(frame.data)
            frame.data = b""  # the library still holds the frame; a large one must not be held twice
        except UnicodeDecodeError:
            self._fail_connection(CloseCode.INVALID_DATA, "invalid UTF-8")
        else:
            self._message_handler(message)

    def _fail_connection(self, code: CloseCode, reason: str) -> None:
        """End the connection over what came; nothing after it is taken."""
        self._message_handler = _ignore_message
        self._fragments = []
        if self.protocol.state is State.OPEN:
            self.protocol.fail(code, reason)
            self.send_data()

    def send_nowait(self, message: str | bytes) -> None:
        """Send a message without waiting for the peer to read it."""
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        self.send_data()

    async def drain(self) -> None:
        """Wait until the peer has read enough; one that reads nothing in `ping_timeout` seconds is dropped.

        Pings wait here too, so none of them would find it.
        """
        patience = self.ping_timeout if self.ping_interval is not None else None
        while True:
            unsent = self.write_buffer_size
            try:
                async with asyncio.timeout(patience):
                    return await super().drain()
            except TimeoutError:
                if self.write_buffer_size >= unsent:
                    self._abort("the server stopped reading")

    def enforce_write_limit(self, size_before: int) -> None:
        """End the connection if too many answers are unread; `before` is what was unsent before the last one.

        A request may be as big as it likes.
        """
        self._unread_bytes = min(
            self._unread_bytes + max(self.write_buffer_size - size_before, 0), self.write_buffer_size
        )
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._abort("the server reads no answers to its pings and messages")

    def _abort(self, reason: str) -> None:
        self.abort_reason = self.abort_reason or reason
        self.transport.abort()


def _ignore_message(message: str | bytes) -> None:
    """Take nothing."""


async def open_websocket(
    handshake: OpeningHandshake, sock: socket.socket, redact: Callable[[str], str] = str
) -> GuardedConnection:
    """Run TLS and the upgrade (RFC 6455 §4.1) over a connected socket.

    `redact` removes secrets from what the server answers instead of an upgrade, before that is cut.

    Raises:
        HandshakeRejected: on any HTTP status but 101.
        ForbiddenRedirect: on a redirect.
        ConnectError: if TLS fails, or the answer is no upgrade or lacks the subprotocol.
    """
    url, limits = handshake.url, handshake.limits

    def make() -> GuardedConnection:
        uri = WebSocketURI(
            url.secure, url.host, url.port, handshake.target.split("?")[0], _query_of_target(handshake.target)
        )
        protocol = ClientProtocol(
            uri,
            subprotocols=list(handshake.subprotocols) or None,  # type: ignore[arg-type]  # Subprotocol is a NewType of str
            max_size=limits.max_message_bytes,
            logger=_SILENT_LOGGER,
        )
        return GuardedConnection(
            protocol,
            ping_interval=limits.ping_interval or None,
            ping_timeout=limits.ping_timeout,
            close_timeout=CLOSE_TIMEOUT,
        )

    name = url.host if url.secure else None
    connect = asyncio.get_running_loop().create_connection
    try:
        _, websocket = await connect(make, sock=sock, ssl=handshake.ssl_context, server_hostname=name)
    except (OSError, ssl.SSLError) as failed:
        sock.close()
        raise ConnectError(url.address, _tls_reason(failed)) from failed
    except BaseException:
        sock.close()
        raise
    try:
        await websocket.handshake(list(handshake.headers), USER_AGENT)
        _check_subprotocol(handshake, websocket)
    except (InvalidHandshake, PayloadTooBig, OSError, EOFError) as failed:
        websocket.transport.abort()
        raise _to_bridge_error(url, failed, redact) from failed
    except BaseException:
        websocket.transport.abort()
        raise
    websocket.start_keepalive()
    return websocket


def _check_subprotocol(handshake: OpeningHandshake, websocket: ClientConnection) -> None:
    if handshake.subprotocols and websocket.subprotocol is None:
        offered = ", ".join(handshake.subprotocols)
        why = f'the server accepts none of the subprotocols {offered}; check "protocol", or leave it out'
        raise ConnectError(handshake.url.address, why)


def _to_bridge_error(url: URL, error: Exception, redact: Callable[[str], str]) -> BridgeError:
    """What happened to an upgrade, in our words; texts of the library may hold header values."""
    if isinstance(error, BridgeError):
        return error
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if 300 <= status < 400:
            return ForbiddenRedirect(url.address, status)
        said = http_error_detail(status, bytes(error.response.body or b""), redact)
        return HandshakeRejected(url.address, status, _STATUS_HINTS.get(status, ""), said)
    if isinstance(error, NegotiationError):
        return ConnectError(url.address, 'the server chose a subprotocol that was not offered; check "protocol"')
    if isinstance(error, OSError | EOFError) or isinstance(error.__cause__, EOFError):
        wish = ', and whether it wants a client certificate ("tls")' if url.secure else ""
        why = (
            f'the connection was cut during the upgrade; check the URL, the port, the credentials and "protocol"{wish}'
        )
        return ConnectError(url.address, why)
    return ConnectError(url.address, "its answer was no WebSocket upgrade; check the URL and the port")


_STATUS_HINTS: Final = {
    200: "that is an ordinary page; check the path",
    400: 'it did not accept the request; check the path, and whether it wants a subprotocol ("protocol")',
    501: 'it does not do this; check the path, and whether it wants a subprotocol ("protocol")',
    401: 'it wants other credentials; check "auth"',
    403: (
        'it refuses these credentials or this client; check "auth" and "headers" '
        '(some servers want an "Origin" header, that of their own page); '
        'some answer so where the path is wrong, or a subprotocol is missing ("protocol")'
    ),
    404: (
        "there is nothing at this path; check the URL "
        '(Rails answers so where it wants another "Origin" header, that of its own page)'
    ),
    426: 'it wants another WebSocket version or subprotocol; check "protocol"',
    429: "it limits the number of connections; wait a while",
    502: "the server behind it is down",
    503: "it is busy or starting; try again later",
}


def _tls_reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'}); is it a wss:// endpoint?"
    return (
        "the connection was cut during the TLS handshake; it may be a ws:// endpoint, "
        'want a client certificate ("tls"), or TLS before 1.2'
    )


def _query_of_target(target: str) -> str:
    return target.partition("?")[2]
