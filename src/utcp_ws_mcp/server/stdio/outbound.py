"""The lines that go to the host, and the requests for whose answer it waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Iterator, Sequence

import anyio

from ...core.codecs.message import encode_json
from ..guard import Guard, encode_line
from .protocol_versions import INTERNAL_ERROR
from .writer import Writer

RequestId = int | str
logger = logging.getLogger(__name__)


class StdioOutbound:
    """Sends responses and notifications. `guard` removes credentials from every line.

    No line has more than `max_line_bytes`, because hosts end the session at a longer one: a response becomes an error,
    a notification is dropped.
    """

    def __init__(self, writer: Writer, max_line_bytes: int, guard: Guard = str) -> None:
        self._writer = writer
        self._guard = guard
        self._max_line_bytes = max_line_bytes
        self._pending: set[RequestId] = set()
        self._batches: dict[RequestId, Batch] = {}
        self._idle = asyncio.Event()

    def request_started(self, request_id: RequestId) -> None:
        """Record that the host waits for the answer to a request."""
        self._pending.add(request_id)

    def start_batch(self, request_ids: Iterable[RequestId], errors: Sequence[str]) -> None:
        """Collect the responses to these requests, and send them as one array with `errors` (JSON-RPC 2.0 §6)."""
        batch = Batch(set(request_ids), [error.encode("utf-8", "replace") for error in errors])
        self._batches |= dict.fromkeys(batch.waiting, batch)
        self._finish_batch(batch)

    def respond(self, request_id: RequestId, line: Iterable[str]) -> None:
        """Write the answer to a request, given as the parts of a line."""
        parts = encode_line(line, self._guard)
        size = sum(map(len, parts))
        if size > self._max_line_bytes:
            parts = [self._too_long(request_id, size)]
        batch = self._batches.pop(request_id, None)
        if batch is None:
            self._writer.write(*parts, more=len(self._pending) > 1)
        else:
            batch.responses.append(b"".join(parts).rstrip(b"\n"))
            batch.waiting.discard(request_id)
            self._finish_batch(batch)
        self.request_finished(request_id)

    def request_finished(self, request_id: RequestId) -> None:
        """Record that the host no longer waits for a request: it was answered or cancelled."""
        self._pending.discard(request_id)
        if not self._pending:
            self._idle.set()
        batch = self._batches.pop(request_id, None)
        if batch is not None:
            batch.waiting.discard(request_id)
            self._finish_batch(batch)

    def send(self, line: str) -> None:
        """Write a notification, or the answer to a line whose request has no id."""
        parts = encode_line((line,), self._guard)
        size = sum(map(len, parts))
        if size <= self._max_line_bytes:
            self._writer.write(*parts)
        else:
            logger.warning("a notification of %s bytes is longer than --max-line-bytes; it is not sent", size)

    def drain(self) -> Awaitable[None]:
        """Wait while the host reads more slowly than lines are written."""
        return self._writer.drain()

    @property
    def has_pending(self) -> bool:
        """Return whether the host waits for an answer."""
        return bool(self._pending)

    async def wait_idle(self, timeout: float) -> None:
        """Wait until every request is answered, at most `timeout` seconds."""
        if self._pending:
            self._idle.clear()
            with anyio.move_on_after(timeout):
                await self._idle.wait()

    def _too_long(self, request_id: RequestId, size: int) -> bytes:
        """Return the error in place of an answer that is too long; without its id if that alone is too long."""
        text = (
            f"the answer has {size:,} bytes, more than a message to the host may have ({self._max_line_bytes:,}). "
            "Ask for less, or raise `serve --max-line-bytes` if the host reads longer lines."
        )
        logger.warning("an answer was replaced by an error: %s", text)
        error = {"code": INTERNAL_ERROR, "message": text}
        for answered in (request_id, None):
            line = (encode_json({"jsonrpc": "2.0", "id": answered, "error": error}) + "\n").encode("utf-8", "replace")
            if len(line) <= self._max_line_bytes:
                break
        return line

    def _finish_batch(self, batch: Batch) -> None:
        """Write the responses to a batch once all are there: one array, or several if it would be too long."""
        if batch.waiting:
            return
        for array in batch.arrays(self._max_line_bytes):
            self._writer.write(array)


class Batch:
    """The responses to a batch of requests, and the ids of those that are not answered yet."""

    def __init__(self, waiting: set[RequestId], responses: list[bytes]) -> None:
        self.waiting = waiting
        self.responses = responses

    def arrays(self, max_line_bytes: int) -> Iterator[bytes]:
        """Yield the lines with the responses: arrays, and a single response if an array would be too long."""
        group: list[bytes] = []
        used = 0
        for response in self.responses:
            if group and used + len(response) + 3 > max_line_bytes:
                yield b"[" + b",".join(group) + b"]\n"
                group, used = [], 0
            if len(response) + 3 > max_line_bytes:
                yield response + b"\n"
            else:
                group.append(response)
                used += len(response) + 1
        if group:
            yield b"[" + b",".join(group) + b"]\n"
