"""Say why a WebSocket message does not consist of whole messages, and which `framing.length` would fit it.

Only errors ask for it, so that it may try many lengths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, Final

from ...manifest.models.framing import Framing, MessageLength
from .message import Message, MessageTooLarge, UndecodableStream, encode_json
from .splitting import make_splitter

DecodeAlone = Callable[[Framing, bytes], "Sequence[Message] | None"]
"""Returns the messages in a WebSocket message by a framing; None if it does not consist of whole messages."""

MAX_TEXT_AROUND: Final = 8
"""Characters in front of a length or behind it, if they are not those of the manifest."""

_ANNOUNCED: Final = re.compile(
    rb"([!-/:-~]{0,%d})[0-9]{1,12}([!-/:-~][!-~]{0,%d})" % (MAX_TEXT_AROUND, MAX_TEXT_AROUND - 1)
)
_BINARY_FORMS: Final = ((1, 2, 4, 8), ("big", "little"), ("body", "all", "rest", "from_length"))
_SEVERAL: Final = 3
"""Lengths that fit equally well, in a hint."""


def suggest_length(framing: Framing, data: bytes, decode_alone: DecodeAlone) -> str:
    """Return the fields of `length` with which data would be whole messages, as JSON; nothing if it fits none.

    Those that differ least from the manifest are returned.
    """
    length = framing.length
    assert length is not None
    alone = framing.model_copy(update={"spans_messages": False, "compression": framing.compression_of_bodies})
    tried = _text_lengths(framing, length, data) if length.is_text else _binary_lengths(framing, length)
    found: dict[int, list[dict[str, Any]]] = {}
    for changes in tried:
        other = alone.model_copy(update={"length": length.model_copy(update=changes)})
        messages = decode_alone(other, data)
        if messages and all(_is_convincing(each, other, changes) for each in messages):
            found.setdefault(len(changes), []).append(changes)
    fitting = found[min(found)][:_SEVERAL] if found else []
    return " or ".join(", ".join(f'"{name}": {encode_json(value)}' for name, value in each.items()) for each in fitting)


def describe_misfit(framing: Framing, data: bytes, limit: int) -> str:
    """Return why data does not consist of whole messages."""
    splitter = make_splitter(framing.model_copy(update={"spans_messages": True}), limit)
    assert splitter is not None
    try:
        for _ in splitter.feed(data):
            pass
    except UndecodableStream as error:
        return str(error)
    except MessageTooLarge:
        return "the length of a message is over the limit"
    return "a length announces more than what follows it"


def _text_lengths(framing: Framing, length: MessageLength, data: bytes) -> Iterator[dict[str, Any]]:
    """Yield how else a length may be written in text, and what else it may count."""
    countable = ("utf16", "code_points", "bytes") if framing.has_countable_characters else ("bytes",)
    units = [unit for unit in countable if unit != length.unit]
    yield from ({"unit": unit} for unit in units)
    announced = _ANNOUNCED.match(data) if length.between is not None else None
    if announced is None:
        return
    before, behind = announced[1].decode(), announced[2].decode()
    for count in range(1, len(behind) + 1):
        between = (before, behind[:count])
        if between != length.between:
            yield {"between": between}
            yield from ({"between": between, "unit": unit} for unit in units)


def _binary_lengths(framing: Framing, length: MessageLength) -> Iterator[dict[str, Any]]:
    """Yield what else a binary length may count, and how else it may be written."""
    is_behind_header = length.size == "varint" and framing.header is not None
    for size, endian, counts in product(*([()] if is_behind_header else _BINARY_FORMS)):
        end = length.at + size
        header_size = framing.header or end
        # Without anything in front of the length or behind it, two of the counts are the same as others.
        repeats = (counts == "rest" and header_size == end) or (counts == "from_length" and not length.at)
        tried = {"size": size, "endian": endian, "counts": counts}
        changes = {name: value for name, value in tried.items() if value != getattr(length, name)}
        if changes and header_size >= end and not repeats:
            yield changes


def _is_convincing(message: Message, framing: Framing, changes: dict[str, Any]) -> bool:
    """Return whether a message cannot be cut out at a wrong place by chance."""
    body = message.value["body"] if framing.has_header else message.value
    if framing.length is not None and framing.length.is_text and "between" not in changes:
        return body is not None
    return isinstance(body, dict | list) if framing.codec in _CHECKING else bool(body)


_CHECKING: Final = frozenset({"json", "msgpack", "cbor", "protobuf", "stomp"})
"""Codecs that do not accept any bytes."""
