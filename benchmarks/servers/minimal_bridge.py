"""The minimal bridge on the SDK's stdio server and `websockets`: replies by id, no checks."""

import asyncio
import base64
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from websockets.asyncio.client import ClientConnection, connect

from ..fixtures import INPUT_SCHEMA, tool_descriptions


class Endpoint:
    """A connection, opened by the first call."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.waiting: dict[int, asyncio.Queue[Any]] = {}
        self.ids = itertools.count(1)
        self.opening = asyncio.Lock()
        self.connection: ClientConnection | None = None

    async def send(self, tool: str, arguments: Any) -> tuple[int, asyncio.Queue[Any]]:
        """Send a request; return its id and the queue of its answers."""
        async with self.opening:
            if self.connection is None:
                self.connection = await connect(self.url, compression=None, proxy=None, max_size=None)
                self.reader = asyncio.create_task(self.pump(self.connection))
        number, answers = next(self.ids), asyncio.Queue[Any]()
        self.waiting[number] = answers
        await self.connection.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": tool, "params": arguments}))
        return number, answers

    async def pump(self, connection: ClientConnection) -> None:
        """Pass each message to the call that waits for it; a binary one to the only call."""
        async for raw in connection:
            if isinstance(raw, bytes):
                self.waiting.popitem()[1].put_nowait(raw)
            else:
                message = json.loads(raw)
                self.waiting[message["id"]].put_nowait(message)


def as_result(answer: Any) -> types.CallToolResult:
    """Return an answer as an MCP result."""
    content: list[Any]
    if isinstance(answer, bytes):
        data = base64.b64encode(answer).decode()
        blob = types.BlobResourceContents(uri="websocket:message/1", blob=data)
        content = [types.EmbeddedResource(type="resource", resource=blob)]
        return types.CallToolResult(content=content)
    content = [types.TextContent(type="text", text=json.dumps(answer))]
    return types.CallToolResult(content=content, structured_content=answer)


async def main(config: dict[str, Any]) -> None:
    """Serve the configured tools."""
    endpoints = {manual: Endpoint(url) for manual, url in config["manuals"].items()}
    tools = [
        types.Tool(name=f"{manual}_{name}", description=text, input_schema=INPUT_SCHEMA)
        for manual in endpoints
        for name, text in tool_descriptions(config["tools"])
    ]

    async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools)

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        manual, _, tool = params.name.partition("_")
        endpoint = endpoints[manual]
        number, answers = await endpoint.send(tool, params.arguments)
        answer = await answers.get()
        if isinstance(answer, bytes):
            return as_result(answer)
        items = []
        while "more" in answer:
            items.append(answer["result"])
            await ctx.session.report_progress(float(len(items)), None, json.dumps(answer["result"]))
            answer = await answers.get()
        del endpoint.waiting[number]
        return as_result({"items": items} if items else answer["result"])

    server: Server[Any] = Server("smallest", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
