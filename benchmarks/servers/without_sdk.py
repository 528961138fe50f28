"""The lower bound: a minimal bridge without the SDK, with JSON-RPC over the pipes of asyncio, and `websockets`.

It is not a usable MCP server: no checks, no progress, no cancellation, and only what a benchmark reads of each era.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from ..fixtures import INPUT_SCHEMA, tool_descriptions


class Session:
    """A session between the host and the endpoint."""

    def __init__(self, config: dict[str, Any], out: asyncio.WriteTransport) -> None:
        self.url = config["manuals"]["m0"]
        self.tools = [
            {"name": f"m0_{name}", "description": text, "inputSchema": INPUT_SCHEMA}
            for name, text in tool_descriptions(config["tools"])
        ]
        self.out = out
        self.opening = asyncio.Lock()
        self.connection: ClientConnection | None = None

    async def handle(self, request: dict[str, Any]) -> None:
        """Answer a request, or forward it."""
        method = request["method"]
        if method == "initialize":
            info = {"name": "by hand", "version": "1"}
            version = request["params"]["protocolVersion"]
            self.respond(request["id"], {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info})
        elif method == "server/discover":
            self.respond(request["id"], {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}})
        elif method == "tools/list":
            self.respond(request["id"], {"tools": self.tools})
        elif method == "tools/call":
            await self.send(request)

    async def send(self, request: dict[str, Any]) -> None:
        """Forward a call; the id of the host is also that of the endpoint."""
        async with self.opening:
            if self.connection is None:
                self.connection = await connect(self.url, compression=None, proxy=None)
                self.reader = asyncio.create_task(self.pump(self.connection))
        params = request["params"]
        message = {"jsonrpc": "2.0", "id": request["id"], "method": params["name"], "params": params["arguments"]}
        await self.connection.send(json.dumps(message))

    async def pump(self, connection: ClientConnection) -> None:
        """Forward the answers of the endpoint."""
        async for raw in connection:
            message = json.loads(raw)
            content = [{"type": "text", "text": json.dumps(message["result"])}]
            self.respond(message["id"], {"content": content, "structuredContent": message["result"]})

    def respond(self, number: int, result: dict[str, Any]) -> None:
        """Write a response to the host."""
        self.out.write(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode() + b"\n")


async def main(config: dict[str, Any]) -> None:
    """Serve until the host closes stdin."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
    session = Session(config, out)
    async for line in reader:
        await session.handle(json.loads(line))


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
