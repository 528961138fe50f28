"""Reading JSON-RPC 2.0 messages: what is one, and the error that answers what is none."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from ..core.codecs.json_text import parse_plain
from ..core.codecs.message import encode_json, to_json_safe
from .stdio.protocol_versions import INVALID_REQUEST, PARSE_ERROR

_PADDING: Final = re.compile(rb"\A(?:[\x00-\x20\x7f]|\xef\xbb\xbf)+|[\x00-\x20\x7f]+\Z")

MAX_REPEATED_ID_LENGTH: Final = 1000
"""Characters of an id that the answer to an invalid request repeats."""

JsonObject = dict[str, Any]


def without_padding(line: bytes) -> bytes:
    """Return a line without what some hosts put around it: byte order marks, NUL and other controls, blanks."""
    if line[:1] == b"{" and line[-1:] == b"}":
        return line
    return _PADDING.sub(b"", line)


def read_batch(line: bytes) -> tuple[list[tuple[bytes, JsonObject]], list[str]]:
    """Return the requests and notifications of a JSON-RPC batch, each with its line, and the answers to invalid ones.

    Raises:
        ValueError: if it is not JSON, or empty (JSON-RPC 2.0 §6). Its text is the answer.
    """
    try:
        batch = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(error_response(PARSE_ERROR, "this is not JSON")) from None
    if not batch:
        raise ValueError(error_response(INVALID_REQUEST, "this batch is empty"))
    messages: list[tuple[bytes, JsonObject]] = []
    errors: list[str] = []
    for part in (json.dumps(each).encode() for each in batch):
        try:
            message = read_message(part)
        except ValueError as invalid:
            errors.append(str(invalid))
        else:
            if message is not None:
                messages.append((part, message))
    return messages, errors


def read_message(line: bytes) -> JsonObject | None:
    """Return the request or notification in a line or body; None for a response, because no request was sent.

    Raises:
        ValueError: if it is neither (JSON-RPC 2.0 §5.1), contains NaN, or is not UTF-8. Its text is the answer.
    """
    errors: list[str] = []
    try:
        message = parse_plain(line)
    except ValueError:
        message = _parse_unusual(line, errors)
    if isinstance(message, dict) and "method" not in message and ("result" in message or "error" in message):
        return None
    if errors or not _is_jsonrpc(message):
        request_id = message.get("id") if isinstance(message, dict) else None
        text = "this is not a JSON-RPC 2.0 request or notification"
        is_short_id = _is_id(request_id) and len(str(request_id)) <= MAX_REPEATED_ID_LENGTH
        raise ValueError(error_response(INVALID_REQUEST, text, request_id if is_short_id else None))
    known: JsonObject = message
    return known


def _parse_unusual(line: bytes, errors: list[str]) -> Any:
    """Return the value of a line that may be no JSON, or have what JSON does not; record what it has in `errors`."""
    try:
        return json.loads(_decode_line(line, errors), parse_constant=errors.append)
    except (ValueError, RecursionError):
        raise ValueError(error_response(PARSE_ERROR, "this is not JSON")) from None


def _decode_line(line: bytes, errors: list[str]) -> str:
    """Return a line as text. If it is not UTF-8, record the error, and return enough to find the id of the request."""
    try:
        return line.decode()
    except UnicodeDecodeError as invalid:
        errors.append(invalid.reason)
        return line.decode("utf-8", "replace")


def _is_jsonrpc(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        return False
    return isinstance(message.get("params"), dict | None) and ("id" not in message or _is_id(message["id"]))


def _is_id(value: Any) -> bool:
    """Return whether an answer can carry this id: a number, or text without lone surrogates."""
    if isinstance(value, str):
        return value.isascii() or to_json_safe(value) == value
    return isinstance(value, int) and not isinstance(value, bool)


def error_response(code: int, message: str, request_id: Any = None) -> str:
    """Return the text of a response with an error."""
    return encode_json({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})
