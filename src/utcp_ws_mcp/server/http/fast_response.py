"""The response to a request on the fast path: JSON in one write, or an event stream if it takes long or has progress.

uvicorn writes a head and a body separately, and a system call costs as much as all else that a response needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from ...core.codecs.message import encode_json
from ...records import Record
from ..guard import Guard, guard_message

PING_INTERVAL: Final = 15.0
"""Seconds between comments in an event stream."""

MAX_COPIED_BODY: Final = 1 << 16
"""Bytes of a body that are joined with its head. A larger one is written by itself, without a copy."""

_PING: Final = b": ping\r\n\r\n"
_EVENT_STREAM_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)

HeaderPairs = Sequence[tuple[bytes, bytes]]


class Answer(Record):
    """An HTTP status, and a JSON-RPC message."""

    status: int
    message: str


class FastResponse:
    """The response of a cycle of uvicorn, without credentials. `headers` are added to those of the response."""

    def __init__(self, cycle: RequestResponseCycle, guard: Guard, headers: HeaderPairs = ()) -> None:
        self._cycle = cycle
        self._guard = guard
        self._headers = headers
        self._stream: _EventStream | None = None
        self._is_finished = False
        self._pings: asyncio.Task[None] | None = None

    async def report(self, token: int | str, number: float, message: str) -> None:
        """Send a notification about the progress of the request (MCP, Progress)."""
        params = {"progressToken": token, "progress": number, "message": message}
        notification = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        await self._send_part(_event(self._safe(encode_json(notification))))

    async def finish(self, answer: Answer) -> None:
        """Send the answer, behind the parts that are being sent."""
        body = self._safe(answer.message)
        self._is_finished = True
        if self._stream is not None:
            await self._stream.send(_event(body), is_last=True)
            return
        if self._cycle.flow.write_paused:
            await self._cycle.flow.drain()
        if not self._cycle.disconnected:
            self._send_whole(answer.status, body)

    def start_pings(self) -> None:
        """Begin an event stream if there is none yet, and keep it alive."""
        self._pings = asyncio.create_task(self._ping())

    async def end(self) -> None:
        """Stop keeping the response alive: the request has an answer, or none."""
        if self._pings is not None:
            self._pings.cancel()
            await asyncio.gather(self._pings, return_exceptions=True)

    async def _ping(self) -> None:
        while True:
            await self._send_part(_PING)
            await asyncio.sleep(PING_INTERVAL)

    async def _send_part(self, part: bytes) -> None:
        if self._is_finished:  # the keepalive of all calls does not know when this one ends
            return
        if self._stream is None:
            self._stream = _EventStream(self._cycle, self._headers)
        await self._stream.send(part)

    def _send_whole(self, status: int, body: bytes) -> None:
        """Send a response with a length as `RequestResponseCycle.send` would, its head together with its body."""
        cycle = self._cycle
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        head = self._head(status, len(body))
        if len(body) < MAX_COPIED_BODY:
            cycle.transport.write(head + body)
        else:
            cycle.transport.write(head)
            cycle.transport.write(body)
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def _head(self, status: int, length: int) -> bytes:
        head = b"%bcontent-type: application/json\r\ncontent-length: %d\r\n" % (STATUS_LINE[status], length)
        for header in (*self._cycle.default_headers, *self._headers):
            head += b"%b: %b\r\n" % header
        return head + (b"\r\n" if self._cycle.keep_alive else b"connection: close\r\n\r\n")

    def _safe(self, message: str) -> bytes:
        """Return a JSON-RPC message as bytes, without credentials."""
        safe = message if self._guard(message) is message else guard_message(message, self._guard)
        return safe.encode("utf-8", "replace")


class _EventStream:
    """An event stream, whose parts are sent one after the other."""

    def __init__(self, cycle: RequestResponseCycle, headers: HeaderPairs) -> None:
        self._cycle = cycle
        self._headers = headers
        self._has_begun = False
        self._sending = asyncio.Lock()

    async def send(self, part: bytes, *, is_last: bool = False) -> None:
        """Send a part behind those that are being sent."""
        async with self._sending:
            if not self._has_begun:
                self._has_begun = True
                headers = [*_EVENT_STREAM_HEADERS, *self._headers]
                await self._cycle.send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._cycle.send({"type": "http.response.body", "body": part, "more_body": not is_last})


def _event(message: bytes) -> bytes:
    return b"event: message\r\ndata: " + message + b"\r\n\r\n"
