"""Find messages behind a header in text that announces their length."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ...errors import InvalidTemplate
from ...manifest.models.framing import Framing
from ..expressions.patterns import Pattern, compile_pattern
from .message import MessageTooLarge, RejectedValue, UndecodableStream
from .splitting import Frame

MAX_TEXT_HEADER_BYTES: Final = 1 << 16
"""Bytes of a header in text that is searched for its end."""


class TextHeaderSplitter:
    """Cuts messages whose header is text up to the separator: a pattern finds the length of the body in it.

    Args:
        framing: The framing, with `length.pattern` and `separator`.
        pattern: The compiled pattern, with one group.
        limit: The bytes of a body at most.
    """

    is_text = True

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

    def join(self, body: bytes | None, header: bytes | str | None) -> bytes:
        text = header.decode("utf-8", "replace") if isinstance(header, bytes) else header or ""
        if body is None:
            return text.encode() + self._separator
        match = self._pattern.search(text[:MAX_TEXT_HEADER_BYTES])
        if match is None:
            raise RejectedValue(
                "the header has no place for the length: length.pattern does not match it.", code="invalid-packet"
            )
        start, end = match.span(1)
        return f"{text[:start]}{len(body)}{text[end:]}".encode() + self._separator + body + self._trailer

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
