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
from .reply_rules import Limits, Role, Rules

End = Literal["until", "max_items", "max_seconds", "idle_seconds", "max_bytes", "closed"]
"""What ended a stream."""

EARLY: Final = 64
"""Messages that are kept for a stream until the reply that opens it has come."""

CLEAN_CLOSE: Final = (1000, 1001)
"""Close codes with which a server ends a stream properly (RFC 6455 §7.4.1)."""


@dataclass(frozen=True, slots=True)
class Close:
    """How a connection ended: its code (1006 if there was none) and what to say of it."""

    code: int
    text: str


@dataclass(slots=True, eq=False)
class Exchange:
    """One request and all that answers it.

    `inbox` holds what has arrived and not been taken: one reply or fault, or a stream's items.
    Once `finished`, nothing is added to it, and either `fault`, `end`, `lost` or a reply says how it finished.
    """

    rules: Rules
    scope: Scope
    request_id: int | str
    inbox: deque[Message] = field(default_factory=deque)
    finished: bool = False
    fault: Message | None = None
    end: End | None = None
    lost: Close | None = None
    items: int = 0
    bytes: int = 0
    replied: bool = False
    limits: Limits | None = None
    early: deque[Message] = field(default_factory=lambda: deque(maxlen=EARLY))
    ends_seen: set[int] = field(default_factory=set)
    wake: Callable[[], None] = field(default=lambda: None, repr=False)

    @property
    def in_stream(self) -> bool:
        """Whether messages are items by now, not the reply."""
        return self.rules.stream is not None and (self.replied or not self.rules.replies_first)

    def seeing(self, message: Message) -> Scope:
        """The names for predicates and expressions on `message`."""
        return self.scope.extended(message=message.value)

    def claims(self, message: Message) -> bool:
        """Whether a message belongs to this exchange."""
        stream = self.rules.stream
        if stream is not None and stream.match is not None and self.in_stream:
            return stream.match.holds(self.seeing(message))
        match = self.rules.match
        return match is None or match.holds(self.seeing(message))

    def take_in(self, message: Message) -> Role:
        """Classify a message that belongs to this exchange, and keep what must be kept."""
        scope = self.seeing(message)
        if self.rules.ignores(scope):
            return Role.IGNORED
        role = self._classify(message, scope)
        if role is Role.FAULT:
            self.finished, self.fault = True, message
            self.inbox.append(message)
        elif role is Role.REPLY and self.rules.stream is None:
            self.finished = True
            self.inbox.append(message)
        elif role is Role.REPLY:
            self._open_stream(message)
        if role is not Role.ACKNOWLEDGEMENT:
            self.wake()
        return role

    def _classify(self, message: Message, scope: Scope) -> Role:
        if self.rules.faults(scope):
            return Role.FAULT
        if self.in_stream:
            return self._take_item(message, scope)
        return Role.ACKNOWLEDGEMENT if self.rules.skips(scope) else Role.REPLY

    def lose(self, close: Close) -> None:
        """The connection ended: a stream that it ended properly has its end, everything else is lost.

        A stream of which nothing has come may as well be a request that was never read.
        """
        if self.finished:
            return
        self.finished = True
        stream = self.rules.stream
        if stream and (stream.bounds.until_close or (self.items and close.code in CLEAN_CLOSE)):
            self.end = "closed"
        else:
            self.lost = close
        self.wake()

    def _open_stream(self, reply: Message) -> None:
        """The reply that opens a stream is known as `reply`; what came before it may belong to the stream too."""
        self.replied = True
        self.scope = self.scope.extended(reply=reply.value)
        for message in list(self.early):
            if not self.finished and self.claims(message):
                self.take_in(message)
        self.early.clear()

    def _take_item(self, message: Message, scope: Scope) -> Role:
        stream = self.rules.stream
        assert stream is not None
        held = {index for index, predicate in enumerate(stream.until) if predicate.holds(scope)}
        self.ends_seen |= held
        ended = bool(held) and len(self.ends_seen) == len(stream.until)
        if not ended and ((held and not stream.bounds.include_last) or (not held and self.rules.skips(scope))):
            return Role.ACKNOWLEDGEMENT
        if not ended or stream.bounds.include_last:
            self.inbox.append(message)
            self.items += 1
            self.bytes += message.size
        if ended:
            self.finished, self.end = True, "until"
        elif self.limits is not None and self.items >= self.limits.items:
            self.finished, self.end = True, "max_items"
        elif self.bytes >= stream.bounds.max_bytes:
            self.finished, self.end = True, "max_bytes"
        return Role.END if ended else Role.ITEM
