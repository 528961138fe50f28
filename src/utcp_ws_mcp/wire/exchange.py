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
from .reply import Role, Rules, Sharing
from .scope import Scope

End = Literal["until", "max_items", "max_seconds", "idle_seconds", "max_bytes", "closed"]
"""What ended a stream."""

IdKind = Literal["uuid", "counter", "string_counter"]
_FINAL: Final = frozenset({Role.REPLY, Role.END, Role.FAULT})
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
    fault: bool = False
    end: End | None = None
    lost: Close | None = None
    items: int = 0
    bytes: int = 0
    wake: Callable[[], None] = field(default=lambda: None, repr=False)

    def take_in(self, message: Message) -> Role:
        """Classify a message that belongs to this exchange, and keep what must be kept."""
        scope = self.seeing(message)
        if self.rules.ignores(scope):
            return Role.IGNORED
        role = self.rules.classify(scope)
        if role is Role.ACKNOWLEDGEMENT:
            return role
        if role in _FINAL:
            self.finished, self.fault = True, role is Role.FAULT
        if self.rules.stream and role is not Role.FAULT:
            self._take_item(message, role)
        else:
            self.inbox.append(message)
        self.wake()
        return role

    def seeing(self, message: Message) -> Scope:
        """The names for predicates and expressions on `message`."""
        return self.scope.extended(message=message.value)

    def lose(self, close: Close) -> None:
        """The connection ended: a stream that it ended properly has its end, everything else is lost."""
        if self.finished:
            return
        self.finished = True
        if self.rules.stream and close.code in CLEAN_CLOSE:
            self.end = "closed"
        else:
            self.lost = close
        self.wake()

    def _take_item(self, message: Message, role: Role) -> None:
        stream = self.rules.stream
        assert stream is not None
        if role is Role.END:
            self.end = "until"
        if role is Role.ITEM or stream.bounds.include_last:
            self.inbox.append(message)
            self.items += 1
            self.bytes += len(message.raw)
        if role is Role.ITEM and self.bytes >= stream.bounds.max_bytes:
            self.finished, self.end = True, "max_bytes"
        if role is Role.ITEM and self.items >= stream.bounds.max_items:
            self.finished, self.end = True, "max_items"


class Exchanges:
    """All exchanges on one connection. `dropped` counts messages, `abandoned` exchanges.

    `trusted` turns false when the next message can no longer be told from a reply to the wrong request; the
    connection must then be thrown away.
    """

    def __init__(self, id_kind: IdKind, make_uuid: Callable[[], str]) -> None:
        self.trusted = True
        self.dropped = 0
        self.abandoned = 0
        self._id_kind: IdKind = id_kind
        self._make_uuid = make_uuid
        self._sent = 0
        self._counted = 0
        self._by_id: dict[Path, dict[Any, Exchange]] = {}
        self._others: list[Exchange] = []
        self._last_owned: Exchange | None = None

    def __repr__(self) -> str:
        return f"<Exchanges pending={len(self)} dropped={self.dropped} trusted={self.trusted}>"

    def __len__(self) -> int:
        return len(self._others) + sum(map(len, self._by_id.values()))

    def open(self, rules: Rules, scope: Scope) -> Exchange:
        """Open an exchange for a request that is sent next; its correlation id is assigned here."""
        request_id = self._next_id()
        scope = scope.extended(request_id=request_id, counter=self._count)
        exchange = Exchange(rules, scope, request_id)
        if rules.id_path is not None:
            self._by_id.setdefault(rules.id_path, {})[request_id] = exchange
        else:
            self._others.append(exchange)
        if rules.sharing is Sharing.OWNED:
            self._last_owned = exchange
        return exchange

    def receive(self, message: Message) -> Role:
        """Give a message to the exchange that it belongs to, and say what it was taken for."""
        exchange = self._find(message)
        if exchange is None:
            return self._unsolicited(message)
        role = exchange.take_in(message)
        if exchange.finished:
            self._forget(exchange)
        if exchange.finished and role not in _FINAL and exchange.rules.sharing is Sharing.OWNED:
            self.trusted = False
        return role

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
        """Its request was not sent after all."""
        exchange.finished = True
        self._forget(exchange)

    def lose(self, close: Close) -> None:
        """The connection ended: settle every exchange."""
        self.trusted = False
        for exchange in list(self._pending()):
            self._forget(exchange)
            exchange.lose(close)

    def _find(self, message: Message) -> Exchange | None:
        for path, pending in self._by_id.items():
            found = pending.get(_id_at(message.value, path))
            if found and (found.rules.by_id_alone or _matches(found, message)):
                return found
        for exchange in self._others:
            if exchange.rules.match is None or _matches(exchange, message):
                return exchange
        return None

    def _unsolicited(self, message: Message) -> Role:
        last = self._last_owned
        if last is not None and last.rules.ignores(last.seeing(message)):
            return Role.IGNORED
        self.dropped += 1
        if last is not None and last.rules.match is None:
            self.trusted = False
        return Role.DROPPED

    def _pending(self) -> Iterator[Exchange]:
        yield from self._others
        for pending in self._by_id.values():
            yield from pending.values()

    def _forget(self, exchange: Exchange) -> None:
        path = exchange.rules.id_path
        if path is not None:
            self._by_id.get(path, {}).pop(exchange.request_id, None)
        elif exchange in self._others:
            self._others.remove(exchange)

    def _next_id(self) -> int | str:
        if self._id_kind == "uuid":
            return self._make_uuid()
        self._sent += 1
        return self._sent if self._id_kind == "counter" else str(self._sent)

    def _count(self) -> int:
        self._counted += 1
        return self._counted


def _matches(exchange: Exchange, message: Message) -> bool:
    match = exchange.rules.match
    return match is not None and match.holds(exchange.seeing(message))


def _id_at(value: Any, path: Path) -> int | str | None:
    """The correlation id in a message; a boolean is none, although Python takes true for 1."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
