"""Messages from the host: lines of stdin, read by a thread."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from ..wire.codec import clean
from .requests import Requests, Stream

logger = logging.getLogger(__name__)

CHUNK: Final = 1 << 16
MAX_LINE: Final = 64 << 20
"""Bytes of one incoming message; a longer line ends the session."""

UNREAD_CHUNKS: Final = 64
"""Chunks that the reader thread may be ahead of the loop."""

DRAIN: Final = 1.0
"""Seconds that calls have to finish after the host has closed its end or sent a signal."""


class Reader(Stream):
    """Messages from the host. A thread reads, because a pipe that is also a terminal or a file cannot be polled."""

    def __init__(self, fd: int, requests: Requests, reject: Callable[[JSONRPCError], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests = requests
        self._reject = reject
        self._lines: deque[bytes | None] = deque()
        self._arrived = asyncio.Event()
        self._room = threading.Semaphore(UNREAD_CHUNKS)
        self._closed_by_host = False
        self._ended = False
        threading.Thread(target=self._read, args=(fd,), daemon=True, name="stdin").start()

    def stop(self) -> None:
        """End the session: nothing more is read."""
        self._ended = True
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        while True:
            while self._lines and not self._ended:
                line = self._lines.popleft()
                if line is None:
                    self._room.release()
                elif (message := self._parse(line)) is not None:
                    return message
            if self._ended or self._closed_by_host:
                await self._requests.settled(DRAIN)
                raise StopAsyncIteration
            await self._arrived.wait()
            self._arrived.clear()

    async def receive(self) -> SessionMessage:
        """The next message.

        Raises:
            anyio.EndOfStream: when the session is over.
        """
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    async def aclose(self) -> None:
        self.stop()

    def _parse(self, line: bytes) -> SessionMessage | None:
        if not line or line.isspace():
            return None
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            if (answer := refusal(line)) is not None:
                self._reject(answer)
            return None
        self._requests.came(message)
        return SessionMessage(message)

    def _read(self, fd: int) -> None:
        """The thread: whole lines to the loop, a None after each chunk."""
        tail: list[bytes] = []
        size = 0
        try:
            while chunk := os.read(fd, CHUNK):
                first, *rest = chunk.split(b"\n")
                tail.append(first)
                size += len(first)
                if rest:
                    lines = [b"".join(tail), *rest[:-1]]
                    tail, size = [rest[-1]], len(rest[-1])
                    self._room.acquire()
                    self._loop.call_soon_threadsafe(self._feed, lines)
                if size > MAX_LINE:
                    logger.error("a message of more than %s bytes came on stdin; the session ends", MAX_LINE)
                    break
        except (OSError, RuntimeError):  # the descriptor or the loop is closed
            return
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._feed_end, b"".join(tail) if size <= MAX_LINE else b"")

    def _feed(self, lines: Iterable[bytes]) -> None:
        self._lines.extend(lines)
        self._lines.append(None)
        self._arrived.set()

    def _feed_end(self, rest: bytes) -> None:
        """The host closed its end: what it sent before is still served."""
        self._lines.append(rest)
        self._closed_by_host = True
        self._arrived.set()


def refusal(line: bytes) -> JSONRPCError | None:
    """The answer to a line that is no JSON-RPC message (JSON-RPC 2.0 §5.1); None for a malformed response."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError):
        error = ErrorData(code=PARSE_ERROR, message="this line is not JSON")
        return JSONRPCError(jsonrpc="2.0", id=None, error=error)
    if isinstance(raw, dict) and "method" not in raw and ("result" in raw or "error" in raw):
        return None
    request_id = raw.get("id") if isinstance(raw, dict) else None
    error = ErrorData(code=INVALID_REQUEST, message="this line is not a JSON-RPC 2.0 request or notification")
    return JSONRPCError(jsonrpc="2.0", id=request_id if _is_usable(request_id) else None, error=error)


def _is_usable(request_id: object) -> bool:
    """Whether an answer can carry this id: a number, or text without lone surrogates."""
    if isinstance(request_id, str):
        return bool(clean(request_id) == request_id)
    return isinstance(request_id, int) and not isinstance(request_id, bool)
