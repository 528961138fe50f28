"""The content of results as MCP sends it: text, images, audio and other binary data, and structured content."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

from .. import __version__
from ..core.codecs.json_text import encode_parsed
from ..core.codecs.message import encode_json, to_json_safe
from ..core.exchange.result import StreamResult, as_text
from ..core.limits import MAX_MESSAGE_DEPTH, json_text_is_deeper
from .stdio.protocol_versions import SERVER_INFO_KEY

ContentBlock = dict[str, Any]

_MAGIC_NUMBERS: Final = (
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
_RIFF_TYPES: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
SERVER_INFO: Final = {"name": "utcp-ws-mcp", "title": "WebSocket tools", "version": __version__}
ICON: Final = {
    "src": "data:image/svg+xml;base64,"
    + base64.b64encode(
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#36c" stroke-width="2">'
        b'<path d="M3 9h14l-4-4M21 15H7l4 4"/></svg>'
    ).decode(),
    "mimeType": "image/svg+xml",
    "sizes": ["any"],
}
"""Two arrows in opposite directions. It is sent once for each session, not with every result."""
SERVER_INFO_META: Final = {SERVER_INFO_KEY: SERVER_INFO}
"""What every result of 2026-07-28 has in `_meta`."""

META_PREFIX: Final = "io.github.utcp-ws-mcp/"
"""The prefix of this server's keys in `_meta`, in reverse DNS notation (MCP 2026-07-28, `_meta`)."""


def result_blocks(
    value: Any, kind: str | None = None, *, is_parsed: bool = False
) -> tuple[list[ContentBlock], str | None]:
    """Return the content blocks of a result, and the JSON of its structured content (None for text and binary data).

    JSON is repeated in a text block, for hosts that read only the content. There is no structured content beside
    blocks of binary data: some hosts read only the structured content if there is any. `kind` is the media type of
    binary data; by default its first bytes indicate it. `is_parsed`: other values come from a parser of JSON.
    """
    if isinstance(value, StreamResult):
        return _stream_blocks(value, kind, is_parsed=is_parsed)
    if isinstance(value, bytes):
        return [binary_block(value, kind=kind)], None
    if isinstance(value, str):
        return [text_block(value)], None
    data = json_bytes(value, is_parsed=is_parsed)
    del value  # it takes several times the memory of its JSON; the caller keeps no reference either
    text = data.decode()
    return [{"type": "text", "text": text}], text


def text_block(text: str) -> ContentBlock:
    """Return a text block; characters that UTF-8 cannot encode are replaced."""
    return {"type": "text", "text": to_json_safe(text)}


def binary_block(data: bytes, number: int = 1, kind: str | None = None) -> ContentBlock:
    """Return a block with an image, audio, or any other data as an embedded resource."""
    kind = kind or media_type(data)
    encoded = base64.b64encode(data).decode()
    if kind.startswith(("image/", "audio/")):
        return {"type": kind.partition("/")[0], "data": encoded, "mimeType": kind}
    return _embedded_resource(encoded, kind, number)


def without_audio_blocks(content: Sequence[ContentBlock]) -> list[ContentBlock]:
    """Return content in which audio is an embedded resource, for the revision that has no blocks of audio."""
    return [
        _embedded_resource(block["data"], block["mimeType"], number) if block["type"] == "audio" else block
        for number, block in enumerate(content, 1)
    ]


def _embedded_resource(encoded: str, kind: str, number: int) -> ContentBlock:
    resource = {"uri": f"websocket:message/{number}", "mimeType": kind, "blob": encoded}
    return {"type": "resource", "resource": resource}


def media_type(data: bytes) -> str:
    """Return the media type that the first bytes of the data indicate."""
    for magic, kind in _MAGIC_NUMBERS:
        if data.startswith(magic):
            return kind
    if data.startswith(b"RIFF"):
        return _RIFF_TYPES.get(data[8:12], "application/octet-stream")
    return "application/octet-stream"


def json_text(value: Any, *, is_parsed: bool = False) -> str:
    """Return the JSON of a value, as `json_bytes` does, as text."""
    return json_bytes(value, is_parsed=is_parsed).decode()


def json_bytes(value: Any, *, is_parsed: bool) -> bytes:
    """Return the JSON of a value in UTF-8, such that its nesting does not exceed MAX_MESSAGE_DEPTH.

    A value that a parser of JSON returned (`is_parsed`) is written several times as fast.
    """
    try:
        data = encode_parsed(value) if is_parsed else encode_json(value).encode()
        if not json_text_is_deeper(data, MAX_MESSAGE_DEPTH):
            return data
    except ValueError:
        pass
    return encode_json(to_json_safe(value, MAX_MESSAGE_DEPTH)).encode()


def _stream_blocks(
    stream_result: StreamResult, kind: str | None, *, is_parsed: bool
) -> tuple[list[ContentBlock], str | None]:
    """Return the result of a stream as JSON, followed by a block for each binary item, numbered by its position."""
    value = stream_result.value
    held = value.get("items", [value.get("item", value.get("data"))])
    binary = [(number, item) for number, item in enumerate(held, 1) if isinstance(item, bytes)]
    text = json_text(_describe_binary(stream_result.value), is_parsed=is_parsed)
    blocks = [{"type": "text", "text": text}, *(binary_block(item, number, kind) for number, item in binary)]
    return blocks, None if binary else text


def _describe_binary(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _describe_binary(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) if isinstance(item, bytes) else item for item in value]
    return as_text(value) if isinstance(value, bytes) else value
