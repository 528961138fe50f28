"""Map the JSON paths of a document to lines and columns of its text.

Written by hand, because Python's JSON reader gives no positions and drops duplicate keys silently, and no maintained
library reports both.
"""

from __future__ import annotations

import json
import re
from typing import Final

from ..errors import Position, Problem
from ..records import MutableRecord, field
from .validation import join_path

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_LAST_PATH_STEP = re.compile(r"(?:\.[^.\[\]]+|\[\d+\]|^[^.\[\]]+)\Z")


class _OpenContainer(MutableRecord):
    """An object or array that is being read; `step` is the key or the index of the next value."""

    path: str
    step: str | int | None
    keys: set[str] = field(default_factory=set)


class SourceMap:
    """The positions of all values of a valid JSON text, by their JSON path."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offsets: dict[str, int] = {}
        self._duplicates: list[tuple[str, int]] = []
        self._scan()

    def locate(self, path: str) -> Position:
        """Return line and column, from 1, of the value at a path, or of the innermost value around it."""
        while path and path not in self._offsets:
            path = _LAST_PATH_STEP.sub("", path) if _LAST_PATH_STEP.search(path) else ""
        return self._position(self._offsets.get(path, 0))

    def offset(self, path: str) -> int | None:
        """Return where the value at a path begins in the text, or None if there is none."""
        return self._offsets.get(path)

    def search(self, pattern: str) -> Position | None:
        """Return line and column, from 1, of the first match of a regular expression, or None."""
        found = re.search(pattern, self._text)
        return self._position(found.start()) if found else None

    @property
    def duplicate_keys(self) -> list[Problem]:
        """Return a problem for each key that its object already has: JSON readers use the last value."""
        message = "this key appears twice in its object, and only the last value is used. Remove one of them."
        return [
            Problem(path, message, self._position(offset), code="duplicate-key") for path, offset in self._duplicates
        ]

    def _position(self, offset: int) -> Position:
        line = self._text.count("\n", 0, offset) + 1
        return line, offset - self._text.rfind("\n", 0, offset)

    def _scan(self) -> None:
        open_containers: list[_OpenContainer] = []
        for match in _TOKEN.finditer(self._text):
            symbol, container = match[0], open_containers[-1] if open_containers else None
            if symbol in ("}", "]"):
                open_containers.pop()
            elif symbol == ",":
                assert container is not None
                container.step = container.step + 1 if isinstance(container.step, int) else None
            elif symbol == ":":
                continue
            elif container is not None and container.step is None:
                self._record_key(container, _key_of(symbol), match.start())
            else:
                path = self._record_value(container, match.start())
                if symbol in ("{", "["):
                    open_containers.append(_OpenContainer(path, None if symbol == "{" else 0))

    def _record_value(self, container: _OpenContainer | None, offset: int) -> str:
        path = "" if container is None or container.step is None else join_path(container.path, container.step)
        if container is None or path:
            self._offsets[path] = offset
        return path

    def _record_key(self, container: _OpenContainer, key: str, offset: int) -> None:
        if key in container.keys:
            self._duplicates.append((join_path(container.path, key), offset))
        container.keys.add(key)
        container.step = key


def _key_of(symbol: str) -> str:
    """Return the key that a string of JSON stands for."""
    return str(json.loads(symbol, strict=False)) if "\\" in symbol else symbol[1:-1]


def syntax_problem(text: str, error: json.JSONDecodeError) -> Problem:
    """Return the problem of a text that is not JSON.

    Args:
        text: The whole text.
        error: The error of Python's JSON reader for it.
    """
    position = (error.lineno, error.colno)
    if not text.strip():
        message = "the file is empty. `utcp-ws-mcp init` writes a manifest to start from."
        return Problem("", message, code="invalid-json")
    hints = [
        *(hint for beginnings, hint in _TEXT_HINTS.items() if text.startswith(beginnings, error.pos)),
        *(hint for start, hint in _SYNTAX_HINTS.items() if error.msg.startswith(start)),
    ]
    hint = hints[0] if hints else f"{error.msg.lower()}."
    return Problem("", f"invalid JSON: {hint}", position, code="invalid-json")


def token_offset(text: str, token: str) -> int:
    """Return where a token, such as `NaN`, is in a text outside of strings; the beginning if it is nowhere."""
    return next((found.start() for found in _TOKEN.finditer(text) if found[0] == token), 0)


_TEXT_HINTS: Final = {
    ("//", "/*", "#"): 'JSON has no comments. Write "$comment": "…" into an object instead.',
    ("```",): "the lines with ``` are Markdown. Remove them.",
    ("'", "‘", "’", "“", "”"): 'JSON has texts in straight double quotes: "text".',
    ("True", "False", "None"): "JSON has the values true, false and null, in lower case.",
    ("NaN", "Infinity", "-Infinity"): "JSON has no such number. Write null, or a text.",
}
"""The hint for what stands where the text is no JSON, by its beginning."""

_SYNTAX_HINTS: Final = {
    "Expecting property name": 'expected a key in double quotes. Is there an extra comma before "}"?',
    "Expecting ',' delimiter": "expected a comma, or the end of the object or array.",
    "Expecting ':' delimiter": "expected a colon after the key.",
    "Expecting value": "expected a value. Is there an extra comma, or a text without double quotes?",
    "Extra data": "the document ends before this position. Remove the rest.",
    "Illegal trailing comma": "there is an extra comma. Remove it.",
    "Invalid control character": "a string ends on its line. Write \\n for a line break.",
    "Invalid \\escape": "unknown escape sequence. Write \\\\ for a backslash.",
    "Unterminated string": "the string that begins here has no end. Close it with a double quote.",
}
"""The hint for each message of Python's JSON reader, by the beginning of the message."""
