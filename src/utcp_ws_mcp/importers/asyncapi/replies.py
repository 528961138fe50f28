"""Which messages answer a request, which of them report a failure, and what their result is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ...core.expressions.paths import Path
from ...recorder.messages import literal, path_expression
from ..model import Document
from ..schemas import Schemas
from ..shapes import mapping, texts
from .correlation import Correlation
from .payloads import Payload, error_text, predicate, says_failure

_ENDINGS: Final = r"(?:[_.\-:/ ]?(?:ack|acknowledged|response|resp|result|reply|ok|success|done|status|ed|d|bed))"
_COMMON: Final = re.compile(r"(?:result|response|reply|ok|ack|success|error|failure|fail)\Z", re.IGNORECASE)


_FLAGS: Final = ("success", "ok", "successful")
"""Properties of replies that say whether a request succeeded."""

_SUCCEEDED: Final = re.compile(r"(?:ok|okay|success|successful|succeeded|accepted|ack)\Z", re.IGNORECASE)

_USUAL_TEXT: Final = "message.error.message | default(message.error) | default(message.message)"

_BESIDE: Final = frozenset({"error", "errors", "errorMessage", "echo_req", "msg_type"})
"""Properties of replies that are no part of the result."""


def reply_rules(
    request: Payload, replies: Sequence[Payload], correlation: Correlation | None, schemas: Schemas
) -> Document:
    """Return the rules for the replies to a request."""
    own = str(request.kind[1]) if request.kind is not None else ""
    errors = [each for each in replies if each.reports_failure(own)] if len(replies) > 1 else []
    good = [each for each in replies if each not in errors] or list(replies)
    reply: Document = {}
    if correlation is not None:
        reply["match"] = f"{path_expression(correlation.received)} == request_id"
    elif (found := _any_of(replies)) is not None:
        reply["match"] = found
    reply |= _error_rules(errors, good, schemas, own)
    result = _result([_result_path(each, correlation) for each in good])
    reply |= {"result": result} if result else {}
    return reply


def _any_of(replies: Sequence[Payload]) -> str | None:
    """Return the predicate for messages without IDs: by their constants; None if one of them has none."""
    if any(each.kind is None for each in replies):
        return None
    return " or ".join(dict.fromkeys(part for each in replies if (part := predicate(each, ()))))


def _error_rules(errors: Sequence[Payload], good: Sequence[Payload], schemas: Schemas, own: str) -> Document:
    parts = {part: error for error in errors if (part := predicate(error, good)) is not None}
    if parts:
        text = next((text for error in parts.values() if (text := error_text(error, schemas))), None)
        return {"error": " or ".join(parts), **({"error_message": text} if text else {})}
    named = [name for name in ("error", "errors", "errorMessage") if _is_optional(name, good)]
    if named and not errors:
        path = path_expression((named[0],))
        text = next((found for each in good if (found := error_text(each, schemas)) and found.startswith(path)), path)
        return {"error": path, "error_message": text}
    flag = next((name for name in _FLAGS if all(name in each.properties for each in good)), None)
    if flag is not None and not errors:
        text = next((found for each in good if (found := error_text(each, schemas))), None)
        path = path_expression((flag,))
        return {"error": f"{path} == false", **({"error_message": text} if text else {})}
    if not errors and (said := _said_by_a_status(good, schemas, own)) is not None:
        text = next((found for each in good if (found := error_text(each, schemas))), None)
        return {"error": said, **({"error_message": text} if text else {})}
    return {} if errors else _usual_error(good)


def _said_by_a_status(good: Sequence[Payload], schemas: Schemas, own: str) -> str | None:
    """Return the predicate for replies of which one property says `ok` or the name of the request, or a failure.

    The state of a thing, such as `running` or `failed`, is a result.
    """
    for payload in good:
        for name, schema in payload.properties.items():
            values = texts(mapping(schemas.peek(schema)).get("enum"))
            failed = [value for value in values if says_failure(value)]
            rest = [value for value in values if value not in failed]
            if failed and rest and all(_SUCCEEDED.match(value) or value == own for value in rest):
                path = path_expression((name,))
                return f"{path} == {literal(failed[0])}" if len(failed) == 1 else f"{path} in {_list(failed)}"
    return None


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(map(literal, values))}]"


def _usual_error(good: Sequence[Payload]) -> Document:
    """Return the rule for the forms in which most endpoints report a failure, where the document describes none."""
    kinds = {each.kind[0] for each in good if each.kind is not None}
    parts = [f"{path_expression(kinds.pop())} == 'error'"] if len(kinds) == 1 else []
    parts += [] if any("error" in each.properties for each in good) else ["message.error"]
    return {"error": " or ".join(parts), "error_message": _USUAL_TEXT} if parts else {}


def _is_optional(name: str, payloads: Sequence[Payload]) -> bool:
    """Return whether a reply may have a property, and need not have it."""
    return any(name in each.properties and name not in texts(each.schema.get("required")) for each in payloads)


def _result_path(payload: Payload, correlation: Correlation | None) -> Path | None:
    """Return the only property of a reply beside its constants and its ID; None for the whole message."""
    known = {path[0] for path in payload.constants} | ({correlation.received[0]} if correlation else set())
    others = [name for name in payload.properties if name not in known and name not in _BESIDE]
    return (others[0],) if len(others) == 1 else None


def _result(paths: Sequence[Path | None]) -> str | None:
    if len(set(paths)) != 1 or paths[0] is None:
        return None
    return path_expression(paths[0])


def guess_replies(request: Payload, incoming: Sequence[Payload], correlation_name: str) -> list[Payload]:
    """Return the incoming messages that probably answer a request, by their constants.

    Args:
        request: The request.
        incoming: The messages that the endpoint sends.
        correlation_name: A property that request and replies have.
    """
    if request.kind is None:
        return []
    kind = str(request.kind[1])
    pattern = re.compile(rf"{re.escape(kind)}{_ENDINGS}\Z", re.IGNORECASE)
    same = [
        (each, str(each.kind[1])) for each in incoming if correlation_name in each.properties and each.kind is not None
    ]
    own = [each for each, value in same if pattern.match(value)]
    common = [each for each, value in same if _COMMON.match(value)]
    return [*own, *(each for each in common if each not in own)]
