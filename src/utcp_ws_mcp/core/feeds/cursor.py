"""The position of a reader in a feed, as a short text that is opaque to readers."""

from __future__ import annotations

import re
from typing import Final

from ...records import Record

MAX_CURSOR_LENGTH: Final = 64
"""Characters of a cursor; longer texts are not parsed."""
_FORM: Final = re.compile(r"([a-z0-9]{4,16})-([0-9]{1,18})\.([0-9]{1,18})\Z")


class InvalidCursor(ValueError):
    """A text that no read of the feed has returned as its cursor."""

    def __init__(self, text: str) -> None:
        shown = text if len(text) <= MAX_CURSOR_LENGTH else f"{text[:20]}… ({len(text)} characters)"
        super().__init__(
            f'"cursor": {shown!r} was not returned by this feed. '
            "Use the cursor of an earlier result, or leave it out to start with the newest events"
        )


class Cursor(Record):
    """Everything that a reader has seen.

    Attributes:
        epoch: The life of the buffer that it belongs to.
        offset: The offset of the last event that was read, or 0.
        gap: The number of the last gap that was read, or 0.
    """

    epoch: str
    offset: int
    gap: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}.{self.gap}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor that a text contains.

        Raises:
            InvalidCursor: if it is no cursor.
        """
        found = _FORM.match(text) if len(text) <= MAX_CURSOR_LENGTH else None
        if found is None:
            raise InvalidCursor(text)
        return cls(found[1], int(found[2]), int(found[3]))
