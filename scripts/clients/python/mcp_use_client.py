"""mcp-use: a session of its client."""

from __future__ import annotations

import sys

from mcp_use import MCPClient
from observation import Observation, report


async def observe(command: list[str]) -> Observation:
    """List, call, fail. It shows no progress."""
    client = MCPClient({"mcpServers": {"demo": {"command": command[0], "args": command[1:]}}})
    session = await client.create_session("demo")
    try:
        return Observation(
            listed=[tool.name for tool in await session.list_tools()],
            sum=(await session.call_tool("demo_add", {"a": 2, "b": 3})).structuredContent,
            picture=(await session.call_tool("demo_picture", {"colour": "#3366cc"})).content[0].type,
            stream=(await session.call_tool("demo_countdown", {"start": 3})).structuredContent["items"],
            progress=None,
            tool_error=(await session.call_tool("demo_divide", {"a": 1, "b": 0})).content[0].text,
            argument_error=(await session.call_tool("demo_add", {"a": 2})).content[0].text,
        )
    finally:
        await client.close_all_sessions()


report(observe, "mcp-use", sys.argv[1:])
