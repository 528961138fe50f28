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
from ..core.codecs.message import Message, clean, encode_json
from ..core.exchange.connection_state import Session
from ..core.exchange.dispatcher import Exchanges
from ..core.exchange.exchange import Close
from ..core.exchange.reply_rules import Role
from ..observability import events
from ..observability.events import Observer
from .close_info import CLOSED_BY_US, describe_close, without_repeats
from .heartbeat import Upkeep
from .websocket import CLOSE_TIMEOUT, GuardedConnection

__all__ = ["Connection", "ConnectionClosed"]

logger = logging.getLogger(__name__)
TRY_AGAIN_LATER: Final = 1013
PROVEN: Final = 5.0
"""Seconds after which a connection has proved itself, even if nothing came over it."""

QUIET: Final = 0.05
"""Seconds of silence that separate two exchanges on an owned connection to a peer that must not be pinged."""

SETTLE_TIMEOUT: Final = 0.5
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
        self.exchanges: Exchanges
        self.session: Session
        self.upkeep = Upkeep(self)
        self._framer = framer
        self._ahead: deque[Message] = deque()
        self.received = 0
        self._since = anyio.current_time()
        self.close: Close | None = None
        self._why = ""
        self.on_retired: Callable[[], None] = lambda: None
        self.explains = False
        self._websocket = websocket
        self._observe = observe

    def __repr__(self) -> str:
        return f"<Connection {self.address} {self._websocket.state.name} {self.exchanges!r}>"

    @property
    def is_usable(self) -> bool:
        """Whether a new exchange may start here."""
        return self.exchanges.trusted and self._websocket.is_open

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._websocket.is_open

    @property
    def has_room(self) -> bool:
        """Whether the peer keeps up with what is sent."""
        return not self._websocket.paused

    @property
    def is_failure(self) -> bool:
        """Whether the peer ended the connection before it proved itself, or wants to be left alone for a while."""
        if self.close is None or self.close.text == CLOSED_BY_US:
            return False
        early = anyio.current_time() - self._since < PROVEN
        return self.close.code == TRY_AGAIN_LATER or (early and not self.received)

    @property
    def ending(self) -> Close:
        """How the connection ended, or is ending; where the server closed it, with its last words."""
        close, said = self.close or describe_close(self._websocket, unanswered=self.upkeep.unanswered), self.last_words
        if not said or self._websocket.protocol.close_rcvd is None or close.text == CLOSED_BY_US:
            return close
        return replace(close, text=f"{close.text}; before that it said {said}")

    @property
    def last_words(self) -> str:
        """The last message, if no call waited for it; nothing where it repeats what may be a credential."""
        said = self.exchanges.unclaimed
        known = (*self.session.conduct.variables.values(), *self.session.values.values())
        return "" if said is None else without_repeats(said, known)

    @property
    def is_oversized(self) -> bool:
        """Whether the connection ended because the peer's message was too big."""
        protocol = self._websocket.protocol
        sent = protocol.close_sent
        return sent is not None and sent.code == 1009 and not protocol.close_rcvd_then_sent

    async def run(self) -> None:
        """Read until the connection ends; then every exchange on it is settled."""
        try:
            while self._ahead:
                message = self._ahead.popleft()
                self._heed(message)
                self.exchanges.receive(message)
            await self._websocket.deliver(self._take)
        except ConnectionClosed:
            pass
        finally:
            self.close = describe_close(self._websocket, unanswered=self.upkeep.unanswered)
            self.exchanges.lose(self.ending)
            by_peer = self.close.text != CLOSED_BY_US
            text = self.close.text if by_peer or not self._why else f"{self.close.text}: {self._why}"
            self._observe(events.Closed(self.manual, self.address, text, by_peer))

    def encode(self, value: Any) -> list[str | bytes]:
        """The WebSocket messages for a value.

        Raises:
            ValueError: if the value cannot be encoded.
        """
        return self._framer.encode(value)

    def write(self, messages: Sequence[str | bytes], what: str = "") -> bool:
        """Send messages without waiting for the peer; False where the connection is ending, and none was sent."""
        if not self._websocket.is_open:
            return False
        for message in messages:
            shown = self._framer.shown(message) if self.explains else message
            self._observe(events.Sent(self.manual, shown, what))
            self._websocket.write(message)
        return True

    async def send(self, messages: Sequence[str | bytes], what: str = "") -> bool:
        """Send messages, and wait as long as the peer does not keep up; False where none was sent."""
        sent = self.write(messages, what)
        await self.drain()
        return sent

    async def drain(self) -> None:
        """Wait as long as the peer does not keep up."""
        if self._websocket.paused:
            await self._websocket.drain()

    def post(self, value: Any, what: str = "auto_reply") -> None:
        """Send a value without waiting; a peer that does not read loses the connection."""
        try:
            messages = self.encode(value)
        except ValueError as wrong:
            self.unsent(what, str(wrong))
            return
        before = self._websocket.unsent
        self.write(messages, what)
        self._websocket.drop_deaf_peer(before)

    def unsent(self, what: str, why: str) -> None:
        """A message was due, and could not be made."""
        self._observe(events.Unsent(self.manual, what, why))

    def explain(self, reasons: tuple[str, ...]) -> None:
        """Tell why the message that came last was taken for what it was."""
        self._observe(events.Explained(self.manual, reasons))

    async def receive(self) -> Message:
        """Read and react to the next message while nobody else reads: before `run`.

        Raises:
            ConnectionClosed: where the connection has ended.
        """
        while not self._ahead:
            raw = await self._websocket.recv()
            for message in self._framer.decode(raw):
                role = Role.ANSWERED if self.session.react(message, self.exchanges.outbox.append) else Role.LOGIN
                self._ahead += [message] if role is Role.LOGIN else []
                self._observe(events.Received(self.manual, _shown(raw, message), role.value))
                self._answer()
        return self._ahead.popleft()

    async def settle(self) -> bool:
        """Wait until everything that the peer sent before now has arrived; whether the connection is still usable.

        A ping is answered in order (RFC 6455 §5.5.2), so what comes after its answer was sent after the ping. From a
        peer that answers no pings, only a new connection counts as settled, after SETTLE_TIMEOUT. Where the manifest
        switches pings off, a moment of silence has to do.
        """
        if self._websocket.ping_interval is None:
            await anyio.sleep(QUIET)
            return self.is_usable
        try:
            with anyio.move_on_after(SETTLE_TIMEOUT) as waiting:
                await (await self._websocket.ping())
        except ConnectionClosed:
            return False
        if waiting.cancelled_caught and self.exchanges.opened:
            return False
        await anyio.lowlevel.checkpoint()
        return self.is_usable

    async def aclose(self, code: int = 1000, reason: str = "", why: str = "") -> None:
        """Say goodbye and close, within CLOSE_TIMEOUT seconds; `why` is for observers, `reason` for the peer."""
        self._why = why
        self.upkeep.say_goodbye()
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True) as closing:
            await self._websocket.close(code, reason)
        if closing.cancelled_caught:  # the peer reads nothing
            self.abort()

    def abort(self) -> None:
        """Drop the connection without a closing handshake."""
        self._websocket.transport.abort()

    def _take(self, raw: str | bytes) -> None:
        self.received += 1
        try:
            for message in self._framer.decode(raw):
                reasons = self._reasons(message) if self.explains else ()
                role = self._receive(message)
                self._observe(events.Received(self.manual, _shown(raw, message), role.value))
                if reasons:
                    self.explain(reasons)
                self._answer()
        except Exception:  # a defect of ours: it must not take the other connections along
            logger.exception("a defect of utcp-ws-mcp while reading from %s", self.address)
            self.abort()

    def _reasons(self, message: Message) -> tuple[str, ...]:
        from ..core.exchange.trace import explain_message

        return explain_message(self.session, self.exchanges, message)

    def _receive(self, message: Message) -> Role:
        self._heed(message)
        if self.session.react(message, self.exchanges.outbox.append):
            return Role.ANSWERED
        if self.session.answers_heartbeat(message):
            self.upkeep.note_answer()
            return Role.HEARTBEAT
        return self.exchanges.receive(message)

    def _heed(self, message: Message) -> None:
        """Take no new calls after a message that says so."""
        if self.session.retires(message):
            self.exchanges.retire()
            self.on_retired()

    def _answer(self) -> None:
        """Send what is to be sent at once; observers hear of it after the message that it answers."""
        if self.exchanges.outbox:
            for answer in self.exchanges.outbox:
                self.post(answer)
            self.exchanges.outbox.clear()


def _shown(raw: str | bytes, message: Message) -> str | bytes:
    """A message for a trace; one that a codec made is shown as its value."""
    if not message.decoded:
        return message.raw
    try:
        return encode_json(clean(message.value))
    except ValueError:
        return raw
