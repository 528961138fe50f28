"""From the frames of data on a connection to its messages (RFC 6455 §5.4, §5.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from websockets.frames import CloseCode, Frame, Opcode

MAX_FRAGMENTS: Final = 4096
"""Frames that a message may consist of."""

TEXT = Opcode.TEXT

Data = str | bytes


class Messages:
    """Joins fragments, and decodes text.

    Args:
        deliver: Takes each message.
        fail: Fails the connection (RFC 6455 §7.1.7) because of what arrived. It calls `discard`.
    """

    def __init__(self, deliver: Callable[[Data], None], fail: Callable[[CloseCode, str], None]) -> None:
        self._deliver = deliver
        self._fail = fail
        self._fragments: list[Frame] = []
        self._is_discarding = False

    def discard(self) -> None:
        """Deliver nothing that follows."""
        self._is_discarding = True
        self._fragments.clear()

    def add(self, frame: Frame) -> None:
        """Take a frame of data; its message is delivered with the last one."""
        if self._is_discarding:
            return
        self._fragments.append(frame)
        if len(self._fragments) > MAX_FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
        elif frame.fin and (message := self._join()) is not None:
            self._deliver(message)

    def _join(self) -> Data | None:
        """Return the message of the fragments. A large one must not be in memory twice while it is handled."""
        fragments, self._fragments = self._fragments, []
        payload = fragments[0].data if len(fragments) == 1 else b"".join(part.data for part in fragments)
        fragments[-1].data = b""  # the parser keeps the last frame until the next one is complete
        return self._decode(fragments[0].opcode, payload)

    def add_whole(self, opcode: Opcode, payload: bytes) -> None:
        """Take the payload of a message that has one frame, and is so small that it may be in memory twice."""
        if not self._is_discarding and (message := self._decode(opcode, payload)) is not None:
            self._deliver(message)

    def _decode(self, opcode: Opcode, payload: bytes | bytearray | memoryview) -> Data | None:
        """Return the message with a payload; None where it must be text and is not."""
        try:
            return str(payload, "utf-8") if opcode is TEXT else bytes(payload)
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "invalid UTF-8")
            return None
