"""The two that are measured with the same endpoints: the bridge, and the reference implementation of UTCP."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from utcp_ws_mcp import Bridge, load_manifest
from utcp_ws_mcp.observability.events import Observer, noop

Caller = Callable[..., Awaitable[Any]]
"""Calls the tool with arguments by name, and gives what answers it."""

Client = Callable[..., AbstractAsyncContextManager[Caller]]
"""Connects to the endpoint on a port. `observe` sees its events, if it has any; the rest is for the call template."""

QUICK_TIMEOUT: Final = 0.03

WITH_IDS: Final[dict[str, Any]] = {
    "message": {"id": "{{ request_id }}", "n": "{{ args.n }}", "how": "{{ args.how }}"},
    "response_format": "json",
    "reply": {"match": "message.id == request_id"},
}
"""Replies carry an id, so that calls share a connection."""

WITHOUT_IDS: Final[dict[str, Any]] = {"response_format": "json"}
"""A call has its connection for itself."""


@asynccontextmanager
async def open_bridge(entries: Sequence[Any], observe: Observer = noop, **options: Any) -> AsyncIterator[Bridge]:
    """A bridge for some call templates; `options` go to its constructor."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.json"
        manifest.write_text(json.dumps(entries), encoding="utf-8")
        async with Bridge([load_manifest(manifest, {}, ())], observe=observe, **options) as opened:
            yield opened


@asynccontextmanager
async def bridge(
    port: int, *, idempotent: bool = False, observe: Observer = noop, **template: Any
) -> AsyncIterator[Caller]:
    """The bridge. It has two tools: `t`, and the hasty `quick`, which has QUICK seconds."""
    tools = [
        {"name": "t", "idempotent": idempotent},
        {"name": "quick", "tool_call_template": {"timeout": QUICK_TIMEOUT}},
    ]
    entry = {"name": "m", "url": f"ws://localhost:{port}/", "tools": tools, **template}
    async with open_bridge([entry], observe) as opened:

        async def call(tool: str = "t", **arguments: Any) -> Any:
            return await opened.call_tool(f"m.{tool}", arguments)

        yield call


@asynccontextmanager
async def silenced_reference() -> AsyncIterator[Any]:
    """The protocol object of `utcp-websocket`, which otherwise logs every step."""
    from utcp_websocket.websocket_communication_protocol import WebSocketCommunicationProtocol

    logging.disable(logging.CRITICAL)
    protocol = WebSocketCommunicationProtocol()
    try:
        yield protocol
    finally:
        await protocol.close()


@asynccontextmanager
async def reference(port: int, *, observe: Observer = noop, **template: Any) -> AsyncIterator[Caller]:
    """`utcp-websocket`, called as its client calls it. It has no ids, no events, and no timeout below a second."""
    from utcp_websocket.websocket_call_template import WebSocketCallTemplate

    document = WebSocketCallTemplate(name="m", url=f"ws://localhost:{port}/", response_format="json", **template)
    async with silenced_reference() as protocol:

        async def call(tool: str = "t", **arguments: Any) -> Any:
            async with asyncio.timeout(QUICK_TIMEOUT if tool == "quick" else None):
                return await protocol.call_tool(None, f"m.{tool}", arguments, document)

        yield call
