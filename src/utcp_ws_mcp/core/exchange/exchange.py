"""One request and what answers it: which messages it claims, what each is taken for, and where it ends.

Nothing here waits: whoever does is told through `wake` that something has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from ..codecs.message import Message
from ..expressions.scope import Scope
from .reply_rules import ReplyRules, Role, StreamLimits

StreamEnd = Literal["until", "max_items", "max_seconds", "idle_seconds", "max_bytes", "closed"]
"""What ended a stream."""

MAX_EARLY_MESSAGES: Final = 64
"""Messages that are kept for a stream until the reply that opens it has come."""

NORMAL_CLOSE_CODES: Final = (1000, 1001)
"""Close codes with which a server ends a stream properly (RFC 6455 §7.4.1)."""


@dataclass(frozen=True, slots=True)
class CloseInfo:
    """How a connection ended: its code (1006 if there was none) and what to say of it."""

    code: int
    reason: str


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and all that answers it.

    `inbox` holds what has arrived and not been taken: one reply or fault, or a stream's items.
    Once `finished`, nothing is added to it, and either `fault`, `end`, `lost` or a reply says how it finished.
    """

    rules: ReplyRules
    scope: Scope
    request_id: int | str
    received: deque[Message] = field(default_factory=deque)
    finished: bool = False
    error: Message | None = None
    end: StreamEnd | None = None
    close_info: CloseInfo | None = None
    item_count: int = 0
    byte_count: int = 0
    replied: bool = False
    limits: StreamLimits | None = None
    early_messages: deque[Message] = field(default_factory=lambda: deque(maxlen=MAX_EARLY_MESSAGES))
    until_seen: set[int] = field(default_factory=set)
    wake: Callable[[], None] = field(default=lambda: None, repr=False)

    @property
    def in_stream(self) -> bool:
        """Whether messages are items by now, not the reply."""
        return self.rules.stream is not None and (self.replied or not self.rules.has_subscribe_reply)

    def scope_for(self, message: Message) -> Scope:
        """The names for predicates and expressions on `message`."""
        return self.scope.with_values(message=message.value)

    def matches(self, message: Message) -> bool:
        """Whether a message belongs to this exchange."""
        stream = self.rules.stream
        if stream is not None and stream.match is not None and self.in_stream:
            return stream.match.is_true(self.scope_for(message))
        match = self.rules.match
        return match is None or match.is_true(self.scope_for(message))

    def accept(self, message: Message) -> Role:
        """Classify a message that belongs to this exchange, and keep what must be kept."""
        scope = self.scope_for(message)
        if self.rules.is_ignored(scope):
            return Role.IGNORED
        role = self._classify(message, scope)
        if role is Role.ERROR:
            self.finished, self.error = True, message
            self.received.append(message)
        elif role is Role.REPLY and self.rules.stream is None:
            self.finished = True
            self.received.append(message)
        elif role is Role.REPLY:
            self._open_stream(message)
        if role is not Role.ACK:
            self.wake()
        return role

    def _classify(self, message: Message, scope: Scope) -> Role:
        if self.rules.is_error(scope):
            return Role.ERROR
        if self.in_stream:
            return self._accept_item(message, scope)
        return Role.ACK if self.rules.is_ack(scope) else Role.REPLY

    def connection_lost(self, close: CloseInfo) -> None:
        """The connection ended: a stream that it ended properly has its end, everything else is lost.

        A stream of which nothing has come may as well be a request that was never read.
        """
        if self.finished:
            return
        self.finished = True
        stream = self.rules.stream
        if stream and (stream.bounds.until_close or (self.item_count and close.code in NORMAL_CLOSE_CODES)):
            self.end = "closed"
        else:
            self.close_info = close
        self.wake()

    def _open_stream(self, reply: Message) -> None:
        """The reply that opens a stream is known as `reply`; what came before it may belong to the stream too."""
        self.replied = True
        self.scope = self.scope.with_values(reply=reply.value)
        for message in list(self.early_messages):
            if not self.finished and self.matches(message):
                self.accept(message)
        self.early_messages.clear()

    def _accept_item(self, message: Message, scope: Scope) -> Role:
        stream = self.rules.stream
        assert stream is not None
        held = {index for index, predicate in enumerate(stream.until) if predicate.is_true(scope)}
        self.until_seen |= held
        ended = bool(held) and len(self.until_seen) == len(stream.until)
        if not ended and ((held and not stream.bounds.include_last) or (not held and self.rules.is_ack(scope))):
            return Role.ACK
        if not ended or stream.bounds.include_last:
            self.received.append(message)
            self.item_count += 1
            self.byte_count += message.size
        if ended:
            self.finished, self.end = True, "until"
        elif self.limits is not None and self.item_count >= self.limits.max_items:
            self.finished, self.end = True, "max_items"
        elif self.byte_count >= stream.bounds.max_bytes:
            self.finished, self.end = True, "max_bytes"
        return Role.END if ended else Role.ITEM
