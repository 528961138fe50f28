"""Inflate and deflate messages (RFC 1950, 1951 and 1952), with a bound on what they inflate to.

zlib is asked for one byte more than is allowed, so that a bomb is recognized without being inflated.
"""

from __future__ import annotations

import zlib
from typing import Final

from .message import MessageTooLarge, UndecodableStream

_WINDOW_BITS: Final = {"gzip": 31, "zlib": 15, "deflate": -15}
"""What zlib takes for each format."""

FLUSHED: Final = b"\x00\x00\xff\xff"
"""The end of data that was flushed, not finished (Z_SYNC_FLUSH): more of the stream may follow."""

MAX_MEMBERS: Final = 64
"""Members of a gzip file (RFC 1952 §2.2), and streams that follow one another in one message."""


def inflate_message(data: bytes, method: str, limit: int) -> bytes | None:
    """Return what a message inflates to, or None where it is not a whole compressed message.

    Args:
        data: The message.
        method: The format.
        limit: The bytes that it may inflate to.

    Raises:
        MessageTooLarge: if it inflates to more.
    """
    parts, rest, size = [], data, 0
    for _ in range(MAX_MEMBERS):
        inflater = zlib.decompressobj(_WINDOW_BITS[method])
        try:
            parts.append(inflater.decompress(rest, limit - size + 1))
        except zlib.error:
            return None
        size += len(parts[-1])
        if size > limit:
            raise MessageTooLarge
        if not inflater.eof:
            return b"".join(parts) if rest.endswith(FLUSHED) else None
        if not (rest := inflater.unused_data):
            return b"".join(parts)
        if method != "gzip":
            return None
    return None


def deflate_message(data: bytes, method: str) -> bytes:
    """Return a message that is compressed on its own."""
    deflater = zlib.compressobj(wbits=_WINDOW_BITS[method])
    return deflater.compress(data) + deflater.flush()


class StreamInflater:
    """Inflates the messages of a connection, which are one compressed stream."""

    def __init__(self, method: str) -> None:
        self._bits = _WINDOW_BITS[method]
        self._inflater = zlib.decompressobj(self._bits)

    def inflate(self, data: bytes, limit: int) -> bytes:
        """Return what the next piece of the stream inflates to.

        Raises:
            MessageTooLarge: if that is more than `limit` bytes.
            UndecodableStream: if it is not compressed so, or damaged.
        """
        parts, rest, size = [], data, 0
        for _ in range(MAX_MEMBERS):
            try:
                parts.append(self._inflater.decompress(rest, limit - size + 1))
            except zlib.error as error:
                raise UndecodableStream("the compressed stream is damaged, or compressed in another format") from error
            size += len(parts[-1])
            if size > limit:
                raise MessageTooLarge
            if not self._inflater.eof:
                return b"".join(parts)
            rest = self._inflater.unused_data
            self._inflater = zlib.decompressobj(self._bits)
            if not rest:
                return b"".join(parts)
        raise UndecodableStream(f"one message holds more than {MAX_MEMBERS} compressed streams")


class StreamDeflater:
    """Compresses the messages of a connection as one stream, each flushed."""

    def __init__(self, method: str) -> None:
        self._deflater = zlib.compressobj(wbits=_WINDOW_BITS[method])

    def deflate(self, data: bytes) -> bytes:
        """Return the next piece of the stream."""
        return self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
