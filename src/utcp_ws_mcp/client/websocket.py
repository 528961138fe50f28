"""A WebSocket client connection (RFC 6455) on websockets' Sans-I/O API.

`websockets.client.ClientProtocol` parses and serializes; this module adds the I/O as an `asyncio.Protocol`. It is used
instead of `websockets.connect`, whose connection object has no public way to keep three promises:

- A message is delivered inside the callback that received it: no task switch, no queue, and no second copy of a large
  message.
- A peer that does not read is disconnected: the automatic replies that it leaves unread are limited, and so is the time
  in which it must read something of what was sent.
- Closing takes at most CLOSE_TIMEOUT seconds, whatever the peer does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, TypeVar, cast

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI

from .. import USER_AGENT
from ..core.network_policy import URL
from ..manifest.models.network import Limits
from .frames import MessageFrames
from .inbox import Inbox, Receiver
from .incoming import Incoming
from .messages import Data, Messages
from .pending_pings import PendingPings
from .turn import Turn
from .wakeup import loop_state
from .write_batch import WriteBatch

CLOSE_TIMEOUT: Final = 2.0
"""Seconds for the closing handshake."""

MAX_UNREAD_BYTES: Final = 4 << 20
"""Bytes of automatic replies that a peer may leave unread before it is disconnected."""

WRITE_LIMIT: Final = 1 << 15
"""Bytes in the write buffer from which on `drain` waits."""

TEXT, BINARY, PONG, OPEN = Opcode.TEXT, Opcode.BINARY, Opcode.PONG, State.OPEN
MESSAGE_OPCODES: Final = (TEXT, BINARY, Opcode.CONT)

T = TypeVar("T")
_SILENT_LOGGER = logging.getLogger("utcp_ws_mcp.websockets")
_SILENT_LOGGER.setLevel(logging.CRITICAL)
logging.getLogger("websockets").setLevel(logging.INFO)  # at DEBUG, it logs headers, and with them credentials


class WebSocket(asyncio.Protocol):
    """A WebSocket client connection: opening handshake, messages, pings, flow control, closing handshake.

    Args:
        protocol: The Sans-I/O connection, before its opening handshake.
        ping_interval: Seconds between two keepalive pings; None: there are none.
        ping_timeout: Seconds in which a peer must answer a keepalive ping, and read some of what waits for it.

    Attributes:
        protocol: The Sans-I/O connection. `close_rcvd`, `close_sent` and `close_rcvd_then_sent` are its close frames
            and their order, as in `ConnectionClosed`.
        abort_reason: Why this side ended the connection without a closing handshake; empty if it did not.
        paused: Whether so much waits for the peer to read that `drain` would wait.
        turn: How long what has arrived is processed at a time.
        has_rest: Whether something of what was read from the socket waits for the next turn.
    """

    def __init__(self, protocol: ClientProtocol, ping_interval: float | None, ping_timeout: float) -> None:
        self.protocol = protocol
        self.ping_interval = ping_interval
        self.abort_reason = ""
        self.paused = False
        self.transport: asyncio.Transport
        self._outgoing: WriteBatch
        self._loop = asyncio.get_running_loop()
        self._resumptions = loop_state(self._loop).resumptions
        self._ping_timeout = ping_timeout
        self._handshake_ended: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._unread_bytes = 0
        self._frames = MessageFrames()
        self.turn = Turn(self._loop.time, self._loop.call_soon, self._go_on)
        self.has_rest = False
        self._inbox = Inbox(self._loop.create_future, self._read_more, self.turn)
        self._messages = Messages(self._inbox.add, self._fail)
        self._incoming = Incoming(protocol, self._messages.add_whole, self._parse, self.turn)
        self._wants_more = True
        self._is_lost = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._pings = PendingPings(self._loop.create_future)
        self._keepalive: asyncio.Task[None] | None = None
        self._close_timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Return whether messages can be sent."""
        return self.protocol.state is OPEN and not self.transport.is_closing()

    async def open(self, headers: Sequence[tuple[str, str]]) -> None:
        """Perform the opening handshake (RFC 6455 §4.1), then start the keepalive pings.

        Raises:
            Exception: `ClientProtocol.handshake_exc`, where the peer does not accept it.
        """
        request = self.protocol.connect()
        for name, value in headers:
            if name.lower() == "host":  # the only header that the handshake itself has and a manifest may replace
                del request.headers[name]
            request.headers[name] = value
        request.headers.setdefault("User-Agent", USER_AGENT)
        self.protocol.send_request(request)
        self._flush()
        await self._handshake_ended
        if self.protocol.handshake_exc is not None:
            raise self.protocol.handshake_exc
        if self.ping_interval is not None and self.is_open:
            self._keepalive = self._loop.create_task(self._send_keepalive_pings(self.ping_interval))

    # Messages

    async def receive(self, receiver: Receiver) -> bool:
        """Pass each message to `receiver` as soon as it arrives, beginning with those that wait.

        Returns:
            True when the receiver wants no more messages; False when the connection has ended. What arrives after that
            waits for the next `receive`.
        """
        receiving = self._inbox.open(receiver)
        self.has_rest = True
        self._go_on()
        try:
            return await receiving
        finally:
            self._inbox.close()

    def send_nowait(self, message: Data, *, automatic: bool = False, more: bool = False) -> None:
        """Send a message without waiting for the peer to read it.

        Args:
            message: The message; text is sent as UTF-8.
            automatic: Whether the peer's own messages cause this one, so that its size counts for MAX_UNREAD_BYTES. A
                request counts nothing: it may be as large as it likes.
            more: Whether others may follow in this turn of the event loop, with which it is written then.
        """
        opcode, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        frame = self._frames.serialize(opcode, payload)
        self._outgoing.add(frame, more=more)
        if automatic:
            self._outgoing.flush()
            self._count_unread(len(frame))

    async def drain(self) -> None:
        """Wait until the peer has read enough; one that reads nothing in `ping_timeout` seconds is disconnected.

        Without keepalive pings, the peer has any time.
        """
        timeout = None if self.ping_interval is None else self._ping_timeout
        while self.paused:
            size = self.transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(timeout):
                    await self._writable.wait()
            except TimeoutError:
                if self.transport.get_write_buffer_size() >= size:
                    self.abort("the server stopped reading")

    async def ping(self) -> bool:
        """Send a ping and wait for its pong; return False where the connection ends before it."""
        if not self.is_open:
            return False
        payload, answered = self._pings.add()
        self.protocol.send_ping(payload)
        self._flush()
        try:
            return await answered
        finally:
            self._pings.remove(payload)

    # The end

    async def close(self, code: int, reason: str = "") -> None:
        """Perform the closing handshake (RFC 6455 §7.1.2); the connection has ended after CLOSE_TIMEOUT seconds."""
        if not self._inbox.is_read:
            # Messages that fill the queue would keep the peer's close frame out.
            self._messages.discard()
            self._inbox.clear()
            self._read_more(True)
        if self.protocol.state is State.OPEN:
            self.protocol.send_close(code, reason)
            self._flush()
        await asyncio.shield(self._closed)

    def abort(self, reason: str = "") -> None:
        """End the connection without a closing handshake; nothing happens if it has ended."""
        self.abort_reason = self.abort_reason or reason
        if not self._is_lost:  # a transport that is closed has no loop any more
            self.transport.abort()

    def fail_too_big(self) -> None:
        """Fail the connection because of a message that is too big, whatever made it so (RFC 6455 §7.1.7)."""
        self._fail(CloseCode.MESSAGE_TOO_BIG, "message too big")

    # Callbacks of asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start with a transport whose TCP and TLS connections are open."""
        self.transport = cast("asyncio.Transport", transport)
        self._outgoing = WriteBatch(self._write, self._loop.call_soon)
        self.transport.set_write_buffer_limits(WRITE_LIMIT)

    def data_received(self, data: bytes) -> None:
        """Deliver the messages in what arrived, and process all else in it; what takes long is processed in parts."""
        turn = self.turn
        turn.begin()
        # What waits for a reply continues here, when the state of the connection is that after all messages.
        self._resumptions.hold()
        try:
            if self.has_rest:
                self._inbox.go_on()
            self._incoming.feed(data)
        finally:
            self._resumptions.release()
        if turn.is_over or self.has_rest:
            self._note_rest()

    def _go_on(self) -> None:
        self.data_received(b"")

    def _note_rest(self) -> None:
        """Let the rest of what was read wait for the next turn, or read more if there is none."""
        self.has_rest = self.turn.is_over
        self._read_more(self._wants_more)
        if self.has_rest:
            self.turn.schedule()
        elif self._is_lost:
            self._end()

    def _parse(self, data: bytes) -> None:
        """Parse a part of what arrived, send the automatic replies to it, and deliver the messages in it."""
        self.protocol.receive_data(data)
        events = self.protocol.events_received()
        self._count_unread(self._flush())
        for event in events:
            if isinstance(event, Frame):
                self._process_frame(event)
            else:
                self._end_handshake()
        if self.protocol.close_rcvd is not None:
            # RFC 6455 §7.1.1 lets the client close TCP first. Nothing follows a close frame, so a call that waits here
            # learns of the end at once, not when the server has closed its side.
            self.transport.close()

    def eof_received(self) -> None:
        """Parse what the end of the stream completes: a response to the handshake that has no Content-Length."""
        self.protocol.receive_eof()
        if self.protocol.events_received():
            self._end_handshake()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake up all that waits for something of the peer, once all that has arrived is processed."""
        self._is_lost = True
        if not self.has_rest:
            self._end()

    def _end(self) -> None:
        if self._closed.done():
            return
        self.protocol.receive_eof()
        if self._keepalive is not None:
            self._keepalive.cancel()
        if self._close_timer is not None:
            self._close_timer.cancel()
        self.resume_writing()
        self._pings.fail()
        _set_result(self._handshake_ended, None)
        _set_result(self._closed, None)
        self._inbox.end()

    def pause_writing(self) -> None:
        """Let `drain` wait: the write buffer is full."""
        self.paused = True
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `drain` return: the peer has read most of the write buffer, or the connection has ended."""
        self.paused = False
        self._writable.set()

    # Details

    def _end_handshake(self) -> None:
        """Let `open` return. Until `receive` is called, messages wait in the socket, not in memory."""
        _set_result(self._handshake_ended, None)
        if self.protocol.state is State.OPEN:
            self._read_more(False)

    def _process_frame(self, frame: Frame) -> None:
        if frame.opcode is PONG:
            self._pings.settle(bytes(frame.data))
        elif frame.opcode in MESSAGE_OPCODES:
            self._messages.add(frame)

    def _read_more(self, wanted: bool) -> None:
        """Read from the socket, or let what follows wait in it, as it does while the rest of a flood is processed."""
        self._wants_more = wanted
        if self._is_lost:
            return
        if wanted and not self.has_rest:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def _flush(self) -> int:
        """Write what the protocol has to send, and what waits for the end of the turn; return how many bytes it had."""
        size = 0
        for data in self.protocol.data_to_send():
            if data:
                size += len(data)
                self._outgoing.add(data, more=False)
            else:
                # SEND_EOF: the peer has closed its side, or the opening handshake failed. Nothing follows.
                self._outgoing.flush()
                self.transport.close()
        self._outgoing.flush()
        if self._close_timer is None and self.protocol.close_expected():
            self._close_timer = self._loop.call_later(CLOSE_TIMEOUT, self._give_up)
        return size

    def _count_unread(self, size: int) -> None:
        """Count bytes of automatic replies, and disconnect a peer that leaves too many of them unread.

        Bytes that left the write buffer were read, so it limits the count.
        """
        if not size or not self.is_open:
            return
        self._unread_bytes = min(self._unread_bytes + size, self.transport.get_write_buffer_size())
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self.abort("the server does not read the replies to its pings and messages")

    def _give_up(self) -> None:
        """End the connection, also where what has arrived is not processed yet."""
        self._messages.discard()
        self._inbox.clear()
        self.abort()

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Fail the connection (RFC 6455 §7.1.7) because of what arrived; nothing that follows it is delivered."""
        self._messages.discard()
        if self.protocol.state is State.OPEN:
            self.protocol.fail(code, reason)
            self._flush()

    async def _send_keepalive_pings(self, interval: float) -> None:
        """Send pings; a peer that does not answer one in time is disconnected."""
        while True:
            await asyncio.sleep(interval)
            # Behind a large request, a ping would be answered late although the peer reads all the time.
            await self.drain()
            try:
                async with asyncio.timeout(self._ping_timeout):
                    await self.ping()
            except TimeoutError:
                if self.has_rest:  # the pong may be behind what waits
                    continue
                if self.is_open:
                    self.abort_reason = "the server stopped answering pings"
                    self.protocol.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
                    self._flush()
                return


def make_websocket(url: URL, target: str, subprotocols: Sequence[str], limits: Limits) -> WebSocket:
    """Return a WebSocket before its opening handshake; `target` is the path and query of the request line."""
    path, _, query = target.partition("?")
    protocol = ClientProtocol(
        WebSocketURI(url.secure, url.host, url.port, path, query),
        subprotocols=list(subprotocols) or None,  # type: ignore[arg-type]  # Subprotocol is a NewType of str
        max_size=limits.max_message_bytes,
        logger=_SILENT_LOGGER,
    )
    return WebSocket(protocol, limits.ping_interval or None, limits.ping_timeout)


def _set_result(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
