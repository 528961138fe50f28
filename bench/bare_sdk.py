"""The SDK's own stdio server with one tool that does nothing: what MCP itself costs."""

import asyncio
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

TOOL = types.Tool(name="m_t", description="Does nothing.", input_schema={"type": "object"})


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    """One tool."""
    return types.ListToolsResult(tools=[TOOL])


async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    """Answer at once."""
    return types.CallToolResult(content=[types.TextContent(type="text", text="ok")])


async def main() -> None:
    """Serve."""
    server: Server[Any] = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())
