"""The session that `utcp-ws-mcp demo` shows: the real server, driven by a real MCP client."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import ImageContent, TextContent

from ..errors import BridgeError
from .endpoint import demo_endpoint

CALLS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("JSON in, JSON out", "demo_add", {"a": 2, "b": 3}),
    ("a text protocol", "demo_shout", {"text": "hello"}),
    ("a binary reply becomes an image", "demo_picture", {"colour": "#3366cc"}),
    ("a stream, with progress", "demo_countdown", {"start": 3}),
    ("an error of the tool", "demo_divide", {"a": 1, "b": 0}),
    ("wrong arguments", "demo_add", {"a": "two"}),
)
"""What is shown, the tool, and its arguments. The last two calls must fail."""

Say = Callable[[str], None]
"""Writes a line to the terminal."""

LIST_TIMEOUT: Final = "30"
"""Seconds that the list of tools waits for the endpoint: on a busy machine its manual comes after the usual second."""


async def serve_endpoint(port: int, say: Say) -> bool:
    """Run only the endpoint until it is stopped; return False if the port is in use."""
    try:
        async with demo_endpoint(port) as bound:
            say(f"The demo endpoint runs at ws://127.0.0.1:{bound}/ (press Ctrl-C to stop it).")
            manifest = json.dumps({"name": "demo", "url": f"ws://127.0.0.1:{bound}/"})
            say(f"Save this as demo.json: {manifest}")
            say("Then run in another terminal: utcp-ws-mcp tools demo.json")
            await anyio.sleep_forever()
    except OSError as failed:
        if failed.errno != errno.EADDRINUSE:
            raise
        message = f"port {port} is in use, perhaps by another demo. Stop it, or choose a port with --port."
        print(BridgeError(message, code="port-in-use"), file=sys.stderr)
    return False


async def run_demo(port: int, say: Say) -> bool:
    """Print a whole session; return whether every call had the expected result."""
    async with demo_endpoint(port) as bound:
        manifest = {"name": "demo", "url": f"ws://127.0.0.1:{bound}/"}
        say("An agent uses WebSocket tools through MCP.\n")
        say(f"1. A WebSocket endpoint that speaks UTCP runs at {manifest['url']}")
        say(f"2. manifest.json is the only file that you write:  {json.dumps(manifest)}")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "manifest.json"
            file.write_text(json.dumps(manifest), encoding="utf-8")
            return await _run_session(file, say)


async def _run_session(manifest: Path, say: Say) -> bool:
    # The SDK passes only a few variables on; without PYTHONPATH the server could be another copy of this package.
    environ = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    arguments = ["-m", "utcp_ws_mcp", "--list-timeout", LIST_TIMEOUT, str(manifest)]
    command = StdioServerParameters(command=sys.executable, args=arguments, env=environ or None)
    started = time.perf_counter()
    async with Client(command) as client:
        took = time.perf_counter() - started
        say(f"3. An MCP client starts  python -m utcp_ws_mcp manifest.json  and is connected after {took:.1f} s\n")
        tools = (await client.list_tools()).tools
        say(f"tools/list: the {len(tools)} tools that the endpoint announced")
        for tool in tools:
            say(f"  {tool.name:<16} {tool.description}")
        say("\ntools/call: one of each kind")
        outcomes = [await _call_and_print(client, say, *call) for call in CALLS]
        say(f"\nThis was MCP {client.protocol_version} over stdio. To connect your own endpoint, see README.md.")
    return outcomes == [False] * 4 + [True] * 2


async def _call_and_print(client: Client, say: Say, kind: str, name: str, arguments: dict[str, Any]) -> bool:
    """Call a tool and print its progress and result; return whether the result is an error."""

    async def show(progress: float, total: float | None, message: str | None) -> None:
        say(f"    … {message}")

    say(f"  {name} {json.dumps(arguments)}   ({kind})")
    started = time.perf_counter()
    result = await client.call_tool(name, arguments, progress_callback=show)
    took = (time.perf_counter() - started) * 1000
    label = "error" if result.is_error else "→"
    for block in result.content:
        say(f"    {label} {_format_block(block)}   [{took:.0f} ms]")
    return bool(result.is_error)


def _format_block(block: Any) -> str:
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, ImageContent):
        return f"{block.mime_type}, {len(block.data) * 3 // 4} bytes"
    return str(block.type)
