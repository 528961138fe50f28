"""One request and what answers it: which messages match, how each is classified, and where the exchange ends.

Nothing here waits: the exchange calls `wake` when something has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final

from ...records import MutableRecord, Record, field
from ..codecs.message import Message
from ..expressions.expression import Expression
from ..expressions.paths import UNDEFINED, Path, value_at
from ..expressions.scope import Scope
from .reply_rules import ReplyRules, Role
from .stream_rules import StreamEnd, StreamLimits, StreamRules

MAX_EARLY_MESSAGES: Final = 64
"""Messages that are buffered for a stream until the reply that opens it has come."""

MAX_EARLY_BYTES: Final = 16 << 20
"""Bytes of these messages."""

NORMAL_CLOSE_CODES: Final = (1000, 1001)
"""Close codes with which a server ends a stream properly (RFC 6455 §7.4.1)."""


class CloseInfo(Record):
    """How a connection ended: the close code (1006 if there was none), and the reason for people."""

    code: int
    reason: str


def correlation_id_at(message: Message, path: Path) -> int | str | None:
    """Return the correlation id at a path of a message, or None where there is none.

    JSON has one kind of number, so 1.0 is 1. A boolean is no id, although Python takes True for 1: a reply with
    `"id": true` would reach the exchange 1.
    """
    found = value_at(message.value, path)
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


class EarlyMessages(MutableRecord, eq=False):
    """What came before the reply that opens a stream: the newest messages, within a number and bytes.

    `dropped` counts those that the bounds removed; one message is always kept.
    """

    max_count: int = MAX_EARLY_MESSAGES
    max_bytes: int = MAX_EARLY_BYTES
    dropped: int = 0
    _messages: deque[Message] = field(default_factory=deque)
    _bytes: int = 0

    def add(self, message: Message) -> None:
        """Add a message, and remove what the bounds no longer allow."""
        self._messages.append(message)
        self._bytes += message.size
        while len(self._messages) > self.max_count or (self._bytes > self.max_bytes and len(self._messages) > 1):
            self._bytes -= self._messages.popleft().size
            self.dropped += 1

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def take(self) -> Iterator[Message]:
        """Remove the messages, oldest first, and yield them."""
        while self._messages:
            yield self._messages.popleft()


class Exchange(MutableRecord, eq=False):
    """One request and everything that answers it.

    `received` holds what has arrived and was not taken: one reply or error reply, or the items of a stream. Once
    `finished`, nothing is added to it, and a reply, `error`, `end` or `close_info` says how the exchange finished.

    Args:
        rules: The rules of the tool.
        scope: The names for its expressions.
        request_id: The correlation id of the request.
        limits: The bounds of the stream; None without a stream.
        opened_after: How many messages had come over the connection when the exchange was opened.

    Attributes:
        error: The error reply, or the message on which a predicate could not be evaluated.
        failed_rule: Why that predicate could not be evaluated, with its field.
        is_cut: Whether it failed although more may come for it: the rest of its stream, or its reply.
        error_is_shared: Whether the error may mean another exchange, too: it names none of them.
        is_unproven: Whether a message came that the endpoint has also sent without a request.
        is_flooded: Whether too many messages came while its HTTP requests were under way.
        sent: Whether an automatic reply of the exchange was sent.
        skipped: The last message that was ignored or only an acknowledgement, with its role.
        passed_over: Whether a message came for which `match` was true, and that answered an earlier call.
        mistyped_id: The id of a message that would be its reply, were the id of the right JSON type.
        end: What ended the stream.
        close_info: How the connection ended, if that settled the exchange.
        failure: Why the session cannot answer any more, if that settled the exchange.
        item_count, byte_count: The items of the stream so far, and their bytes.
        replied: Whether the reply that opens the stream has come.
        early_messages: What came before that reply and may belong to the stream; None before the first.
        request: The first message of the request, as it was rendered.
        until_seen: Indexes of the predicates of `stream.until` that were true.
        wake: Called when something has arrived, or the exchange has finished.
    """

    not_in_repr: ClassVar = ("wake",)
    rules: ReplyRules
    scope: Scope
    request_id: int | str
    received: deque[Message] = field(default_factory=deque)
    finished: bool = False
    error: Message | None = None
    failed_rule: str = ""
    is_cut: bool = False
    error_is_shared: bool = False
    sent: bool = False
    is_unproven: bool = False
    is_flooded: bool = False
    skipped: tuple[Message, Role] | None = None
    passed_over: bool = False
    mistyped_id: int | str | None = None
    end: StreamEnd | None = None
    close_info: CloseInfo | None = None
    failure: str = ""
    item_count: int = 0
    byte_count: int = 0
    replied: bool = False
    limits: StreamLimits | None = None
    opened_after: int = 0
    early_messages: EarlyMessages | None = None
    request: Any = UNDEFINED
    until_seen: frozenset[int] = frozenset()
    wake: Callable[[], None] = lambda: None

    @property
    def awaits_subscription(self) -> bool:
        """Return whether a reply must come before the stream that it opens."""
        return self.rules.has_subscribe_reply and not self.replied

    @property
    def in_stream(self) -> bool:
        """Return whether messages are now items of the stream, not the reply."""
        return self.rules.stream is not None and not self.awaits_subscription

    @property
    def watches(self) -> bool:
        """Return whether `stream.match` selects its messages, so that others may get them as well."""
        stream = self.rules.stream
        return stream is not None and stream.match is not None and self.in_stream

    @property
    def is_complete(self) -> bool:
        """Return whether the stream ended by itself: no bound of it ended it, after which more may have come."""
        stream = self.rules.stream
        if self.end == "closed":
            return stream is not None and (stream.bounds.until_close or not stream.until)
        return self.end == "until"

    def scope_for(self, message: Message, *, own_failures: bool = False) -> Scope:
        """Return the names for predicates and expressions on `message`, as they were when it arrived.

        With `own_failures`, what cannot be evaluated is noted in this scope only.
        """
        scope = self.scope.with_values(message=message.value)
        if message.session is not None:
            scope["session"] = message.session
        if own_failures:
            scope.failures = {}
        return scope

    def carries_id(self, message: Message) -> bool:
        """Return whether a message has the correlation id where `match` compares one; true if it compares none."""
        path = self.rules.correlation_path
        return path is None or correlation_id_at(message, path) == self.request_id

    @property
    def current_match(self) -> Expression | None:
        """Return the predicate that selects its messages now: that of its stream, or that of its reply."""
        stream = self.rules.stream
        return stream.match if stream is not None and self.watches else self.rules.match

    def matches(self, message: Message) -> bool:
        """Return whether a message belongs to this exchange."""
        # MiniJinja takes true for 1, so the id is compared first.
        return (self.watches or self.carries_id(message)) and self.match_holds(message)

    def match_holds(self, message: Message) -> bool:
        """Return whether the predicate that selects its messages is true, or there is none."""
        match = self.current_match
        return match is None or match.is_true(self.scope_for(message))

    def holds_beside_id(self, message: Message) -> bool:
        """Return whether `match` is true for a message that carries the correlation id."""
        beside = self.rules.match_beside_id
        if beside is None:
            return True
        # Most of it concerns nothing but the message, and needs no scope.
        if beside.names == ("message",) and beside.is_true({"message": message.value}):
            return True
        return self.match_holds(message)

    def is_error_for_any_id(self, message: Message, other_id: str | None) -> bool:
        """Return whether a message is an error reply that `match` would accept for a request with another id, too."""
        match, scope = self.rules.match, self.scope_for(message)
        return (
            match is not None
            and "request_id" in match.names
            and self.rules.is_error(scope)
            and match.is_true(scope.with_values(request_id=other_id))
        )

    def accept(self, message: Message) -> Role:
        """Classify a message that matches, and save what the caller needs of it."""
        scope = self.scope_for(message, own_failures=True)
        ignored = self.rules.ignore and self.rules.is_ignored(scope)
        role = Role.IGNORED if ignored else self._accept(message, scope)
        if scope.failures and role not in (Role.ERROR, Role.IGNORED):
            role = self._fail(message, scope.failures)
        if role is Role.IGNORED or role is Role.ACK:
            self.skipped = (message, role)
        else:
            self.wake()
        return role

    def _fail(self, message: Message, failures: Mapping[str, str]) -> Role:
        """Finish with an error: the message cannot be classified, because a predicate cannot be evaluated on it."""
        source, reason = next(iter(failures.items()))
        self.failed_rule = f"{self.rules.field_of(source)}: {reason}"
        self.error, self.end, self.is_cut = message, None, True
        self.received.append(message)
        self.finished = True
        return Role.ERROR

    def _accept(self, message: Message, scope: Scope) -> Role:
        rules = self.rules
        if rules.is_error(scope):
            self.error = message
            # An error that is the first message refuses the request; a later one need not be the last one.
            self.is_cut = self.item_count > 0 and not self._ends_stream(scope)
            self._settle(message)
            return Role.ERROR
        if rules.stream is not None and self.in_stream:
            return self._accept_item(message, scope)
        if rules.ack is not None and rules.is_ack(scope):
            return Role.ACK
        if rules.stream is not None:
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

    def fail_unproven(self) -> None:
        """Finish: the message that came may be an unsolicited one."""
        self.finished = self.is_unproven = True
        self.wake()

    def fail_flooded(self) -> None:
        """Finish: more messages came than are kept for it."""
        self.finished = self.is_flooded = True
        self.wake()

    def note_early_message(self, message: Message) -> bool:
        """Keep a message that came before the reply which opens the stream; False where only later ones are items."""
        if self.rules.stream is None or self.rules.stream.bounds.after_reply:
            return False
        self.early_messages = self.early_messages or EarlyMessages()
        self.early_messages.add(message)
        return True

    def _open_stream(self, reply: Message) -> None:
        """Begin the stream: expressions see its reply as `reply`, and what came before may belong to it, too."""
        self.replied = True
        self.rules = self.rules.opened or self.rules
        self.scope = self.scope.with_values(reply=reply.value)
        for message in self.early_messages.take() if self.early_messages else ():
            if not self.finished and self.matches(message):
                self.accept(message)

    def _accept_item(self, message: Message, scope: Scope) -> Role:
        """Classify a message of the stream: it ends the stream, is an acknowledgement, or is an item."""
        stream = self.rules.stream
        assert stream is not None
        ends = self._note_ends(stream, scope)
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

    def _note_ends(self, stream: StreamRules, scope: Scope) -> bool:
        """Note which predicates of `until` are true for a message; return whether one is."""
        found = False
        for index, predicate in enumerate(stream.until):
            if predicate.is_true(scope):
                self.until_seen |= {index}
                found = True
        return found

    def _ends_stream(self, scope: Scope) -> bool:
        """Return whether a message ends the stream, too, that it fails."""
        stream = self.rules.stream
        return stream is not None and self._note_ends(stream, scope) and len(self.until_seen) == len(stream.until)

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
