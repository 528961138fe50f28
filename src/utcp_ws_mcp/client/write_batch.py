"""Join what is written in one turn of the event loop: under load, a system call for each message costs more than it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

MAX_BATCH: Final = 1 << 14
"""Bytes that are joined. They are less than what lets a writer wait, so that flow control sees them in time."""


class WriteBatch:
    """Writes in order. The first write of a turn is passed on at once, the others together at the end of the turn.

    Args:
        write: Takes the data.
        call_soon: Calls a function at the end of this turn.
    """

    def __init__(self, write: Callable[[bytes], None], call_soon: Callable[[Callable[[], None]], Any]) -> None:
        self._write = write
        self._call_soon = call_soon
        self._is_open = False
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, data: bytes, *, more: bool) -> None:
        """Write some data, now or at the end of this turn. `more`: others may follow in this turn."""
        if not self._is_open:
            if more:
                self._is_open = True
                self._call_soon(self._end)
            self._write(data)
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size >= MAX_BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what waits for the end of the turn now."""
        parts, self._parts, self._size = self._parts, [], 0
        if not parts:
            return
        large = len(parts[-1]) >= MAX_BATCH
        if small := parts[:-1] if large else parts:
            self._write(b"".join(small))
        if large:  # it is not copied
            self._write(parts[-1])

    def _end(self) -> None:
        self._is_open = False
        self.flush()
