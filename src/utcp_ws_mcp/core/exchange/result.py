"""From a message to a result, as `response_format` and `collect` say (sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...errors import InvalidReply, ToolFault
from ..codecs.message import Message, clean, encode_json, excerpt, parse_json
from ..expressions.expression import ExpressionFailed
from ..tools.tool import Plan
from .exchange import Exchange

PACKED_FORMS: Final = {"msgpack": "MessagePack", "cbor": "CBOR"}
"""What is expected of a reply in the place of JSON, by codec."""


def take_result(plan: Plan, exchange: Exchange, message: Message) -> Any:
    """The result of a reply, or a stream's item: JSON, text or bytes.

    Raises:
        ToolFault: if the message reports a failure.
        InvalidReply: if it is not of the promised form.
    """
    if message is exchange.fault:
        raise _fault(plan, exchange, message)
    try:
        value = plan.rules.take(exchange.seeing(message), message)
    except ExpressionFailed as failed:
        raise InvalidReply(plan.full_name, str(failed), excerpt(message.shown)) from None
    match plan.template.response_format:
        case "json":
            return _as_json(plan, message) if value is message.raw and not message.decoded else value
        case "text":
            return _as_text(plan, value)
        case _:
            return value


def collected(plan: Plan, items: Sequence[Any], end: str | None) -> dict[str, Any]:
    """The result of a stream: its items as `collect` says, and what ended it."""
    assert plan.rules.stream is not None
    match plan.rules.stream.bounds.collect:
        case "last":
            return {"item": items[-1] if items else None, "end": end}
        case "text":
            return {"text": _joined(items), "end": end}
        case _:
            return {"items": list(items), "end": end}


def told_before(plan: Plan | None, items: Sequence[Any]) -> str:
    """What a stream gave before it failed, for a reader: one text where it is collected as text."""
    stream = plan.rules.stream if plan is not None else None
    is_text = stream is not None and stream.bounds.collect == "text"
    return f"what came before: {_joined(items) if is_text else text_of(list(items))}"


def _joined(items: Sequence[Any]) -> str:
    """The texts of all items in one. Bytes are put together before they are read: a character may be cut in two."""
    if not any(isinstance(item, bytes) for item in items):
        return "".join(map(text_of, items))
    whole = b"".join(item if isinstance(item, bytes) else text_of(item).encode(errors="replace") for item in items)
    return whole.decode(errors="replace")


def text_of(value: Any) -> str:
    """A result for a reader: text as it is, bytes described, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    try:
        return encode_json(value)
    except ValueError:
        return encode_json(clean(value))


def _fault(plan: Plan, exchange: Exchange, message: Message) -> ToolFault:
    found = plan.rules.fault_message(exchange.seeing(message))
    text = text_of(found) if found is not None else text_of(message.value)
    return ToolFault(plan.full_name, text, message.value)


def _as_json(plan: Plan, message: Message) -> Any:
    if message.is_json:
        return message.value
    try:
        return parse_json(message.raw.decode() if isinstance(message.raw, bytes) else message.raw)
    except ValueError:
        form = PACKED_FORMS.get(plan.template.framing.codec, "JSON")
        raise InvalidReply(plan.full_name, f"the reply is not {form}", excerpt(message.raw)) from None


def _as_text(plan: Plan, value: Any) -> str:
    if not isinstance(value, bytes):
        return text_of(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidReply(plan.full_name, "the reply is not text in UTF-8", excerpt(value)) from None
