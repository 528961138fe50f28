"""The state of all exchanges on one connection.

Nothing here waits. The shell opens an exchange just before it sends the request, and feeds every incoming message to
`receive`. An exchange is settled exactly once; what comes for it afterwards is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from ..codecs.message import Message
from ..expressions.let_bindings import with_lets
from ..expressions.paths import Path
from ..expressions.scope import Scope
from ..templates.nodes import Unfilled
from .exchange import Close, Exchange
from .inbox import Inbox
from .reply_rules import Role, Rules, Sharing

IdKind = Literal["uuid", "counter", "string_counter"]
CUT_SHORT: Final = ("max_items", "max_bytes")
"""Ends of a stream after which more of it may come."""

STILL_TO_COME: Final = "what still comes for a call that has ended could be taken for another's answer"
NOT_ASKED_FOR: Final = "a message came that no call had asked for"
RETIRED: Final = "its session has ended"


class Exchanges:
    """All exchanges on one connection. `dropped` counts messages, `opened`, `abandoned` and `lost` count exchanges.

    `trusted` turns false when the next message can no longer be told from a reply to the wrong request, or the
    connection is retired; it must then be thrown away, and `doubt` says why. `unclaimed` is the last message, if no
    call waited for it and it is no late reply to another: many servers say so why they close. `outbox` holds what is
    to be sent at once, `inbox` what came while no call listened. `unsent` is told of a message that was due and could
    not be made: what it was, and why.
    """

    def __init__(self, id_kind: IdKind, make_uuid: Callable[[], str]) -> None:
        self.trusted = True
        self.doubt = ""
        self.dropped = 0
        self.abandoned = 0
        self.opened = 0
        self.lost = 0
        self.unclaimed: Message | None = None
        self.outbox: list[Any] = []
        self.inbox: Inbox | None = None
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
            Unfilled: where a value of `let`, or a bound of its stream, cannot be computed.
        """
        self.unclaimed = None if self.opened else self.unclaimed
        self.opened += 1
        request_id = self.next_id()
        names = {"request_id": request_id, "next_id": self.next_id, "counter": self.count}
        scope = scope.extended(**names)
        scope = with_lets(scope, rules.lets) if rules.lets else scope
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
        elif rules.unasked and self.inbox is not None:
            self._give_kept(exchange, self.inbox)
        return exchange

    def receive(self, message: Message) -> Role:
        """Give a message to the exchange that it belongs to, and say what it was taken for."""
        if self._answer(message):
            return Role.ANSWERED
        found = self._find(message)
        if not found:
            return self._unsolicited(message)
        self.unclaimed = None
        roles = [self._deliver(exchange, message) for exchange in found]
        if self.inbox is not None and set(roles) == {Role.IGNORED} and self.inbox.offer(message):
            return Role.KEPT
        return roles[0]

    def abandon(self, exchange: Exchange) -> None:
        """The caller no longer waits: what still comes for this exchange is dropped."""
        if exchange.finished:
            return
        exchange.finished = True
        self._forget(exchange)
        self._leave(exchange)

    def retire(self) -> None:
        """No further exchange may be opened; those that are under way go on."""
        self.trusted = False
        self.doubt = RETIRED

    def withdraw(self, exchange: Exchange) -> None:
        """Its request was not sent, or nothing answers it."""
        exchange.finished = True
        self._forget(exchange)

    def lose(self, close: Close) -> None:
        """The connection ended: settle every exchange."""
        self.trusted = False
        for exchange in list(self.pending()):
            self.lost += 1
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

    def _give_kept(self, exchange: Exchange, inbox: Inbox) -> None:
        """What came before a call that listens is there at once."""
        for message in inbox.taken(exchange.claims):
            self._deliver(exchange, message)
            if exchange.finished:
                return

    def _deliver(self, exchange: Exchange, message: Message) -> Role:
        role = exchange.take_in(message)
        if exchange.finished:
            self._forget(exchange)
            if exchange.end in CUT_SHORT:
                self._leave(exchange)
        elif exchange.replied and exchange in self._opening:
            self._opening.remove(exchange)
            if exchange.rules.id_path is not None:
                del self._by_id[exchange.rules.id_path][exchange.request_id]
                self._others.append(exchange)
        return role

    def _leave(self, exchange: Exchange) -> None:
        """More may come for an exchange that nobody waits for any more, unless it never sent anything."""
        if not exchange.rules.only_listens:
            self.abandoned += 1
            self.doubt = self.doubt or STILL_TO_COME
        self.trusted = self.trusted and exchange.rules.sharing is Sharing.SHARED

    def _answer(self, message: Message) -> bool:
        """Answer a message that an open exchange has an answer for; whether that was all."""
        for exchange in self._answering:
            for rule in exchange.rules.auto_replies:
                scope = exchange.seeing(message)
                if rule.match.holds(scope):
                    try:
                        self.outbox.append(rule.answer.render(scope.at_once()))
                    except Unfilled as unfilled:
                        self.unsent("auto_reply", str(unfilled))
                    return not rule.keep
        return False

    def _find(self, message: Message) -> list[Exchange]:
        """The exchange that a message belongs to; a message of several streams belongs to each.

        What a stream has for its item is also the reply to a request whose `match` says so, such as the echo of what
        was said in a room that is watched.
        """
        claimed = [exchange for exchange in self._others if exchange.claims(message)]
        streams = [exchange for exchange in claimed if exchange.rules.stream and exchange.rules.stream.match]
        answered = self._with_id(message)
        asked = [exchange for exchange in claimed if exchange not in streams and (not streams or exchange.rules.match)]
        addressed = asked[:1] if answered is None else [answered]
        if addressed:  # the failure of one call is none of those that watch
            streams = [exchange for exchange in streams if not exchange.rules.faults(exchange.seeing(message))]
        return [*addressed, *streams]

    def _with_id(self, message: Message) -> Exchange | None:
        """The exchange whose correlation id a message holds, if it is that one's."""
        for path, pending in self._by_id.items():
            found = pending.get(_id_at(message.value, path))
            if found and (found.rules.by_id_alone or found.claims(message)):
                return found
        return None

    def _unsolicited(self, message: Message) -> Role:
        for exchange in self._opening:
            exchange.early.append(message)
        if self.inbox is not None and self.inbox.offer(message):
            return Role.KEPT
        last = self.last_owned
        if last is not None and last.rules.ignores(last.seeing(message)):
            return Role.IGNORED
        self.dropped += 1
        is_late = self.abandoned or any(_id_at(message.value, path) is not None for path in self._by_id)
        self.unclaimed = None if is_late else message
        if last is not None and last.rules.match is None and not last.rules.unasked:
            self.trusted, self.doubt = False, self.doubt or NOT_ASKED_FOR
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
