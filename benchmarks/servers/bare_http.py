"""The SDK's streamable HTTP server with tools that do nothing: the cost of MCP over HTTP itself.

The arguments are the HTTP library and the event loop of uvicorn, which would take the best that the environment has,
and the port.
"""

import sys
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server

from ..fixtures import INPUT_SCHEMA


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    """Return the tools."""
    named = {"m0_t0": "Echo.", "s0_t0": "Report progress."}
    tools = [types.Tool(name=name, description=text, input_schema=INPUT_SCHEMA) for name, text in named.items()]
    return types.ListToolsResult(tools=tools)


async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    """Return the arguments; report as many items as they say, as progress."""
    for number in range((params.arguments or {}).get("items", 0)):
        await ctx.session.report_progress(float(number + 1), None, "item")
    content: list[Any] = [types.TextContent(type="text", text=str(params.arguments))]
    return types.CallToolResult(content=content, structured_content=params.arguments)


if __name__ == "__main__":
    server: Server[Any] = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    app = server.streamable_http_app()
    http, loop, port = sys.argv[1:]
    uvicorn.run(app, host="127.0.0.1", port=int(port), http=http, loop=loop, access_log=False, log_level="error")
