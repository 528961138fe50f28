"""Results of tool calls as MCP sends them: content blocks, structured content and `_meta`, as JSON.

JSON is written without the models of the SDK: their import would cost the fast path of stdio more than all else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .. import __version__
from ..bridge import StreamResult
from ..core.codecs.message import encode_json, to_json_safe
from ..core.exchange.result import as_text
from ..core.limits import MAX_MESSAGE_DEPTH, json_text_is_deeper
from ..errors import BridgeError, Outcome, ToolError
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
META_PREFIX: Final = "io.github.utcp-ws-mcp/"
"""The prefix of this server's keys in `_meta`, in reverse DNS notation (MCP 2026-07-28, `_meta`)."""

OUTCOME_KEY: Final = f"{META_PREFIX}outcome"
"""In `_meta` of an error: `not_sent`, `maybe_executed` or `answered`."""

CODE_KEY: Final = f"{META_PREFIX}code"
"""In `_meta` of an error: its stable code (`errors.codes`)."""

TEXT_BY_KEY: Final = f"{META_PREFIX}text_by"
"""In `_meta` of an error whose text is that of the endpoint: `endpoint`."""

_SERVER_INFO_META: Final = {SERVER_INFO_KEY: SERVER_INFO}
_MODERN_RESULT_SUFFIX: Final = f',"_meta":{encode_json(_SERVER_INFO_META)},"resultType":"complete"}}'


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a call: content blocks, the JSON of the structured content, outcome and code of an error."""

    content: Sequence[ContentBlock]
    structured: str | None = None
    is_error: bool = False
    outcome: Outcome | None = None
    code: str | None = None
    by_endpoint: bool = False

    def to_json(self, *, modern: bool) -> str:
        """Return the result as JSON text."""
        return "".join(self.json_chunks(modern=modern))

    def json_chunks(self, *, modern: bool) -> Iterator[str]:
        """Yield the result as JSON text in parts, so that large parts are not copied."""
        yield '{"content":'
        yield from _json_chunks(self.content)
        if self.structured is not None and self._includes_structured(modern):
            yield ',"structuredContent":'
            yield self.structured
        yield ',"isError":true' if self.is_error else ',"isError":false'
        yield self._json_suffix(modern)

    def to_dict(self, *, modern: bool) -> dict[str, Any]:
        """Return the result as a JSON value."""
        value: dict[str, Any] = json.loads(self.to_json(modern=modern))
        return value

    def _includes_structured(self, modern: bool) -> bool:
        """Structured content is an object in the handshake revisions, and never null (MCP schema)."""
        if self.structured is None or self.structured == "null":
            return False
        return modern or self.structured.startswith("{")

    def _json_suffix(self, modern: bool) -> str:
        if self.outcome is None:
            return _MODERN_RESULT_SUFFIX if modern else "}"
        meta: dict[str, Any] = {OUTCOME_KEY: self.outcome.name.lower(), CODE_KEY: self.code}
        meta |= {TEXT_BY_KEY: "endpoint"} if self.by_endpoint else {}
        meta |= _SERVER_INFO_META if modern else {}
        ending = f',"_meta":{encode_json(meta)}'
        return f'{ending},"resultType":"complete"}}' if modern else f"{ending}}}"


def error_result(error: BridgeError, content: Sequence[ContentBlock]) -> Result:
    """Return the result for an error, with what is known about its request."""
    by_endpoint = isinstance(error, ToolError)
    return Result(content, is_error=True, outcome=error.outcome, code=error.code, by_endpoint=by_endpoint)


def result_blocks(value: Any) -> tuple[list[ContentBlock], str | None]:
    """Return the content blocks of a result, and the JSON of its structured content (None for text and binary data).

    JSON is repeated in a text block, for hosts that read only the content.
    """
    if isinstance(value, StreamResult):
        return _stream_blocks(value)
    if isinstance(value, bytes):
        return [binary_block(value)], None
    if isinstance(value, str):
        return [text_block(value)], None
    text = json_text(value)
    return [{"type": "text", "text": text}], text


def text_block(text: str) -> ContentBlock:
    """Return a text block; characters that UTF-8 cannot encode are replaced."""
    return {"type": "text", "text": to_json_safe(text)}


def binary_block(data: bytes, number: int = 1) -> ContentBlock:
    """Return a block with an image, audio, or any other data as an embedded resource."""
    kind = media_type(data)
    encoded = base64.b64encode(data).decode()
    if kind.startswith(("image/", "audio/")):
        return {"type": kind.partition("/")[0], "data": encoded, "mimeType": kind}
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


def json_text(value: Any) -> str:
    """Return the JSON of a value such that UTF-8 can encode it, and its nesting does not exceed MAX_DEPTH."""
    try:
        text = encode_json(value)
        if not text.isascii():
            text.encode()
        if not json_text_is_deeper(text, MAX_MESSAGE_DEPTH):
            return text
    except ValueError:
        pass
    return encode_json(to_json_safe(value, MAX_MESSAGE_DEPTH))


def _stream_blocks(stream_result: StreamResult) -> tuple[list[ContentBlock], str | None]:
    """Return the result of a stream as JSON, followed by a block for each binary item, numbered by its position."""
    held = stream_result.value.get("items", [stream_result.value.get("item")])
    binary = [(number, item) for number, item in enumerate(held, 1) if isinstance(item, bytes)]
    text = json_text(_describe_binary(stream_result.value))
    return [{"type": "text", "text": text}, *(binary_block(item, number) for number, item in binary)], text


def _describe_binary(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _describe_binary(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) if isinstance(item, bytes) else item for item in value]
    return as_text(value) if isinstance(value, bytes) else value


def _json_chunks(value: Any) -> Iterator[str]:
    """Yield the JSON of content blocks; each text in them is a part of its own."""
    if isinstance(value, dict):
        separator = "{"
        for key, item in value.items():
            yield f'{separator}"{key}":'
            yield from _json_chunks(item)
            separator = ","
        yield "}"
    elif isinstance(value, list):
        separator = "["
        for item in value:
            yield separator
            yield from _json_chunks(item)
            separator = ","
        yield "]" if value else "[]"
    else:
        yield encode_json(value)
