"""The SDK's streamable HTTP server with a tool that does nothing: the cost of MCP over HTTP itself."""

import sys
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server

from ..fixtures import INPUT_SCHEMA


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    """Return the tool."""
    return types.ListToolsResult(tools=[types.Tool(name="m0_t0", description="Echo.", input_schema=INPUT_SCHEMA)])


async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    """Return the arguments."""
    content: list[Any] = [types.TextContent(type="text", text=str(params.arguments))]
    return types.CallToolResult(content=content, structured_content=params.arguments)


if __name__ == "__main__":
    server: Server[Any] = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    app = server.streamable_http_app()
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="error")
