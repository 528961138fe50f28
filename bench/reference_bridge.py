"""The reference: the SDK's stdio server in front of UTCP's client with `utcp-websocket`."""

import asyncio
import logging
import sys
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from utcp_websocket.websocket_call_template import WebSocketCallTemplate
from utcp_websocket.websocket_communication_protocol import WebSocketCommunicationProtocol

logging.disable(logging.CRITICAL)
TOOL = types.Tool(name="m_t", description="Forwards.", input_schema={"type": "object"})


async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
    """One tool."""
    return types.ListToolsResult(tools=[TOOL])


async def main(url: str) -> None:
    """Serve."""
    protocol = WebSocketCommunicationProtocol()
    template = WebSocketCallTemplate(name="m", url=url, response_format="json")

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            result = await protocol.call_tool(None, "m.t", params.arguments or {}, template)
        except Exception as failed:
            return types.CallToolResult(content=[types.TextContent(type="text", text=str(failed))], is_error=True)
        return types.CallToolResult(content=[types.TextContent(type="text", text=str(result))])

    server: Server[Any] = Server("reference", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
