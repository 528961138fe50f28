"""Lines to the host, written without a thread as long as the host keeps up.

asyncio cannot write to a pipe that a terminal or another process may share without making it non-blocking for them,
and a thread for each write would cost more than the call. So the loop writes if `poll` says that the pipe is ready, and
a thread takes over if it is not.
"""

from __future__ import annotations

import asyncio
import errno
import os
import queue
import select
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import anyio

MAX_BACKLOG: Final = 8 << 20
"""Bytes that are queued for the host before `drain` waits."""

PIPE_BUF: Final = 4096
"""Bytes that a pipe accepts without blocking once `poll` reports that it is writable (POSIX, PIPE_BUF)."""

THREAD_WRITE_SIZE: Final = 1 << 16
"""Larger parts are not joined, and are written by the thread: they do not fit into the buffer of a pipe."""

FLUSH_TIMEOUT: Final = 1.0
"""Seconds that a host has to read what is left at the end of the session."""

HOST_HAS_GONE: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EIO, errno.EINVAL})
"""Errors of a pipe, a socket and a terminal whose other end was closed, and of a pipe on Windows."""


class Writer:
    """Writes lines. The first one in a turn of the event loop is written at once, the others together at its end.

    Attributes:
        on_broken_pipe: Called when nothing can be written any more, as when the host has closed its end.
        failure: Why that is, unless the host has closed its end.
    """

    def __init__(self, fd: int) -> None:
        self.on_broken_pipe: Callable[[], None] = lambda: None
        self.failure: OSError | None = None
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._buffer: list[bytes] = []
        self._is_batching = False
        self._closed = False
        self._backlog = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._queue: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._poll = _writable_poll(fd)

    def write(self, *parts: bytes, more: bool = True) -> None:
        """Write the parts of a line without waiting. After the end of the session they are dropped.

        `more`: others may follow in this turn of the event loop, whose end costs another turn.
        """
        if self._closed:
            return
        self._buffer += parts
        if not self._is_batching:
            if more:
                self._is_batching = True
                self._loop.call_soon(self._end_batch)
            self._flush()

    async def drain(self) -> None:
        """Wait while more than MAX_BACKLOG bytes are queued for the host."""
        if self._backlog > MAX_BACKLOG:
            await self._drained.wait()

    async def aclose(self) -> None:
        """Write what is left, for at most FLUSH_TIMEOUT seconds."""
        if self._closed:
            return
        self._flush()
        if self._backlog:
            with anyio.move_on_after(FLUSH_TIMEOUT, shield=True):
                await self._wait_flushed()
        self._closed = True
        self._queue.put(None)

    async def _wait_flushed(self) -> None:
        while self._backlog:
            self._drained.clear()
            await self._drained.wait()

    def _end_batch(self) -> None:
        self._is_batching = False
        self._flush()

    def _flush(self) -> None:
        parts, self._buffer = self._buffer, []
        for piece in _joined(parts):
            self._write_part(memoryview(piece))

    def _write_part(self, data: memoryview) -> None:
        if not self._backlog and len(data) < THREAD_WRITE_SIZE:
            data = self._write_nonblocking(data)
        if data and not self._closed:
            self._backlog += len(data)
            if self._backlog > MAX_BACKLOG:
                self._drained.clear()
            self._queue_for_thread(data)

    def _write_nonblocking(self, data: memoryview) -> memoryview:
        """Write as long as the pipe accepts data without blocking; return the rest."""
        try:
            while data and self._poll is not None and self._poll():
                data = data[os.write(self._fd, data[:PIPE_BUF]) :]
        except OSError as error:
            self._on_write_error(error)
            return memoryview(b"")
        return data

    def _queue_for_thread(self, data: memoryview) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_in_thread, daemon=True, name="stdout")
            self._thread.start()
        self._queue.put(data)

    def _write_in_thread(self) -> None:
        """Write in a thread, which blocks while the host reads slowly."""
        while (data := self._queue.get()) is not None:
            size = len(data)
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
                self._loop.call_soon_threadsafe(self._on_written, size)
            except OSError as error:
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._on_write_error, error)
                return
            except RuntimeError:  # the loop is closed
                return

    def _on_written(self, count: int) -> None:
        self._backlog -= count
        if self._backlog <= MAX_BACKLOG // 2:
            self._drained.set()

    def _on_write_error(self, error: OSError) -> None:
        self.failure = None if error.errno in HOST_HAS_GONE else error
        self._closed = True
        self._backlog = 0
        self._drained.set()
        self.on_broken_pipe()


def _joined(parts: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the parts in few pieces: each of them may cost a system call and a message to the thread."""
    small: list[bytes] = []
    size = 0
    for part in parts:
        if small and size + len(part) >= THREAD_WRITE_SIZE:
            yield b"".join(small)
            small, size = [], 0
        if len(part) >= THREAD_WRITE_SIZE:
            yield part
        else:
            small.append(part)
            size += len(part)
    if small:
        yield b"".join(small)


def _writable_poll(fd: int) -> Callable[[], bool] | None:
    """Return a function that tests whether a write would not block, or None if the platform has no such test."""
    if sys.platform == "win32":
        return None
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return lambda: bool(poll.poll(0))
