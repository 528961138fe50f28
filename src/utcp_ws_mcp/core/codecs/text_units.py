"""Count text in the units of a length: bytes of UTF-8, Unicode code points, or code units of UTF-16.

All work on UTF-8, so that a splitter has one buffer of bytes whatever a length counts. In UTF-8, each code point has
one first byte, and only those that UTF-16 writes with two units (a surrogate pair) begin with 0xF0 or more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from ...records import Record
from .message import RejectedValue

_CONTINUATION: Final = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that are not the first of a code point."""

_BELOW_PAIRS: Final = bytes(range(0xF0))
"""The bytes that do not begin a code point of two units in UTF-16."""


class Unit(Protocol):
    """What a length counts."""

    @property
    def is_bytes(self) -> bool:
        """Return whether bytes that are no text have a length, too."""

    def count(self, body: bytes) -> int:
        """Return how many units a body has.

        Raises:
            RejectedValue: if it has none, because it is no text.
        """

    def advance(self, data: bytearray, position: int, units: int) -> tuple[int, int]:
        """Return the position behind the next units of data, as far as they are there, and how many are missing.

        Args:
            data: Bytes, or UTF-8 that ends behind a code point.
            position: Where the units begin.
            units: How many to go forward.

        Raises:
            RejectedValue: if the units end inside of a code point.
        """


class ByteUnit(Record):
    """Bytes."""

    is_bytes: bool = True

    def count(self, body: bytes) -> int:
        return len(body)

    def advance(self, data: bytearray, position: int, units: int) -> tuple[int, int]:
        available = min(units, len(data) - position)
        return position + available, units - available


class CharacterUnit(Record):
    """Code points, or code units of UTF-16, in which some code points are a pair."""

    has_pairs: bool
    is_bytes: bool = False

    def count(self, body: bytes) -> int:
        try:
            body.decode()
        except UnicodeDecodeError:
            text = "the body is no text, so that its characters cannot be counted."
            raise RejectedValue(text, code="invalid-packet") from None
        return self._begun(body)

    def advance(self, data: bytearray, position: int, units: int) -> tuple[int, int]:
        # A unit has at least a byte, so that a piece of as many bytes never has more units, but for half of a pair.
        while units > 0 and position < len(data):
            piece = data[position : position + units]
            position += len(piece)
            units -= self._begun(piece)
        if units < 0:
            raise RejectedValue("a length ends inside of a character", code="invalid-frame")
        while position < len(data) and data[position] in _CONTINUATION:
            position += 1
        return position, units

    def _begun(self, data: bytes | bytearray) -> int:
        """Return the units of the code points that begin in data."""
        if data.isascii():
            return len(data)
        pairs = len(data.translate(None, _BELOW_PAIRS)) if self.has_pairs else 0
        return len(data.translate(None, _CONTINUATION)) + pairs


UNITS: Final[Mapping[str, Unit]] = {
    "bytes": ByteUnit(),
    "code_points": CharacterUnit(has_pairs=False),
    "utf16": CharacterUnit(has_pairs=True),
}
"""The values of `length.unit`."""
