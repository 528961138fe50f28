"""Take whole messages out of what arrives, in one pass (RFC 6455 §5.2).

The parser of `ClientProtocol` reads each frame in three steps of generators and makes an object of it, which was a
seventh of the processor time of an item in a stream. At the start of each frame it asks its reader whether anything is
left. That is where messages are taken here that arrived completely, in one frame. The parser still reads everything
else: the handshake, control frames, fragments, large messages, and whatever is wrong.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.streams import StreamReader

WHOLE_TEXT: Final = 0x81
"""The first byte of a text message in one frame, without extensions."""

WHOLE_BINARY: Final = 0x82
LENGTH_OF_16_BITS: Final = 126
"""The second byte of a frame whose length is in the next two bytes. Below it is a length; above, a longer or a mask."""

MAX_TAKEN: Final = (1 << 16) - 1
"""Bytes of the largest message that is taken here."""


class IncomingProtocol(ClientProtocol):
    """A client connection whose events are responses and frames, and messages that arrived as one frame."""

    def parse(self) -> Generator[None]:
        """Parse what arrives; called once, before anything has."""
        self.reader = MessageReader(self)
        return super().parse()


class MessageReader(StreamReader):
    """What has arrived for a protocol. Messages that can be taken become events of it, text or bytes."""

    def __init__(self, protocol: IncomingProtocol) -> None:
        super().__init__()
        self._protocol = protocol

    def at_eof(self) -> Generator[None, None, bool]:
        """Take messages, then return whether the stream has ended; the parser calls this before each frame."""
        while True:
            if self.buffer:
                self._take_messages()
                if self.buffer:
                    return False
            if self.eof:
                return True
            yield

    def _take_messages(self) -> None:
        """Move the whole messages at the beginning of the buffer to the events."""
        protocol = self._protocol
        # After a close frame everything is discarded, and a fragmented message must end before the next one.
        if protocol.state is not State.OPEN or protocol.current_size is not None:
            return
        buffer, taken, available = self.buffer, 0, len(self.buffer)
        events: list[object] = protocol.events  # type: ignore[assignment]  # messages are events here, too
        max_size = MAX_TAKEN if protocol.max_message_size is None else protocol.max_message_size
        while available - taken >= 2:
            kind, size, start = buffer[taken], buffer[taken + 1], taken + 2
            if size == LENGTH_OF_16_BITS and available - taken >= 4:
                size, start = buffer[taken + 2] << 8 | buffer[taken + 3], taken + 4
            elif size >= LENGTH_OF_16_BITS:
                break
            end = start + size
            if end > available or size > max_size:
                break
            if kind == WHOLE_TEXT:
                try:
                    events.append(buffer[start:end].decode())
                except UnicodeDecodeError:
                    break
            elif kind == WHOLE_BINARY:
                events.append(bytes(buffer[start:end]))
            else:
                break
            taken = end
        del buffer[:taken]
