"""STOMP 1.2 frames: `{"command", "headers", "body"}`, a NUL at the end (specification, "STOMP Frames").

A body is text where it is UTF-8, else bytes. A WebSocket message may hold a part of a frame or several.

Written by hand because stomp.py has no parser that takes pieces of a stream, is bounded, follows the escaping rules of
version 1.2, and returns whatever is no frame as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from .binary import as_binary
from .message import Message, RejectedValue, encode_json, text_or_bytes

HEARTBEAT: Final = "\n"
MAX_FRAME_BYTES: Final = 16 << 20
"""Bytes of an incomplete frame that are buffered; then they are delivered as they are."""
_ESCAPES: Final = {"\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c"}
_UNESCAPES: Final = {escaped: char for char, escaped in _ESCAPES.items()}
_UNESCAPED_COMMANDS: Final = frozenset({"CONNECT", "CONNECTED"})
"""Commands whose headers are not escaped, for the sake of STOMP 1.0 (specification, "Value Encoding")."""

_COMMAND = re.compile(r"[A-Z]{1,32}\Z")
_COMMAND_LINE = re.compile(rb"[A-Z]{1,32}(?:\r?\Z|\r?\n)")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_CONTENT_LENGTH = re.compile(rb"\ncontent-length:(\d{1,9})\r?\n")


class StompCodec:
    """STOMP frames as objects; a heart-beat is the text of one line end in both directions."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def encode(self, value: Any) -> list[str | bytes]:
        if value in (HEARTBEAT, "\r\n"):
            return [HEARTBEAT]
        if not isinstance(value, dict) or not isinstance(value.get("command"), str):
            raise RejectedValue(
                'the value is not a STOMP frame. Write {"command": …, "headers": {…}, "body": …}.',
                code="invalid-packet",
            )
        if not _COMMAND.match(value["command"]):
            raise RejectedValue("the command of a STOMP frame is not a word of capital letters.", code="invalid-packet")
        body = value.get("body", "")
        content = body if isinstance(body, str | bytes) else encode_json(body)
        data = content.encode() if isinstance(content, str) else content
        headers = value.get("headers") or {}
        escape = value["command"] not in _UNESCAPED_COMMANDS
        lines = [
            f"{_escape(str(name), escape)}:{_escape(_header_text(item), escape)}" for name, item in headers.items()
        ]
        if data and "content-length" not in headers:
            lines.append(f"content-length:{len(data)}")
        head = "\n".join([value["command"], *lines, "", ""])
        return [f"{head}{content}\0" if isinstance(content, str) else head.encode() + data + b"\0"]

    def decode(self, raw: str | bytes) -> Iterator[Message]:
        data = raw.encode("utf-8", "replace") if isinstance(raw, str) else raw
        if not self._buffer and not data.strip(b"\r\n"):
            yield Message(raw, HEARTBEAT, decoded=True)
            return
        self._buffer += data
        position = 0
        while (start := _skip_line_ends(self._buffer, position)) < len(self._buffer):
            end = _frame_end(self._buffer, start)
            if end is None and _COMMAND_LINE.match(self._buffer, start) and len(self._buffer) - start < MAX_FRAME_BYTES:
                break
            frame = bytes(self._buffer[start:end])
            position = len(self._buffer) if end is None else end + 1
            yield _parse_frame(frame)
        else:
            position = len(self._buffer)
        del self._buffer[:position]


def _skip_line_ends(buffer: bytearray, position: int) -> int:
    """Return where the next frame starts, after line ends."""
    while position < len(buffer) and buffer[position] in b"\r\n":
        position += 1
    return position


def _frame_end(buffer: bytearray, start: int) -> int | None:
    """Return where the NUL is that ends a frame, or None while it is incomplete."""
    blank = _BLANK_LINE.search(buffer, start)
    length = _CONTENT_LENGTH.search(buffer, start, blank.end()) if blank else None
    end = buffer.find(0, blank.end() + int(length[1]) if blank and length else start)
    return None if end < 0 else end


def _parse_frame(frame: bytes) -> Message:
    """Parse a frame without its NUL; what is no frame becomes its text."""
    text = frame.decode("utf-8", "replace")
    blank = _BLANK_LINE.search(frame)
    if blank is None or not _COMMAND_LINE.match(frame):
        return Message(text, text)
    command, *lines = re.split(r"\r?\n", frame[: blank.start()].decode("utf-8", "replace"))
    headers: dict[str, str] = {}
    try:
        for line in lines:
            name, _, item = line.partition(":")
            headers.setdefault(_unescape(name, command), _unescape(item, command))
    except KeyError:  # an undefined escape is a fatal error of the frame (specification, "Value Encoding")
        return Message(text, text)
    length = headers.get("content-length", "")
    body = frame[blank.end() :][: int(length) if re.fullmatch(r"[0-9]{1,9}", length) else None]
    return Message(text, {"command": command, "headers": headers, "body": as_binary(text_or_bytes(body))}, decoded=True)


def _header_text(item: Any) -> str:
    return item if isinstance(item, str) else encode_json(item)


def _escape(text: str, escape: bool) -> str:
    if "\0" in text:  # it ends a frame, and has no escape (specification, "Value Encoding")
        raise RejectedValue("a header of a STOMP frame contains NUL. Remove it.", code="invalid-packet")
    if not escape:
        if "\n" in text or "\r" in text:
            raise RejectedValue("a header of CONNECT contains a line break. Remove it.", code="invalid-packet")
        return text
    return re.sub(r"[\\\r\n:]", lambda match: _ESCAPES[match[0]], text)


def _unescape(text: str, command: str) -> str:
    if command in _UNESCAPED_COMMANDS:
        return text
    return re.sub(r"\\.?", lambda match: _UNESCAPES[match[0]], text, flags=re.DOTALL)
