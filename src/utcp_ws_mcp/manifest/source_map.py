"""Where in a file a value of its JSON document stands."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from ..errors import Position, Problem
from .validation import join_path

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_LAST_PATH_STEP = re.compile(r"(?:\.[^.\[\]]+|\[\d+\]|^[^.\[\]]+)\Z")


@dataclass(slots=True)
class _OpenContainer:
    """An object or array that is being read; `step` is the key or the index of the value that comes next."""

    path: str
    step: str | int | None
    keys: set[str] = field(default_factory=set)


class SourceMap:
    """The places of all values of a text that is JSON, by their JSON path."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offsets: dict[str, int] = {}
        self._duplicates: list[tuple[str, int]] = []
        self._scan()

    def locate(self, path: str) -> Position:
        """Line and column, from 1, of the value at a path, or of the nearest value around it."""
        while path and path not in self._offsets:
            path = _LAST_PATH_STEP.sub("", path) if _LAST_PATH_STEP.search(path) else ""
        return self._position(self._offsets.get(path, 0))

    def search(self, pattern: str) -> Position | None:
        """Line and column of the first text that a regular expression finds."""
        found = re.search(pattern, self._text)
        return self._position(found.start()) if found else None

    @property
    def duplicate_keys(self) -> list[Problem]:
        """A problem for each key that its object has had before: only its last value counts."""
        why = "stands here for the second time, and only this value counts; take one of the two out"
        return [Problem(path, why, self._position(offset)) for path, offset in self._duplicates]

    def _position(self, offset: int) -> Position:
        line = self._text.count("\n", 0, offset) + 1
        return line, offset - self._text.rfind("\n", 0, offset)

    def _scan(self) -> None:
        opened: list[_OpenContainer] = []
        for token in _TOKEN.finditer(self._text):
            mark, around = token[0], opened[-1] if opened else None
            if mark in ("}", "]"):
                opened.pop()
            elif mark == ",":
                assert around is not None
                around.step = around.step + 1 if isinstance(around.step, int) else None
            elif mark == ":":
                continue
            elif around is not None and around.step is None:
                self._record_key(around, str(json.loads(mark, strict=False)), token.start())
            else:
                path = self._record_value(around, token.start())
                if mark in ("{", "["):
                    opened.append(_OpenContainer(path, None if mark == "{" else 0))

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


def syntax_problem(text: str, error: json.JSONDecodeError) -> Problem:
    """Why a text is no JSON, where, and what to write instead."""
    place = (error.lineno, error.colno)
    if text.startswith(("//", "/*", "#"), error.pos):
        return Problem("", 'is not JSON: it has no comments; write "$comment": "…" into an object', place)
    for start, why in _SYNTAX_HINTS.items():
        if error.msg.startswith(start):
            return Problem("", f"is not JSON: {why}", place)
    return Problem("", f"is not JSON: {error.msg.lower()}", place)


_SYNTAX_HINTS = {
    "Expecting property name": 'expected a key in double quotes; is a comma before "}" too many?',
    "Expecting ',' delimiter": "expected a comma, or the end of the object or array",
    "Expecting ':' delimiter": "expected a colon after the key",
    "Expecting value": "expected a value; is a comma too many, or a text without double quotes?",
    "Extra data": "the document has ended before this; take out what follows",
    "Illegal trailing comma": "take out the last comma",
    "Invalid control character": "a text ends on its line; write \\n for a line break",
    "Invalid \\escape": "write \\\\ for a backslash",
    "Unterminated string": "the text that begins here has no end; close it with a double quote",
}
"""What to say of the messages of Python's JSON reader."""
