"""JSON-RPC batches over HTTP, which the revision 2025-03-26 demands, and the SDK rejects.

Each message of a batch is served as a request of its own, and their event streams are merged into one response.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..jsonrpc import read_batch
from ..stdio.protocol_versions import BATCH_VERSION
from .body import replay
from .security import Headers

MAX_BATCH_MESSAGES: Final = 100
"""Messages of a batch; each is served by a task of its own."""

_EVENT_STREAM: Final = b"text/event-stream"


def messages_of_batch(body: bytes, headers: Headers) -> tuple[list[bytes], list[str]] | None:
    """Return the messages of a batch, and the answers to invalid ones; None for a body that the SDK must answer.

    Clients of 2025-03-26 send no revision in the headers, those of later ones do. `initialize` may not be in a batch.
    """
    revision = next((value for name, value in headers if name == b"mcp-protocol-version"), BATCH_VERSION.encode())
    if revision != BATCH_VERSION.encode() or not body.lstrip().startswith(b"["):
        return None
    try:
        messages, errors = read_batch(body)
    except ValueError:
        return None
    if len(messages) + len(errors) > MAX_BATCH_MESSAGES or any(each["method"] == "initialize" for _, each in messages):
        return None
    return [line for line, _ in messages], errors


async def serve_batch(
    messages: Sequence[bytes], errors: Sequence[str], app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve the messages of a batch with `app`, and send one response: events with the answers and `errors`."""
    response = BatchResponse(send, errors)

    async def serve_one(message: bytes) -> None:
        await app(dict(scope), replay(message, receive), PartSender(response).send)

    async with anyio.create_task_group() as tasks:
        for each in messages:
            tasks.start_soon(serve_one, each)
    await response.end()


class BatchResponse:
    """The response to a batch. What is no event stream is held back: it is sent if no part is one."""

    def __init__(self, send: Send, errors: Sequence[str]) -> None:
        self._send = send
        self._errors = errors
        self._has_begun = False
        self._lock = anyio.Lock()
        self._other: list[tuple[Message, bytes]] = []

    async def write(self, start: Message, events: bytes) -> None:
        """Send events of a part; `start` is the beginning of its response."""
        async with self._lock:
            if not self._has_begun:
                self._has_begun = True
                await self._send(start)
                events = b"".join(map(_event, self._errors)) + events
            await self._send({"type": "http.response.body", "body": events, "more_body": True})

    def hold(self, start: Message, body: bytes) -> None:
        """Keep the response to a part that is no event stream: an error, or nothing for a notification."""
        self._other.append((start, body))

    async def end(self) -> None:
        """Complete the response."""
        rejected = [(start, body) for start, body in self._other if start["status"] >= 400]
        if self._has_begun:
            events = b"".join(_event(body.decode("utf-8", "replace")) for _, body in rejected if body)
            await self._send({"type": "http.response.body", "body": events})
            return
        if not rejected and self._errors:
            headers = [(b"content-type", b"application/json")]
            refused: Message = {"type": "http.response.start", "status": 400, "headers": headers}
            rejected = [(refused, f"[{','.join(self._errors)}]".encode())]
        accepted: Message = {"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]}
        start, body = (rejected or [(accepted, b"")])[0]
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


class PartSender:
    """Takes the response to one message of a batch."""

    def __init__(self, response: BatchResponse) -> None:
        self._response = response
        self._start: Message = {}
        self._body = b""

    async def send(self, message: Message) -> None:
        """Take a message of the ASGI application."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        body = message.get("body", b"")
        if any(name == b"content-type" and value.startswith(_EVENT_STREAM) for name, value in self._start["headers"]):
            if body:
                await self._response.write(self._start, body)
            return
        self._body += body
        if not message.get("more_body", False):
            self._response.hold(self._start, self._body)


def _event(answer: str) -> bytes:
    """Return an answer as an event of the stream; JSON has no line breaks that would end its line."""
    return f"event: message\r\ndata: {json.dumps(json.loads(answer))}\r\n\r\n".encode()
