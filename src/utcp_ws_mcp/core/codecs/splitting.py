"""Find where messages end: what all splitters have in common, and the splitter for a separator.

A splitter belongs to one connection. It keeps the beginning of a message until the rest has arrived, where messages
span WebSocket messages; else what is left of a WebSocket message is given as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

from ...manifest.models.framing import Framing
from ...records import Record

T = TypeVar("T", str, bytes)

MAX_JOINED_LENGTH: Final = 16 << 20
"""Characters or bytes of a message that spans WebSocket messages; the default limit of one WebSocket message."""


class Frame(Record):
    """A message before its codec: the header in front of it, and the body.

    `header` is None where messages have none; `body` is None where the header announces none. A frame that is not
    `whole` is the rest of a WebSocket message, in which no message was found; if it has no body, it may be a header
    without its end.
    """

    body: bytes | None
    header: bytes | str | None = None
    whole: bool = True


class Splitter(Protocol):
    """Cuts the bytes of a connection into messages. `is_text`: what stands around a body is text."""

    is_text: bool

    @property
    def pending(self) -> bytes:
        """Return the beginning of a message whose rest has not arrived."""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the messages that the next bytes complete.

        Raises:
            MessageTooLarge: if the length of a message is over the limit.
            UndecodableStream: if where the next message begins cannot be known.
        """

    def join(self, body: bytes | None, header: bytes | str | None) -> bytes:
        """Return a message to send, with its length filled in; without a body, a header alone.

        Raises:
            RejectedValue: if the header is not one of this framing.
        """


class DelimiterSplitter(Generic[T]):
    """Splits a stream of text or bytes at a separator, which may itself be split over two pieces."""

    def __init__(self, separator: T) -> None:
        self.separator: T = separator
        self._pieces: list[T] = []
        self._size = 0
        self._tail: T = separator[:0]

    def feed(self, piece: T) -> list[T]:
        """Return the messages that a piece completes; one that exceeds MAX_JOINED_LENGTH is returned incomplete."""
        self._pieces.append(piece)
        self._size += len(piece)
        # Only the end of what came before can be a part of the separator, so that a long message is joined once.
        seam = self._tail + piece
        if self.separator not in seam and self._size <= MAX_JOINED_LENGTH:
            self._tail = seam[-len(self.separator) :]
            return []
        *messages, rest = self.separator[:0].join(self._pieces).split(self.separator)
        if len(rest) > MAX_JOINED_LENGTH:
            messages, rest = [*messages, rest], self.separator[:0]
        self._pieces, self._size, self._tail = [rest], len(rest), rest[-len(self.separator) :]
        return messages


def make_splitter(framing: Framing, limit: int) -> Splitter | None:
    """Return a splitter for a new connection, or None where neither a length nor a header says where messages end.

    Args:
        framing: The framing.
        limit: The bytes of a body at most.

    Raises:
        InvalidTemplate: if `length.pattern` cannot be used.
    """
    length = framing.length
    if length is None and framing.header is None:
        return None
    # Few manifests need them.
    if length is None or not length.is_text:
        from .binary_splitting import BinarySplitter

        return BinarySplitter(framing, limit)
    from .text_splitting import TextLengthSplitter

    return TextLengthSplitter(framing, limit)
