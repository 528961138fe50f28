"""A WebSocket endpoint that speaks UTCP, with one tool of each kind."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

COUNTDOWN_INTERVAL = 0.1
"""Seconds between the items of the countdown."""


def manual() -> dict[str, Any]:
    """Return the manual of the endpoint; its tools inherit the URL at which the client requested it."""
    first, second = _number("The first number."), _number("The second number.")
    text = {"type": "string", "description": "The text."}
    start = {"type": "integer", "description": "The first item of the countdown."}
    colour = {
        "type": "string",
        "pattern": "^#[0-9a-f]{6}$",
        "default": "#3366cc",
        "description": "Red, green and blue, as two hexadecimal digits each.",
    }
    return {
        "utcp_version": "1.0.0",
        "manual_version": "1.0.0",
        "tools": [
            _tool("add", "Add two numbers.", {"a": first, "b": second}, preset="utcp"),
            _tool("divide", "Divide a by b.", {"a": first, "b": second}, preset="utcp"),
            _tool(
                "shout",
                "Convert text to upper case.",
                {"text": text},
                message="SHOUT UTCP_ARG_text_UTCP_ARG",
                response_format="text",
            ),
            _tool(
                "picture",
                "Draw a square in a colour such as #3366cc.",
                {"colour": colour},
                message={"type": "picture", "colour": "UTCP_ARG_colour_UTCP_ARG"},
            ),
            _tool("countdown", "Count down to zero.", {"start": start}, preset="utcp", stream=True),
        ],
    }


def _number(description: str) -> dict[str, Any]:
    return {"type": "number", "description": description}


def _tool(name: str, description: str, properties: dict[str, Any], **template: Any) -> dict[str, Any]:
    required = [key for key, schema in properties.items() if "default" not in schema]
    return {
        "name": name,
        "description": description,
        "inputs": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
        "tool_call_template": {"call_template_type": "websocket", **template},
    }


@asynccontextmanager
async def demo_endpoint(port: int = 0) -> AsyncIterator[int]:
    """Run the endpoint on loopback; yield its port."""
    server: Server
    async with serve(_handle_connection, "127.0.0.1", port) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def _handle_connection(websocket: ServerConnection) -> None:
    """Serve a client until it disconnects."""
    with suppress(ConnectionClosed):
        await _handle_messages(websocket)


async def _handle_messages(websocket: ServerConnection) -> None:
    async for message in websocket:
        if isinstance(message, bytes):
            continue
        if message.startswith("SHOUT "):
            await websocket.send(message.removeprefix("SHOUT ").upper() + "!")
            continue
        try:
            request = json.loads(message)
        except ValueError:
            await websocket.send(json.dumps({"type": "tool_error", "error": "not JSON"}))
            continue
        if isinstance(request, dict):
            await _handle_request(websocket, request)


async def _handle_request(websocket: ServerConnection, request: dict[str, Any]) -> None:
    match request:
        case {"type": "utcp"}:
            await websocket.send(json.dumps(manual()))
        case {"type": "picture", "colour": str(colour)}:
            await websocket.send(draw_square(colour))
        case {"type": "call_tool", "request_id": request_id, "tool_name": name, "arguments": dict(arguments)}:
            await _call_tool(websocket, request_id, str(name), arguments)
        case _:
            await websocket.send(json.dumps({"type": "tool_error", "error": "unknown request"}))


async def _call_tool(websocket: ServerConnection, request_id: str, name: str, arguments: dict[str, Any]) -> None:
    async def reply(kind: str, **fields: Any) -> None:
        await websocket.send(json.dumps({"type": kind, "request_id": request_id, **fields}))

    if name == "countdown":
        for number in range(int(arguments["start"]), -1, -1):
            await reply("tool_response", result=number)
            await anyio.sleep(COUNTDOWN_INTERVAL)
        await reply("stream_end")
    elif name == "add":
        await reply("tool_response", result={"sum": arguments["a"] + arguments["b"]})
    elif name == "divide" and arguments["b"] == 0:
        await reply("tool_error", error="division by zero: choose another b")
    elif name == "divide":
        await reply("tool_response", result={"quotient": arguments["a"] / arguments["b"]})
    else:
        await reply("tool_error", error=f"there is no tool {name}")


def draw_square(colour: str, size: int = 48) -> bytes:
    """Return a PNG image of a square in one colour (PNG specification, §5)."""
    row = b"\0" + bytes.fromhex(colour.removeprefix("#")) * size

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    pixels = zlib.compress(row * size)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
