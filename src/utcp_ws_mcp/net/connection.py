"""One WebSocket: the upgrade, the pump that reads it, sending, and closing (the only importer of `websockets`)."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    NegotiationError,
    PayloadTooBig,
)
from websockets.protocol import State
from websockets.uri import WebSocketURI

from .. import events
from ..errors import BridgeError, ConnectFailed, ForbiddenRedirect, HandshakeRejected
from ..events import Observer
from ..manifest.models import Limits
from ..version import USER_AGENT
from ..wire.codec import Message, clean, encode_json
from ..wire.exchange import Close, Exchanges
from ..wire.framing import Framer
from ..wire.policy import URL
from ..wire.reply import Role
from ..wire.session import Session
from ..wire.template import Unfilled

__all__ = ["Connection", "ConnectionClosed", "Handshake", "upgrade"]

CLOSE_TIMEOUT: Final = 2.0
"""Seconds for the closing handshake."""

MAX_UNREAD: Final = 4 << 20
"""Bytes of answers to pings that a peer may leave unread before the connection is dropped."""

CLOSED_BY_US: Final = "closed by the bridge"

SETTLE_TIMEOUT: Final = 0.5
"""Seconds that a peer has to answer the ping that separates two exchanges on an owned connection."""

logger = logging.getLogger(__name__)
_SILENT = logging.getLogger("utcp_ws_mcp.websockets")
_SILENT.setLevel(logging.CRITICAL)
logging.getLogger("websockets").setLevel(logging.INFO)  # its DEBUG prints credentials


@dataclass(frozen=True, slots=True)
class Handshake:
    """What is asked for in an upgrade."""

    url: URL
    target: str
    headers: Sequence[tuple[str, str]]
    subprotocols: Sequence[str]
    limits: Limits
    tls: ssl.SSLContext | None


class GuardedConnection(ClientConnection):
    """A client connection that drops a peer which pings and never reads."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MAX_UNREAD and self.protocol.state is State.OPEN:
            self.transport.abort()

    def write(self, message: str | bytes) -> None:
        """Send a message without waiting for the peer to read it."""
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        self.send_data()
        if self.transport.get_write_buffer_size() > MAX_UNREAD:
            self.transport.abort()


