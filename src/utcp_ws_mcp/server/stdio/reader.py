"""Lines from the host: read by the event loop if stdin can be polled, otherwise by a thread."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

logger = logging.getLogger(__name__)

READ_SIZE: Final = 1 << 16
MAX_LINE_SIZE: Final = 64 << 20
"""Bytes of an incoming message; a longer line ends the session."""

MAX_QUEUED_CHUNKS: Final = 64
"""Chunks that the reader thread may be ahead of the event loop."""


class Reader:
    """Passes each line to `on_line`; calls `on_eof` when the host has closed stdin or sent a line that is too long."""

    def __init__(self, fd: int, on_line: Callable[[bytes], None], on_eof: Callable[[], None]) -> None:
        self._fd = fd
        self._on_line = on_line
        self._on_eof = on_eof
        self._loop = asyncio.get_running_loop()
        self._partial_line: list[bytes] = []
        self._partial_size = 0
        self._stopped = False
        self._queue_slots = threading.Semaphore(MAX_QUEUED_CHUNKS)
        try:
            self._loop.add_reader(fd, self._on_readable)
        except (NotImplementedError, OSError):  # Windows, or a file
            threading.Thread(target=self._read_in_thread, daemon=True, name="stdin").start()

    def stop(self) -> None:
        """Stop reading."""
        if not self._stopped:
            self._stopped = True
            with suppress(NotImplementedError):
                self._loop.remove_reader(self._fd)

    def _on_readable(self) -> None:
        try:
            chunk = os.read(self._fd, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            chunk = b""
        self._feed(chunk)

    def _read_in_thread(self) -> None:
        """Read in a thread until the end, at most MAX_QUEUED_CHUNKS ahead of the loop."""
        chunk = b"-"
        while chunk and not self._stopped:
            try:
                chunk = os.read(self._fd, READ_SIZE)
            except OSError:
                chunk = b""
            self._queue_slots.acquire()
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._feed_from_thread, chunk)

    def _feed_from_thread(self, chunk: bytes) -> None:
        self._queue_slots.release()
        self._feed(chunk)

    def _feed(self, chunk: bytes) -> None:
        """Split a chunk into lines. An empty chunk is the end; a last line without a line break is still served."""
        first, *rest = chunk.split(b"\n")
        self._partial_line.append(first)
        self._partial_size += len(first)
        if rest or not chunk:
            lines = [b"".join(self._partial_line), *rest[:-1]]
            self._partial_line, self._partial_size = [rest[-1] if rest else b""], len(rest[-1]) if rest else 0
            for line in lines:
                if not self._stopped and line and not line.isspace():
                    self._on_line(line)
        if self._partial_size > MAX_LINE_SIZE:
            logger.error("received a message of more than %s bytes on stdin; the session ends", MAX_LINE_SIZE)
        if not chunk or self._partial_size > MAX_LINE_SIZE:
            self.stop()
            self._on_eof()
