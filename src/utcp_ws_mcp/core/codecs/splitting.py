"""Find where messages end: at a separator, or by a length in binary or in the text of a header.

A splitter belongs to one connection. It keeps the beginning of a message until the rest has arrived, where messages
span WebSocket messages; else what is left of a WebSocket message is given as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

from ...errors import InvalidTemplate
from ...manifest.models.framing import Framing, MessageLength
from ...records import Record
from ..expressions.patterns import Pattern, compile_pattern
from .message import MessageTooLarge, RejectedValue, UndecodableStream
from .varint import decode_varint, encode_varint

T = TypeVar("T", str, bytes)

MAX_JOINED_LENGTH: Final = 16 << 20
"""Characters or bytes of a message that spans WebSocket messages; the default limit of one WebSocket message."""

MAX_TEXT_HEADER_BYTES: Final = 1 << 16
"""Bytes of a header in text that is searched for its end."""

MAX_VARINT_BYTES: Final = 5
"""Bytes of a length of variable size: 35 bits."""


class Frame(Record):
    """A message before its codec: the header in front of it, and the body.

    `header` is None where messages have none; `body` is None where the header announces none. A frame that is not
    `whole` is the rest of a WebSocket message, in which no message was found.
    """

    body: bytes | None
    header: bytes | str | None = None
    whole: bool = True


class Splitter(Protocol):
    """Cuts the bytes of a connection into messages."""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the messages that the next bytes complete.

        Raises:
            MessageTooLarge: if the length of a message is over the limit.
            UndecodableStream: if where the next message begins cannot be known.
        """

    def join(self, body: bytes, header: bytes | str | None) -> bytes:
        """Return a message to send, with its length filled in.

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


class BinarySplitter:
    """Cuts messages with a header of fixed size: by the binary length in or behind it, or one in a WebSocket message.

    Args:
        framing: The framing, with a `header` or a binary `length`.
        limit: The bytes of a body at most.
    """

    def __init__(self, framing: Framing, limit: int) -> None:
        length = framing.length
        self._length = length
        self._spans = framing.spans_messages
        self._limit = limit
        self._shows_header = framing.header is not None
        fixed = length.at + length.size if length is not None and isinstance(length.size, int) else 0
        self._header_size = framing.header or fixed
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        position = 0
        while position < len(self._buffer):
            try:
                bounds = self._find_body(position)
            except RejectedValue as error:
                if self._spans:
                    raise UndecodableStream(str(error)) from None
                break
            if bounds is None:
                break
            start, end = bounds
            header = bytes(self._buffer[position : position + self._header_size]) if self._shows_header else None
            yield Frame(bytes(self._buffer[start:end]), header)
            position = end
        if not self._spans and position < len(self._buffer):
            yield Frame(bytes(self._buffer[position:]), whole=False)
            position = len(self._buffer)
        del self._buffer[:position]

    def join(self, body: bytes, header: bytes | str | None) -> bytes:
        data = header.encode() if isinstance(header, str) else header or bytes(self._header_size)
        if len(data) != self._header_size:
            raise RejectedValue(
                f"the header has {len(data)} bytes instead of {self._header_size}.", code="invalid-packet"
            )
        if self._length is None:
            return data + body
        if self._length.size == "varint":
            return data + encode_varint(len(body)) + body
        at, size = self._length.at, _fixed_size(self._length)
        counted = len(body) + {"body": 0, "rest": len(data) - at - size, "all": len(data)}[self._length.counts]
        try:
            number = counted.to_bytes(size, self._length.endian)
        except OverflowError:
            raise RejectedValue(
                f"the message has {counted:,} bytes, too many for a length of {size} bytes.", code="invalid-packet"
            ) from None
        return data[:at] + number + data[at + size :] + body

    def _find_body(self, position: int) -> tuple[int, int] | None:
        """Return where the body of the message at a position starts and ends, or None while it is incomplete.

        Raises:
            RejectedValue: if the length is impossible.
        """
        start = position + self._header_size
        if len(self._buffer) < start:
            return None
        if self._length is None:
            return start, len(self._buffer)
        if self._length.size == "varint":
            try:
                found = decode_varint(self._buffer, start, MAX_VARINT_BYTES)
            except ValueError:
                text = f"a length has more than {MAX_VARINT_BYTES} bytes"
                raise RejectedValue(text, code="invalid-frame") from None
            if found is None:
                return None
            size, start = found
        else:
            at, width = self._length.at, _fixed_size(self._length)
            field = self._buffer[position + at : position + at + width]
            in_header = {"body": 0, "rest": self._header_size - at - width, "all": self._header_size}
            size = int.from_bytes(field, self._length.endian) - in_header[self._length.counts]
        if size < 0:
            raise RejectedValue("the length of a message is less than that of its header", code="invalid-frame")
        if size > self._limit:
            if self._spans:
                raise MessageTooLarge
            raise RejectedValue("the length of a message is over the limit", code="invalid-frame")
        return (start, start + size) if len(self._buffer) >= start + size else None


class TextHeaderSplitter:
    """Cuts messages whose header is text up to the separator: a pattern finds the length of the body in it.

    Args:
        framing: The framing, with `length.pattern` and `separator`.
        pattern: The compiled pattern, with one group.
        limit: The bytes of a body at most.
    """

    def __init__(self, framing: Framing, pattern: Pattern, limit: int) -> None:
        assert framing.length is not None
        self._separator = (framing.separator or "").encode()
        self._trailer = framing.length.trailer.encode()
        self._pattern = pattern
        self._spans = framing.spans_messages
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._header: str | None = None
        self._body_size: int | None = None

    def feed(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        try:
            while (frame := self._next_frame()) is not None:
                if frame.header or frame.body is not None:
                    yield frame
        except RejectedValue as error:
            if self._spans:
                raise UndecodableStream(str(error)) from None
        if not self._spans:
            yield from self._rest()

    def join(self, body: bytes, header: bytes | str | None) -> bytes:
        text = header.decode("utf-8", "replace") if isinstance(header, bytes) else header or ""
        match = self._pattern.search(text[:MAX_TEXT_HEADER_BYTES])
        if match is None:
            raise RejectedValue(
                "the header has no place for the length: length.pattern does not match it.", code="invalid-packet"
            )
        start, end = match.span(1)
        return f"{text[:start]}{len(body)}{text[end:]}".encode() + self._separator + body + self._trailer

    def join_header(self, header: str) -> bytes:
        """Return a message that is a header only."""
        return header.encode() + self._separator

    def _next_frame(self) -> Frame | None:
        """Take the next message out of the buffer, or return None while it is incomplete."""
        if self._header is None and not self._take_header():
            return None
        assert self._header is not None
        header, size = self._header, self._body_size
        if size is None:
            self._header = None
            return Frame(None, header)
        if len(self._buffer) < size + len(self._trailer):
            return None
        if not self._buffer.startswith(self._trailer, size):
            raise RejectedValue("the text behind a body is not the trailer", code="invalid-frame")
        body = bytes(self._buffer[:size])
        del self._buffer[: size + len(self._trailer)]
        self._header = None
        return Frame(body, header)

    def _take_header(self) -> bool:
        """Take a header out of the buffer, and find the length in it; return False while it is incomplete."""
        end = self._buffer.find(self._separator, max(self._searched - len(self._separator), 0))
        if end < 0:
            self._searched = len(self._buffer)
            if self._searched > MAX_TEXT_HEADER_BYTES:
                raise RejectedValue(f"a header has more than {MAX_TEXT_HEADER_BYTES:,} bytes", code="invalid-frame")
            return False
        header = self._buffer[:end].decode("utf-8", "replace")
        del self._buffer[: end + len(self._separator)]
        self._header, self._body_size, self._searched = header, self._find_length(header), 0
        return True

    def _find_length(self, header: str) -> int | None:
        """Return the length that a header announces, or None if no body follows it."""
        match = self._pattern.search(header[:MAX_TEXT_HEADER_BYTES])
        if match is None or match[1] is None:
            return None
        if not re.fullmatch(r"[0-9]{1,12}", match[1]):
            raise RejectedValue("the length in a header is not a number", code="invalid-frame")
        size = int(match[1])
        if size > self._limit and self._spans:
            raise MessageTooLarge
        return size

    def _rest(self) -> Iterator[Frame]:
        """Yield what is left of a WebSocket message, and forget it: a header, or something that is no message."""
        header, rest = self._header, bytes(self._buffer)
        self._buffer.clear()
        self._header, self._searched = None, 0
        if header is not None:
            yield Frame(header.encode() + self._separator + rest, whole=False)
        elif rest:
            text = rest.decode("utf-8", "replace")
            announces_body = self._pattern.search(text[:MAX_TEXT_HEADER_BYTES]) is not None
            yield Frame(rest, whole=False) if announces_body else Frame(None, text)


def compile_length_pattern(pattern: str) -> Pattern:
    """Return the compiled `length.pattern`.

    Raises:
        InvalidTemplate: if it is no pattern that may be used, or has no group for the length.
    """
    try:
        compiled = compile_pattern(pattern)
    except RejectedValue as error:
        raise InvalidTemplate(str(error), code=error.code) from None
    if compiled.groups != 1:
        message = f"the pattern has {compiled.groups} groups instead of one, which is the length of the body."
        raise InvalidTemplate(message, code="invalid-framing")
    return compiled


def _fixed_size(length: MessageLength) -> int:
    assert isinstance(length.size, int)
    return length.size
