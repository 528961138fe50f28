"""Find messages behind a binary length or a binary header of fixed size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...manifest.models.framing import Framing, MessageLength
from .message import MessageTooLarge, RejectedValue, UndecodableStream
from .splitting import Frame
from .varint import decode_varint, encode_varint

MAX_VARINT_BYTES: Final = 5
"""Bytes of a length of variable size: 35 bits."""


class BinarySplitter:
    """Cuts messages with a header of fixed size: by the binary length in or behind it, or one in a WebSocket message.

    Args:
        framing: The framing, with a `header` or a binary `length`.
        limit: The bytes of a body at most.
    """

    is_text = False

    def __init__(self, framing: Framing, limit: int) -> None:
        length = framing.length
        self._length = length
        self._spans = framing.spans_messages
        self._limit = limit
        self._shows_header = framing.header is not None
        fixed = length.at + length.size if length is not None and isinstance(length.size, int) else 0
        self._header_size = framing.header or fixed
        self._counted_of_header = 0 if length is None else _counted_of_header(length, self._header_size)
        self._buffer = bytearray()

    @property
    def pending(self) -> bytes:
        return bytes(self._buffer)

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

    def join(self, body: bytes | None, header: bytes | str | None) -> bytes:
        body = body or b""
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
        counted = len(body) + self._counted_of_header
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
            size = int.from_bytes(field, self._length.endian) - self._counted_of_header
        if size < 0:
            raise RejectedValue("the length of a message is less than that of its header", code="invalid-frame")
        if size > self._limit:
            if self._spans:
                raise MessageTooLarge
            raise RejectedValue("the length of a message is over the limit", code="invalid-frame")
        return (start, start + size) if len(self._buffer) >= start + size else None


def _counted_of_header(length: MessageLength, header_size: int) -> int:
    """Return how many bytes of the header a length counts besides those of the body."""
    match length.counts:
        case "body":
            return 0
        case "rest":
            return header_size - length.at - _fixed_size(length)
        case "from_length":
            return header_size - length.at
        case "all":
            return header_size


def _fixed_size(length: MessageLength) -> int:
    assert isinstance(length.size, int)
    return length.size
