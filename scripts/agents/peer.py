"""The endpoints of the tools: the demo, one whose calls take long, and one that announces its tools late."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from utcp_ws_mcp.demo.endpoint import demo_endpoint

from .plan import DISCOVERY_DELAY


@asynccontextmanager
async def endpoints(folder: Path) -> AsyncIterator[Path]:
    """Run all endpoints on loopback; yield the manifest that names them."""
    async with AsyncExitStack() as stack:
        demo = await stack.enter_async_context(demo_endpoint(0))
        server = await stack.enter_async_context(serve(_handle, "127.0.0.1", 0))
        port = next(iter(server.sockets)).getsockname()[1]
        manifest = folder / "manifest.json"
        manifest.write_text(json.dumps(_manifest(demo, port)), encoding="utf-8")
        yield manifest


def _manifest(demo: int, port: int) -> dict[str, Any]:
    seconds = {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]}
    wait = {
        "name": "wait",
        "description": "Wait for a number of seconds.",
        "inputs": seconds,
        "annotations": {"readOnlyHint": True},
    }
    slow = {
        "name": "slow",
        "call_template_type": "websocket",
        "url": f"ws://127.0.0.1:{port}/",
        "request_id": "counter",
        "message": {"id": "{{ request_id }}", "seconds": "{{ args.seconds }}"},
        "reply": {"match": "message.id == request_id", "result": "message.result"},
        "timeout": 120,
        "tools": [wait],
    }
    demo_template = {"name": "demo", "call_template_type": "websocket", "url": f"ws://127.0.0.1:{demo}/"}
    late = {"name": "late", "call_template_type": "websocket", "url": f"ws://127.0.0.1:{port}/"}
    return {"manual_call_templates": [demo_template, slow, late]}


async def _handle(websocket: ServerConnection) -> None:
    try:
        async with anyio.create_task_group() as tasks:
            async for message in websocket:
                tasks.start_soon(_answer, websocket, json.loads(message))
    except* ConnectionClosed:
        pass


async def _answer(websocket: ServerConnection, request: dict[str, Any]) -> None:
    if request.get("type") == "utcp":
        await anyio.sleep(DISCOVERY_DELAY)
        await websocket.send(json.dumps(_late_manual()))
    elif "seconds" in request:
        await anyio.sleep(request["seconds"])
        await websocket.send(json.dumps({"id": request["id"], "result": f"waited {request['seconds']:g} s"}))
    else:
        await websocket.send(json.dumps({"text": request["text"]}))


def _late_manual() -> dict[str, Any]:
    text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    template = {"call_template_type": "websocket", "message": {"text": "UTCP_ARG_text_UTCP_ARG"}}
    echo = {"name": "echo", "description": "Return a text.", "inputs": text, "tool_call_template": template}
    return {"utcp_version": "1.0.0", "manual_version": "1.0.0", "tools": [echo]}
