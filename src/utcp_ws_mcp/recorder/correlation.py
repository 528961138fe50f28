"""Find out which received messages answer which sent ones: by correlation IDs, or by their order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..core.expressions.paths import Path
from .messages import (
    CATCH_ALL_PREDICATES,
    RecordedMessage,
    kind_predicate,
    leaves,
    message_kind,
    path_expression,
    value_at,
)

ID_KEYS: Final = (
    *("id", "request_id", "requestId", "req_id", "reqid", "msg_id", "msgId", "message_id", "messageId", "mid"),
    *("correlation_id", "correlationId", "cid", "uuid", "ref", "seq", "nonce", "invocationId", "txid", "token_id"),
)
"""Keys that can hold correlation IDs."""

RESULT_KEYS: Final = ("result", "data", "payload", "response", "value", "body")
"""Keys that can hold the result of a reply, the most usual first."""

ERROR_TEXT_KEYS: Final = ("message", "msg", "reason", "text", "description")
"""Keys that can hold the text of an error, the most usual first."""

_ID_POSITIONS: Final = 3
"""How many of the first elements of an array can be a correlation ID."""


@dataclass(slots=True)
class RecordedExchange:
    """A sent message, and the received messages that probably answer it."""

    request: RecordedMessage
    replies: list[RecordedMessage] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CorrelationIds:
    """The paths of the correlation IDs in sent and in received messages, and how they are created."""

    sent: Path
    received: Path
    kind: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """An analyzed conversation: the message before the first request, the exchanges, and unsolicited messages."""

    greeting: RecordedMessage | None
    exchanges: Sequence[RecordedExchange]
    unsolicited: Sequence[RecordedMessage]
    ids: CorrelationIds | None


def analyze(messages: Sequence[RecordedMessage]) -> Conversation:
    """Group the messages of a conversation into exchanges: by correlation IDs if there are any, otherwise by order."""
    first = next((index for index, message in enumerate(messages) if message.sent), len(messages))
    greeting = messages[0] if first else None
    unsolicited = list(messages[1:first])
    ids = find_correlation_ids(messages)
    exchanges = (
        _group_by_id(messages[first:], ids, unsolicited) if ids else _group_by_order(messages[first:], unsolicited)
    )
    return Conversation(greeting, exchanges, unsolicited, ids)


def find_correlation_ids(messages: Sequence[RecordedMessage]) -> CorrelationIds | None:
    """Return the correlation IDs that most requests contain and their replies repeat, or None."""
    best: tuple[int, int, CorrelationIds] | None = None
    for path in dict.fromkeys(path for message in messages if message.sent for path, _ in leaves(message.value)):
        if not path or not _can_hold_id(path):
            continue
        requests = _request_ids(messages, path)
        # One match at an index of an array can be a coincidence: most short arrays begin with small numbers.
        if requests is None or (isinstance(path[-1], int) and len(requests) < 2):
            continue
        for received in _paths_holding(messages, requests.keys()):
            answered = sum(
                any(not later.sent and value_at(later.value, received) == value for later in messages[index:])
                for value, index in requests.items()
            )
            same_path = int(received == path)
            if answered * 2 >= len(requests) and (best is None or (answered, same_path) > best[:2]):
                best = (answered, same_path, CorrelationIds(path, received, _id_kind([*requests])))
    return best[2] if best else None


def _request_ids(messages: Sequence[RecordedMessage], path: Path) -> dict[Any, int] | None:
    """Return the possible IDs at a path, each with the index of the first request that contains it.

    The result is None if a value occurs twice in requests of the same kind. In requests of different kinds it may: a
    subscription and its end have the same ID.
    """
    requests: dict[Any, int] = {}
    uses: set[tuple[Any, Any]] = set()
    for index, message in enumerate(messages):
        if message.sent and _is_id(value := value_at(message.value, path)):
            use = (value, _kind_value(message))
            if use in uses:
                return None
            uses.add(use)
            requests.setdefault(value, index)
    return requests


def infer_reply_rules(conversation: Conversation) -> dict[str, Any]:
    """Return the fields `reply`, `response_format` and `ignore`, as far as the conversation shows them."""
    replies = [reply for exchange in conversation.exchanges for reply in exchange.replies[:1]]
    rules: dict[str, Any] = {}
    if conversation.ids is not None:
        rules["match"] = f"{path_expression(conversation.ids.received)} == request_id"
    errors = [reply for reply in replies if _error_rules(reply.value)]
    if errors:
        rules |= _error_rules(errors[0].value) or {}
    results = [reply.value for reply in replies if reply not in errors]
    common = [
        name for name in RESULT_KEYS if results and all(isinstance(value, dict) and name in value for value in results)
    ]
    if common:
        rules["result"] = path_expression((common[0],))
    fields: dict[str, Any] = {"reply": rules} if rules else {}
    events = [] if conversation.ids else _event_predicates(conversation.unsolicited, replies)
    fields |= {"ignore": events} if events else {}
    if replies and all(reply.is_json for reply in replies):
        fields["response_format"] = "json"
    elif replies and all(isinstance(reply.value, str) for reply in replies):
        fields["response_format"] = "text"
    return fields


def _event_predicates(unsolicited: Sequence[RecordedMessage], replies: Sequence[RecordedMessage]) -> list[str]:
    """Return predicates for unsolicited messages that hold for no reply."""
    of_replies = CATCH_ALL_PREDICATES | {kind_predicate(reply.value) for reply in replies}
    found = dict.fromkeys(kind_predicate(each.value) for each in unsolicited if each.is_json)
    return [predicate for predicate in found if predicate not in of_replies]


def _group_by_id(
    messages: Sequence[RecordedMessage], ids: CorrelationIds, unsolicited: list[RecordedMessage]
) -> list[RecordedExchange]:
    exchanges: list[RecordedExchange] = []
    by_id: dict[Any, RecordedExchange] = {}
    for message in messages:
        if message.sent:
            exchanges.append(RecordedExchange(message))
            if _is_id(key := value_at(message.value, ids.sent)):
                by_id[key] = exchanges[-1]
            continue
        key = value_at(message.value, ids.received)
        found = by_id.get(key) if _is_id(key) else None
        if found is not None:
            found.replies.append(message)
        else:
            unsolicited.append(message)
    return exchanges


def _group_by_order(messages: Sequence[RecordedMessage], unsolicited: list[RecordedMessage]) -> list[RecordedExchange]:
    """Pair each request with the first message after it whose kind does not also arrive without a request."""
    groups: list[tuple[RecordedMessage, list[RecordedMessage]]] = []
    for message in messages:
        if message.sent:
            groups.append((message, []))
        else:
            groups[-1][1].append(message)
    events = {_kind_value(message) for message in unsolicited}
    candidates = [[message for message in group if _kind_value(message) not in events] for _, group in groups]
    reply_kinds = {_kind_value(group[0]) for group in candidates if group}
    events |= {_kind_value(message) for group in candidates for message in group[1:]} - reply_kinds
    exchanges = []
    for request, group in groups:
        answers = [message for message in group if _kind_value(message) is None or _kind_value(message) not in events]
        exchanges.append(RecordedExchange(request, answers[:1]))
        unsolicited += [message for message in group if message not in answers[:1]]
    return exchanges


def _kind_value(message: RecordedMessage) -> Any:
    kind = message_kind(message.value)
    return kind[1] if kind else None


def _can_hold_id(path: Path) -> bool:
    last = path[-1]
    return last in ID_KEYS if isinstance(last, str) else len(path) == 1 and last < _ID_POSITIONS


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _paths_holding(messages: Sequence[RecordedMessage], values: Collection[Any]) -> list[Path]:
    """Return the paths in received messages at which one of these values occurs."""
    found = (
        path
        for message in messages
        if not message.sent
        for path, value in leaves(message.value)
        if _is_id(value) and value in values
    )
    return [path for path in dict.fromkeys(found) if path]


def _id_kind(values: Sequence[Any]) -> str:
    if all(isinstance(value, int) for value in values):
        return "counter"
    return "string_counter" if all(str(value).isdigit() for value in values) else "uuid"


def _error_rules(value: Any) -> dict[str, Any] | None:
    """Return the rules that detect an error reply like this one, or None if the message is no error."""
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if error not in (None, False, ""):
        text_key = next(
            (name for name in ERROR_TEXT_KEYS if isinstance(error, dict) and isinstance(error.get(name), str)), None
        )
        error_message = path_expression(("error", text_key)) if text_key else path_expression(("error",))
        return {"error": "message.error is defined and message.error", "error_message": error_message}
    kind = message_kind(value)
    if kind and str(kind[1]).lower() in ("error", "err", "failure"):
        predicate = f"{path_expression(kind[0])} == '{kind[1]}'"
    elif failed := next((name for name in ("success", "ok") if value.get(name) is False), None):
        predicate = f"{path_expression((failed,))} == false"
    else:
        return None
    text_key = next((name for name in ERROR_TEXT_KEYS if isinstance(value.get(name), str)), None)
    return {"error": predicate} | ({"error_message": path_expression((text_key,))} if text_key else {})
