"""The client of fastmcp."""

from __future__ import annotations

import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError
from observation import Observation, report


async def observe(command: list[str]) -> Observation:
    """List, call, follow a stream, fail."""
    observation = Observation()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        observation.progress.append(message)

    async def failing(client: Client, name: str, arguments: dict[str, object]) -> str | None:
        try:
            await client.call_tool(name, arguments)
        except ToolError as error:
            return str(error)
        return None

    async with Client(StdioTransport(command[0], command[1:])) as client:
        observation.listed = [tool.name for tool in await client.list_tools()]
        observation.sum = (await client.call_tool("demo_add", {"a": 2, "b": 3})).structured_content
        observation.picture = (await client.call_tool("demo_picture", {"colour": "#3366cc"})).content[0].type
        streamed = await client.call_tool("demo_countdown", {"start": 3}, progress_handler=note)
        observation.stream = streamed.structured_content["items"]
        observation.tool_error = await failing(client, "demo_divide", {"a": 1, "b": 0})
        observation.argument_error = await failing(client, "demo_add", {"a": 2})
    return observation


report(observe, "fastmcp", sys.argv[1:])
