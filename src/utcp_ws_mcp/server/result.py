"""Results of tool calls as MCP sends them: the forms of each era, and the bound on the size of a message.

JSON is written without the models of the SDK: their import would cost the fast path of stdio more than all else.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Any, Final, Literal

from ..core.codecs.message import encode_json
from ..errors import BridgeError, Outcome, ResultTooLarge, ToolError
from ..records import Record, replace
from .content import META_PREFIX, SERVER_INFO_META, ContentBlock, text_block, without_audio_blocks
from .stdio.protocol_versions import VERSION_WITHOUT_AUDIO

JsonForm = Literal["auto", "both", "text"]
"""How JSON results are sent: as text and as structured content, or as one of them (`serve --json-results`)."""

JSON_FORMS: Final[tuple[JsonForm, ...]] = ("auto", "both", "text")
DEFAULT_MAX_LINE_BYTES: Final = 8 << 20
"""Bytes of a message to the host. The TypeScript SDK closes the session at 10 MiB, with all tools."""

MIN_MAX_LINE_BYTES: Final = 1 << 16
ENVELOPE_BYTES: Final = 4096
"""Bytes of a message that are reserved for all but its result: the id of the request and the fields around it."""

REPEATED_LENGTH: Final = 4096
"""With the form `auto`, characters of JSON that are sent twice although the tool promises no structured content.

