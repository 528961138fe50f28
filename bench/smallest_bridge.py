"""The smallest possible bridge on the SDK's stdio server and `websockets`: one connection, replies by id, no checks."""

import asyncio
import itertools
import json
import sys
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from websockets.asyncio.client import ClientConnection, connect

TOOL = types.Tool(name="m_t", description="Forwards.", input_schema={"type": "object"})
pending: dict[int, asyncio.Future[Any]] = {}
ids = itertools.count(1)


async def pump(connection: ClientConnection) -> None:
    """Hand each reply to the call that waits for it."""
    async for raw in connection:
        message = json.loads(raw)
        pending.pop(message["id"]).set_result(message["result"])


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    """One tool."""
    return types.ListToolsResult(tools=[TOOL])


async def main(url: str) -> None:
    """Serve."""
    connection: ClientConnection | None = None
    reader_task = None

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        nonlocal connection, reader_task
        if connection is None:
            connection = await connect(url, compression=None, proxy=None)
            reader_task = asyncio.create_task(pump(connection))
        request_id = next(ids)
        pending[request_id] = asyncio.get_running_loop().create_future()
        request = {"jsonrpc": "2.0", "id": request_id, "method": "t", "params": params.arguments}
        await connection.send(json.dumps(request))
        result = await pending[request_id]
        content = [types.TextContent(type="text", text=json.dumps(result))]
        return types.CallToolResult(content=content, structured_content=result)

    server: Server[Any] = Server("smallest", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
