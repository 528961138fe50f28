"""A UTCP-MCP bridge in Python: UTCP's client registers its manuals, then the SDK's stdio server offers the tools.

Existing bridges use FastMCP, whose import costs more; on the SDK's low-level server, UTCP's client with its plugin
`utcp-websocket` is compared. As in these bridges, all manuals are registered before the host is answered.

utcp-websocket 1.2.1 cannot register a manual: it builds its result with a field that utcp 1.2 does not know. That line
is patched here, so that there is something to compare with. This project's own plugin would replace `utcp-websocket`,
so it is hidden from `utcp`, which then spends no time on it.
"""

import asyncio
import base64
import importlib.metadata
import json
import logging
import sys
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from utcp.data.register_manual_response import RegisterManualResult
from utcp.utcp_client import UtcpClient
from utcp_websocket import websocket_communication_protocol as plugin

logging.disable(logging.CRITICAL)
plugin.RegisterManualResult = lambda call_template, manual: RegisterManualResult(
    manual_call_template=call_template, manual=manual, success=True
)

PLUGINS = importlib.metadata.entry_points(group="utcp.plugins")
importlib.metadata.entry_points = lambda group: [  # type: ignore[assignment]  # loads no other plugin
    found for found in PLUGINS if found.value == "utcp_websocket:register"
]


async def main(file: str) -> None:
    """Serve the tools of the manuals of a UTCP client configuration."""
    client = await UtcpClient.create(config=file)
    repository = client.config.tool_repository
    known = {tool.name.replace(".", "_"): tool for tool in await repository.get_tools()}
    tools = [
        types.Tool(
            name=name,
            description=tool.description,
            input_schema=tool.inputs.model_dump(by_alias=True, exclude_none=True),
        )
        for name, tool in known.items()
    ]

    async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools)

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        name, arguments = known[params.name].name, params.arguments or {}
        try:
            if "items" in arguments:
                result = await collect_items(ctx, name, arguments)
            else:
                result = await client.call_tool(name, arguments)
        except Exception as failed:
            return types.CallToolResult(content=[types.TextContent(type="text", text=str(failed))], is_error=True)
        if isinstance(result, bytes):
            result = base64.b64encode(result).decode()
        structured = result if isinstance(result, dict) else None
        content: list[Any] = [types.TextContent(type="text", text=json.dumps(result))]
        return types.CallToolResult(content=content, structured_content=structured)

    async def collect_items(ctx: Any, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        items: list[Any] = []
        async for item in client.call_tool_streaming(name, arguments):
            items.append(item)
            await ctx.session.report_progress(float(len(items)), None, json.dumps(item))
        return {"items": items}

    server: Server[Any] = Server("utcp", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
