"""The state of all exchanges on one connection.

Nothing here waits. The shell opens an exchange just before it sends the request, and feeds every incoming message to
`receive`. An exchange is settled exactly once; what comes for it afterwards is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

from ..codecs.message import Message
from ..expressions.let_bindings import with_let_bindings
from ..expressions.paths import Path
from ..expressions.scope import Scope
from ..templates.nodes import RenderError
from .exchange import CloseInfo, Exchange
from .inbox import Inbox
from .reply_rules import Concurrency, ReplyRules, Role

IdKind = Literal["uuid", "counter", "string_counter"]
TRUNCATED: Final = ("max_items", "max_bytes")
"""Ends of a stream after which more of it may come."""

LATE_REPLIES_POSSIBLE: Final = "what still comes for a call that has ended could be taken for another's answer"
UNSOLICITED_MESSAGE: Final = "a message came that no call had asked for"
SESSION_ENDED: Final = "its session has ended"


class Dispatcher:
    """All exchanges on one connection. `dropped` counts messages, `opened`, `abandoned` and `lost` count exchanges.

    `trusted` turns false when the next message can no longer be told from a reply to the wrong request, or the
    connection is retired; it must then be thrown away, and `doubt` says why. `unclaimed` is the last message, if no
    call waited for it and it is no late reply to another: many servers say so why they close. `outbox` holds what is
    to be sent at once, `inbox` what came while no call listened. `unsent` is told of a message that was due and could
    not be made: what it was, and why.
    """

    def __init__(self, id_kind: IdKind, make_uuid: Callable[[], str]) -> None:
        self.reusable = True
        self.unusable_reason = ""
        self.dropped = 0
        self.incomplete = 0
        self.opened = 0
        self.lost = 0
        self.last_unmatched: Message | None = None
        self.outbox: list[Any] = []
        self.inbox: Inbox | None = None
        self._id_kind: IdKind = id_kind
        self._make_uuid = make_uuid
        self._last_id = 0
        self._counter = 0
        self._by_correlation_id: dict[Path, dict[Any, Exchange]] = {}
        self._unkeyed: list[Exchange] = []
        self._with_auto_replies: list[Exchange] = []
        self._awaiting_subscription: list[Exchange] = []
        self.last_exclusive: Exchange | None = None
        self.on_send_failed: Callable[[str, str], None] = lambda what, why: None

    def __repr__(self) -> str:
        return f"<Exchanges pending={len(self)} dropped={self.dropped} trusted={self.reusable}>"

    def __len__(self) -> int:
        return len(self._unkeyed) + sum(map(len, self._by_correlation_id.values()))

    def open(self, rules: ReplyRules, scope: Scope) -> Exchange:
        """Open an exchange for a request that is sent next; its correlation id is assigned here.

        Raises:
            Unfilled: where a value of `let`, or a bound of its stream, cannot be computed.
        """
        self.last_unmatched = None if self.opened else self.last_unmatched
        self.opened += 1
        request_id = self.next_id()
        names = {"request_id": request_id, "next_id": self.next_id, "counter": self.count}
        scope = scope.with_values(**names)
        scope = with_let_bindings(scope, rules.let_bindings) if rules.let_bindings else scope
        limits = rules.stream.limits(scope) if rules.stream is not None else None
        exchange = Exchange(rules, scope, request_id, limits=limits)
        if rules.correlation_path is not None:
            self._by_correlation_id.setdefault(rules.correlation_path, {})[request_id] = exchange
        else:
            self._unkeyed.append(exchange)
        if rules.auto_replies:
            self._with_auto_replies.append(exchange)
        if rules.has_subscribe_reply:
            self._awaiting_subscription.append(exchange)
        if rules.concurrency is Concurrency.EXCLUSIVE:
            self.last_exclusive = exchange
        elif rules.listen_only and self.inbox is not None:
            self._deliver_buffered(exchange, self.inbox)
        return exchange

    def receive(self, message: Message) -> Role:
        """Give a message to the exchange that it belongs to, and say what it was taken for."""
        if self._auto_reply(message):
            return Role.AUTO_REPLIED
        found = self._match(message)
        if not found:
            return self._unsolicited(message)
        self.last_unmatched = None
        roles = [self._deliver(exchange, message) for exchange in found]
        if self.inbox is not None and set(roles) == {Role.IGNORED} and self.inbox.offer(message):
            return Role.BUFFERED
        return roles[0]

    def cancel(self, exchange: Exchange) -> None:
        """The caller no longer waits: what still comes for this exchange is dropped."""
        if exchange.finished:
            return
        exchange.finished = True
        self._remove(exchange)
        self._mark_incomplete(exchange)

    def drain(self) -> None:
        """No further exchange may be opened; those that are under way go on."""
        self.reusable = False
        self.unusable_reason = SESSION_ENDED

    def discard(self, exchange: Exchange) -> None:
        """Its request was not sent, or nothing answers it."""
        exchange.finished = True
        self._remove(exchange)

    def connection_lost(self, close: CloseInfo) -> None:
        """The connection ended: settle every exchange."""
        self.reusable = False
        for exchange in list(self.pending()):
            self.lost += 1
            self._remove(exchange)
            exchange.connection_lost(close)

    def next_id(self) -> int | str:
        """The next correlation id."""
        if self._id_kind == "uuid":
            return self._make_uuid()
        self._last_id += 1
        return self._last_id if self._id_kind == "counter" else str(self._last_id)

    def count(self) -> int:
        """1, 2, 3 …"""
        self._counter += 1
        return self._counter

    def _deliver_buffered(self, exchange: Exchange, inbox: Inbox) -> None:
        """What came before a call that listens is there at once."""
        for message in inbox.take_matching(exchange.matches):
            self._deliver(exchange, message)
            if exchange.finished:
                return

    def _deliver(self, exchange: Exchange, message: Message) -> Role:
        role = exchange.accept(message)
        if exchange.finished:
            self._remove(exchange)
            if exchange.end in TRUNCATED:
                self._mark_incomplete(exchange)
        elif exchange.replied and exchange in self._awaiting_subscription:
            self._awaiting_subscription.remove(exchange)
            if exchange.rules.correlation_path is not None:
                del self._by_correlation_id[exchange.rules.correlation_path][exchange.request_id]
                self._unkeyed.append(exchange)
        return role

    def _mark_incomplete(self, exchange: Exchange) -> None:
        """More may come for an exchange that nobody waits for any more, unless it never sent anything."""
        if not exchange.rules.never_sends:
            self.incomplete += 1
            self.unusable_reason = self.unusable_reason or LATE_REPLIES_POSSIBLE
        self.reusable = self.reusable and exchange.rules.concurrency is Concurrency.MULTIPLEXED

    def _auto_reply(self, message: Message) -> bool:
        """Answer a message that an open exchange has an answer for; whether that was all."""
        for exchange in self._with_auto_replies:
            for rule in exchange.rules.auto_replies:
                scope = exchange.scope_for(message)
                if rule.match.is_true(scope):
                    try:
                        self.outbox.append(rule.reply.render(scope.with_frozen_time()))
                    except RenderError as unfilled:
                        self.on_send_failed("auto_reply", str(unfilled))
                    return not rule.keep
        return False

    def _match(self, message: Message) -> list[Exchange]:
        """The exchange that a message belongs to; a message of several streams belongs to each.

        What a stream has for its item is also the reply to a request whose `match` says so, such as the echo of what
        was said in a room that is watched.
        """
        claimed = [exchange for exchange in self._unkeyed if exchange.matches(message)]
        streams = [exchange for exchange in claimed if exchange.rules.stream and exchange.rules.stream.match]
        answered = self._find_by_correlation_id(message)
        asked = [exchange for exchange in claimed if exchange not in streams and (not streams or exchange.rules.match)]
        addressed = asked[:1] if answered is None else [answered]
        if addressed:  # the failure of one call is none of those that watch
            streams = [exchange for exchange in streams if not exchange.rules.is_error(exchange.scope_for(message))]
        return [*addressed, *streams]

    def _find_by_correlation_id(self, message: Message) -> Exchange | None:
        """The exchange whose correlation id a message holds, if it is that one's."""
        for path, pending in self._by_correlation_id.items():
            found = pending.get(_correlation_id_at(message.value, path))
            if found and (found.rules.match_is_id_only or found.matches(message)):
                return found
        return None

    def _unsolicited(self, message: Message) -> Role:
        for exchange in self._awaiting_subscription:
            exchange.early_messages.append(message)
        if self.inbox is not None and self.inbox.offer(message):
            return Role.BUFFERED
        last = self.last_exclusive
        if last is not None and last.rules.is_ignored(last.scope_for(message)):
            return Role.IGNORED
        self.dropped += 1
        is_late = self.incomplete or any(
            _correlation_id_at(message.value, path) is not None for path in self._by_correlation_id
        )
        self.last_unmatched = None if is_late else message
        if last is not None and last.rules.match is None and not last.rules.listen_only:
            self.reusable, self.unusable_reason = False, self.unusable_reason or UNSOLICITED_MESSAGE
        return Role.DROPPED

    def pending(self) -> Iterator[Exchange]:
        """The exchanges that are not finished."""
        yield from self._unkeyed
        for pending in self._by_correlation_id.values():
            yield from pending.values()

    def _remove(self, exchange: Exchange) -> None:
        path = exchange.rules.correlation_path
        if path is not None:
            self._by_correlation_id.get(path, {}).pop(exchange.request_id, None)
        for listed in (self._unkeyed, self._with_auto_replies, self._awaiting_subscription):
            if exchange in listed:
                listed.remove(exchange)


def _correlation_id_at(value: Any, path: Path) -> int | str | None:
    """The correlation id in a message; a boolean is none, although Python takes true for 1."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
