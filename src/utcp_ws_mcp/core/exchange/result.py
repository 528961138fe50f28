"""Convert messages to results, as `response_format` and `stream.collect` say (manifest language, sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...errors import InvalidReply, ToolError
from ...records import Record
from ..codecs.message import Message, encode_json, excerpt, parse_json, to_json_safe
from ..expressions.expression import EvaluationError

if TYPE_CHECKING:
    from ..tools.tool import CompiledTool
    from .exchange import Exchange

BINARY_CODEC_NAMES: Final = {"msgpack": "MessagePack", "cbor": "CBOR", "protobuf": "Protobuf"}
"""What a codec decodes instead of JSON, for errors."""

CODE_KEYS: Final = ("code", "errorCode", "error_code", "errno")
"""Where protocols put the code of an error."""

_NOT_JSON_FIX: Final = 'If it is the reply, set "response_format": "text"; if not, select the reply with "reply.match".'

_BEYOND_LIMITS: Final = (
    "the reply is JSON that is nested too deeply, or holds a number of thousands of digits. "
    'To return it as it is, set "response_format": "text".'
)

_EVALUABLE_FIX: Final = "Check the kind of the value first, as in 'message is string and …'."


class StreamResult(Record):
    """The result of a stream: `value` as `collect` defines it, `items` in order, and what ended the stream.

    `complete`: it ended by itself. A bound ended it otherwise, and more may have followed.
    """

    value: Any
    items: tuple[Any, ...]
    end: str | None
    complete: bool = False


def extract_result(tool: CompiledTool, exchange: Exchange, message: Message) -> Any:
    """Return the result of a reply, or an item of a stream: JSON, text or bytes.

    Args:
        tool: The tool that was called.
        exchange: The exchange that accepted the message.
        message: One of the messages in `exchange.received`.

    Raises:
        ToolError: if the message is an error reply.
        InvalidReply: if it is not in the format of `response_format`, or `result` selects nothing.
    """
    redact = exchange.scope.ambient.redact
    if message is exchange.error:
        if exchange.failed_rule:
            reason = f"{exchange.failed_rule} {_EVALUABLE_FIX}"
            shown = excerpt(message.for_display, redact=redact)
            raise InvalidReply(tool.full_name, reason, shown, code="predicate-failed")
        raise _tool_error(tool, exchange, message)
    try:
        value = tool.rules.extract(exchange.scope_for, message)
    except EvaluationError as error:
        raise InvalidReply(
            tool.full_name, redact(str(error)), excerpt(message.for_display, redact=redact), code=error.code
        ) from None
    match tool.template.response_format:
        case "json":
            return _decode_json(tool, message, redact) if value is message.raw and not message.decoded else value
        case "text":
            return _decode_text(tool, value, redact)
        case _:
            return value


def collect_stream(tool: CompiledTool, items: Sequence[Any], end: str | None, *, complete: bool) -> dict[str, Any]:
    """Return the result of a stream: its items as `collect` says, what ended it, and whether that was its own end."""
    assert tool.rules.stream is not None
    ending = {"end": end, "complete": complete}
    match tool.rules.stream.bounds.collect:
        case "last":
            return {"item": items[-1] if items else None, **ending}
        case "text":
            return {"text": _join_items(items), **ending}
        case "bytes":
            return {"data": _join_bytes(items), **ending}
        case "flat":
            return {"items": _join_lists(items), **ending}
        case _:
            return {"items": list(items), **ending}


def partial_stream_text(tool: CompiledTool | None, items: Sequence[Any]) -> str:
    """Return what a stream delivered before it failed, for an error; one text if it is collected as text."""
    stream = tool.rules.stream if tool is not None else None
    match stream.bounds.collect if stream is not None else "list":
        case "text":
            text = _join_items(items)
        case "bytes":
            text = as_text(_join_bytes(items))
        case _:
            text = as_text(list(items))
    return f"what came before: {text}"


def _join_items(items: Sequence[Any]) -> str:
    """Return the texts of all items as one.

    Bytes are joined before they are decoded: a character may begin in one item and end in the next.
    """
    if not any(isinstance(item, bytes) for item in items):
        return "".join(map(as_text, items))
    return _join_bytes(items).decode(errors="replace")


def _join_bytes(items: Sequence[Any]) -> bytes:
    """Return the bytes of all items as one; what is no bytes as its text in UTF-8."""
    return b"".join(item if isinstance(item, bytes) else as_text(item).encode(errors="replace") for item in items)


def _join_lists(items: Sequence[Any]) -> list[Any]:
    """Return the elements of all items that are lists; any other item is one element."""
    return [element for item in items for element in (item if isinstance(item, list | tuple) else [item])]


def as_text(value: Any) -> str:
    """Return a result for people: text unchanged, the length of bytes, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    try:
        return encode_json(value)
    except ValueError:
        return encode_json(to_json_safe(value))


def _tool_error(tool: CompiledTool, exchange: Exchange, message: Message) -> ToolError:
    text = error_text(tool.rules.error_text(exchange.scope_for(message)), message.value)
    text = exchange.scope.ambient.redact(text)
    from ..login_demand import login_hint  # only for errors

    hint = login_hint(tool.template, [text])
    return ToolError(tool.full_name, text, message.value, shared=exchange.error_is_shared, hint=hint)


def error_text(selected: Any, payload: Any) -> str:
    """Return the text of an error reply: what `error_message` selects, else the code of the error, else all of it.

    Args:
        selected: The value of `error_message`; None if it has none.
        payload: The error reply.
    """
    text = "" if selected is None or selected in ({}, []) else as_text(selected)
    if text.strip():
        return text
    if selected is not None and (code := _error_code(payload)) is not None:
        return f"error code {code}"
    return as_text(payload).strip() or "the endpoint reported an error without a text"


def _error_code(payload: Any) -> str | int | None:
    """Return the code of an error reply: of its `error`, or its own."""
    inner = payload.get("error") if isinstance(payload, dict) else None
    for owner in (inner, payload):
        found = [owner.get(key) for key in CODE_KEYS] if isinstance(owner, dict) else []
        for code in found:
            if isinstance(code, str | int) and not isinstance(code, bool) and code != "":
                return code
    return None


def _decode_json(tool: CompiledTool, message: Message, redact: Callable[[str], str]) -> Any:
    if message.is_json:
        return message.value
    try:
        return parse_json(message.raw.decode() if isinstance(message.raw, bytes) else message.raw)
    except ValueError as error:
        expected = BINARY_CODEC_NAMES.get(tool.template.framing.codec)
        cause = f"the reply is not {expected}." if expected else f"the reply is not JSON. {_NOT_JSON_FIX}"
        if type(error) is ValueError:  # not one of its subclasses, which say that the text is not JSON, or not UTF-8
            cause = _BEYOND_LIMITS
        raise InvalidReply(tool.full_name, cause, excerpt(message.raw, redact=redact), code="reply-not-json") from None


def _decode_text(tool: CompiledTool, value: Any, redact: Callable[[str], str]) -> str:
    if not isinstance(value, bytes):
        return as_text(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        cause = 'the reply is not UTF-8 text. If it is binary data, set "response_format": "raw".'
        raise InvalidReply(tool.full_name, cause, excerpt(value, redact=redact), code="reply-not-text") from None