Hosts that show a model the whole result make it pay for both forms.
"""

EXCERPT_LENGTH: Final = 2000
"""Characters of a result that is too large which its error shows."""

MAX_ESCAPED_BYTES: Final = 6
"""Bytes that one character of a text has at most in JSON (`\\u001f`)."""

OUTCOME_KEY: Final = f"{META_PREFIX}outcome"
"""In `_meta` of an error: `not_sent`, `maybe_executed` or `answered`."""

TEXT_BY_KEY: Final = f"{META_PREFIX}text_by"
"""In `_meta` of an error whose text is that of the endpoint: `endpoint`."""

CODE_KEY: Final = f"{META_PREFIX}code"
"""In `_meta` of an error: its stable code (`errors.codes`)."""

_MODERN_RESULT_SUFFIX: Final = f',"_meta":{encode_json(SERVER_INFO_META)},"resultType":"complete"}}'
_TEXT_BLOCK: Final = {"type", "text"}
"""The members of a block of text, which is the content of most results."""

_JSON_STARTS: Final = frozenset('["-0123456789tfnNI')
_STRUCTURED_ONLY: Final = (
    "The result is in structuredContent only: text and structured content together have more than "
    "{limit:,} bytes (`serve --max-line-bytes`)."
)


class MessageOptions(Record):
    """The options of `serve` for the messages that go to the host."""

    json_form: JsonForm = "auto"
    max_line_bytes: int = DEFAULT_MAX_LINE_BYTES


DEFAULT_OPTIONS: Final = MessageOptions()


class Promise(Enum):
    """What the `outputSchema` of a tool promises for its structured content in the handshake revisions."""

    NOTHING = "the tool has none"
    VALUE = "the value itself, an object"
    WRAPPED = "an object with the value under `result`"


class Result(Record):
    """The result of a call: content blocks, the JSON of the structured content, outcome and code of an error."""

    content: Sequence[ContentBlock]
    structured: str | None = None
    is_error: bool = False
    outcome: Outcome | None = None
    code: str | None = None
    by_endpoint: bool = False
    form: JsonForm = "auto"
    promise: Promise = Promise.NOTHING

    def to_json(self, *, modern: bool) -> str:
        """Return the result as JSON text."""
        return "".join(self.json_chunks(modern=modern))

    def json_chunks(self, *, modern: bool) -> list[str]:
        """Return the result as JSON text in parts, so that large parts are not copied."""
        if len(self.content) == 1 and self.content[0].keys() == _TEXT_BLOCK:
            chunks = ['{"content":[{"type":"text","text":', encode_json(self.content[0]["text"]), "}]"]
        else:
            chunks = ['{"content":', *_json_chunks(self.content)]
        structured = self._structured_content(modern)
        if structured is not None:
            chunks += (',"structuredContent":', structured)
        if self.outcome is not None:
            ending = self._outcome_suffix(self.outcome, modern)
        else:
            ending = _MODERN_RESULT_SUFFIX if modern else "}"
        chunks.append(f',"isError":{"true" if self.is_error else "false"}{ending}')
        return chunks

    def to_dict(self, *, modern: bool) -> dict[str, Any]:
        """Return the result as a JSON value."""
        value: dict[str, Any] = json.loads(self.to_json(modern=modern))
        return value

    def readable_in(self, revision: str) -> Result:
        """Return the result with blocks that the revision has."""
        if revision != VERSION_WITHOUT_AUDIO or all(block["type"] != "audio" for block in self.content):
            return self
        return replace(self, content=without_audio_blocks(self.content))

    def fitted_chunks(self, tool: str, max_line_bytes: int, *, modern: bool) -> Iterable[str]:
        """Return the result as JSON such that its message fits: in one form instead of two, or as an error.

        `tool` is the name that the host knows. What is written to measure it is also sent, if it fits.
        """
        limit = max_line_bytes - ENVELOPE_BYTES
        if _is_short(self, limit):
            return self.json_chunks(modern=modern)
        chunks = deque(self.json_chunks(modern=modern))
        if byte_size(chunks) <= limit:
            return _released(chunks)
        chunks.clear()
        return _released(deque(self._reduced(tool, max_line_bytes, modern=modern).json_chunks(modern=modern)))

    def _reduced(self, tool: str, max_line_bytes: int, *, modern: bool) -> Result:
        """Return a result that does not fit in one form instead of two, or as an error that says so."""
        limit = max_line_bytes - ENVELOPE_BYTES
        if self.is_error:
            return replace(self, content=_shortened(self.content, limit), structured=None)
        one_form = self._in_one_form(max_line_bytes)
        size = byte_size(one_form.json_chunks(modern=modern))
        if size <= limit:
            return one_form
        failed = ResultTooLarge(tool, size, max_line_bytes)
        text = next((block["text"] for block in self.content if block["type"] == "text"), None)
        excerpt = [] if text is None else [text_block(f"it begins: {text[:EXCERPT_LENGTH]}…")]
        return error_result(failed, [text_block(str(failed)), *excerpt])

    def _in_one_form(self, limit: int) -> Result:
        """Return the result without its second form. What `outputs` promise stays: clients reject its absence."""
        if self.promise is Promise.NOTHING or self.form == "text":
            return replace(self, form="text")
        return replace(self, content=[text_block(_STRUCTURED_ONLY.format(limit=limit))])

    def _structured_content(self, modern: bool) -> str | None:
        """Return the structured content as the era and the form have it.

        In the handshake revisions it is an object; another value is under `result`. It is there for every value that
        is not an object, because Gemini CLI 0.61 otherwise parses the text itself and then rejects what it parsed.
        """
        if self.is_error or self.form == "text":
            return self.structured if self.is_error else None
        value = self.structured
        if modern:  # never null (MCP schema)
            return value if value != "null" and self._has_second_form() else None
        if value is None:
            value = _scalar_or_array_in_text(self.content)
        if value is not None and (self.promise is Promise.WRAPPED or not value.startswith("{")):
            return f'{{"result":{value}}}'
        return value if self._has_second_form() else None

    def _has_second_form(self) -> bool:
        if self.structured is None:
            return False
        return self.promise is not Promise.NOTHING or self.form == "both" or len(self.structured) <= REPEATED_LENGTH

    def _outcome_suffix(self, outcome: Outcome, modern: bool) -> str:
        meta: dict[str, Any] = {OUTCOME_KEY: outcome.name.lower(), CODE_KEY: self.code}
        meta |= {TEXT_BY_KEY: "endpoint"} if self.by_endpoint else {}
        meta |= SERVER_INFO_META if modern else {}
        ending = f',"_meta":{encode_json(meta)}'
        return f'{ending},"resultType":"complete"}}' if modern else f"{ending}}}"


def error_result(error: BridgeError, content: Sequence[ContentBlock], structured: str | None = None) -> Result:
    """Return the result for an error, with what is known about its request; `structured` is an object.

    What is structured is also in a text, so it is left out where it is long.
    """
    repeated = structured if structured is not None and len(structured) <= REPEATED_LENGTH else None
    by_endpoint = isinstance(error, ToolError)
    return Result(content, repeated, True, error.outcome, error.code, by_endpoint)


def _is_short(result: Result, limit: int) -> bool:
    """Return whether the JSON of a result has at most `limit` bytes whatever its texts are, so it is not measured."""
    longest = _text_length(result.content) + len(result.structured or "")
    return MAX_ESCAPED_BYTES * 2 * longest + ENVELOPE_BYTES < limit


def _released(chunks: deque[str]) -> Iterator[str]:
    """Yield parts of a text; each is released when the next one is asked for."""
    while chunks:
        yield chunks.popleft()


def byte_size(parts: Iterable[str]) -> int:
    """Return the bytes of a text in UTF-8, given in parts."""
    return sum(map(text_size, parts))


def text_size(text: str) -> int:
    """Return the bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _shortened(content: Sequence[ContentBlock], limit: int) -> list[ContentBlock]:
    """Return the texts of an error such that all of them have at most `limit` bytes as JSON."""
    texts = [block["text"] for block in content if block["type"] == "text"]
    length = (limit - ENVELOPE_BYTES) // (MAX_ESCAPED_BYTES * max(len(texts), 1))
    return [text_block(text if len(text) <= length else f"{text[: length - 100]}… (cut)") for text in texts]


def _scalar_or_array_in_text(content: Sequence[ContentBlock]) -> str | None:
    """Return the JSON of a text that is itself JSON and no object, such as `42`."""
    if not content or content[0]["type"] != "text":
        return None
    text = content[0]["text"]
    if text.lstrip(" \t\r\n")[:1] not in _JSON_STARTS:
        return None
    try:
        json.loads(text, parse_int=float)
    except RecursionError:
        pass
    except ValueError:
        return None
    return encode_json(text)


def _text_length(blocks: Iterable[ContentBlock]) -> int:
    """Return the characters of all strings in content blocks."""
    length = 0
    for block in blocks:
        for value in block.values():
            if isinstance(value, str):
                length += len(value)
            elif isinstance(value, dict):
                length += _text_length((value,))
    return length


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
