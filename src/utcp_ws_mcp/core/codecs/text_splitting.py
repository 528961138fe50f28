"""Find messages behind a length that is written in text: in a header, or between two fixed texts."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final, Protocol

from ...errors import InvalidTemplate
from ...manifest.models.framing import Framing, MessageLength
from ...records import Record
from ..expressions.patterns import Pattern, compile_pattern
from .message import MessageTooLarge, RejectedValue, UndecodableStream
from .splitting import Frame
from .text_units import UNITS

MAX_TEXT_HEADER_BYTES: Final = 1 << 16
"""Bytes of a header in text that is searched for its end."""

MAX_LENGTH_DIGITS: Final = 12
"""Digits of a length in text."""


class Announcement(Record):
    """What stands in front of a body.

    Attributes:
        header: The header that is shown, or None where it consists of nothing but the length.
        length: The length of the body in units, or None where no body follows.
        size: The bytes of all that stands in front of the body.
    """

    header: str | None
    length: int | None
    size: int


class LengthForm(Protocol):
    """How a length is written in front of a body."""

    def find(self, buffer: bytearray, searched: int) -> Announcement | None:
        """Return what a buffer begins with, or None while it is incomplete.

        Args:
            buffer: What has arrived.
            searched: The bytes at its beginning in which the end was not found.

        Raises:
            RejectedValue: if it can be no beginning of a message.
        """

    def compose(self, header: bytes | str | None, length: int | None) -> bytes:
        """Return what is sent in front of a body of this length, or a header alone without one.

        Raises:
            RejectedValue: if the header has no place for the length.
        """

    def rest(self, data: bytes) -> Frame:
        """Return what is left of a WebSocket message in which no more message was found."""


class HeaderLine(Record):
    """A header up to the separator, in which a pattern finds the length."""

    pattern: Pattern
    separator: bytes

    def find(self, buffer: bytearray, searched: int) -> Announcement | None:
        end = buffer.find(self.separator, max(searched - len(self.separator), 0))
        if end < 0:
            if len(buffer) > MAX_TEXT_HEADER_BYTES:
                raise RejectedValue(f"a header has more than {MAX_TEXT_HEADER_BYTES:,} bytes", code="invalid-frame")
            return None
        header = buffer[:end].decode("utf-8", "replace")
        return Announcement(header, self._find_length(header), end + len(self.separator))

    def compose(self, header: bytes | str | None, length: int | None) -> bytes:
        text = header.decode("utf-8", "replace") if isinstance(header, bytes) else header or ""
        if length is None:
            return text.encode() + self.separator
        match = self.pattern.search(text[:MAX_TEXT_HEADER_BYTES])
        if match is None:
            raise RejectedValue(
                "the header has no place for the length: length.pattern does not match it.", code="invalid-packet"
            )
        start, end = match.span(1)
        return f"{text[:start]}{length}{text[end:]}".encode() + self.separator

    def rest(self, data: bytes) -> Frame:
        text = data.decode("utf-8", "replace")
        announces_body = self.pattern.search(text[:MAX_TEXT_HEADER_BYTES]) is not None
        return Frame(data, whole=False) if announces_body else Frame(None, text, whole=False)

    def _find_length(self, header: str) -> int | None:
        """Return the length that a header announces, or None if no body follows it."""
        match = self.pattern.search(header[:MAX_TEXT_HEADER_BYTES])
        if match is None or match[1] is None:
            return None
        if not re.fullmatch(rf"[0-9]{{1,{MAX_LENGTH_DIGITS}}}", match[1]):
            raise RejectedValue("the length in a header is not a number", code="invalid-frame")
        return int(match[1])


class BetweenTexts(Record):
    """A decimal number between two fixed texts; no digit touches it."""

    before: bytes
    behind: bytes

    def find(self, buffer: bytearray, searched: int) -> Announcement | None:
        longest = len(self.before) + MAX_LENGTH_DIGITS + len(self.behind)
        data = bytes(buffer[:longest])
        if not _begins_with(data, self.before):
            return None
        written = data[len(self.before) :]
        rest = written.lstrip(b"0123456789")
        digits = written[: len(written) - len(rest)]
        if len(digits) > MAX_LENGTH_DIGITS or (rest and not digits):
            raise RejectedValue("the length of a message is not a number", code="invalid-frame")
        if not _begins_with(rest, self.behind):
            return None
        return Announcement(None, int(digits), len(self.before) + len(digits) + len(self.behind))

    def compose(self, header: bytes | str | None, length: int | None) -> bytes:
        return self.before + str(length).encode() + self.behind

    def rest(self, data: bytes) -> Frame:
        return Frame(data, whole=False)


class TextLengthSplitter:
    """Cuts messages behind a length in text.

    Args:
        framing: The framing, with a `length` in text.
        limit: The bytes of a body at most.

    Raises:
        InvalidTemplate: if `length.pattern` cannot be used.
    """

    is_text = True

    def __init__(self, framing: Framing, limit: int) -> None:
        assert framing.length is not None
        self._form = _length_form(framing.length, (framing.separator or "").encode())
        self._trailer = framing.length.trailer.encode()
        self._unit = UNITS[framing.length.unit]
        # A character may be cut between two pieces.
        self._decoder = None if self._unit.is_bytes else codecs.getincrementaldecoder("utf-8")()
        self._spans = framing.spans_messages
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0
        self._found: Announcement | None = None
        self._body_end = 0
        self._missing = 0

    @property
    def pending(self) -> bytes:
        return bytes(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        try:
            self._buffer += data if self._decoder is None else self._decoder.decode(data, not self._spans).encode()
        except UnicodeDecodeError:
            if self._spans:
                raise UndecodableStream("it is no text, so that its characters cannot be counted") from None
            yield Frame(data, whole=False)
            return
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
        if body is None:
            return self._form.compose(header, None)
        return self._form.compose(header, self._unit.count(body)) + body + self._trailer

    def _next_frame(self) -> Frame | None:
        """Take the next message out of the buffer, or return None while it is incomplete."""
        if self._found is None and not self._find():
            return None
        assert self._found is not None
        start, header = self._found.size, self._found.header
        if self._found.length is None:
            return self._take(Frame(None, header), start)
        self._body_end, self._missing = self._unit.advance(self._buffer, self._body_end, self._missing)
        if self._spans and self._body_end - start > self._limit:
            raise MessageTooLarge
        end = self._body_end + len(self._trailer)
        if self._missing or len(self._buffer) < end:
            return None
        if not self._buffer.startswith(self._trailer, self._body_end):
            raise RejectedValue("the text behind a body is not the trailer", code="invalid-frame")
        return self._take(Frame(bytes(self._buffer[start : self._body_end]), header), end)

    def _find(self) -> bool:
        """Find what the next message begins with; return False while it is incomplete."""
        found = self._form.find(self._buffer, self._searched)
        if found is None:
            self._searched = len(self._buffer)
            return False
        if self._spans and found.length is not None and found.length > self._limit:
            raise MessageTooLarge
        self._found, self._body_end, self._missing = found, found.size, found.length or 0
        return True

    def _take(self, frame: Frame, size: int) -> Frame:
        """Remove a message from the buffer."""
        del self._buffer[:size]
        self._found, self._searched = None, 0
        return frame

    def _rest(self) -> Iterator[Frame]:
        """Yield what is left of a WebSocket message, and forget it: a header, or something that is no message."""
        rest, has_begun = bytes(self._buffer), self._found is not None
        self._buffer.clear()
        self._found, self._searched = None, 0
        if rest:
            yield Frame(rest, whole=False) if has_begun else self._form.rest(rest)


def _begins_with(data: bytes, text: bytes) -> bool:
    """Return whether data begins with a text; False while the rest of the text may follow.

    Raises:
        RejectedValue: if data begins with something else.
    """
    if not data.startswith(text) and not text.startswith(data):
        raise RejectedValue("the text around the length of a message is missing", code="invalid-frame")
    return len(data) >= len(text)


def _length_form(length: MessageLength, separator: bytes) -> LengthForm:
    if length.pattern is not None:
        return HeaderLine(compile_length_pattern(length.pattern), separator)
    assert length.between is not None
    before, behind = length.between
    return BetweenTexts(before.encode(), behind.encode())


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
