"""Assign the incoming messages of one connection to the exchanges on it.

Nothing here waits. The caller opens an exchange just before it sends the request, and the connection passes every
incoming message to `receive`. An exchange is settled exactly once; what comes for it afterwards is dropped and counted.

An *exclusive* exchange has the connection for itself, because its replies carry no id. *Multiplexed* exchanges share
it: their replies carry an id, or they only watch, or nothing answers them. The first row that applies decides:

| a message … | an exclusive exchange is open | multiplexed exchanges are open |
| --- | --- | --- |
| matches an `auto_reply` without `keep` | is answered; no exchange gets it | the same |
| carries the correlation id of an exchange | — | goes to it, and to streams that match |
| matches `reply.match` of exchanges | goes to the first, and to streams that match | the same |
| … of others behind it with `answers_all` | — | goes to each of them as well |
| is an error that names none of them | — | goes to each that it may mean |
| answers the heartbeat that is waited for | is its answer; goes to streams that match | the same |
| matches `stream.match` of streams | goes to each | the same |
| matches none of these, but one exchange has no `match` | goes to it | — |
| is an error reply with the id null | — | goes to each that it may mean |
| comes before the reply to a subscription, and replies to no request | — | is held for its stream, too |
| comes while an exchange is held | is held for it | the same |
| is true for `ignore` of the last exclusive exchange | is ignored, also after its reply | — |
| is anything else | is dropped | is dropped |

After a dropped message that is unsolicited, the next message is no longer the reply to a request without `match`: see
`unsolicited`. After one that may be another reply to an earlier request, the connection is not reusable for them.

An exchange whose HTTP requests come first is *held*: its rules may need what the responses bring. Every message that
arrives meanwhile also waits for it, and is delivered when it is released.

The error reply to one exchange goes to no stream.

| an exchange ends … | exclusive | multiplexed |
| --- | --- | --- |
| by a reply, an error reply or the end of its stream | reusable | reusable |
| early: cancelled, `max_items`, `max_bytes` | not reusable: the rest may be the next reply | only multiplexed use |
| by an error after items, or by an unclassifiable message | as early | as early |
| with the connection | lost, or the proper end of its stream | the same |

`availability` has what this means for further exchanges.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..codecs.message import Message
from ..expressions.let_bindings import with_let_bindings
from ..expressions.scope import Scope
from ..templates.nodes import RenderError
from .availability import Availability
from .cancellation import TRUNCATED, Cancellations
from .exchange import CloseInfo, Exchange
from .held import HeldExchanges
from .last_messages import LastMessages
from .pending import PendingExchanges, is_selected_by_request
from .reply_rules import Concurrency, ReplyRules, Role
from .request_ids import IdKind, RequestIds
from .unsolicited import UnsolicitedMessages

MAX_ENDED_STREAMS: Final = 8
"""Streams that are remembered to explain what comes for them after their end."""


class Dispatcher:
    """All exchanges on one connection.

    Args:
        id_kind: How correlation ids are made.
        make_uuid: Returns a new UUID.
        on_send_failed: Gets the purpose of each message that was due and could not be rendered, and the reason.

    Attributes:
        availability: What the connection may still be used for.
        ids: The correlation ids of the requests.
        opened: Exchanges so far.
        lost: Exchanges that the end of the connection settled.
        dropped: Messages that no exchange got.
        failure: Why all exchanges failed at once; empty if they did not.
        failure_reported: Whether a caller has learned of it.
        messages: The last messages that no exchange got.
        unsolicited: What the endpoint sent without a request.
        last_exclusive: The last exclusive exchange; its `ignore` still holds after its reply.
        cancellations: What the calls began at the endpoint, and the messages that end it.
        ended_streams: The last streams that ended before the endpoint ended them, for traces.
        outbox: Messages to send now: the field of the manifest that causes each, and its value.
    """

    def __init__(
        self,
        id_kind: IdKind,
        make_uuid: Callable[[], str],
        on_send_failed: Callable[[str, str], None] = lambda purpose, reason: None,
    ) -> None:
        self.availability = Availability(self._wake_all)
        self.ids = RequestIds(id_kind, make_uuid)
        self.opened = 0
        self.lost = 0
        self.dropped = 0
        self.messages = LastMessages()
        self.unsolicited = UnsolicitedMessages()
        self.last_exclusive: Exchange | None = None
        self.cancellations = Cancellations(on_send_failed)
        self.failure = ""
        self.failure_reported = False
        self.ended_streams: deque[Exchange] = deque(maxlen=MAX_ENDED_STREAMS)
        self.outbox: list[tuple[str, Any]] = []
        self.on_send_failed = on_send_failed
        self._pending = PendingExchanges()
        self._held = HeldExchanges()

    def __repr__(self) -> str:
        return f"<Dispatcher pending={len(self)} dropped={self.dropped} reusable={self.availability.reusable}>"

    def __len__(self) -> int:
        return len(self._pending.all) + len(self._held)

    @property
    def serves_several(self) -> bool:
        """Return whether several exchanges wait for messages."""
        return len(self._pending.all) > 1

    def pending(self) -> Iterator[Exchange]:
        """Yield the exchanges that are not finished, in the order of opening."""
        return iter(list(self._pending.all))

    def open(self, rules: ReplyRules, scope: Scope) -> Exchange:
        """Open an exchange for a request that is sent next, with a new correlation id.

        Args:
            rules: The rules of the tool.
            scope: The names for its templates and expressions. Those of the exchange are added to it.

        Raises:
            RenderError: where a value of `let`, or a bound of the stream, cannot be computed.
        """
        # What came before a request explains nothing of it; before the first one it may explain why the server
        # closes, such as a rejected token.
        opened_after = self.messages.count if self.opened else -1
        if self.opened:
            self.messages.explains_close = None
        self.opened += 1
        ids = self.ids
        request_id = ids.begin()
        scope.update(ids.functions, request_id=request_id)
        try:
            if rules.let_bindings:
                scope = with_let_bindings(scope, rules.let_bindings)
            exchange = Exchange(rules, scope, request_id, opened_after=opened_after)
            if rules.sends_http:
                self._held.add(exchange)
            else:
                self._start(exchange)
        except RenderError:
            ids.take_back()
            raise
        return exchange

    def release(self, exchange: Exchange, values: dict[str, Any]) -> None:
        """Start an exchange that was held, and deliver what arrived meanwhile. One that has finished stays so.

        Args:
            exchange: The exchange.
            values: What the HTTP requests captured; expressions see it as members of `let`.

        Raises:
            RenderError: where a bound of the stream cannot be computed.
        """
        if exchange.finished:
            return
        exchange.scope = exchange.scope.with_values(let={**(exchange.scope["let"] or {}), **values})
        early = self._held.remove(exchange)
        self._start(exchange)
        # The request is sent after this: what came before it cannot be "the first message after the request".
        for message in () if exchange.rules.takes_first_message else early:
            if not exchange.finished and exchange.matches(message):
                self._deliver(exchange, message)

    def _start(self, exchange: Exchange) -> None:
        rules = exchange.rules
        exchange.limits = rules.stream.limits(exchange.scope) if rules.stream is not None else None
        self._pending.add(exchange)
        if rules.cancel_stream is not None:
            self.cancellations.begin(exchange)
        if rules.concurrency is Concurrency.EXCLUSIVE:
            self.last_exclusive = exchange

    def receive(self, message: Message, *, may_answer_heartbeat: bool = False) -> Role:
        """Deliver a message to the exchanges that it belongs to; return how it was classified.

        `may_answer_heartbeat`: a heartbeat waits for such a message. It gets what no request selects by its `match`.
        """
        role = self._receive(message, may_answer_heartbeat)
        self.messages.note(message, role)
        return role

    def _receive(self, message: Message, may_answer_heartbeat: bool) -> Role:
        if self._pending.with_auto_replies and self._auto_reply(message):
            return Role.AUTO_REPLIED
        if self._held.messages:
            self._held.note(message)
        matched, is_unnamed_error = self._pending.find_matching(message)
        if may_answer_heartbeat and not is_selected_by_request(matched):
            for each in matched:
                if each.watches:
                    self._deliver(each, message)
            return Role.HEARTBEAT
        if not matched:
            return self._process_unmatched(message)
        if is_unnamed_error:
            self._share_error(matched)
        if self._pending.awaiting_subscription and all(exchange.watches for exchange in matched):
            self._note_early(message)
        role = self._deliver(matched[0], message)
        for exchange in matched[1:]:
            self._deliver(exchange, message)
        return role

    def cancel(self, exchange: Exchange) -> None:
        """Finish an exchange whose caller no longer waits: what still comes for it is dropped."""
        if exchange.finished:
            return
        if self.cancellations.abandon(exchange):
            for forgotten in self.cancellations.forgotten():
                self.discard(forgotten)
        else:
            self.discard(exchange)
        self._mark_incomplete(exchange)

    def discard(self, exchange: Exchange) -> None:
        """Finish an exchange for which nothing can come: its request was not sent, or nothing answers it."""
        exchange.finished = True
        self._held.remove(exchange)
        self._pending.remove(exchange)
        self.cancellations.forget(exchange)

    def take_back(self, exchange: Exchange) -> None:
        """Finish an exchange whose request was not sent, directly after it was opened: the next gets its numbers."""
        self.discard(exchange)
        if not exchange.rules.sends_http:
            self.ids.take_back()

    def _wake_all(self) -> None:
        for exchange in tuple(self._pending.all):
            exchange.wake()

    def fail_all(self, reason: str) -> None:
        """Fail every exchange: a message says that none of them will be answered. No further one is allowed."""
        self.failure = reason
        self.failure_reported = False
        for exchange in (*self._pending.all, *self._held):
            self.failure_reported |= not self.cancellations.is_abandoned(exchange)
            self.discard(exchange)
            exchange.fail(reason)
        self.availability.end_session()

    def connection_lost(self, close: CloseInfo) -> None:
        """Settle every exchange: the connection has ended."""
        self.availability.close()
        for exchange in (*self._pending.all, *self._held):
            self.lost += not self.cancellations.is_abandoned(exchange)
            self._pending.remove(exchange)
            exchange.connection_lost(close)
        self._held = HeldExchanges()

    def add_auto_reply(self, value: Any) -> None:
        """Add the answer to a message to what is sent now."""
        self.outbox.append(("auto_reply", value))

    def _auto_reply(self, message: Message) -> bool:
        """Answer a message for which an exchange has an `auto_reply`; return whether no exchange gets it."""
        for exchange in self._pending.with_auto_replies:
            for rule in exchange.rules.auto_replies:
                scope = exchange.scope_for(message)
                if rule.match.is_true(scope):
                    try:
                        self.add_auto_reply(rule.reply.render(scope.with_frozen_time()))
                        exchange.sent = True
                    except RenderError as error:
                        self.on_send_failed("auto_reply", str(error))
                    return not rule.keep
        return False

    def takes_heartbeat_reply(self, message: Message) -> bool:
        """Return whether a message that answers a heartbeat is the reply to a request, by its `match`."""
        return is_selected_by_request(self.recipients(message))

    def recipients(self, message: Message) -> list[Exchange]:
        """Return the exchanges that a message would be delivered to by what their rules select."""
        return self._pending.find_matching(message)[0]

    def _share_error(self, meant: list[Exchange]) -> None:
        """Note for the exchanges that an error may mean whether it may mean another one as well."""
        for exchange in meant:
            exchange.error_is_shared = len(meant) > 1 or self.availability.incomplete > 0

    def _deliver(self, exchange: Exchange, message: Message) -> Role:
        rules = exchange.rules
        if rules.is_unproven_reply and self.unsolicited.note_repeated(message):
            exchange.fail_unproven()
            self._pending.update(exchange)
            return Role.DROPPED
        role = exchange.accept(message)
        self.unsolicited.note_delivered(message, role, is_first_message=rules.takes_first_message)
        self._pending.update(exchange)
        if exchange.rules.has_subscribe_reply and role in (Role.REPLY, Role.ERROR):
            self._open_stream(exchange)
        if exchange.end in TRUNCATED or exchange.is_cut:
            self._mark_incomplete(exchange)
        return role

    def _open_stream(self, exchange: Exchange) -> None:
        """Send what the reply that opens a stream makes due; a stream whose caller has left ends at once."""
        is_abandoned = self.cancellations.is_abandoned(exchange)
        self.outbox += self.cancellations.opened(exchange)
        if is_abandoned:
            self.discard(exchange)

    def _process_unmatched(self, message: Message) -> Role:
        if meant := self._pending.meant_by_null_id(message):
            self._share_error(meant)
            for exchange in meant:
                self._deliver(exchange, message)
            return Role.ERROR
        if self._note_early(message) or self._held:
            return Role.HELD
        last = self.last_exclusive
        if last is not None and last.rules.is_ignored(last.scope_for(message)):
            return Role.IGNORED
        self._drop(message)
        return Role.DROPPED

    def _note_early(self, message: Message) -> bool:
        """Keep a message for each stream whose reply may arrive after its first items; return whether there is one."""
        held = [exchange.note_early_message(message) for exchange in self._pending.awaiting_subscription]
        return any(held)

    def _drop(self, message: Message) -> None:
        """Count a message that no exchange gets, and note what it means for the requests that follow."""
        self.dropped += 1
        if mistyped := self._pending.find_by_mistyped_id(message):
            mistyped[0].mistyped_id = mistyped[1]
        is_late = bool(self.availability.incomplete) or self._pending.has_correlation_id(message)
        self.unsolicited.note_dropped(message, is_late=is_late)
        last = self.last_exclusive
        if last is not None and last.rules.takes_first_message and (is_late or last.rules.ignore):
            # It may be a second reply to the last request: the next one would be off by one.
            self.availability.retire()

    def _mark_incomplete(self, exchange: Exchange) -> None:
        """Note that more may come for an exchange whose caller no longer waits."""
        if exchange.in_stream:
            self.ended_streams.append(exchange)
        self.availability.note_incomplete(exchange.rules)
