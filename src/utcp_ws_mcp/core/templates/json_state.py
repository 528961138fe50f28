"""Follow JSON text piece by piece, to know whether a template is JSON whatever fills it, and where each value goes.

`json` parses finished text only. A template has gaps whose content is not known; each stands either for a whole JSON
value, or for characters inside a JSON string; which of the two it is depends on the text before it.
"""

from __future__ import annotations

import re
from typing import Final

from ...records import MutableRecord, field

_WHITE_SPACE: Final = " \t\n\r"
_RECORD_SEPARATOR: Final = "\x1e"
"""What RFC 7464 writes before each document."""

_IN_STRING: Final = re.compile(r'[^"\\\x00-\x1f]+|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})')
_SCALAR_CHARACTERS: Final = re.compile(r"[-+.0-9A-Za-z]+")
_SCALAR: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null|NaN|-?Infinity")
# NaN and the infinities are none of JSON's, but Python's parser reads them.


class JsonState(MutableRecord):
    """The state of JSON text that is fed in pieces: documents (objects or arrays) in a row.

    `expected` is what may come next: a "value" (or "]" of an empty array), a "key" (or "}" of an empty object), ":" or
    "," (or the end of what is open). `is_json` turns false for good with the first piece that is no JSON.
    """

    is_json: bool = True
    in_string: bool = False
    in_key: bool = False
    documents: int = 0
    _open: list[str] = field(default_factory=list)
    _expected: str = "document"
    _may_close: bool = False
    _scalar: str = ""

    @property
    def is_complete(self) -> bool:
        """Return whether the text so far is one JSON document or several."""
        return self.is_json and self.documents > 0 and not self._open and not self.in_string

    def feed(self, text: str) -> None:
        """Go on with literal text."""
        position = 0
        while self.is_json and position < len(text):
            if self.in_string:
                position = self._feed_string(text, position)
            elif scalar := _SCALAR_CHARACTERS.match(text, position):
                self._begin_value()
                self._scalar += scalar[0]
                position = scalar.end()
            else:
                self._end_scalar()
                self._feed_sign(text[position])
                position += 1

    def feed_value(self) -> None:
        """Go on with a gap that any JSON value may fill."""
        if self._scalar:  # digits beside the gap would make another number of it
            self.is_json = False
        self._begin_value()
        self._end_value()

    def _feed_string(self, text: str, position: int) -> int:
        if text[position] == '"':
            self.in_string = False
            if self.in_key:
                self.in_key, self._expected = False, ":"
            else:
                self._end_value()
            return position + 1
        match = _IN_STRING.match(text, position)
        self.is_json = match is not None
        return match.end() if match else len(text)

    def _feed_sign(self, sign: str) -> None:
        """Go on with a character outside of strings and scalars."""
        if sign in _WHITE_SPACE or (sign == _RECORD_SEPARATOR and not self._open):
            return
        if sign == '"':
            self.in_key = self._expected == "key"
            if not self.in_key:
                self._begin_value()
            self.in_string, self._may_close = True, False
        elif sign in "{[":
            self._begin_value(opens=True)
            self._open.append(sign)
            self._expected, self._may_close = ("key" if sign == "{" else "value"), True
        elif sign in "}]":
            self._close(sign)
        elif sign == ":" and self._expected == ":":
            self._expected, self._may_close = "value", False
        elif sign == "," and self._expected == "," and self._open:
            self._expected, self._may_close = ("key" if self._open[-1] == "{" else "value"), False
        else:
            self.is_json = False

    def _close(self, sign: str) -> None:
        matches = self._open and self._open[-1] + sign in ("{}", "[]")
        if not matches or not (self._expected == "," or self._may_close):
            self.is_json = False
            return
        self._open.pop()
        self.documents += not self._open
        self._end_value()

    def _begin_value(self, opens: bool = False) -> None:
        """Check that a value may be here, or go on here."""
        if self._expected == "value" or (opens and self._expected == "document"):
            return
        self.is_json = False

    def _end_value(self) -> None:
        self._expected, self._may_close = ("," if self._open else "document"), False

    def _end_scalar(self) -> None:
        if self._scalar:
            self.is_json = _SCALAR.fullmatch(self._scalar) is not None
            self._scalar = ""
            self._end_value()
