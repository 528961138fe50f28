"""One request and what answers it: which messages match, how each is classified, and where the exchange ends.

Nothing here waits: the exchange calls `wake` when something has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ..codecs.message import Message
from ..expressions.paths import UNDEFINED
from ..expressions.scope import Scope
from .reply_rules import ReplyRules, Role, StreamLimits, StreamRules

StreamEnd = Literal["until", "max_items", "max_seconds", "idle_seconds", "max_bytes", "closed"]
"""What ended a stream."""

MAX_EARLY_MESSAGES: Final = 64
"""Messages that are buffered for a stream until the reply that opens it has come."""

NORMAL_CLOSE_CODES: Final = (1000, 1001)
"""Close codes with which a server ends a stream properly (RFC 6455 §7.4.1)."""


@dataclass(frozen=True, slots=True)
class CloseInfo:
    """How a connection ended: the close code (1006 if there was none), and the reason for people."""

    code: int
    reason: str


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and everything that answers it.

    `received` holds what has arrived and was not taken: one reply or error reply, or the items of a stream. Once
    `finished`, nothing is added to it, and a reply, `error`, `end` or `close_info` says how the exchange finished.

    Args:
        rules: The rules of the tool.
        scope: The names for its expressions.
        request_id: The correlation id of the request.
        limits: The bounds of the stream; None without a stream.

    Attributes:
        error: The error reply.
        end: What ended the stream.
        close_info: How the connection ended, if that settled the exchange.
        failure: Why the session cannot answer any more, if that settled the exchange.
        item_count, byte_count: The items of the stream so far, and their bytes.
        replied: Whether the reply that opens the stream has come.
        early_messages: What came before that reply and may belong to the stream.
        request: The first message of the request, as it was rendered.
        until_seen: Indexes of the predicates of `stream.until` that were true.
        wake: Called when something has arrived, or the exchange has finished.
    """

    rules: ReplyRules
    scope: Scope
    request_id: int | str
    received: deque[Message] = field(default_factory=deque)
    finished: bool = False
    error: Message | None = None
    end: StreamEnd | None = None
    close_info: CloseInfo | None = None
    failure: str = ""
    item_count: int = 0
    byte_count: int = 0
    replied: bool = False
    limits: StreamLimits | None = None
    early_messages: deque[Message] = field(default_factory=lambda: deque(maxlen=MAX_EARLY_MESSAGES))
    request: Any = UNDEFINED
    until_seen: set[int] = field(default_factory=set)
    wake: Callable[[], None] = field(default=lambda: None, repr=False)

    @property
    def awaits_subscription(self) -> bool:
        """Return whether a reply must come before the stream that it opens."""
        return self.rules.has_subscribe_reply and not self.replied

    @property
    def in_stream(self) -> bool:
        """Return whether messages are now items of the stream, not the reply."""
        return self.rules.stream is not None and not self.awaits_subscription

    def scope_for(self, message: Message) -> Scope:
        """Return the names for predicates and expressions on `message`."""
        return self.scope.with_values(message=message.value)

    def matches(self, message: Message) -> bool:
        """Return whether a message belongs to this exchange."""
        stream = self.rules.stream
        if stream is not None and stream.match is not None and self.in_stream:
            return stream.match.is_true(self.scope_for(message))
        match = self.rules.match
        return match is None or match.is_true(self.scope_for(message))

    def accept(self, message: Message) -> Role:
        """Classify a message that matches, and save what the caller needs of it."""
        scope = self.scope_for(message)
        if self.rules.is_ignored(scope):
            return Role.IGNORED
        role = self._accept(message, scope)
        if role is not Role.ACK:
            self.wake()
        return role

    def _accept(self, message: Message, scope: Scope) -> Role:
        if self.rules.is_error(scope):
            self.error = message
            self._settle(message)
            return Role.ERROR
        if self.in_stream:
            return self._accept_item(message, scope)
        if self.rules.is_ack(scope):
            return Role.ACK
        if self.rules.stream is not None:
            self._open_stream(message)
        else:
            self._settle(message)
        return Role.REPLY

    def _settle(self, message: Message) -> None:
        self.finished = True
        self.received.append(message)

    def connection_lost(self, close: CloseInfo) -> None:
        """Finish: the connection has ended, which is the proper end of some streams, and loses everything else."""
        if self.finished:
            return
        self.finished = True
        stream = self.rules.stream
        # A stream without items is lost whatever the close code: the request may not have been read at all.
        if stream and (stream.bounds.until_close or (self.item_count and close.code in NORMAL_CLOSE_CODES)):
            self.end = "closed"
        else:
            self.close_info = close
        self.wake()

    def fail(self, reason: str) -> None:
        """Finish: a message says that the session will answer nothing any more."""
        self.finished, self.failure = True, reason
        self.wake()

    def note_early_message(self, message: Message) -> None:
        """Keep a message that came before the reply which opens the stream, unless only later ones are items."""
        if self.rules.stream is not None and not self.rules.stream.bounds.after_reply:
            self.early_messages.append(message)

    def _open_stream(self, reply: Message) -> None:
        """Begin the stream: expressions see its reply as `reply`, and what came before may belong to it, too."""
        self.replied = True
        self.scope = self.scope.with_values(reply=reply.value)
        for message in list(self.early_messages):
            if not self.finished and self.matches(message):
                self.accept(message)
        self.early_messages.clear()

    def _accept_item(self, message: Message, scope: Scope) -> Role:
        """Classify a message of the stream: it ends the stream, is an acknowledgement, or is an item."""
        stream = self.rules.stream
        assert stream is not None
        ends = {index for index, predicate in enumerate(stream.until) if predicate.is_true(scope)}
        self.until_seen |= ends
        if ends and len(self.until_seen) == len(stream.until):
            if stream.bounds.include_last:
                self._add_item(message)
            self.finished, self.end = True, "until"
            return Role.END
        if ends and not stream.bounds.include_last:
            return Role.ACK  # one of several ends
        if not ends and self.rules.is_ack(scope):
            return Role.ACK
        self._add_item(message)
        self._check_limits(stream)
        return Role.ITEM

    def _add_item(self, message: Message) -> None:
        self.received.append(message)
        self.item_count += 1
        self.byte_count += message.size

    def _check_limits(self, stream: StreamRules) -> None:
        """Finish a stream that has reached `max_items` or `max_bytes`."""
        if self.limits is not None and self.item_count >= self.limits.max_items:
            self.finished, self.end = True, "max_items"
        elif self.byte_count >= stream.bounds.max_bytes:
            self.finished, self.end = True, "max_bytes"
