"""Results as MCP content blocks, in their form on the wire."""

from __future__ import annotations

import base64
from typing import Any, Final

from ..bridge import Streamed
from ..core.codecs.message import clean, encode_json
from ..core.exchange.result import text_of

Block = dict[str, Any]

_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
)
_ROUND: Final = bytes.maketrans(b"[{]}", b"(())")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
MAX_DEPTH: Final = 64
"""Levels of nesting that results may have; what is deeper becomes a note."""


def result_blocks(value: Any) -> tuple[list[Block], str | None]:
    """The content blocks of a result, and the JSON of its structured content (None for text and binary).

    JSON stands in a text block as well, for hosts that read only that.
    """
    if isinstance(value, Streamed):
        return _stream_blocks(value)
    if isinstance(value, bytes):
        return [binary_block(value)], None
    if isinstance(value, str):
        return [text_block(value)], None
    text = json_text(value)
    return [{"type": "text", "text": text}], text


def text_block(text: str) -> Block:
    """A text block; what UTF-8 cannot encode is replaced."""
    return {"type": "text", "text": clean(text)}


def binary_block(data: bytes, number: int = 1) -> Block:
    """An image, an audio clip, or any other data as an embedded resource."""
    kind = media_type(data)
    encoded = base64.b64encode(data).decode()
    if kind.startswith(("image/", "audio/")):
        return {"type": kind.partition("/")[0], "data": encoded, "mimeType": kind}
    resource = {"uri": f"websocket:message/{number}", "mimeType": kind, "blob": encoded}
    return {"type": "resource", "resource": resource}


def media_type(data: bytes) -> str:
    """What the first bytes say that the data is."""
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12], "application/octet-stream")
    return "application/octet-stream"


def json_text(value: Any) -> str:
    """The JSON of a value, fit to be sent: UTF-8 can encode it, and hosts can read its depth."""
    try:
        text = encode_json(value)
        if not text.isascii():
            text.encode()
        if not is_deeper(text, MAX_DEPTH):
            return text
    except ValueError:
        pass
    return encode_json(clean(value, MAX_DEPTH))


def is_deeper(text: str, levels: int) -> bool:
    """Whether JSON is nested more deeply; text with brackets may be taken for it.

    Each pass takes the innermost level away.
    """
    if text.count("[") + text.count("{") <= levels:
        return False
    brackets = text.encode("utf-8", "replace").translate(_ROUND, _NO_BRACKETS)
    for _ in range(levels):
        brackets = brackets.replace(b"()", b"")
    return bool(brackets)


def _stream_blocks(streamed: Streamed) -> tuple[list[Block], str | None]:
    """A stream's result as JSON; the binary items in it follow as blocks of their own, named by their place."""
    held = streamed.value.get("items", [streamed.value.get("item")])
    binary = [(number, item) for number, item in enumerate(held, 1) if isinstance(item, bytes)]
    text = json_text(_described(streamed.value))
    return [{"type": "text", "text": text}, *(binary_block(item, number) for number, item in binary)], text


def _described(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _described(item) for key, item in value.items()}
    if isinstance(value, list):
        return [text_of(item) if isinstance(item, bytes) else item for item in value]
    return text_of(value) if isinstance(value, bytes) else value
