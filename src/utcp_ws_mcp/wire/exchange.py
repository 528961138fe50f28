"""The state of all exchanges on one connection.

Nothing here waits. The shell opens an exchange just before it sends the request, feeds every incoming message to
`receive`, and is told through an exchange's `wake` that something has arrived. An exchange is settled exactly once;
what comes for it afterwards is dropped and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from .codec import Message
from .expression import Path
from .reply import Limits, Role, Rules, Sharing
from .scope import Scope
from .template import Unfilled

End = Literal["until", "max_items", "max_seconds", "idle_seconds", "max_bytes", "closed"]
"""What ended a stream."""

IdKind = Literal["uuid", "counter", "string_counter"]
CUT_SHORT: Final = ("max_items", "max_bytes")
"""Ends of a stream after which more of it may come."""

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


class Exchanges:
    """All exchanges on one connection. `dropped` counts messages, `opened` and `abandoned` count exchanges.

    `trusted` turns false when the next message can no longer be told from a reply to the wrong request; the
    connection must then be thrown away. `outbox` holds what is to be sent at once. `unsent` is told of a message that
    was due and could not be made: what it was, and why.
    """

    def __init__(self, id_kind: IdKind, make_uuid: Callable[[], str]) -> None:
        self.trusted = True
        self.dropped = 0
        self.abandoned = 0
        self.opened = 0
        self.outbox: list[Any] = []
        self._id_kind: IdKind = id_kind
        self._make_uuid = make_uuid
        self._sent = 0
        self._counted = 0
        self._by_id: dict[Path, dict[Any, Exchange]] = {}
        self._others: list[Exchange] = []
        self._answering: list[Exchange] = []
        self._opening: list[Exchange] = []
        self.last_owned: Exchange | None = None
        self.unsent: Callable[[str, str], None] = lambda what, why: None

    def __repr__(self) -> str:
        return f"<Exchanges pending={len(self)} dropped={self.dropped} trusted={self.trusted}>"

    def __len__(self) -> int:
        return len(self._others) + sum(map(len, self._by_id.values()))

    def open(self, rules: Rules, scope: Scope) -> Exchange:
        """Open an exchange for a request that is sent next; its correlation id is assigned here.

        Raises:
            Unfilled: where a bound of its stream cannot be computed.
        """
        self.opened += 1
        request_id = self.next_id()
        names = {"request_id": request_id, "next_id": self.next_id, "counter": self.count}
        scope = scope.extended(**names)
        limits = rules.stream.limits(scope) if rules.stream is not None else None
        exchange = Exchange(rules, scope, request_id, limits=limits)
        if rules.id_path is not None:
            self._by_id.setdefault(rules.id_path, {})[request_id] = exchange
        else:
            self._others.append(exchange)
        if rules.auto_replies:
            self._answering.append(exchange)
        if rules.replies_first:
            self._opening.append(exchange)
        if rules.sharing is Sharing.OWNED:
            self.last_owned = exchange
        return exchange

    def receive(self, message: Message) -> Role:
        """Give a message to the exchange that it belongs to, and say what it was taken for."""
        if self._answer(message):
            return Role.ANSWERED
        found = self._find(message)
        if not found:
            return self._unsolicited(message)
        roles = [self._deliver(exchange, message) for exchange in found]
        return roles[0]

    def abandon(self, exchange: Exchange) -> None:
        """The caller no longer waits: what still comes for this exchange is dropped."""
        if exchange.finished:
            return
        exchange.finished = True
        self.abandoned += 1
        self._forget(exchange)
        if exchange.rules.sharing is Sharing.OWNED:
            self.trusted = False

    def withdraw(self, exchange: Exchange) -> None:
        """Its request was not sent, or nothing answers it."""
        exchange.finished = True
        self._forget(exchange)

    def lose(self, close: Close) -> None:
        """The connection ended: settle every exchange."""
        self.trusted = False
        for exchange in list(self.pending()):
            self._forget(exchange)
            exchange.lose(close)

    def next_id(self) -> int | str:
        """The next correlation id."""
        if self._id_kind == "uuid":
            return self._make_uuid()
        self._sent += 1
        return self._sent if self._id_kind == "counter" else str(self._sent)

    def count(self) -> int:
        """1, 2, 3 …"""
        self._counted += 1
        return self._counted

    def _deliver(self, exchange: Exchange, message: Message) -> Role:
        role = exchange.take_in(message)
        if exchange.finished:
            self._forget(exchange)
            if exchange.end in CUT_SHORT:
                self.abandoned += 1
                self.trusted = self.trusted and exchange.rules.sharing is Sharing.SHARED
        elif exchange.replied and exchange in self._opening:
            self._opening.remove(exchange)
            if exchange.rules.id_path is not None:
                del self._by_id[exchange.rules.id_path][exchange.request_id]
                self._others.append(exchange)
        return role

    def _answer(self, message: Message) -> bool:
        """Answer a message that an open exchange has an answer for; whether that was all."""
        for exchange in self._answering:
            for rule in exchange.rules.auto_replies:
                scope = exchange.seeing(message)
                if rule.match.holds(scope):
                    try:
                        self.outbox.append(rule.answer.render(scope))
                    except Unfilled as unfilled:
                        self.unsent("auto_reply", str(unfilled))
                    return not rule.keep
        return False

    def _find(self, message: Message) -> list[Exchange]:
        """The exchange that a message belongs to; a message of several streams belongs to each."""
        for path, pending in self._by_id.items():
            found = pending.get(_id_at(message.value, path))
            if found and (found.rules.by_id_alone or found.claims(message)):
                return [found]
        claimed = [exchange for exchange in self._others if exchange.claims(message)]
        streams = [exchange for exchange in claimed if exchange.rules.stream and exchange.rules.stream.match]
        return streams or claimed[:1]

    def _unsolicited(self, message: Message) -> Role:
        for exchange in self._opening:
            exchange.early.append(message)
        last = self.last_owned
        if last is not None and last.rules.ignores(last.seeing(message)):
            return Role.IGNORED
        self.dropped += 1
        if last is not None and last.rules.match is None and not last.rules.unasked:
            self.trusted = False
        return Role.DROPPED

    def pending(self) -> Iterator[Exchange]:
        """The exchanges that are not finished."""
        yield from self._others
        for pending in self._by_id.values():
            yield from pending.values()

    def _forget(self, exchange: Exchange) -> None:
        path = exchange.rules.id_path
        if path is not None:
            self._by_id.get(path, {}).pop(exchange.request_id, None)
        for listed in (self._others, self._answering, self._opening):
            if exchange in listed:
                listed.remove(exchange)


def _id_at(value: Any, path: Path) -> int | str | None:
    """The correlation id in a message; a boolean is none, although Python takes true for 1."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
