"""Infer the rules for replies from a conversation: match, error, acknowledgement, stream, subscription."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from ..core.expressions.paths import UNDEFINED, Path, value_at
from .correlation import Conversation, CorrelationIds, RecordedExchange
from .messages import (
    CATCH_ALL_PREDICATES,
    KIND_KEYS,
    Mark,
    RecordedMessage,
    alike,
    distinguishing_predicate,
    is_plain,
    kind_predicate,
    leaves,
    literal,
    message_kind,
    path_expression,
)

RESULT_KEYS: Final = ("result", "data", "payload", "response", "value", "body")
"""Keys that can hold the result of a reply, the most usual first."""

ERROR_TEXT_KEYS: Final = (
    "message", "msg", "reason", "text", "description", "details", "detail", "error_message", "errorMessage", "errmsg",
)  # fmt: skip
"""Keys that can hold the text of an error, the most usual first."""

_ERROR_CODE_KEYS: Final = ("error_code", "errorCode", "errcode", "err", "errors", "exception")
"""Keys that only an error has a value for."""

_HTTP_STATUS_KEYS: Final = ("statusCode", "status_code", "status", "code")
"""Keys that can hold a status code of HTTP."""

_ERROR_KINDS: Final = ("error", "err", "failure")

STATUS_KEYS: Final = (*KIND_KEYS, "status", "state", "stage", "phase", "final", "done", "more", "last")
"""Keys that tell an acknowledgement, an item and the end of a stream apart."""

_ACKNOWLEDGES: Final = re.compile(
    r"ack|accept|receiv|queued|pending|processing|started|running|progress|ok\Z", re.IGNORECASE
)
_SUBSCRIBES: Final = re.compile(
    r"\b_?(?:sub(?:scribe)?|watch|listen|observe|follow|monitor|stream|join)", re.IGNORECASE
)
MAX_IGNORED: Final = 50
"""Kinds of messages that a draft ignores: an endpoint may send any number of them."""

MAX_ITEMS: Final = 10
MAX_SECONDS: Final = 10


def infer_reply_rules(conversation: Conversation) -> dict[str, Any]:
    """Return the fields `reply`, `response_format` and `ignore`, as far as the conversation shows them."""
    exchanges = [exchange for exchange in conversation.exchanges if not exchange.by_order]
    replies = [reply for exchange in exchanges for reply in exchange.replies[:1]]
    rules: dict[str, Any] = {}
    if conversation.ids is not None:
        rules["match"] = reply_match(conversation, conversation.ids)
        rules |= {"answers_all": True} if conversation.ids.shared is not None else {}
    errors = find_errors(replies)
    rules |= _error_fields(errors, replies)
    results = [reply.value for reply in replies if reply not in errors]
    if (common := _result_key(results)) is not None:
        rules["result"] = path_expression((common,))
    fields: dict[str, Any] = {"reply": rules} if rules else {}
    events = [] if conversation.ids else _event_predicates(conversation.unsolicited, replies)
    fields |= {"ignore": events} if events else {}
    answers = [reply for exchange in conversation.exchanges for reply in exchange.replies]
    if answers and all(reply.is_json for reply in answers):
        fields["response_format"] = "json"
    elif answers and all(isinstance(reply.value, str) for reply in answers):
        fields["response_format"] = "text"
    return fields


def reply_match(conversation: Conversation, ids: CorrelationIds) -> str:
    """Return the predicate for the reply of a request: its ID, and what no request of the endpoint has.

    An endpoint that sends requests of its own numbers them on its own. Sooner or later it uses a number that a call
    waits for.
    """
    term = _term_against([each.value for each in _own_requests(conversation, ids)], _answers(conversation, ids))
    own = f"{path_expression(ids.received)} == request_id" if ids.shared is None else ids.shared.predicate
    return f"{own} and {term}" if term else own


def _own_requests(conversation: Conversation, ids: CorrelationIds) -> list[RecordedMessage]:
    """Return the messages that answer nothing, and have an ID where a reply has the number of its request."""
    seen = [*([conversation.greeting] if conversation.greeting else []), *conversation.unsolicited]
    seen += [reply for exchange in conversation.exchanges if exchange.by_order for reply in exchange.replies]
    return [each for each in seen if _is_number(value_at(each.value, ids.received), ids.kind)]


def _is_number(value: Any, kind: str) -> bool:
    """Return whether a value can be the ID of a request if they count; random ones are never the same."""
    if kind == "string_counter":
        return isinstance(value, str) and value.isdigit()
    return kind == "counter" and type(value) is int


def _answers(conversation: Conversation, ids: CorrelationIds) -> list[Any]:
    """Return the messages that the IDs assign to requests."""
    answers = [
        reply.value
        for exchange in conversation.exchanges
        for reply in (*exchange.replies, *([exchange.ack] if exchange.ack else []))
        if not exchange.by_order
    ]
    return [each for each in answers if value_at(each, ids.received) is not UNDEFINED]


def _term_against(others: Sequence[Any], answers: Sequence[Any]) -> str | None:
    """Return a predicate that holds for the answers and for none of the others, if there are any, or None.

    What only the others have comes first: later answers may have less in common than those that were seen.
    """
    if not others or not answers or not all(isinstance(each, dict) for each in (*others, *answers)):
        return None
    keys = [key for key in others[0] if is_plain(key) and all(key in each for each in others)]
    own = [key for key in keys if not any(key in each for each in answers)]
    if own:
        return f"{path_expression((next((key for key in KIND_KEYS if key in own), own[0]),))} is not defined"
    if (common := distinguishing_predicate(others, answers)) is not None:
        return f"not ({common})"
    return distinguishing_predicate(answers, others)


def find_errors(replies: Sequence[RecordedMessage]) -> list[RecordedMessage]:
    """Return the replies that are errors: those that a person says, others of their kind, and what looks like one."""
    marked = [reply for reply in replies if reply.mark is Mark.ERROR]
    looks = (reply for reply in replies if reply.mark is None and (error_rules(reply.value) or alike(reply, marked)))
    return [*marked, *looks]


def _error_fields(errors: Sequence[RecordedMessage], replies: Sequence[RecordedMessage]) -> dict[str, Any]:
    """Return the rules that detect error replies; for those that only a person recognizes, what distinguishes them."""
    known = next((rules for each in errors if (rules := error_rules(each.value))), None)
    if known is not None or not errors:
        return known or {}
    predicate = distinguishing_predicate(
        [each.value for each in errors], [reply.value for reply in replies if reply not in errors]
    )
    return {"error": predicate, **_error_text(errors[0].value)} if predicate else {}


def _error_text(value: Any) -> dict[str, Any]:
    """Return the rule for the text of an error: at its root, or in what a reply holds its result in."""
    for path in ((), *((key,) for key in RESULT_KEYS)):
        if (key := _text_key(value_at(value, path))) is not None:
            return {"error_message": path_expression((*path, key))}
    return {}


def _text_key(held: Any) -> str | None:
    texts = (name for name in ERROR_TEXT_KEYS if isinstance(held, dict) and isinstance(held.get(name), str))
    return next(texts, None)


def take_acknowledgements(exchanges: Sequence[RecordedExchange]) -> None:
    """Move the first of two replies to `ack` where it only says that the request arrived."""
    for exchange in exchanges:
        if any(reply.mark is not None for reply in exchange.replies):
            continue
        if len(exchange.replies) == 2 and _is_acknowledgement(*exchange.replies):
            exchange.ack = exchange.replies.pop(0)
        elif len(exchange.replies) == 1 and len(exchange.events) == 1 and exchange.order_matters:
            reply, event = exchange.replies[0], exchange.events[0]
            if _acknowledges(reply.value) and not subscribes(exchange.request.value):
                exchange.ack, exchange.replies, exchange.events = reply, [event], []


def tool_rules(
    group: Sequence[RecordedExchange], conversation: Conversation, arguments: dict[Path, str]
) -> dict[str, Any]:
    """Return the fields of one tool that differ from those of its call template.

    Args:
        group: The exchanges of the tool.
        conversation: The whole conversation.
        arguments: The names of the arguments of the tool, by their path in the message.
    """
    answered = [exchange for exchange in group if exchange.replies]
    if not answered:
        return {"reply": "none"}
    rules: dict[str, Any] = {}
    acks = [exchange.ack.value for exchange in answered if exchange.ack is not None]
    finals = [exchange.replies[0].value for exchange in answered]
    if acks and (predicate := distinguishing_predicate(acks, finals)):
        rules["ack"] = predicate
    by_order = [exchange.replies[0] for exchange in answered if exchange.by_order]
    if errors := find_errors(by_order):
        rules |= _error_without_id(errors, conversation)
    elif answered[0].by_order:
        key = _result_key(finals)
        rules |= {"match": kind_predicate(finals[0]), "result": path_expression((key,)) if key else "message"}
    fields: dict[str, Any] = {"reply": rules} if rules else {}
    stream = _subscription(answered, conversation, arguments) or _infer_stream(answered, conversation.ids)
    if stream:
        fields["stream"] = stream
        if not conversation.ids and any(exchange.events for exchange in answered):
            fields["ignore"] = []
    return fields


def _error_without_id(errors: Sequence[RecordedMessage], conversation: Conversation) -> dict[str, Any]:
    """Return the rules of a tool whose errors have no ID although its replies have."""
    others = [reply for each in conversation.exchanges for reply in each.replies if reply not in errors]
    rules = _error_fields(errors, [*errors, *others])
    if conversation.ids is None or "error" not in rules:
        return rules
    return {"match": f"{reply_match(conversation, conversation.ids)} or {rules['error']}", **rules}


def error_rules(value: Any) -> dict[str, Any] | None:
    """Return the rules that detect an error reply like this one, or None if the message is no error."""
    if isinstance(value, list):
        return _rules_of_list(value)
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if error not in (None, False, ""):
        text_key = _text_key(error)
        error_message = path_expression(("error", text_key)) if text_key else path_expression(("error",))
        return {"error": "message.error is defined and message.error", "error_message": error_message}
    kind = message_kind(value)
    if kind and str(kind[1]).lower() in _ERROR_KINDS:
        predicate = f"{path_expression(kind[0])} == {literal(kind[1])}"
    elif failed := next((name for name in ("success", "ok") if value.get(name) is False), None):
        predicate = f"{path_expression((failed,))} == false"
    elif code := next((name for name in _ERROR_CODE_KEYS if value.get(name)), None):
        predicate = path_expression((code,))
    elif status := next((name for name in _HTTP_STATUS_KEYS if _is_http_error(value.get(name))), None):
        predicate = f"{path_expression((status,))} >= 400"
    else:
        return None
    return {"error": predicate, **_error_text(value)}


def _rules_of_list(value: Sequence[Any]) -> dict[str, Any] | None:
    """Return the rules for an array with the word "error" near its beginning, such as `[3, "ERROR", "ENOENT"]`."""
    words = ((index, word) for index, word in enumerate(value[:3]) if isinstance(word, str))
    found = next(((index, word) for index, word in words if word.lower() in _ERROR_KINDS), None)
    return {"error": f"{path_expression((found[0],))} == {literal(found[1])}"} if found else None


def _is_http_error(value: Any) -> bool:
    return isinstance(value, int) and 400 <= value < 600


def _event_predicates(unsolicited: Sequence[RecordedMessage], replies: Sequence[RecordedMessage]) -> list[str]:
    """Return predicates for unsolicited messages that hold for no reply."""
    of_replies = CATCH_ALL_PREDICATES | {kind_predicate(reply.value) for reply in replies}
    found = dict.fromkeys(kind_predicate(each.value) for each in unsolicited if each.is_json)
    return [predicate for predicate in found if predicate not in of_replies][:MAX_IGNORED]


def _result_key(results: Sequence[Any]) -> str | None:
    holding = (
        name for name in RESULT_KEYS if results and all(isinstance(each, dict) and name in each for each in results)
    )
    return next(holding, None)


def _is_acknowledgement(first: RecordedMessage, last: RecordedMessage) -> bool:
    """Return whether the first of two replies brings nothing, and the last one the result."""
    if not isinstance(first.value, dict | list) or error_rules(last.value):
        return isinstance(first.value, dict) and _acknowledges(first.value)
    differs = any(value_at(first.value, (key,)) != value_at(last.value, (key,)) for key in STATUS_KEYS)
    is_longer = len(list(leaves(last.value))) >= len(list(leaves(first.value)))
    is_bare = _paths(first.value) <= _paths(last.value)
    return _acknowledges(first.value) or (differs and is_longer and (is_bare or len(_paths(first.value)) <= 2))


def _acknowledges(value: Any) -> bool:
    """Return whether a message says that a request was accepted, and nothing else."""
    if not isinstance(value, dict) or len(_paths(value)) > 3 or _result_key([value]) is not None:
        return False
    words = [str(value.get(key)) for key in STATUS_KEYS] + [key for key, item in value.items() if item is True]
    return any(_ACKNOWLEDGES.match(word) for word in words)


def _paths(value: Any) -> set[Path]:
    return {path for path, _ in leaves(value)}


def _infer_stream(group: Sequence[RecordedExchange], ids: CorrelationIds | None) -> dict[str, Any] | None:
    """Return the stream of a request with several replies: its end, if the last reply is of another kind."""
    longest = max((exchange.replies for exchange in group), key=len)
    if len(longest) < 2:
        return None
    *items, last = [reply.value for reply in longest]
    stream: dict[str, Any] = {"$comment": "A request had several replies."}
    until = _status_predicate(last, items)
    if until is not None:
        stream["until"] = until[1]
        of_id = (ids.received, *ids.also_received) if ids else ()
        if any(path not in (*of_id, until[0]) for path in _paths(last)):
            stream |= {"include_last": True, "item": "message"}
    return stream | {"max_seconds": MAX_SECONDS}


def _status_predicate(last: Any, items: Sequence[Any]) -> tuple[Path, str] | None:
    """Return the path and the predicate that tell the last reply from the others, or None."""
    kind = message_kind(last)
    paths: list[Path] = [*([kind[0]] if kind else []), *((key,) for key in STATUS_KEYS)]
    for path in paths:
        value = value_at(last, path)
        if value is UNDEFINED or isinstance(value, dict | list) or any(value_at(item, path) == value for item in items):
            continue
        shown = distinguishing_predicate([_only(last, path)], [_only(item, path) for item in items])
        if shown:
            return path, shown
    return None


def _only(value: Any, path: Path) -> Any:
    """Return a message with nothing but the value at the path of a kind or a status."""
    found = value_at(value, path)
    if found is UNDEFINED:
        return {}
    for step in reversed(path):
        found = {step: found} if isinstance(step, str) else [found]  # a kind is the first item of a list
    return found


def subscribes(value: Any) -> bool:
    """Return whether a request asks for messages that follow its reply."""
    words = (
        [value]
        if isinstance(value, str)
        else [item for _, item in leaves(value)] + [step for path, _ in leaves(value) for step in path]
    )
    return any(isinstance(word, str) and _SUBSCRIBES.search(re.sub(r"[._/:]", " ", word)) for word in words)


def _subscription(
    group: Sequence[RecordedExchange], conversation: Conversation, arguments: dict[Path, str]
) -> dict[str, Any] | None:
    """Return the stream of a request after which messages arrive that answer nothing, or None."""
    exchange = next((each for each in group if each.events and subscribes(each.request.value)), None)
    if exchange is None:
        return None
    kinds = [kind_predicate(event.value) for event in exchange.events]
    predicate = max(dict.fromkeys(kinds), key=kinds.count)
    if predicate == kind_predicate(exchange.replies[0].value):
        others = [reply.value for each in conversation.exchanges for reply in each.replies]
        predicate = distinguishing_predicate([event.value for event in exchange.events], others) or predicate
    events = [event.value for event, kind in zip(exchange.events, kinds, strict=True) if kind == predicate] or [
        event.value for event in exchange.events
    ]
    terms = [predicate, *_echoes(events, exchange, arguments)]
    stream: dict[str, Any] = {"match": " and ".join(terms)}
    if (key := _result_key(events)) is not None:
        stream["item"] = path_expression((key,))
    return stream | {"max_items": MAX_ITEMS, "max_seconds": MAX_SECONDS}


def _echoes(events: Sequence[Any], exchange: RecordedExchange, arguments: dict[Path, str]) -> list[str]:
    """Return the terms that compare the events with an argument, or with the result of the reply."""
    found = dict.fromkeys((path, item) for each in events for path, item in leaves(each) if isinstance(item, str | int))
    places = [
        place for place in found if sum(value_at(each, place[0]) == place[1] for each in events) * 2 > len(events)
    ]
    for path, item in places:
        for place, name in arguments.items():
            if isinstance(item, str) and value_at(exchange.request.value, place) == item:
                return [f"{path_expression(path)} == args.{name}"]
    reply = exchange.replies[0].value
    for path, item in places:
        for place, result in leaves(reply):
            if (
                place
                and place[-1] in RESULT_KEYS
                and result == item
                and isinstance(item, str | int)
                and item is not True
            ):
                return [f"{path_expression(path)} == {path_expression(place).replace('message', 'reply', 1)}"]
    return []
