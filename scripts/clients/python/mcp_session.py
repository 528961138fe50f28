"""The session of the Python SDK 1.x."""

from __future__ import annotations

import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from observation import Observation, report


async def observe(command: list[str]) -> Observation:
    """List, call, follow a stream, fail."""
    observation = Observation()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        observation.progress.append(message)

    server = StdioServerParameters(command=command[0], args=command[1:])
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        observation.listed = [tool.name for tool in (await session.list_tools()).tools]
        observation.sum = (await session.call_tool("demo_add", {"a": 2, "b": 3})).structuredContent
        observation.picture = (await session.call_tool("demo_picture", {"colour": "#3366cc"})).content[0].type
        streamed = await session.call_tool("demo_countdown", {"start": 3}, progress_callback=note)
        observation.stream = streamed.structuredContent["items"]
        observation.tool_error = (await session.call_tool("demo_divide", {"a": 1, "b": 0})).content[0].text
        observation.argument_error = (await session.call_tool("demo_add", {"a": 2})).content[0].text
    return observation


report(observe, "mcp", sys.argv[1:])
