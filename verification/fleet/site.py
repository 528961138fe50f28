"""A fleet that runs until a block ends, and a client that calls its tools, through nginx or at one replica."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2

from .endpoint import Endpoint
from .programs import PATIENCE, RedisServer, Replica, nginx

VERSION: Final = "2026-07-28"
META: Final = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "fleet", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HEADERS: Final = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": VERSION,
    "Mcp-Method": "tools/call",
}


class CallFailed(Exception):
    """A call whose result is an error, or which has none."""


@dataclass(eq=False)
class Site:
    """A fleet, its endpoint, its Redis server and the port of nginx."""

    endpoint: Endpoint
    redis: RedisServer
    replicas: Sequence[Replica]
    port: int
    http: httpx2.AsyncClient

    async def call(
        self, tool: str, arguments: Mapping[str, Any] | None = None, port: int | None = None, timeout: float = PATIENCE
    ) -> Any:
        """Call a tool through nginx, or at a port, and return the JSON text of its result as a value.

        Raises:
            CallFailed: if it fails, or does not end in time.
        """
        params = {"name": tool, "arguments": arguments or {}, "_meta": META}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        url, headers = f"http://127.0.0.1:{port or self.port}/mcp", {**HEADERS, "Mcp-Name": tool}
        try:
            async with asyncio.timeout(timeout):
                response = await self.http.post(url, json=body, headers=headers)
        except (httpx2.HTTPError, TimeoutError) as error:
            raise CallFailed(f"{type(error).__name__}: {error}") from error
        if response.status_code != 200:
            raise CallFailed(f"HTTP {response.status_code}: {response.text[:500]}")
        answer = response.json()
        if "result" not in answer or answer["result"].get("isError"):
            raise CallFailed(response.text[:500])
        return json.loads(answer["result"]["content"][0]["text"])


@asynccontextmanager
async def site(
    replicas: int,
    make_manual: Callable[[Endpoint, int], Mapping[str, Any]],
    *,
    secure: bool = False,
    options: Sequence[str] = (),
) -> AsyncIterator[Site]:
    """Start Redis, so many replicas at once, and nginx.

    Args:
        replicas: How many.
        make_manual: Returns the call template of a replica.
        secure: Whether Redis wants TLS, a user and a password.
        options: Further options of the replicas.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        endpoint, redis = Endpoint(), RedisServer(folder, secure)
        await stack.enter_async_context(endpoint.serving())
        stack.push_async_callback(redis.kill)
        await redis.start()
        url = folder / "shared-url"
        url.write_text(redis.url, encoding="utf-8")
        shared = ["--shared-file", str(url), *options]
        found = [
            Replica(number, folder, make_manual(endpoint, number), shared, redis.environ())
            for number in range(replicas)
        ]
        for each in found:
            stack.push_async_callback(each.stop)
        await asyncio.gather(*(each.start() for each in found))
        port = await stack.enter_async_context(nginx(folder, [each.port for each in found]))
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=200)
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=PATIENCE, limits=limits))
        yield Site(endpoint, redis, found, port, http)
