"""Inflate and deflate messages (RFC 1950, 1951, 1952 and 8878), with a bound on what they inflate to."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from ...errors import InvalidTemplate
from ...manifest.extras import needs_extra
from ...records import Record
from .message import MessageTooLarge, UndecodableStream

_WINDOW_BITS: Final = {"gzip": 31, "zlib": 15, "deflate": -15}
"""What zlib takes for each format."""

FLUSHED: Final = b"\x00\x00\xff\xff"
"""The end of data that was flushed, not finished (Z_SYNC_FLUSH): more of the stream may follow."""

MAX_STREAMS: Final = 64
"""Members of a gzip file (RFC 1952 §2.2), frames of Zstandard (RFC 8878 §3), and streams that follow one another in one
message."""


class Inflater(Protocol):
    """Inflates one stream."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream."""

    def inflate(self, data: bytes, limit: int) -> bytes:
        """Return what the next data inflates to.

        Raises:
            MessageTooLarge: if that is more than `limit` bytes.
            Exception: the `error` of its method, if data is in another format.
        """


class ZlibInflater:
    """Inflates a stream of one of the formats of zlib, which is asked for one byte more than is allowed."""

    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def inflate(self, data: bytes, limit: int) -> bytes:
        inflated = self._stream.decompress(data, limit + 1)
        if len(inflated) > limit:
            raise MessageTooLarge
        return inflated


class Method(Record):
    """A format of compressed data.

    Attributes:
        open_inflater: Begins to inflate a stream.
        open_deflater: Begins a stream, and returns a function that deflates a message of it and flushes it.
        deflate: Returns a message as a whole stream.
        error: What the library raises for data in another format.
        flushed: The end of data that was flushed, not finished; empty where it has no mark.
        is_sequence: Whether several streams in a row are one message.
    """

    open_inflater: Callable[[], Inflater]
    open_deflater: Callable[[], Callable[[bytes], bytes]]
    deflate: Callable[[bytes], bytes]
    error: type[Exception]
    flushed: bytes
    is_sequence: bool

    def inflate(self, data: bytes, limit: int) -> bytes | None:
        """Return what a message inflates to, or None where it is not a whole compressed message.

        Args:
            data: The message.
            limit: The bytes that it may inflate to.

        Raises:
            MessageTooLarge: if it inflates to more.
        """
        parts, rest = [], data
        for _ in range(MAX_STREAMS):
            inflater = self.open_inflater()
            try:
                parts.append(inflater.inflate(rest, limit))
            except self.error:
                return None
            limit -= len(parts[-1])
            if not inflater.eof:
                return b"".join(parts) if self.flushed and rest.endswith(self.flushed) else None
            if not (rest := inflater.unused_data):
                return b"".join(parts)
            if not self.is_sequence:
                return None
        return None


class StreamInflater:
    """Inflates the messages of a connection, which are one compressed stream."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self._inflater = method.open_inflater()

    def ends_message(self, data: bytes) -> bool:
        """Return whether a piece of the stream is the last one of a message, where the format marks it; else True."""
        return data.endswith(self._method.flushed)

    def inflate(self, data: bytes, limit: int) -> bytes:
        """Return what the next piece of the stream inflates to.

        Raises:
            MessageTooLarge: if that is more than `limit` bytes.
            UndecodableStream: if it is not compressed so, or damaged.
        """
        parts, rest = [], data
        for _ in range(MAX_STREAMS):
            try:
                parts.append(self._inflater.inflate(rest, limit))
            except self._method.error as error:
                raise UndecodableStream("the compressed stream is damaged, or compressed in another format") from error
            limit -= len(parts[-1])
            if not self._inflater.eof:
                return b"".join(parts)
            rest = self._inflater.unused_data
            self._inflater = self._method.open_inflater()
            if not rest:
                return b"".join(parts)
        raise UndecodableStream(f"one message holds more than {MAX_STREAMS} compressed streams")


def load_method(name: str) -> Method:
    """Return a format by its name in a manifest.

    Raises:
        InvalidTemplate: if it needs a package that is not installed.
    """
    if name != "zstd":
        return _METHODS[name]
    from .zstd import load_zstd  # few manifests need it

    try:
        return load_zstd()
    except ImportError:
        raise InvalidTemplate(needs_extra(f"the compression {name!r}", name), code="extra-not-installed") from None


def _zlib_method(name: str) -> Method:
    bits = _WINDOW_BITS[name]

    def deflate(data: bytes) -> bytes:
        deflater = zlib.compressobj(wbits=bits)
        return deflater.compress(data) + deflater.flush()

    def open_deflater() -> Callable[[bytes], bytes]:
        deflater = zlib.compressobj(wbits=bits)
        return lambda data: deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)

    return Method(partial(ZlibInflater, bits), open_deflater, deflate, zlib.error, FLUSHED, name == "gzip")


_METHODS: Final = {name: _zlib_method(name) for name in _WINDOW_BITS}
