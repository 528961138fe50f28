"""Find out which received messages answer which sent ones: by correlation IDs, or by their order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from ..core.expressions.paths import Path, value_at
from ..records import MutableRecord, Record, field
from .messages import Mark, RecordedMessage, alike, is_heartbeat, kind_predicate, leaves, message_kind
from .shared_answers import SharedForm, find_shared_form

ID_KEYS: Final = (
    *("id", "request_id", "requestId", "req_id", "reqid", "msg_id", "msgId", "message_id", "messageId", "mid"),
    *("correlation_id", "correlationId", "cid", "uuid", "ref", "seq", "nonce", "invocationId", "txid", "token_id"),
    *("transaction", "transaction_id", "transactionId", "txn", "txn_id", "txnId", "tid", "trans_id", "transId", "rid"),
    *("call_id", "callId", "cmd_id", "cmdId", "command_id", "commandId", "packet_id", "packetId", "echo", "serial"),
    *("ack_id", "ackId"),
)
"""Keys that can hold correlation IDs."""

_RANDOM = re.compile(r"(?=.*\d)[0-9A-Za-z_-]{6,64}\Z")
"""A text that is probably made up for one request, under whatever name."""

_ID_POSITIONS: Final = 3
"""How many of the first elements of an array can be a correlation ID."""


class RecordedExchange(MutableRecord):
    """A sent message, and the received messages that probably answer it.

    Attributes:
        request: The sent message.
        replies: What answers it, in order.
        events: What arrived after it, before the next request, and answers none.
        by_order: Whether the reply has no ID, although others have.
        ack: The message that only confirms that the request arrived, if there is one.
        order_matters: Whether nothing but the order says what answers it.
    """

    request: RecordedMessage
    replies: list[RecordedMessage] = field(default_factory=list)
    events: list[RecordedMessage] = field(default_factory=list)
    by_order: bool = False
    ack: RecordedMessage | None = None
    order_matters: bool = False


class CorrelationIds(Record):
    """The paths of the correlation IDs in sent and in received messages, and how they are created.

    `shared` is the form of messages that answer several requests, whose path is `received`.
    """

    sent: Path
    received: Path
    kind: str
    also_received: tuple[Path, ...] = ()
    shared: SharedForm | None = None

    def answered(self, value: Any, requests: Mapping[Any, RecordedExchange]) -> list[RecordedExchange]:
        """Return the requests that a message answers by their IDs: the first that it names, or all of them."""
        if self.shared is not None:
            return [requests[key] for key in self.shared.answered(value) if is_id(key) and key in requests]
        keys = (value_at(value, path) for path in (self.received, *self.also_received))
        return [requests[key] for key in keys if is_id(key) and key in requests][:1]


class Conversation(Record):
    """An analyzed conversation: the message before the first request, the exchanges, and unsolicited messages."""

    greeting: RecordedMessage | None
    exchanges: Sequence[RecordedExchange]
    unsolicited: Sequence[RecordedMessage]
    ids: CorrelationIds | None


def analyze(
    messages: Sequence[RecordedMessage],
    ids: CorrelationIds | None = None,
    is_login: Callable[[Any], bool] | None = None,
) -> Conversation:
    """Group the messages of a conversation into exchanges: by correlation IDs if there are any, otherwise by order."""
    first = next((index for index, message in enumerate(messages) if message.sent), len(messages))
    greeting = messages[0] if first else None
    unsolicited = list(messages[1:first])
    ids = ids or find_correlation_ids(messages)
    events = {id(message) for message in _marked_events(messages)}
    following = messages[first:]
    exchanges = (
        _group_by_id(following, ids, unsolicited, events) if ids else _group_by_order(following, unsolicited, events)
    )
    for exchange in exchanges:
        exchange.order_matters = ids is None
    take_late_answers(exchanges, is_login or (lambda _: False))
    return Conversation(greeting, exchanges, unsolicited, ids)


def find_correlation_ids(messages: Sequence[RecordedMessage]) -> CorrelationIds | None:
    """Return the correlation IDs that most requests contain and their replies repeat, or None."""
    best: tuple[tuple[bool, int, int], CorrelationIds, bool] | None = None
    shared: CorrelationIds | None = None
    for path, requests in _possible_ids(messages):
        is_named = _is_named_id(path)
        if shared is None and (form := find_shared_form(messages, path, requests)) is not None:
            shared = CorrelationIds(path, form.ids, _id_kind([*requests]), shared=form)
        for received in _paths_holding(messages, requests.keys()):
            answered = sum(
                any(not later.sent and value_at(later.value, received) == value for later in messages[index:])
                for value, index in requests.items()
            )
            same_path = int(received == path)
            rank = (is_named, answered, same_path)
            is_enough = answered * 2 >= len(requests) if is_named else answered == len(requests)
            if is_enough and (best is None or rank > best[0]):
                is_complete = answered == len(requests)
                best = (rank, CorrelationIds(path, received, _id_kind([*requests])), is_complete)
    if shared is not None and (best is None or not best[2]):
        return shared
    return best[1] if best else None


def _possible_ids(messages: Sequence[RecordedMessage]) -> Iterator[tuple[Path, dict[Any, int]]]:
    """Yield each path that may be that of correlation IDs, with what `_request_ids` returns."""
    for path in dict.fromkeys(path for message in messages if message.sent for path, _ in leaves(message.value)):
        requests = _request_ids(messages, path) if path and _can_be_id(path) else None
        # One match at an index of an array can be a coincidence: most short arrays begin with small numbers.
        if requests is None or (isinstance(path[-1], int) and len(requests) < 2):
            continue
        if _is_named_id(path) or _looks_like_ids([*requests]):
            yield path, requests


def _request_ids(messages: Sequence[RecordedMessage], path: Path) -> dict[Any, int] | None:
    """Return the possible IDs at a path, each with the index of the first request that contains it.

    The result is None if a value occurs twice in requests of the same kind. In requests of different kinds it may: a
    subscription and its end have the same ID.
    """
    requests: dict[Any, int] = {}
    uses: set[tuple[Any, Any]] = set()
    for index, message in enumerate(messages):
        if message.sent and is_id(value := value_at(message.value, path)):
            use = (value, _kind_value(message))
            if use in uses:
                return None
            uses.add(use)
            requests.setdefault(value, index)
    return requests


def _marked_events(messages: Sequence[RecordedMessage]) -> list[RecordedMessage]:
    """Return the received messages that are events because a person says so of them, or of others of their kind."""
    received = [message for message in messages if not message.sent]
    marked = [message for message in received if message.mark is Mark.EVENT]
    return [*marked, *(message for message in received if alike(message, marked))] if marked else []


def _group_by_id(
    messages: Sequence[RecordedMessage],
    ids: CorrelationIds,
    unsolicited: list[RecordedMessage],
    marked_events: Collection[int],
) -> list[RecordedExchange]:
    """Return the exchanges by their IDs; the others are added to `unsolicited`. `marked_events` are `id(message)`."""
    exchanges: list[RecordedExchange] = []
    by_id: dict[Any, RecordedExchange] = {}
    for message in messages:
        if message.sent:
            exchanges.append(RecordedExchange(message))
            if is_id(key := value_at(message.value, ids.sent)):
                by_id[key] = exchanges[-1]
            continue
        answered = ids.answered(message.value, by_id)
        if answered and id(message) not in marked_events:
            for exchange in answered:
                exchange.replies.append(message)
        elif message.mark in (Mark.REPLY, Mark.ERROR):
            exchanges[-1].replies.append(message)
            exchanges[-1].by_order = True
        else:
            exchanges[-1].events.append(message)
            unsolicited.append(message)
    _answer_by_order(exchanges, unsolicited, marked_events)
    return exchanges


def _answer_by_order(
    exchanges: Sequence[RecordedExchange], unsolicited: list[RecordedMessage], marked_events: Collection[int]
) -> None:
    """Give the requests that no ID answers the first message behind them, if its kind arrives only there."""
    unanswered = [exchange for exchange in exchanges if not exchange.replies]
    behind = {id(event) for exchange in unanswered for event in exchange.events}
    elsewhere = {kind_predicate(message.value) for message in unsolicited if id(message) not in behind}
    for exchange in unanswered:
        candidates = (
            event
            for event in exchange.events
            if kind_predicate(event.value) not in elsewhere and id(event) not in marked_events
        )
        if (answer := next(candidates, None)) is not None:
            exchange.events.remove(answer)
            exchange.replies.append(answer)
            exchange.by_order = True
    answers = {id(exchange.replies[0]) for exchange in unanswered if exchange.replies}
    unsolicited[:] = [message for message in unsolicited if id(message) not in answers]


def _group_by_order(
    messages: Sequence[RecordedMessage], unsolicited: list[RecordedMessage], marked_events: Collection[int]
) -> list[RecordedExchange]:
    """Pair each request with the first message after it whose kind does not also arrive without a request."""
    groups: list[tuple[RecordedMessage, list[RecordedMessage]]] = []
    for message in messages:
        if message.sent:
            groups.append((message, []))
        else:
            groups[-1][1].append(message)
    events = {_kind_value(message) for message in unsolicited} - {None}
    heartbeats = _own_heartbeats(messages)
    exchanges = []
    for request, group in groups:
        chosen = [message for message in group if message.mark in (Mark.REPLY, Mark.ERROR)]
        ignored = events if is_heartbeat(request.value) else events | heartbeats
        guessed = [each for each in group if _kind_value(each) not in ignored and id(each) not in marked_events]
        answers = chosen or guessed[:1]
        others = [message for message in group if message not in answers]
        events_behind = [message for message in others if _kind_value(message) not in heartbeats]
        exchanges.append(RecordedExchange(request, answers, events_behind))
        unsolicited += others
    return exchanges


def _own_heartbeats(messages: Sequence[RecordedMessage]) -> set[Any]:
    """Return the kinds of heartbeats that the endpoint sends by itself: more than once, and more than it is asked."""
    sent = sum(message.sent and is_heartbeat(message.value) for message in messages)
    received = Counter(_kind_value(each) for each in messages if not each.sent and is_heartbeat(each.value))
    return {kind for kind, count in received.items() if count > max(sent, 1)}


def take_late_answers(exchanges: Sequence[RecordedExchange], is_login: Callable[[Any], bool]) -> None:
    """Give a login that seems unanswered its late answer: the first of two messages behind the next request."""
    for login, following in pairwise(exchanges):
        if not is_login(login.request.value) or login.replies:
            continue
        if following.events and following.replies:
            before = following.events[0] if not following.order_matters else following.replies[0]
            if before is following.events[0]:
                following.events.pop(0)
            else:
                following.replies = [following.events.pop(0)]
            login.replies, login.by_order = [before], True


def _kind_value(message: RecordedMessage) -> Any:
    kind = message_kind(message.value)
    return kind[1] if kind else None


def _can_be_id(path: Path) -> bool:
    return isinstance(path[-1], str) or path[-1] < _ID_POSITIONS


def _is_named_id(path: Path) -> bool:
    return not isinstance(path[-1], str) or path[-1] in ID_KEYS


def _looks_like_ids(values: Sequence[Any]) -> bool:
    """Return whether values under any name are IDs: several that count, or long ones of letters and digits."""
    if len(values) < 2:
        return False
    if all(isinstance(value, int) for value in values):
        return len(values) > 2 and all(after == before + 1 for before, after in pairwise(values))
    return all(isinstance(value, str) and _RANDOM.match(value) for value in values)


def is_id(value: Any) -> bool:
    """Return whether a value can be a correlation ID."""
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _paths_holding(messages: Sequence[RecordedMessage], values: Collection[Any]) -> list[Path]:
    """Return the paths in received messages at which one of these values occurs."""
    found = (
        path
        for message in messages
        if not message.sent
        for path, value in leaves(message.value)
        if is_id(value) and value in values
    )
    return [path for path in dict.fromkeys(found) if path]


def _id_kind(values: Sequence[Any]) -> str:
    if all(isinstance(value, int) for value in values):
        return "counter"
    return "string_counter" if all(str(value).isdigit() for value in values) else "uuid"
