"""The SDK's server in a session on stdio, for the messages that the fast path does not answer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

import anyio
import anyio.to_thread

from ...core.codecs.message import encode_json
from ..tools import ToolService
from .outbound import StdioOutbound
from .protocol_versions import INTERNAL_ERROR, INVALID_REQUEST

logger = logging.getLogger(__name__)
SDK_IMPORT_TIMEOUT: Final = 10.0
"""Seconds after which the end of a session no longer waits for the import: on a slow disk it may take some."""

SDK_SHUTDOWN_TIMEOUT: Final = 1.0
"""Seconds that the SDK's server has to shut down."""


class SdkFallback:
    """The SDK's server, fed with lines. The SDK is imported in a thread, so the fast path keeps answering meanwhile.

    `sends_list_changed`: the SDK's server sends list_changed and keepalives, because the fast path is not in use.
    """

    def __init__(self, tools: ToolService, outbound: StdioOutbound, *, sends_list_changed: bool) -> None:
        self._tools = tools
        self._outbound = outbound
        self._sends_list_changed = sends_list_changed
        self._read_stream = SdkReadStream(self._reject_line)
        self._imported = anyio.Event()
        self._done = anyio.Event()

    def feed_line(self, line: bytes) -> None:
        """Pass on a message of the host."""
        self._read_stream.feed_line(line)

    async def run(self, replayed_lines: Sequence[bytes]) -> None:
        """Serve. `replayed_lines` open the session for this server; the fast path has answered the request in them."""
        await anyio.to_thread.run_sync(_import_sdk, abandon_on_cancel=True)
        from ..sdk_server import SdkServer

        self._imported.set()
        self._read_stream.prepend_lines(replayed_lines)
        server = SdkServer(self._tools, sends_list_changed=self._sends_list_changed).server
        try:
            write_stream = SdkWriteStream(self._outbound, [json.loads(line).get("id") for line in replayed_lines])
            await server.run(self._read_stream, write_stream, server.create_initialization_options())
        finally:
            self._done.set()

    def _reject_line(self, line: bytes) -> None:
        request_id = json.loads(line).get("id")
        error = {"code": INVALID_REQUEST, "message": "this line contains a character that UTF-8 cannot encode"}
        if request_id is not None:
            self._outbound.respond(request_id, (encode_json({"jsonrpc": "2.0", "id": request_id, "error": error}),))

    async def wait_imported(self) -> None:
        """Wait until the SDK is imported, at most SDK_IMPORT_TIMEOUT seconds: no request is answered before that."""
        with anyio.move_on_after(SDK_IMPORT_TIMEOUT):
            await self._imported.wait()

    async def aclose(self) -> None:
        """End the input of the server, and wait at most SDK_SHUTDOWN_TIMEOUT seconds for its shutdown."""
        self._read_stream.feed_eof()
        with anyio.move_on_after(SDK_SHUTDOWN_TIMEOUT):
            await self._done.wait()


class SdkStream:
    """The methods that the SDK expects of a stream besides `receive` or `send`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Do nothing: the session closes the descriptors."""


class SdkReadStream(SdkStream):
    """Messages from the host, as the SDK reads them; `on_invalid_line` gets a line that the SDK cannot parse."""

    def __init__(self, on_invalid_line: Callable[[bytes], None]) -> None:
        self._on_invalid_line = on_invalid_line
        self._lines: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._ended = False

    def feed_line(self, line: bytes) -> None:
        """Add a line."""
        self._lines.append(line)
        self._arrived.set()

    def prepend_lines(self, lines: Sequence[bytes]) -> None:
        """Add lines before all others."""
        self._lines.extendleft(reversed(lines))

    def feed_eof(self) -> None:
        """Mark the end of the lines."""
        self._ended = True
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        while True:
            line = await self._next_line()
            try:
                return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
            except ValueError:
                self._on_invalid_line(line)

    async def _next_line(self) -> bytes:
        while not self._lines:
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._lines.popleft()

    async def receive(self) -> Any:
        """Return the next message.

        Raises:
            anyio.EndOfStream: when the session is over.
        """
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None


class SdkWriteStream(SdkStream):
    """Messages to the host, as the SDK writes them; answers to requests in `already_answered` are dropped once."""

    def __init__(self, outbound: StdioOutbound, already_answered: Sequence[Any]) -> None:
        self._outbound = outbound
        self._already_answered = [request_id for request_id in already_answered if request_id is not None]

    async def send(self, item: Any) -> None:
        """Write a message. A response that cannot be encoded becomes an error; a notification is dropped."""
        message = item.message
        request_id = getattr(message, "id", None) if not hasattr(message, "method") else None
        if request_id in self._already_answered:
            self._already_answered.remove(request_id)
            return
        try:
            line: str = message.model_dump_json(by_alias=True, exclude_unset=True)
        except ValueError as failed:
            logger.warning("cannot encode a message to the host: %s", type(failed).__name__)
            if request_id is None:
                return
            error = {"code": INTERNAL_ERROR, "message": "the result cannot be encoded as JSON"}
            line = encode_json({"jsonrpc": "2.0", "id": request_id, "error": error})
        if request_id is not None:
            self._outbound.respond(request_id, (line,))
        else:
            self._outbound.send(line)
        await self._outbound.drain()


def _import_sdk() -> None:
    import mcp.server.lowlevel  # noqa: F401  # the slow part, done in a thread
