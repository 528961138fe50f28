"""Serialize whole messages as frames of a client (RFC 6455 §5.2).

`ClientProtocol.send_text` makes a frame object, a buffer and a system call for the mask of each message, which is a
twelfth of the processor time of a call under load. It still makes the control frames and the closing handshake.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import Final

from websockets.frames import Opcode, apply_mask  # type: ignore[attr-defined]  # its fast version, where there is one

FIN: Final = 0x80
MASKED: Final = 0x80
"""Flags of the first and the second byte of a frame."""

MAX_SHORT: Final = 125
"""Bytes of a payload whose length is in the second byte itself."""

MASKS: Final = 256
"""Masks that are read from the operating system at once."""

_MASK: Final = struct.Struct("4s")


class MessageFrames:
    """Frames of messages, each with a new mask.

    A mask must be unpredictable for who chooses the payload (RFC 6455 §5.3), so it comes from `random_bytes`.
    """

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._masks: Iterator[tuple[bytes]] = iter(())

    def serialize(self, opcode: Opcode, payload: bytes) -> bytes:
        """Return a message, TEXT or BINARY, as one frame."""
        size = len(payload)
        if size <= MAX_SHORT:
            head = bytes((FIN | opcode, MASKED | size))
        elif size < 1 << 16:
            head = struct.pack("!BBH", FIN | opcode, MASKED | 126, size)
        else:
            head = struct.pack("!BBQ", FIN | opcode, MASKED | 127, size)
        mask = self._next_mask()
        return b"".join((head, mask, apply_mask(payload, mask)))

    def _next_mask(self) -> bytes:
        for (mask,) in self._masks:
            return mask
        self._masks = _MASK.iter_unpack(self._random_bytes(MASKS * _MASK.size))
        return next(self._masks)[0]
