"""Where in a file a value of its JSON document stands."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from ..errors import Place, Problem
from .validation import join

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_LAST_STEP = re.compile(r"(?:\.[^.\[\]]+|\[\d+\]|^[^.\[\]]+)\Z")


@dataclass(slots=True)
class _Open:
    """An object or array that is being read; `step` is the key or the index of the value that comes next."""

    path: str
    step: str | int | None
    keys: set[str] = field(default_factory=set)


class Places:
    """The places of all values of a text that is JSON, by their JSON path."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offsets: dict[str, int] = {}
        self._repeated: list[tuple[str, int]] = []
        self._read()

    def of(self, path: str) -> Place:
        """Line and column, from 1, of the value at a path, or of the nearest value around it."""
        while path and path not in self._offsets:
            path = _LAST_STEP.sub("", path) if _LAST_STEP.search(path) else ""
        return self._place(self._offsets.get(path, 0))

    def find(self, pattern: str) -> Place | None:
        """Line and column of the first text that a regular expression finds."""
        found = re.search(pattern, self._text)
        return self._place(found.start()) if found else None

    @property
    def repeated(self) -> list[Problem]:
        """A problem for each key that its object has had before: only its last value counts."""
        why = "stands here for the second time, and only this value counts; take one of the two out"
        return [Problem(path, why, self._place(offset)) for path, offset in self._repeated]

    def _place(self, offset: int) -> Place:
        line = self._text.count("\n", 0, offset) + 1
        return line, offset - self._text.rfind("\n", 0, offset)

    def _read(self) -> None:
        opened: list[_Open] = []
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
                self._take_key(around, str(json.loads(mark, strict=False)), token.start())
            else:
                path = self._note(around, token.start())
                if mark in ("{", "["):
                    opened.append(_Open(path, None if mark == "{" else 0))

    def _note(self, around: _Open | None, offset: int) -> str:
        path = "" if around is None or around.step is None else join(around.path, around.step)
        if around is None or path:
            self._offsets[path] = offset
        return path

    def _take_key(self, around: _Open, key: str, offset: int) -> None:
        if key in around.keys:
            self._repeated.append((join(around.path, key), offset))
        around.keys.add(key)
        around.step = key


def explain_syntax(text: str, wrong: json.JSONDecodeError) -> Problem:
    """Why a text is no JSON, where, and what to write instead."""
    place = (wrong.lineno, wrong.colno)
    if text.startswith(("//", "/*", "#"), wrong.pos):
        return Problem("", 'is not JSON: it has no comments; write "$comment": "…" into an object', place)
    for start, why in _SYNTAX.items():
        if wrong.msg.startswith(start):
            return Problem("", f"is not JSON: {why}", place)
    return Problem("", f"is not JSON: {wrong.msg.lower()}", place)


_SYNTAX = {
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
