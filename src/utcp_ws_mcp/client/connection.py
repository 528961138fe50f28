"""One connection: receive messages for the login and then for the dispatcher, send, and close."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import anyio

from ..core.codecs.framing import Framer
from ..core.codecs.message import Message, MessageTooLarge, UndecodableStream
from ..core.exchange.connection_state import RECONNECTED, ConnectionState
from ..core.exchange.dispatcher import Dispatcher
from ..core.exchange.exchange import CloseInfo
from ..core.exchange.reply_rules import Role
from ..core.exchange.router import LoginStep, MessageRouter
from ..core.expressions.expression import Expression
from ..core.expressions.scope import Scope
from ..errors import end_sentence, quote_endpoint
from ..observability import events
from ..observability.events import Observer
from ..records import replace
from .barrier import Barrier
from .close_info import CLOSED_LOCALLY, describe_close, excerpt_without_secrets
from .heartbeat import HeartbeatTask
from .http_steps import HttpStepRunner
from .inbox import LAST, PART, WHOLE, Taken
from .websocket import WebSocket

logger = logging.getLogger(__name__)
TRY_AGAIN_LATER: Final = 1013
HEALTHY_AFTER: Final = 5.0
"""Seconds after which a connection counts as healthy, even if no message arrived over it."""

MESSAGES_BETWEEN_CHECKS: Final = 8
"""Messages of one WebSocket message that are processed between two readings of the clock."""

TALKING_PERIOD: Final = 60.0
"""Seconds after an unsolicited message in which the endpoint counts as one that sends them."""


class Connection:
    """An open connection. Messages go to the login while it runs, and to the dispatcher afterwards.

    What arrives while neither the login nor `receive_loop` wants it, waits.

    Args:
        manual: The name of the manual, for events.
        address: What errors and events call the endpoint.
        websocket: The WebSocket, after its opening handshake.
        framer: Encodes and decodes its messages.
        state: The captured values and the rules of the connection.
        dispatcher: The exchanges on it.
        observe: Gets its events.
        on_draining: Called when a message says that the connection is of no use for further calls.
        http: Sends the HTTP requests of steps that belong to the connection.
        on_refused_pings: Called with how it shows that the peer does not accept pings.
        trace_rules: Whether events explain which rule decided.

    Attributes:
        availability: What the connection may still be used for while it is open.
        barrier: Separates two exclusive exchanges.
        turn: How long what it receives is processed at a time.
        encode: Returns the WebSocket messages for a value; raises ValueError if it cannot be encoded.
    """

    def __init__(
        self,
        manual: str,
        address: str,
        websocket: WebSocket,
        framer: Framer,
        state: ConnectionState,
        dispatcher: Dispatcher,
        observe: Observer,
        on_draining: Callable[[], None],
        http: HttpStepRunner,
        *,
        on_refused_pings: Callable[[str], None] = lambda reason: None,
        trace_rules: bool = False,
    ) -> None:
        self.manual = manual
        self.http = http
        self.address = address
        self.state = state
        self.dispatcher, self.availability = dispatcher, dispatcher.availability
        self.trace_rules = trace_rules
        self.heartbeat = HeartbeatTask(
            state, lambda: self.is_open, self._template_values, self.send_or_abort, self.abort, self._is_behind
        )
        self.barrier = Barrier(websocket, dispatcher, on_refused_pings)
        self.received_count = 0
        self.closed_with: CloseInfo | None = None
        self._unsolicited_at = -math.inf
        self._websocket, self.turn = websocket, websocket.turn
        self._framer, self.encode = framer, framer.encode
        self._observe = observe
        self._reports_messages = not events.ignores(observe, events.MessageSent, events.MessageReceived)
        self._router = MessageRouter(state, dispatcher, on_draining, self._note_unsolicited, trace_rules=trace_rules)
        self._opened_at = anyio.current_time()
        self._local_close_reason = ""
        self._disconnect_messages_sent = False
        self._login_step: LoginStep | None = None
        self._decoded: Iterator[Message] = iter(())
        self._session_loss: str | None = None

    def __repr__(self) -> str:
        return f"<Connection {self.address} {self._websocket.protocol.state.name} {self.dispatcher!r}>"

    @property
    def is_open(self) -> bool:
        """Return whether messages can be sent."""
        return self._websocket.is_open

    @property
    def is_available(self) -> bool:
        """Return whether a new exchange may start."""
        return self.availability.reusable and self._websocket.is_open

    @property
    def can_write(self) -> bool:
        """Return whether the peer keeps up with what is sent."""
        return not self._websocket.paused

    def failed_early(self, *, used: bool) -> bool:
        """Return whether the peer ended the connection before it counted as healthy, or asks to be left alone."""
        if self.closed_with is None or self.closed_with.reason == CLOSED_LOCALLY:
            return False
        # What a server sends before any call `used` the connection may be why it closes.
        early = anyio.current_time() - self._opened_at < HEALTHY_AFTER and not (used and self.received_count)
        return self.closed_with.code == TRY_AGAIN_LATER or early

    @property
    def close_info(self) -> CloseInfo:
        """Return how the connection ended, or is ending; where the server closed it, with what it said last."""
        info = self.closed_with or self._describe_close()
        last = self.last_message
        if not last or self._websocket.protocol.close_rcvd is None or info.reason == CLOSED_LOCALLY:
            return info
        return replace(info, reason=f"{end_sentence(info.reason)} Before that, {quote_endpoint(last)}")

    def _describe_close(self) -> CloseInfo:
        return describe_close(self._websocket, heartbeat_timed_out=self.heartbeat.timed_out, redact=self.state.redact)

    @property
    def session_end(self) -> str:
        """Return what ended the session of the connection, for the calls of the next one."""
        reason = self.dispatcher.failure or self.availability.unusable_reason or self._local_close_reason
        return reason or self.close_info.reason

    def note_previous(self, previous: Connection) -> None:
        """Note that the connection replaces another: the first call must know if the session is a new one."""
        was_used = previous.dispatcher.opened or previous._session_loss
        if not was_used or self.state.session_identity() == previous.state.session_identity():
            return
        self.state.values[RECONNECTED] = True
        if not previous.dispatcher.failure_reported:
            self._session_loss = previous._session_loss or previous.session_end

    def take_session_loss(self) -> str | None:
        """Return what ended the session before this one, to the first call that asks."""
        loss, self._session_loss = self._session_loss, None
        return loss

    @property
    def last_message(self) -> str:
        """Return an excerpt of the last message, if no call expected it: it may say why the server closes."""
        return self.excerpt(self.dispatcher.messages.explains_close)

    @property
    def closing_words(self) -> str:
        """Return the reason with which the server closes; empty if it gave none."""
        received = self._websocket.protocol.close_rcvd
        return "" if received is None else received.reason

    @property
    def is_talking(self) -> bool:
        """Return whether the endpoint has sent an unsolicited message a short time ago."""
        return self.is_available and anyio.current_time() - self._unsolicited_at < TALKING_PERIOD

    @property
    def unsolicited_excerpt(self) -> str:
        """Return an excerpt of the last unsolicited message."""
        return self.excerpt(self.dispatcher.unsolicited.last)

    def excerpt(self, message: Message | None) -> str:
        """Return an excerpt for an error; nothing if there is no message, or it repeats what may be a credential."""
        secrets = (*self.state.rules.variables.values(), *self.state.values.values())
        return "" if message is None else excerpt_without_secrets(message, secrets, self.state.redact)

    def explain_misfit(self, message: Message | None) -> str:
        """Return what to write if a WebSocket message does not fit the framing; `message` may be a part of it."""
        return self._framer.explain_misfit(message)

    @property
    def closed_by_oversized_message(self) -> bool:
        """Return whether this side closed the connection because a message was too big."""
        protocol = self._websocket.protocol
        sent = protocol.close_sent
        # A server may close with 1009, too: then the library echoes the code, and our message was too big.
        return sent is not None and sent.code == 1009 and not protocol.close_rcvd_then_sent

    async def receive_for_login(self, step: LoginStep) -> bool:
        """Pass messages to a login step until it has finished; return False where the connection ends before that."""
        self._login_step = step
        try:
            return await self._websocket.receive(self)
        finally:
            self._login_step = None

    async def receive_loop(self) -> None:
        """Pass messages to the dispatcher until the connection ends; then settle every exchange."""
        try:
            await self._websocket.receive(self)
        except anyio.get_cancelled_exc_class():
            if self._websocket.is_open:  # this side stops reading, and the peer did not end it
                self._websocket.abort(CLOSED_LOCALLY)
            raise
        finally:
            info = self.closed_with = self._describe_close()
            self.dispatcher.connection_lost(self.close_info)
            by_peer = info.reason != CLOSED_LOCALLY
            reason = ": ".join(filter(None, (info.reason, "" if by_peer else self._local_close_reason)))
            self._observe(events.ConnectionClosed(self.manual, self.address, reason, by_peer))
            self.barrier.note_end(info.reason)

    def take(self, message: str | bytes) -> Taken:
        """Process what a WebSocket message holds."""
        self.received_count += self._login_step is None
        self._decoded = self._framer.decode(message)
        return self.take_rest()

    def take_rest(self) -> Taken:
        """Process what is left of the last WebSocket message, until the turn is over or a login step finishes."""
        count = 0
        try:
            for message in self._decoded:
                role, explanation = self._router.route(message, self._login_step)
                if role is Role.HEARTBEAT:
                    self.heartbeat.acknowledge()
                if self._reports_messages:
                    self._observe(events.MessageReceived(self.manual, message.for_display, role))
                if explanation:
                    self.emit_explanation(explanation)
                if self.dispatcher.outbox:
                    self._flush_outbox()
                if self._login_step is not None and self._login_step.finished:
                    return LAST
                count += 1
                if not count % MESSAGES_BETWEEN_CHECKS and self.turn.check():
                    return PART
        except (MessageTooLarge, UndecodableStream) as error:
            self._end_undecodable(error)
        except Exception:  # an edge: a bug in processing one message must not end the other connections, too
            logger.exception("internal error while processing a message of %s", self.address)
            self.abort()
        return WHOLE

    def _end_undecodable(self, error: MessageTooLarge | UndecodableStream) -> None:
        """End the connection because a message is too large, or because nothing behind it can be decoded."""
        hint = self._framer.explain_misfit()
        if isinstance(error, MessageTooLarge) and not hint:
            self._websocket.fail_too_big()
            return
        why = str(error) or "the length of a message is over the limit"
        reason = f"what the server sent does not fit the framing of the manifest: {why}"
        self._websocket.abort(f"{reason}. {hint}" if hint else reason)

    def _note_unsolicited(self) -> None:
        self._unsolicited_at = anyio.current_time()

    def emit_explanation(self, explanation: tuple[str, ...]) -> None:
        """Report why the last message was classified as it was."""
        self._observe(events.MatchExplained(self.manual, explanation))

    def send_nowait(self, messages: Sequence[str | bytes], purpose: str = "", *, automatic: bool = False) -> bool:
        """Send messages without waiting for the peer; return False where the connection is ending, and none was sent.

        `purpose` is the field of the manifest that causes them, for events; `automatic`: they answer a message.
        """
        if not self._websocket.is_open:
            return False
        self.transmit(messages, purpose, automatic=automatic)
        return True

    def transmit(self, messages: Sequence[str | bytes], purpose: str = "", *, automatic: bool = False) -> None:
        """Send messages over the connection, which is open; the arguments are those of `send_nowait`."""
        # Calls that run at the same time were often made, and send, at the same time.
        more = self.dispatcher.serves_several
        for message in messages:
            if self._reports_messages:
                shown = self._framer.for_display(message) if self.trace_rules else message
                self._observe(events.MessageSent(self.manual, shown, purpose))
            self._websocket.send_nowait(message, automatic=automatic, more=more)

    async def send(self, messages: Sequence[str | bytes], purpose: str = "") -> bool:
        """Send messages, and wait as long as the peer does not keep up; return False where none was sent."""
        sent = self.send_nowait(messages, purpose)
        await self.drain()
        return sent

    async def drain(self) -> None:
        """Wait as long as the peer does not keep up."""
        await self._websocket.drain()

    def send_or_abort(self, value: Any, purpose: str = "auto_reply") -> None:
        """Send a value without waiting; a peer that leaves too many such messages unread loses the connection."""
        try:
            messages = self.encode(value)
        except ValueError as error:
            self.on_send_failed(purpose, str(error))
            return
        self.send_nowait(messages, purpose, automatic=True)

    def on_send_failed(self, purpose: str, reason: str) -> None:
        """Report a message that was due and could not be rendered or encoded."""
        self._observe(events.MessageSendFailed(self.manual, purpose, reason))

    def _flush_outbox(self) -> None:
        """Send what a message makes due, after it was reported: observers see them in this order."""
        for purpose, value in self.dispatcher.outbox:
            self.send_or_abort(value, purpose)
        self.dispatcher.outbox.clear()

    def _is_behind(self) -> bool:
        return self._websocket.has_rest

    def _template_values(self) -> dict[str, Any]:
        return {"request_id": self.dispatcher.ids.next_id(), **self.dispatcher.ids.functions}

    async def aclose(self, code: int = 1000, reason: str = "", local_reason: str = "") -> None:
        """Send the disconnect messages and close, within CLOSE_TIMEOUT seconds.

        `code` and `reason` are for the peer (RFC 6455 §7.4), `local_reason` is for observers.
        """
        self._local_close_reason = local_reason
        self._send_disconnect_messages()
        # Shielded, because it is short: a connection that is left half-closed would outlive the pool.
        with anyio.CancelScope(shield=True):
            await self._websocket.close(code, reason)

    def abort(self) -> None:
        """End the connection without a closing handshake."""
        self._websocket.abort()

    def _send_disconnect_messages(self) -> None:
        """Send the messages of `on_disconnect`, once: a connection may be closed by the pool and by the shutdown."""
        if self._disconnect_messages_sent:
            return
        self._disconnect_messages_sent = True
        for purpose, message in self.state.disconnect_messages(self._template_values, self._explain_left_out):
            self.send_or_abort(message, purpose)

    def _explain_left_out(self, field: str, when: Expression, scope: Scope) -> None:
        if self.trace_rules:
            from ..core.exchange.trace import explain_left_out  # only for --trace

            self.emit_explanation(explain_left_out(field, when, scope))
