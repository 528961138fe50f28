"""STOMP 1.2 frames: `{"command", "headers", "body"}`, a NUL at the end (specification, "STOMP Frames")."""

from __future__ import annotations

import re
from typing import Any, Final

from ..codec import Message, encode_json

HEARTBEAT: Final = "\n"
_ESCAPES: Final = {"\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c"}
_UNESCAPES: Final = {escaped: char for char, escaped in _ESCAPES.items()}
_PLAIN: Final = frozenset({"CONNECT", "CONNECTED"})
"""Commands whose headers are not escaped."""


class StompCodec:
    """A frame as an object; a heart-beat is the text of one end of line in both directions."""

    def encode(self, value: Any) -> list[str | bytes]:
        if value in (HEARTBEAT, "\r\n"):
            return [HEARTBEAT]
        if not isinstance(value, dict) or not isinstance(value.get("command"), str):
            raise ValueError('a STOMP frame is {"command": …, "headers": {…}, "body": …}')
        body = value.get("body", "")
        text = body if isinstance(body, str) else encode_json(body)
        headers = value.get("headers") or {}
        escape = value["command"] not in _PLAIN
        lines = [f"{_escaped(str(name), escape)}:{_escaped(_text(item), escape)}" for name, item in headers.items()]
        if text and "content-length" not in headers:
            lines.append(f"content-length:{len(text.encode())}")
        return ["\n".join([value["command"], *lines, "", text]) + "\0"]

    def decode(self, raw: str | bytes) -> list[Message]:
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        if not text.strip("\r\n"):
            return [Message(raw, HEARTBEAT, decoded=True)]
        head, _, rest = text.lstrip("\r\n").replace("\r\n", "\n").partition("\n\n")
        command, *lines = head.split("\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, item = line.partition(":")
            headers.setdefault(_unescaped(name, command), _unescaped(item, command))
        return [Message(raw, {"command": command, "headers": headers, "body": _body(rest, headers)}, decoded=True)]


def _body(rest: str, headers: dict[str, str]) -> str:
    length = headers.get("content-length", "")
    if length.isdigit():
        return rest.encode()[: int(length)].decode("utf-8", "replace")
    return rest.partition("\0")[0]


def _text(item: Any) -> str:
    return item if isinstance(item, str) else encode_json(item)


def _escaped(text: str, escape: bool) -> str:
    if not escape:
        if "\n" in text or "\r" in text:
            raise ValueError("a header of CONNECT cannot hold a line break")
        return text
    return re.sub(r"[\\\r\n:]", lambda found: _ESCAPES[found[0]], text)


def _unescaped(text: str, command: str) -> str:
    if command in _PLAIN:
        return text
    return re.sub(r"\\[\\rnc]", lambda found: _UNESCAPES[found[0]], text)
