"""Clients that are measured with the same endpoints: the bridge and the reference implementation of UTCP."""

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
"""Calls the tool with keyword arguments and returns its result."""

Client = Callable[..., AbstractAsyncContextManager[Caller]]
"""Connects to the endpoint on a port. `observe` receives its events, if it has any; other arguments are fields of the
call template."""

QUICK_TIMEOUT: Final = 0.03

WITH_IDS: Final[dict[str, Any]] = {
    "message": {"id": "{{ request_id }}", "n": "{{ args.n }}", "how": "{{ args.how }}"},
    "response_format": "json",
    "reply": {"match": "message.id == request_id"},
}
"""Replies have an id, so that calls share a connection."""

WITHOUT_IDS: Final[dict[str, Any]] = {"response_format": "json"}
"""Replies have no id, so that a call uses a connection exclusively."""

FOREIGN_NAMED: Final = {**WITHOUT_IDS, "ignore": "message.n == -1"}
"""The same, and the manifest names the foreign replies: without it, they count as unsolicited messages."""


@asynccontextmanager
async def open_bridge(entries: Sequence[Any], observe: Observer = noop, **options: Any) -> AsyncIterator[Bridge]:
    """Open a bridge for some call templates until the block ends; `options` are arguments of `Bridge`."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.json"
        manifest.write_text(json.dumps(entries), encoding="utf-8")
        async with Bridge([load_manifest(manifest, {}, ())], observe=observe, **options) as opened:
            yield opened


@asynccontextmanager
async def bridge(
    port: int, *, idempotent: bool = False, observe: Observer = noop, **template: Any
) -> AsyncIterator[Caller]:
    """Open the bridge with two tools: `t`, and `quick` with a timeout of QUICK_TIMEOUT seconds."""
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
    """Yield the protocol object of `utcp-websocket` with logging disabled, because it logs every step."""
    from utcp_websocket.websocket_communication_protocol import WebSocketCommunicationProtocol

    logging.disable(logging.CRITICAL)
    protocol = WebSocketCommunicationProtocol()
    try:
        yield protocol
    finally:
        await protocol.close()


@asynccontextmanager
async def reference(port: int, *, observe: Observer = noop, **template: Any) -> AsyncIterator[Caller]:
    """Open `utcp-websocket` as its own client does. It has no ids, no events, and no timeout below one second."""
    from utcp_websocket.websocket_call_template import WebSocketCallTemplate

    document = WebSocketCallTemplate(name="m", url=f"ws://localhost:{port}/", response_format="json", **template)
    async with silenced_reference() as protocol:

        async def call(tool: str = "t", **arguments: Any) -> Any:
            async with asyncio.timeout(QUICK_TIMEOUT if tool == "quick" else None):
                return await protocol.call_tool(None, f"m.{tool}", arguments, document)

        yield call
