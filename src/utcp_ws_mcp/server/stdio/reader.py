"""Lines from the host: read in the loop where stdin can be polled, by a thread where it cannot."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

logger = logging.getLogger(__name__)

CHUNK: Final = 1 << 16
MAX_LINE: Final = 64 << 20
"""Bytes of one incoming message; a longer line ends the session."""

UNREAD_CHUNKS: Final = 64
"""Chunks that the reader thread may be ahead of the loop."""


class Reader:
    """Gives each line to `take`, and calls `end` when the host has closed its end or sent too long a line."""

    def __init__(self, fd: int, take: Callable[[bytes], None], end: Callable[[], None]) -> None:
        self._fd = fd
        self._take = take
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._tail: list[bytes] = []
        self._size = 0
        self._stopped = False
        self._room = threading.Semaphore(UNREAD_CHUNKS)
        try:
            self._loop.add_reader(fd, self._read_ready)
        except (NotImplementedError, OSError):  # Windows, or a file
            threading.Thread(target=self._read, daemon=True, name="stdin").start()

    def stop(self) -> None:
        """Read nothing more."""
        if not self._stopped:
            self._stopped = True
            with suppress(NotImplementedError):
                self._loop.remove_reader(self._fd)

    def _read_ready(self) -> None:
        try:
            chunk = os.read(self._fd, CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            chunk = b""
        self._feed(chunk)

    def _read(self) -> None:
        """The thread."""
        chunk = b"-"
        while chunk and not self._stopped:
            try:
                chunk = os.read(self._fd, CHUNK)
            except OSError:
                chunk = b""
            self._room.acquire()
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._feed_from_thread, chunk)

    def _feed_from_thread(self, chunk: bytes) -> None:
        self._room.release()
        self._feed(chunk)

    def _feed(self, chunk: bytes) -> None:
        """Cut a chunk into lines; an empty one is the end, and what was sent before is still served."""
        first, *rest = chunk.split(b"\n")
        self._tail.append(first)
        self._size += len(first)
        if rest or not chunk:
            lines = [b"".join(self._tail), *rest[:-1]]
            self._tail, self._size = [rest[-1] if rest else b""], len(rest[-1]) if rest else 0
            for line in lines:
                if not self._stopped and line and not line.isspace():
                    self._take(line)
        if self._size > MAX_LINE:
            logger.error("a message of more than %s bytes came on stdin; the session ends", MAX_LINE)
        if not chunk or self._size > MAX_LINE:
            self.stop()
            self._end()
