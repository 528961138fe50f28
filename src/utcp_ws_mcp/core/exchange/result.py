"""Convert messages to results, as `response_format` and `stream.collect` say (manifest language, sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ...errors import InvalidReply, ToolError
from ..codecs.message import Message, encode_json, excerpt, parse_json, to_json_safe
from ..expressions.expression import EvaluationError
from ..tools.tool import CompiledTool
from .exchange import Exchange

BINARY_CODEC_NAMES: Final = {"msgpack": "MessagePack", "cbor": "CBOR"}
"""What a codec decodes instead of JSON, for errors."""

_NOT_JSON_FIX: Final = 'If it is the reply, set "response_format": "text"; if not, select the reply with "reply.match".'

_EVALUABLE_FIX: Final = "Check the kind of the value first, as in 'message is string and …'."


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
        value = tool.rules.extract(exchange.scope_for(message), message)
    except EvaluationError as error:
        raise InvalidReply(
            tool.full_name, str(error), excerpt(message.for_display, redact=redact), code=error.code
        ) from None
    match tool.template.response_format:
        case "json":
            return _decode_json(tool, message, redact) if value is message.raw and not message.decoded else value
        case "text":
            return _decode_text(tool, value, redact)
        case _:
            return value


def collect_stream(tool: CompiledTool, items: Sequence[Any], end: str | None) -> dict[str, Any]:
    """Return the result of a stream: its items as `collect` says, and what ended it."""
    assert tool.rules.stream is not None
    match tool.rules.stream.bounds.collect:
        case "last":
            return {"item": items[-1] if items else None, "end": end}
        case "text":
            return {"text": _join_items(items), "end": end}
        case _:
            return {"items": list(items), "end": end}


def partial_stream_text(tool: CompiledTool | None, items: Sequence[Any]) -> str:
    """Return what a stream delivered before it failed, for an error; one text if it is collected as text."""
    stream = tool.rules.stream if tool is not None else None
    is_text = stream is not None and stream.bounds.collect == "text"
    return f"what came before: {_join_items(items) if is_text else as_text(list(items))}"


def _join_items(items: Sequence[Any]) -> str:
    """Return the texts of all items as one.

    Bytes are joined before they are decoded: a character may begin in one item and end in the next.
    """
    if not any(isinstance(item, bytes) for item in items):
        return "".join(map(as_text, items))
    joined = b"".join(item if isinstance(item, bytes) else as_text(item).encode(errors="replace") for item in items)
    return joined.decode(errors="replace")


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
    selected = tool.rules.error_text(exchange.scope_for(message))
    text = as_text(message.value if selected is None else selected)
    return ToolError(tool.full_name, text, message.value)


def _decode_json(tool: CompiledTool, message: Message, redact: Callable[[str], str]) -> Any:
    if message.is_json:
        return message.value
    try:
        return parse_json(message.raw.decode() if isinstance(message.raw, bytes) else message.raw)
    except ValueError:
        expected = BINARY_CODEC_NAMES.get(tool.template.framing.codec)
        cause = f"the reply is not {expected}." if expected else f"the reply is not JSON. {_NOT_JSON_FIX}"
        raise InvalidReply(tool.full_name, cause, excerpt(message.raw, redact=redact), code="reply-not-json") from None


def _decode_text(tool: CompiledTool, value: Any, redact: Callable[[str], str]) -> str:
    if not isinstance(value, bytes):
        return as_text(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        cause = 'the reply is not UTF-8 text. If it is binary data, set "response_format": "raw".'
        raise InvalidReply(tool.full_name, cause, excerpt(value, redact=redact), code="reply-not-text") from None
