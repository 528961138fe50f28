"""The SDK's server in a session with a host, for the messages that Express leaves to it."""

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
from ..tools import Tools
from .outbound import Host
from .protocol_versions import INTERNAL_ERROR, INVALID_REQUEST

logger = logging.getLogger(__name__)
FAREWELL: Final = 1.0
"""Seconds that the SDK's server has to end."""


class SdkSide:
    """The SDK's server, fed with lines. Its import runs in a thread, so that usual requests are served meanwhile.

    `announces`: it tells a handshake host when tools change, because Express does not.
    """

    def __init__(self, tools: Tools, host: Host, *, announces: bool) -> None:
        self._tools = tools
        self._host = host
        self._announces = announces
        self._inward = Inward(self._refuse)
        self._done = anyio.Event()

    def take(self, line: bytes) -> None:
        """A message from the host."""
        self._inward.put(line)

    async def run(self, opening: Sequence[bytes]) -> None:
        """Serve; `opening` are messages that tell how the session began. The request among them is not answered."""
        await anyio.to_thread.run_sync(_import_sdk, abandon_on_cancel=True)
        from ..sdk_server import Face

        self._inward.begin(opening)
        server = Face(self._tools, announces=self._announces).server
        try:
            outward = Outward(self._host, [json.loads(line).get("id") for line in opening])
            await server.run(self._inward, outward, server.create_initialization_options())
        finally:
            self._done.set()

    def _refuse(self, line: bytes) -> None:
        request_id = json.loads(line).get("id")
        error = {"code": INVALID_REQUEST, "message": "this line holds a character that UTF-8 cannot encode"}
        if request_id is not None:
            self._host.answer(request_id, (encode_json({"jsonrpc": "2.0", "id": request_id, "error": error}),))

    async def aclose(self) -> None:
        """Close its end, and wait a moment until it has gone."""
        self._inward.end()
        with anyio.move_on_after(FAREWELL):
            await self._done.wait()


class Stream:
    """What the SDK expects of a stream besides `receive` or `send`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Nothing is to be closed: the session does it."""


class Inward(Stream):
    """Messages from the host, as the SDK reads them; `refuse` gets a line that it cannot read."""

    def __init__(self, refuse: Callable[[bytes], None]) -> None:
        self._refuse = refuse
        self._lines: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._ended = False

    def put(self, line: bytes) -> None:
        """Another line."""
        self._lines.append(line)
        self._arrived.set()

    def begin(self, lines: Sequence[bytes]) -> None:
        """Lines that came before all others."""
        self._lines.extendleft(reversed(lines))

    def end(self) -> None:
        """No more lines."""
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
                self._refuse(line)

    async def _next_line(self) -> bytes:
        while not self._lines:
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._lines.popleft()

    async def receive(self) -> Any:
        """The next message.

        Raises:
            anyio.EndOfStream: when the session is over.
        """
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None


class Outward(Stream):
    """Messages to the host, as the SDK writes them; the first answer to each of the requests `answered` is dropped."""

    def __init__(self, host: Host, answered: Sequence[Any]) -> None:
        self._host = host
        self._answered = [request_id for request_id in answered if request_id is not None]

    async def send(self, item: Any) -> None:
        """Write a message. An answer that cannot be encoded becomes an error, anything else is lost."""
        message = item.message
        request_id = getattr(message, "id", None) if not hasattr(message, "method") else None
        if request_id in self._answered:
            self._answered.remove(request_id)
            return
        try:
            line: str = message.model_dump_json(by_alias=True, exclude_unset=True)
        except ValueError as failed:
            logger.warning("a message to the host could not be encoded: %s", type(failed).__name__)
            error = {"code": INTERNAL_ERROR, "message": "the result cannot be encoded as JSON"}
            line = encode_json({"jsonrpc": "2.0", "id": request_id, "error": error})
        if request_id is not None:
            self._host.answer(request_id, (line,))
        else:
            self._host.tell(line)
        await self._host.room()


def _import_sdk() -> None:
    import mcp.server.lowlevel  # noqa: F401  # what takes long
