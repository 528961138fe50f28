"""The result of a tool call in its form on the wire, for both eras."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .. import __version__
from ..core.codecs.message import encode_json
from ..errors import BridgeError, Outcome
from .content import ContentBlock
from .stdio.protocol_versions import SERVER_INFO_KEY

SERVER_INFO: Final = {"name": "utcp-ws-mcp", "title": "WebSocket tools", "version": __version__}
_SERVER_INFO_META: Final = {SERVER_INFO_KEY: SERVER_INFO}
_MODERN_RESULT_SUFFIX: Final = f',"_meta":{encode_json(_SERVER_INFO_META)},"resultType":"complete"}}'
OUTCOME_KEY: Final = "io.github.utcp-ws-mcp/outcome"
"""In `_meta` of an error: `not_sent`, `maybe_executed` or `answered`."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gives: content blocks, the JSON of the structured content (if any), and for an error its outcome."""

    content: Sequence[ContentBlock]
    structured: str | None = None
    is_error: bool = False
    outcome: Outcome | None = None

    def to_json(self, *, modern: bool) -> str:
        """The result as JSON text."""
        return "".join(self.json_chunks(modern=modern))

    def json_chunks(self, *, modern: bool) -> Iterator[str]:
        """The result as JSON text in parts; what is large is not copied together."""
        yield '{"content":'
        yield from _json_chunks(self.content)
        if self.structured is not None and self._includes_structured(modern):
            yield ',"structuredContent":'
            yield self.structured
        yield ',"isError":true' if self.is_error else ',"isError":false'
        yield self._json_suffix(modern)

    def to_dict(self, *, modern: bool) -> dict[str, Any]:
        """The result as a value."""
        value: dict[str, Any] = json.loads(self.to_json(modern=modern))
        return value

    def _includes_structured(self, modern: bool) -> bool:
        """Handshake revisions know objects only, and none knows null."""
        if self.structured is None or self.structured == "null":
            return False
        return modern or self.structured.startswith("{")

    def _json_suffix(self, modern: bool) -> str:
        if self.outcome is None:
            return _MODERN_RESULT_SUFFIX if modern else "}"
        meta = {OUTCOME_KEY: self.outcome.name.lower(), **(_SERVER_INFO_META if modern else {})}
        ending = f',"_meta":{encode_json(meta)}'
        return f'{ending},"resultType":"complete"}}' if modern else f"{ending}}}"


def _json_chunks(value: Any) -> Iterator[str]:
    """The JSON of content blocks; a large text in them is a part of its own."""
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


def error_result(error: BridgeError, content: Sequence[ContentBlock]) -> Result:
    """The result that says what failed, and what became of the request."""
    return Result(content, is_error=True, outcome=error.outcome)
