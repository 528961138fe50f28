"""The endpoints of the plans: the demo, small servers in this process, and real servers with their launchers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve

from utcp_ws_mcp.demo.endpoint import demo_endpoint
from verification.real.server import run_launcher

Values = Mapping[str, str]
Endpoint = Callable[[], AbstractAsyncContextManager[Values]]


@asynccontextmanager
async def demo() -> AsyncIterator[Values]:
    """The demo endpoint."""
    async with demo_endpoint() as port:
        yield {"URL": f"ws://127.0.0.1:{port}/", "PORT": str(port)}


@asynccontextmanager
async def weather() -> AsyncIterator[Values]:
    """A JSON API with a login: ids, acknowledgements, and events in between."""

    async def handle(connection: ServerConnection) -> None:
        async for raw in connection:
            message = json.loads(raw)
            if message.get("op") == "login":
                ok = message.get("key") == "weather-key-123456"
                await connection.send(json.dumps({"event": "ready" if ok else "denied"}))
            else:
                await connection.send(json.dumps({"event": "tick", "at": 1}))
                found = {"Oslo": 4, "Rome": 17}.get(message["city"])
                reply = {"error": "unknown city"} if found is None else {"data": {"degrees": found}}
                await connection.send(json.dumps({"ref": message["ref"], **reply}))

    async with serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield {"URL": f"ws://127.0.0.1:{port}/", "PORT": str(port), "KEY": "weather-key-123456"}


@asynccontextmanager
async def calculator() -> AsyncIterator[Values]:
    """JSON-RPC 2.0 with OpenRPC's rpc.discover."""
    number = {"type": "number"}
    params = [{"name": name, "schema": number, "required": True} for name in ("a", "b")]
    method = {"name": "get_sum", "summary": "Add two numbers.", "params": params}
    described: dict[str, Any] = {
        "openrpc": "1.3.2",
        "info": {"title": "Calculator", "version": "1"},
        "methods": [{**method, "paramStructure": "by-position", "result": {"name": "sum", "schema": number}}],
    }

    async def handle(connection: ServerConnection) -> None:
        async for raw in connection:
            message = json.loads(raw)
            result = described if message["method"] == "rpc.discover" else _sum(message["params"])
            await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}))

    async with serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield {"URL": f"ws://127.0.0.1:{port}/", "PORT": str(port)}


def _sum(params: Any) -> float:
    return sum(params.values() if isinstance(params, dict) else params)


def real(server: str) -> Endpoint:
    """Return a real server, which its launcher starts."""
    return lambda: run_launcher(server)


IN_PROCESS: Final[Mapping[str, Endpoint]] = {"demo": demo, "weather": weather, "calculator": calculator}
"""Endpoints that need no installation."""
