"""Which of the messages that came answer which of those that were sent."""

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

ID_NAMES: Final = (
    *("id", "request_id", "requestId", "req_id", "reqid", "msg_id", "msgId", "message_id", "messageId", "mid"),
    *("correlation_id", "correlationId", "cid", "uuid", "ref", "seq", "nonce", "invocationId", "txid", "token_id"),
)
"""Keys that hold correlation ids."""

RESULT_NAMES: Final = ("result", "data", "payload", "response", "value", "body")
MESSAGE_NAMES: Final = ("message", "msg", "reason", "text", "description")
_ID_POSITIONS: Final = 3
"""The first elements of an array, in which an id may stand."""


@dataclass(slots=True)
class RecordedExchange:
    """A message that was sent, and those that seem to answer it."""

    request: RecordedMessage
    replies: list[RecordedMessage] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CorrelationIds:
    """Where correlation ids stand, in what is sent and in what answers, and how they are made."""

    sent: Path
    received: Path
    kind: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation taken apart: what came before anything was sent, the exchanges, and what came unasked."""

    greeting: RecordedMessage | None
    exchanges: Sequence[RecordedExchange]
    unsolicited: Sequence[RecordedMessage]
    ids: CorrelationIds | None


def analyze(messages: Sequence[RecordedMessage]) -> Conversation:
    """Find out what answers what: by ids where there are any, else by the order."""
    first = next((index for index, message in enumerate(messages) if message.sent), len(messages))
    greeting = messages[0] if first else None
    unasked = list(messages[1:first])
    ids = find_correlation_ids(messages)
    exchanges = _group_by_id(messages[first:], ids, unasked) if ids else _group_by_order(messages[first:], unasked)
    return Conversation(greeting, exchanges, unasked, ids)


def find_correlation_ids(messages: Sequence[RecordedMessage]) -> CorrelationIds | None:
    """The ids that most requests hold and their replies repeat."""
    best: tuple[int, int, CorrelationIds] | None = None
    for path in dict.fromkeys(path for message in messages if message.sent for path, _ in leaves(message.value)):
        if not path or not _can_hold_id(path):
            continue
        asked = _request_ids(messages, path)
        if asked is None or (isinstance(path[-1], int) and len(asked) < 2):
            continue
        for received in _paths_holding(messages, asked.keys()):
            answered = sum(
                any(not later.sent and value_at(later.value, received) == value for later in messages[index:])
                for value, index in asked.items()
            )
            same = int(received == path)
            if answered * 2 >= len(asked) and (best is None or (answered, same) > best[:2]):
                best = (answered, same, CorrelationIds(path, received, _id_kind([*asked])))
    return best[2] if best else None


def _request_ids(messages: Sequence[RecordedMessage], path: Path) -> dict[Any, int] | None:
    """The values at a path that may be ids, each with the index of the first request that holds it.

    None where a value comes again in a message of the same kind. In one of another kind it may: a subscription and
    its end have the same id.
    """
    asked: dict[Any, int] = {}
    uses: set[tuple[Any, Any]] = set()
    for index, message in enumerate(messages):
        if message.sent and _is_id(value := value_at(message.value, path)):
            use = (value, _kind_value(message))
            if use in uses:
                return None
            uses.add(use)
            asked.setdefault(value, index)
    return asked


def infer_reply_rules(conversation: Conversation) -> dict[str, Any]:
    """The fields `reply`, `response_format` and `ignore`, as far as the conversation shows them."""
    replies = [reply for exchange in conversation.exchanges for reply in exchange.replies[:1]]
    rules: dict[str, Any] = {}
    if conversation.ids is not None:
        rules["match"] = f"{path_expression(conversation.ids.received)} == request_id"
    faults = [reply for reply in replies if _error_rules(reply.value)]
    if faults:
        rules |= _error_rules(faults[0].value) or {}
    results = [reply.value for reply in replies if reply not in faults]
    common = [
        name for name in RESULT_NAMES if results and all(isinstance(value, dict) and name in value for value in results)
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
    """Predicates on what came unasked that hold for no reply."""
    answering = CATCH_ALL_PREDICATES | {kind_predicate(reply.value) for reply in replies}
    found = dict.fromkeys(kind_predicate(each.value) for each in unsolicited if each.is_json)
    return [predicate for predicate in found if predicate not in answering]


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
    """The first message after a request answers it, unless messages of its kind come unasked, too."""
    groups: list[tuple[RecordedMessage, list[RecordedMessage]]] = []
    for message in messages:
        if message.sent:
            groups.append((message, []))
        else:
            groups[-1][1].append(message)
    events = {_kind_value(message) for message in unsolicited}
    left = [[message for message in group if _kind_value(message) not in events] for _, group in groups]
    answering = {_kind_value(group[0]) for group in left if group}
    events |= {_kind_value(message) for group in left for message in group[1:]} - answering
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
    return last in ID_NAMES if isinstance(last, str) else len(path) == 1 and last < _ID_POSITIONS


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _paths_holding(messages: Sequence[RecordedMessage], values: Collection[Any]) -> list[Path]:
    """Where in the messages that came one of these values stands."""
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
    """The rules that find a failure like this one, or None where the message reports none."""
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if error not in (None, False, ""):
        named = next(
            (name for name in MESSAGE_NAMES if isinstance(error, dict) and isinstance(error.get(name), str)), None
        )
        place = path_expression(("error", named)) if named else path_expression(("error",))
        return {"error": "message.error is defined and message.error", "error_message": place}
    kind = message_kind(value)
    if kind and str(kind[1]).lower() in ("error", "err", "failure"):
        sign = f"{path_expression(kind[0])} == '{kind[1]}'"
    elif failed := next((name for name in ("success", "ok") if value.get(name) is False), None):
        sign = f"{path_expression((failed,))} == false"
    else:
        return None
    told = next((name for name in MESSAGE_NAMES if isinstance(value.get(name), str)), None)
    return {"error": sign} | ({"error_message": path_expression((told,))} if told else {})
