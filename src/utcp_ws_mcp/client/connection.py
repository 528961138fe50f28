"""One WebSocket: the pump that reads it, sending and closing."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import anyio
from websockets.exceptions import ConnectionClosed

from ..core.codecs.framing import Framer
from ..core.codecs.message import Message, encode_json, to_json_safe
from ..core.exchange.connection_state import ConnectionState
from ..core.exchange.dispatcher import Dispatcher
from ..core.exchange.exchange import CloseInfo
from ..core.exchange.reply_rules import Role
from ..observability import events
from ..observability.events import Observer
from .close_info import CLOSED_LOCALLY, describe_close, excerpt_without_secrets
from .heartbeat import HeartbeatTask
from .websocket import CLOSE_TIMEOUT, GuardedConnection

__all__ = ["Connection", "ConnectionClosed"]

logger = logging.getLogger(__name__)
TRY_AGAIN_LATER: Final = 1013
HEALTHY_AFTER: Final = 5.0
"""Seconds after which a connection has proved itself, even if nothing came over it."""

QUIET_PERIOD: Final = 0.05
"""Seconds of silence that separate two exchanges on an owned connection to a peer that must not be pinged."""

SYNC_TIMEOUT: Final = 0.5
"""Seconds that a peer has to answer the ping that separates two exchanges on an owned connection."""


class Connection:
    """An open WebSocket with the exchanges on it.

    `run` must be running as long as the connection is used. Whoever leases the connection keeps to its exchanges.
    """

    def __init__(
        self, manual: str, address: str, websocket: GuardedConnection, framer: Framer, observe: Observer
    ) -> None:
        self.manual = manual
        self.address = address
        self.dispatcher: Dispatcher
        self.session: ConnectionState
        self.heartbeat = HeartbeatTask(self)
        self._framer = framer
        self._prefetched: deque[Message] = deque()
        self.received_count = 0
        self._opened_at = anyio.current_time()
        self.closed_with: CloseInfo | None = None
        self._local_close_reason = ""
        self.on_draining: Callable[[], None] = lambda: None
        self.trace_rules = False
        self._websocket = websocket
        self._observe = observe

    def __repr__(self) -> str:
        return f"<Connection {self.address} {self._websocket.state.name} {self.dispatcher!r}>"

    @property
    def is_available(self) -> bool:
        """Whether a new exchange may start here."""
        return self.dispatcher.reusable and self._websocket.is_open

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._websocket.is_open

    @property
    def can_write(self) -> bool:
        """Whether the peer keeps up with what is sent."""
        return not self._websocket.paused

    @property
    def failed_early(self) -> bool:
        """Whether the peer ended the connection before it proved itself, or wants to be left alone for a while."""
        if self.closed_with is None or self.closed_with.reason == CLOSED_LOCALLY:
            return False
        early = anyio.current_time() - self._opened_at < HEALTHY_AFTER
        return self.closed_with.code == TRY_AGAIN_LATER or (early and not self.received_count)

    @property
    def close_info(self) -> CloseInfo:
        """How the connection ended, or is ending; where the server closed it, with its last words."""
        close, said = (
            self.closed_with or describe_close(self._websocket, heartbeat_timed_out=self.heartbeat.timed_out),
            self.last_message,
        )
        if not said or self._websocket.protocol.close_rcvd is None or close.reason == CLOSED_LOCALLY:
            return close
        return replace(close, reason=f"{close.reason}; before that it said {said}")

    @property
    def last_message(self) -> str:
        """The last message, if no call waited for it; nothing where it repeats what may be a credential."""
        said = self.dispatcher.last_unmatched
        known = (*self.session.rules.variables.values(), *self.session.values.values())
        return "" if said is None else excerpt_without_secrets(said, known, self.session.redact)

    @property
    def closed_by_oversized_message(self) -> bool:
        """Whether the connection ended because the peer's message was too big."""
        protocol = self._websocket.protocol
        sent = protocol.close_sent
        return sent is not None and sent.code == 1009 and not protocol.close_rcvd_then_sent

    async def receive_loop(self) -> None:
        """Read until the connection ends; then every exchange on it is settled."""
        try:
            while self._prefetched:
                message = self._prefetched.popleft()
                self._check_drain(message)
                self.dispatcher.receive(message)
            await self._websocket.receive_until_closed(self._on_message)
        except ConnectionClosed:
            pass
        finally:
            self.closed_with = describe_close(self._websocket, heartbeat_timed_out=self.heartbeat.timed_out)
            self.dispatcher.connection_lost(self.close_info)
            by_peer = self.closed_with.reason != CLOSED_LOCALLY
            text = (
                self.closed_with.reason
                if by_peer or not self._local_close_reason
                else f"{self.closed_with.reason}: {self._local_close_reason}"
            )
            self._observe(events.ConnectionClosed(self.manual, self.address, text, by_peer))

    def encode(self, value: Any) -> list[str | bytes]:
        """The WebSocket messages for a value.

        Raises:
            ValueError: if the value cannot be encoded.
        """
        return self._framer.encode(value)

    def send_nowait(self, messages: Sequence[str | bytes], purpose: str = "") -> bool:
        """Send messages without waiting for the peer; False where the connection is ending, and none was sent."""
        if not self._websocket.is_open:
            return False
        for message in messages:
            shown = self._framer.for_display(message) if self.trace_rules else message
            self._observe(events.MessageSent(self.manual, shown, purpose))
            self._websocket.send_nowait(message)
        return True

    async def send(self, messages: Sequence[str | bytes], purpose: str = "") -> bool:
        """Send messages, and wait as long as the peer does not keep up; False where none was sent."""
        sent = self.send_nowait(messages, purpose)
        await self.drain()
        return sent

    async def drain(self) -> None:
        """Wait as long as the peer does not keep up."""
        if self._websocket.paused:
            await self._websocket.drain()

    def send_or_abort(self, value: Any, purpose: str = "auto_reply") -> None:
        """Send a value without waiting; a peer that does not read loses the connection."""
        try:
            messages = self.encode(value)
        except ValueError as wrong:
            self.on_send_failed(purpose, str(wrong))
            return
        before = self._websocket.write_buffer_size
        self.send_nowait(messages, purpose)
        self._websocket.enforce_write_limit(before)

    def on_send_failed(self, purpose: str, reason: str) -> None:
        """A message was due, and could not be made."""
        self._observe(events.MessageSendFailed(self.manual, purpose, reason))

    def emit_explanation(self, reasons: tuple[str, ...]) -> None:
        """Tell why the message that came last was taken for what it was."""
        self._observe(events.MatchExplained(self.manual, reasons))

    async def receive(self) -> Message:
        """Read and react to the next message while nobody else reads: before `run`.

        Raises:
            ConnectionClosed: where the connection has ended.
        """
        while not self._prefetched:
            raw = await self._websocket.recv()
            for message in self._framer.decode(raw):
                role = Role.AUTO_REPLIED if self.session.process(message, self.dispatcher.outbox.append) else Role.LOGIN
                self._prefetched += [message] if role is Role.LOGIN else []
                self._observe(events.MessageReceived(self.manual, _format_for_trace(raw, message), role.value))
                self._flush_outbox()
        return self._prefetched.popleft()

    async def sync(self) -> bool:
        """Wait until everything that the peer sent before now has arrived; whether the connection is still usable.

        A ping is answered in order (RFC 6455 §5.5.2), so what comes after its answer was sent after the ping. From a
        peer that answers no pings, only a new connection counts as settled, after SETTLE_TIMEOUT. Where the manifest
        switches pings off, a moment of silence has to do.
        """
        if self._websocket.ping_interval is None:
            await anyio.sleep(QUIET_PERIOD)
            return self.is_available
        try:
            with anyio.move_on_after(SYNC_TIMEOUT) as waiting:
                await (await self._websocket.ping())
        except ConnectionClosed:
            return False
        if waiting.cancelled_caught and self.dispatcher.opened:
            return False
        await anyio.lowlevel.checkpoint()
        return self.is_available

    async def aclose(self, code: int = 1000, reason: str = "", local_reason: str = "") -> None:
        """Say goodbye and close, within CLOSE_TIMEOUT seconds; `why` is for observers, `reason` for the peer."""
        self._local_close_reason = local_reason
        self.heartbeat.send_disconnect_messages()
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True) as closing:
            await self._websocket.close(code, reason)
        if closing.cancelled_caught:  # the peer reads nothing
            self.abort()

    def abort(self) -> None:
        """Drop the connection without a closing handshake."""
        self._websocket.transport.abort()

    def _on_message(self, raw: str | bytes) -> None:
        self.received_count += 1
        try:
            for message in self._framer.decode(raw):
                reasons = self._explain_match(message) if self.trace_rules else ()
                role = self._classify(message)
                self._observe(events.MessageReceived(self.manual, _format_for_trace(raw, message), role.value))
                if reasons:
                    self.emit_explanation(reasons)
                self._flush_outbox()
        except Exception:  # a defect of ours: it must not take the other connections along
            logger.exception("a defect of utcp-ws-mcp while reading from %s", self.address)
            self.abort()

    def _explain_match(self, message: Message) -> tuple[str, ...]:
        from ..core.exchange.trace import explain_message

        return explain_message(self.session, self.dispatcher, message)

    def _classify(self, message: Message) -> Role:
        self._check_drain(message)
        if self.session.process(message, self.dispatcher.outbox.append):
            return Role.AUTO_REPLIED
        if self.session.is_heartbeat_reply(message):
            self.heartbeat.acknowledge()
            return Role.HEARTBEAT
        return self.dispatcher.receive(message)

    def _check_drain(self, message: Message) -> None:
        """Take no new calls after a message that says so."""
        if self.session.should_drain(message):
            self.dispatcher.drain()
            self.on_draining()

    def _flush_outbox(self) -> None:
        """Send what is to be sent at once; observers hear of it after the message that it answers."""
        if self.dispatcher.outbox:
            for answer in self.dispatcher.outbox:
                self.send_or_abort(answer)
            self.dispatcher.outbox.clear()


def _format_for_trace(raw: str | bytes, message: Message) -> str | bytes:
    """A message for a trace; one that a codec made is shown as its value."""
    if not message.decoded:
        return message.raw
    try:
        return encode_json(to_json_safe(message.value))
    except ValueError:
        return raw
