"""Zstandard (RFC 8878), by `compression.zstd` of Python 3.14 or its backport, which is optional."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .compression import Method
from .message import MessageTooLarge

MAX_WINDOW_LOG: Final = 23
"""Bits of a window, 8 MiB: what every decoder should allow (RFC 8878 §3.1.1.1.2), and no sender exceeds over HTTP
(RFC 9659). A stream that announces a larger one would take that memory before it inflates to anything.
"""

PIECE: Final = 1 << 20
"""Bytes that are inflated at once: the library copies what it returns, so that it would hold a bomb twice."""


class ZstdInflater:
    """Inflates one frame.

    Args:
        frame: The object of the library.
    """

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.eof = False
        self.unused_data = b""

    def inflate(self, data: bytes, limit: int) -> bytes:
        pieces: list[bytes] = []
        while True:
            pieces.append(self._frame.decompress(data, min(limit + 1, PIECE)))
            data = b""
            limit -= len(pieces[-1])
            if limit < 0:
                raise MessageTooLarge
            if self._frame.eof or self._frame.needs_input:
                break
        if self._frame.eof:
            self.eof, self.unused_data = True, self._frame.unused_data
            self._frame = None  # its window is free before the pieces are joined
        return b"".join(pieces)


def load_zstd() -> Method:
    """Return the format.

    Raises:
        ImportError: if the package is not installed.
    """
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd

    options = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}

    def open_deflater() -> Callable[[bytes], bytes]:
        deflater = zstd.ZstdCompressor()
        return lambda data: deflater.compress(data, deflater.FLUSH_BLOCK)

    return Method(
        open_inflater=lambda: ZstdInflater(zstd.ZstdDecompressor(options=options)),
        open_deflater=open_deflater,
        deflate=zstd.compress,
        error=zstd.ZstdError,
        flushed=b"",
        is_sequence=True,
    )
