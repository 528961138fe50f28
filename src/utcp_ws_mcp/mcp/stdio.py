"""MCP over stdin and stdout, and the life of the process.

It takes the place of the SDK's transport: a message that cannot be encoded fails alone, nothing hangs on a signal or
on a host that has gone, and a message costs no thread hop on its way out. fd 1 belongs to the protocol; whatever
else prints goes to stderr.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

logger = logging.getLogger(__name__)

CHUNK: Final = 1 << 16
MAX_LINE: Final = 64 << 20
"""Bytes of one incoming message; a longer line ends the session."""

UNREAD_CHUNKS: Final = 64
"""Chunks that the reader thread may be ahead of the loop."""

BACKLOG: Final = 8 << 20
"""Bytes of outgoing messages that wait for the host before `send` waits too."""

DRAIN: Final = 1.0
"""Seconds that calls have to finish after the host has closed its end or sent a signal."""

ATOMIC: Final = 4096
"""Bytes that a pipe which is ready takes without blocking (PIPE_BUF)."""


class _Stream:
    """What the SDK expects of a stream besides `receive` or `send`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        raise NotImplementedError


class Requests:
    """The requests that the host waits for."""

    def __init__(self) -> None:
        self._open: set[Any] = set()
        self._idle = asyncio.Event()

    def came(self, message: Any) -> None:
        """Something came from the host."""
        if isinstance(message, JSONRPCRequest) and message.method != "subscriptions/listen":
            self._open.add(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self.answered((message.params or {}).get("requestId"))

    def answered(self, request_id: Any) -> None:
        """A request was answered, or needs no answer any more."""
        with suppress(TypeError):
            self._open.discard(request_id)
        if not self._open:
            self._idle.set()

    async def settled(self, seconds: float) -> None:
        """Wait until nothing is open, for so long at most."""
        if self._open:
            self._idle.clear()
            with anyio.move_on_after(seconds):
                await self._idle.wait()


class Reader(_Stream):
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


class Writer(_Stream):
    """Messages to the host, in one write for each turn of the loop as long as the host keeps up.

    `broken` is called when the host has closed its end.
    """

    def __init__(self, fd: int, requests: Requests) -> None:
        self.broken: Callable[[], None] = lambda: None
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._requests = requests
        self._buffer: list[bytes] = []
        self._closed = False
        self._backlog = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._poll = _writable_poll(fd)

    async def send(self, item: SessionMessage) -> None:
        """Write a message. One that cannot be encoded is answered by an error of its own.

        Raises:
            anyio.ClosedResourceError: when the session is over.
        """
        if self._closed:
            raise anyio.ClosedResourceError
        self.put(item.message)
        if self._backlog > BACKLOG:
            await self._drained.wait()

    def put(self, message: Any) -> None:
        """Write a message without waiting."""
        encoded = encode_message(message)
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self._requests.answered(message.id)
        if encoded is None or self._closed:
            return
        if not self._buffer:
            self._loop.call_soon(self._flush)
        self._buffer.append(encoded)

    async def aclose(self) -> None:
        """Write what is left, for a bounded time."""
        if self._closed:
            return
        self._flush()
        if self._backlog:
            with anyio.move_on_after(DRAIN, shield=True):
                await self._drained_fully()
        self._closed = True
        self._queue.put(None)

    async def _drained_fully(self) -> None:
        while self._backlog:
            self._drained.clear()
            await self._drained.wait()

    def _flush(self) -> None:
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        self._buffer.clear()
        if not self._backlog and self._poll is not None:
            data = self._write_ready(data)
        if data and not self._closed:
            self._backlog += len(data)
            if self._backlog > BACKLOG:
                self._drained.clear()
            self._hand_over(data)

    def _write_ready(self, data: bytes) -> bytes:
        """Write as long as the host takes it at once; what is left."""
        try:
            while data and self._poll is not None and self._poll():
                data = data[os.write(self._fd, data[:ATOMIC]) :]
        except OSError:
            self._fail()
            return b""
        return data

    def _hand_over(self, data: bytes) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, daemon=True, name="stdout")
            self._thread.start()
        self._queue.put(data)

    def _write(self) -> None:
        """The thread: blocking writes, for a host that reads slowly."""
        while (data := self._queue.get()) is not None:
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(self._fd, view) :]
                self._loop.call_soon_threadsafe(self._written, len(data))
            except OSError:
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._fail)
                return
            except RuntimeError:  # the loop is closed
                return

    def _written(self, count: int) -> None:
        self._backlog -= count
        if self._backlog <= BACKLOG // 2:
            self._drained.set()

    def _fail(self) -> None:
        self._closed = True
        self._backlog = 0
        self._drained.set()
        self.broken()


def encode_message(message: Any) -> bytes | None:
    """A message as a line, or an error in the place of an answer that cannot be encoded, or None."""
    try:
        line: str = message.model_dump_json(by_alias=True, exclude_unset=True)
        return line.encode() + b"\n"
    except ValueError as failed:
        logger.warning("a message to the host could not be encoded: %s", type(failed).__name__)
    if not isinstance(message, JSONRPCResponse):
        return None
    error = ErrorData(code=INTERNAL_ERROR, message="the result cannot be encoded as JSON")
    return JSONRPCError(jsonrpc="2.0", id=message.id, error=error).model_dump_json(by_alias=True).encode() + b"\n"


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
    usable = isinstance(request_id, str | int) and not isinstance(request_id, bool)
    error = ErrorData(code=INVALID_REQUEST, message="this line is not a JSON-RPC 2.0 request or notification")
    return JSONRPCError(jsonrpc="2.0", id=request_id if usable else None, error=error)


@asynccontextmanager
async def stdio_streams() -> AsyncIterator[tuple[Reader, Writer]]:
    """The two streams of the session with the host. A signal ends the session like EOF; a second one the process."""
    stdin, stdout = claim_descriptors()
    requests = Requests()
    writer = Writer(stdout, requests)
    reader = Reader(stdin, requests, writer.put)
    writer.broken = reader.stop
    _handle_signals(reader.stop)
    yield reader, writer


def claim_descriptors() -> tuple[int, int]:
    """Take fd 0 and 1 for the protocol: whatever else reads finds nothing, whatever else prints goes to stderr."""
    stdin, stdout = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return stdin, stdout


def _handle_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    received = 0

    def handle() -> None:
        nonlocal received
        received += 1
        if received > 1:
            os._exit(0)
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, handle)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(handle))


def _writable_poll(fd: int) -> Callable[[], bool] | None:
    """A function that says whether a write would not block, or None where that cannot be known."""
    if sys.platform == "win32":
        return None
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return lambda: bool(poll.poll(0))
