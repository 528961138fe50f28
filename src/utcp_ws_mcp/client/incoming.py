"""Take whole messages from what arrives on a connection (RFC 6455 §5.2); `websockets` parses everything else.

Nearly every frame of an endpoint is a whole message. The parser makes several generators and objects for each, which
takes longer than to find out whom the message belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import State

from .frames import FIN, MASKED, MAX_SHORT
from .turn import Turn

WHOLE_MESSAGES: Final = {FIN | opcode: opcode for opcode in (Opcode.TEXT, Opcode.BINARY)}
"""The opcodes of messages in one frame without extensions, by the first byte of the frame."""

CONTROL: Final = 0x08
"""The bit of an opcode that control frames have."""

FRAMES_BETWEEN_CHECKS: Final = 32
"""Frames that are processed between two readings of the clock."""

SHORT_HEAD: Final = 2
"""Bytes of the shortest head."""

END_OF_HANDSHAKE: Final = b"\r\n\r\n"
CONNECTING, OPEN = State.CONNECTING, State.OPEN


class Incoming:
    """Finds the frames in what arrives on a connection.

    The parser gets the response to the opening handshake, and all frames but those that are delivered here. It gets
    them as a whole, so that it is at the beginning of a frame whenever a message passes it.

    Args:
        protocol: The Sans-I/O connection, before its opening handshake.
        deliver: Takes the opcode and the payload of a message.
        parse: Passes bytes to the parser, and processes what it finds in them.
        turn: The turn of the connection. When it is over, what has arrived waits for the next call of `feed`.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        deliver: Callable[[Opcode, bytes], None],
        parse: Callable[[bytes], None],
        turn: Turn,
    ) -> None:
        self._protocol = protocol
        self._deliver = deliver
        self._parse = parse
        self._turn = turn
        self._is_connecting = True
        self._kept = b""  # the end of what has arrived of the handshake, or frames that are not processed yet
        self._missing = 0  # the bytes of a frame that the parser does not have yet
        self._is_fragmented = False  # the parser has only a part of a message

    def feed(self, data: bytes = b"") -> None:
        """Process what has arrived, until the turn is over."""
        turn = self._turn
        if self._is_connecting:
            data = self._feed_handshake(data)
        elif self._kept:
            data, self._kept = self._kept + data, b""
        if turn.is_over:
            self._kept = data
            return
        start, size = min(self._missing, len(data)), len(data)
        if start:
            self._missing -= start
            self._parse(data[:start])
        frames = 0
        while start < size:
            head, length = _sizes(data, start)
            if frames == FRAMES_BETWEEN_CHECKS:
                frames = 0
                turn.check()
            if turn.is_over or size - start < head:  # one message may have been longer than the turn
                self._kept = data[start:]
                return
            end = start + head + length
            opcode = WHOLE_MESSAGES.get(data[start])
            if opcode is not None and end <= size and data[start + 1] < MASKED and self._may_pass_parser(length):
                self._deliver(opcode, data[start + head : end])
            else:
                self._feed_frame(data, start, end)
            start = end
            frames += 1

    def _may_pass_parser(self, length: int) -> bool:
        """Return whether the parser would accept a message, and need not know of it."""
        limit = self._protocol.max_message_size
        return not self._is_fragmented and self._protocol.state is OPEN and (limit is None or length <= limit)

    def _feed_frame(self, data: bytes, start: int, end: int) -> None:
        """Pass a frame to the parser, of which the end may not have arrived."""
        if not data[start] & CONTROL:  # control frames come between the fragments of a message
            self._is_fragmented = not data[start] & FIN
        self._missing = max(0, end - len(data))
        self._parse(data[start:end])

    def _feed_handshake(self, data: bytes) -> bytes:
        """Pass the response to the parser; return what follows it."""
        known = len(self._kept)
        head = self._kept + data
        end = head.find(END_OF_HANDSHAKE)
        cut = len(data) if end < 0 else end + len(END_OF_HANDSHAKE) - known
        self._kept = head[1 - len(END_OF_HANDSHAKE) :] if end < 0 else b""
        self._parse(data[:cut])
        if self._protocol.state is not CONNECTING:
            self._is_connecting = False
            return data[cut:]
        if cut < len(data):  # the body of a response that does not accept the handshake
            self._parse(data[cut:])
        return b""


def _sizes(data: bytes, start: int) -> tuple[int, int]:
    """Return the bytes of the head and the payload of a frame; where its head is not there as a whole, only of that.

    The mask is no part of the head: endpoints must not send one (RFC 6455 §5.1), and the parser accepts nothing more.
    """
    available = len(data) - start
    length = data[start + 1] & ~MASKED if available >= SHORT_HEAD else 0
    if length <= MAX_SHORT:
        return SHORT_HEAD, length
    head = SHORT_HEAD + (2 if length == MAX_SHORT + 1 else 8)
    return head, int.from_bytes(data[start + SHORT_HEAD : start + head], "big") if available >= head else 0