class Connection:
    """An open WebSocket with the exchanges on it.

    `run` must be running as long as the connection is used. Whoever leases the connection keeps to its exchanges.
    """

    def __init__(
        self, manual: str, address: str, websocket: GuardedConnection, framer: Framer, observe: Observer
    ) -> None:
        self.manual = manual
        self.address = address
        self.exchanges: Exchanges
        self.session: Session
        self._framer = framer
        self._beat = anyio.Event()
        self._ahead: deque[Message] = deque()
        self.received = 0
        self.close: Close | None = None
        self._unanswered = False
        self._websocket = websocket
        self._observe = observe

    def __repr__(self) -> str:
        return f"<Connection {self.address} {self._websocket.state.name} {self.exchanges!r}>"

    @property
    def is_usable(self) -> bool:
        """Whether a new exchange may start here."""
        return self._websocket.state is State.OPEN and self.exchanges.trusted

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._websocket.state is State.OPEN

    @property
    def how_it_ended(self) -> str:
        """What to say of the end of a connection."""
        return (self.close or self._describe_close()).text

    @property
    def is_oversized(self) -> bool:
        """Whether the connection ended because the peer's message was too big."""
        sent = self._websocket.protocol.close_sent
        return sent is not None and sent.code == 1009

    async def run(self) -> None:
        """Read until the connection ends; then every exchange on it is settled."""
        try:
            while self._ahead:
                self.exchanges.receive(self._ahead.popleft())
            while True:
                self._take(await self._websocket.recv())
        except ConnectionClosed:
            pass
        except Exception:  # a defect of ours: it must not take the other connections along
            logger.exception("a defect of utcp-ws-mcp while reading from %s", self.address)
            self.abort()
        finally:
            self.close = self._describe_close()
            self.exchanges.lose(self.close)
            by_peer = self.close.text != CLOSED_BY_US
            self._observe(events.Closed(self.manual, self.address, self.close.text, by_peer))

    def encode(self, value: Any) -> list[str | bytes]:
        """The WebSocket messages for a value.

        Raises:
            ValueError: if the value cannot be encoded.
        """
        return self._framer.encode(value)

    async def send(self, messages: Sequence[str | bytes]) -> None:
        """Send messages. What is written counts as sent, even if this is cancelled.

        Raises:
            ConnectionClosed: where the connection has ended meanwhile.
        """
        for message in messages:
            self._observe(events.Sent(self.manual, message))
            await self._websocket.send(message)

    def post(self, value: Any) -> None:
        """Send a value without waiting; a peer that does not read loses the connection."""
        try:
            messages = self.encode(value)
        except ValueError:
            return
        for message in messages:
            if not self.is_open:
                return
            self._observe(events.Sent(self.manual, message))
            self._websocket.write(message)

    async def receive(self) -> Message:
        """Read and react to the next message while nobody else reads: before `run`.

        Raises:
            ConnectionClosed: where the connection has ended.
        """
        while not self._ahead:
            raw = await self._websocket.recv()
            for message in self._framer.decode(raw):
                role = Role.ANSWERED if self.session.react(message, self.post) else Role.LOGIN
                self._ahead += [message] if role is Role.LOGIN else []
                self._observe(events.Received(self.manual, _shown(raw, message), role.value))
        return self._ahead.popleft()

    async def beat(self) -> None:
        """Send heartbeats until the connection ends; one that gets no answer in time ends it."""
        heartbeat, interval = self.session.conduct.heartbeat, self.session.interval()
        if heartbeat is None or interval is None:
            return
        while self.is_open:
            await anyio.sleep(interval)
            self._beat = anyio.Event()
            try:
                request_id = self.exchanges.next_id()
                self.post(
                    heartbeat.send.render(self.session.scope(request_id=request_id, counter=self.exchanges.count))
                )
            except Unfilled:
                continue
            if heartbeat.expect is not None:
                with anyio.move_on_after(heartbeat.timeout):
                    await self._beat.wait()
                if not self._beat.is_set():
                    self._unanswered = True
                    self.abort()

    async def settle(self) -> bool:
        """Wait until everything that the peer sent before now has arrived; whether the connection is still usable.

        A ping is answered in order (RFC 6455 §5.5.2), so what comes after its answer was sent after the ping. From a
        peer that answers no pings, only a new connection counts as settled, after SETTLE_TIMEOUT.
        """
        try:
            with anyio.move_on_after(SETTLE_TIMEOUT) as waiting:
                await (await self._websocket.ping())
        except ConnectionClosed:
            return False
        if waiting.cancelled_caught and self.exchanges.opened:
            return False
        await anyio.lowlevel.checkpoint()
        return self.is_usable

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close with a code; takes CLOSE_TIMEOUT seconds at most."""
        with anyio.CancelScope(shield=True):
            await self._websocket.close(code, reason)

    def abort(self) -> None:
        """Drop the connection without a closing handshake."""
        self._websocket.transport.abort()

    def _take(self, raw: str | bytes) -> None:
        self.received += 1
        for message in self._framer.decode(raw):
            role = self._receive(message)
            self._observe(events.Received(self.manual, _shown(raw, message), role.value))

    def _receive(self, message: Message) -> Role:
        if self.session.react(message, self.post):
            return Role.ANSWERED
        heartbeat = self.session.conduct.heartbeat
        expected = heartbeat.expect if heartbeat is not None else None
        if expected is not None and expected.holds(self.session.scope(message=message.value)):
            self._beat.set()
            return Role.HEARTBEAT
        role = self.exchanges.receive(message)
        if self.exchanges.outbox:
            for answer in self.exchanges.outbox:
                self.post(answer)
            self.exchanges.outbox.clear()
        return role

    def _describe_close(self) -> Close:
        websocket = self._websocket
        received = websocket.protocol.close_rcvd
        if received is not None and not websocket.protocol.close_rcvd_then_sent:
            return Close(received.code, CLOSED_BY_US)
        if received is not None:
            reason = f": {received.reason}" if received.reason else ""
            return Close(received.code, f"closed by the server with code {received.code}{reason}")
        sent = websocket.protocol.close_sent
        if sent is not None and sent.code == 1009:
            return Close(1009, "message too big")
        if self._unanswered or (sent is not None and sent.reason == "keepalive ping timeout"):
            return Close(1006, "the server stopped answering pings")
        if sent is not None and sent.code in (1002, 1007):
            return Close(sent.code, "the server broke the WebSocket protocol")
        return Close(1006, "the network connection was cut" if sent is None else CLOSED_BY_US)


def _shown(raw: str | bytes, message: Message) -> str | bytes:
    """A message for a trace; one that a codec made is shown as its value."""
    if not message.decoded:
        return message.raw
    try:
        return encode_json(clean(message.value))
    except ValueError:
        return raw


async def upgrade(handshake: Handshake, connected: socket.socket) -> GuardedConnection:
    """Run TLS and the upgrade (RFC 6455 §4.1) over a connected socket.

    Raises:
        HandshakeRejected: on any HTTP status but 101.
        ForbiddenRedirect: on a redirect.
        ConnectFailed: if TLS fails, or the answer is no upgrade or lacks the subprotocol.
    """
    url, limits = handshake.url, handshake.limits

    def make() -> GuardedConnection:
        uri = WebSocketURI(url.secure, url.host, url.port, handshake.target.split("?")[0], _query(handshake.target))
        protocol = ClientProtocol(
            uri,
            subprotocols=list(handshake.subprotocols) or None,  # type: ignore[arg-type]  # Subprotocol is a NewType of str
            max_size=limits.max_message_bytes,
            logger=_SILENT,
        )
        return GuardedConnection(
            protocol,
            ping_interval=limits.ping_interval,
            ping_timeout=limits.ping_timeout,
            close_timeout=CLOSE_TIMEOUT,
        )

    name = url.host if url.secure else None
    connect = asyncio.get_running_loop().create_connection
    try:
        _, websocket = await connect(make, sock=connected, ssl=handshake.tls, server_hostname=name)
    except (OSError, ssl.SSLError) as failed:
        connected.close()
        raise ConnectFailed(url.address, _tls_reason(failed)) from failed
    except BaseException:
        connected.close()
        raise
    try:
        await websocket.handshake(list(handshake.headers), USER_AGENT)
        _check_subprotocol(handshake, websocket)
    except (InvalidHandshake, PayloadTooBig, OSError, EOFError) as failed:
        websocket.transport.abort()
        raise _explained(url, failed) from failed
    except BaseException:
        websocket.transport.abort()
        raise
    websocket.start_keepalive()
    return websocket


def _check_subprotocol(handshake: Handshake, websocket: ClientConnection) -> None:
    if handshake.subprotocols and websocket.subprotocol is None:
        offered = ", ".join(handshake.subprotocols)
        why = f'the server accepts none of the subprotocols {offered}; check "protocol"'
        raise ConnectFailed(handshake.url.address, why)


def _explained(url: URL, failed: Exception) -> BridgeError:
    """What happened to an upgrade, in our words; texts of the library may hold header values."""
    if isinstance(failed, BridgeError):
        return failed
    if isinstance(failed, InvalidStatus):
        status = failed.response.status_code
        if 300 <= status < 400:
            return ForbiddenRedirect(url.address, status)
        return HandshakeRejected(url.address, status, _STATUS_HINTS.get(status, ""))
    if isinstance(failed, NegotiationError):
        return ConnectFailed(url.address, 'the server chose a subprotocol that was not offered; check "protocol"')
    return ConnectFailed(url.address, "its answer was no WebSocket upgrade; check the URL and the port")


_STATUS_HINTS: Final = {
    400: "it did not accept the request; check the path and the subprotocol",
    401: 'it wants other credentials; check "auth"',
    403: 'it refuses these credentials or this client; check "auth" and "headers"',
    404: "there is nothing at this path; check the URL",
    426: 'it wants another WebSocket version or subprotocol; check "protocol"',
    429: "it limits the number of connections; wait a while",
    502: "the server behind it is down",
    503: "it is busy or starting; try again later",
}


def _tls_reason(failed: Exception) -> str:
    if isinstance(failed, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not valid: {failed.verify_message}"
    if isinstance(failed, ssl.SSLError):
        return f"TLS failed ({failed.reason or 'no reason given'}); is it a wss:// endpoint?"
    return "the connection was cut while it was opened"


def _query(target: str) -> str:
    return target.partition("?")[2]
