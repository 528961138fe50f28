"""The SDK's stdio server with tools that do nothing: the cost of MCP itself."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from ..fixtures import INPUT_SCHEMA, tool_descriptions


async def main(config: dict[str, Any]) -> None:
    """Serve the configured tools."""
    tools = [
        types.Tool(name=f"{manual}_{name}", description=text, input_schema=INPUT_SCHEMA)
        for manual in config["manuals"]
        for name, text in tool_descriptions(config["tools"])
    ]

    async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools)

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        content: list[Any] = [types.TextContent(type="text", text=json.dumps(params.arguments))]
        return types.CallToolResult(content=content, structured_content=params.arguments)

    server: Server[Any] = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
