"""The client of fastmcp."""

from __future__ import annotations

import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError
from seen import Observation, report


async def observe(command: list[str]) -> Observation:
    """List, call, follow a stream, fail."""
    seen = Observation()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.progress.append(message)

    async def failing(client: Client, name: str, arguments: dict[str, object]) -> str | None:
        try:
            await client.call_tool(name, arguments)
        except ToolError as error:
            return str(error)
        return None

    async with Client(StdioTransport(command[0], command[1:])) as client:
        seen.listed = [tool.name for tool in await client.list_tools()]
        seen.sum = (await client.call_tool("demo_add", {"a": 2, "b": 3})).structured_content
        seen.picture = (await client.call_tool("demo_picture", {"colour": "#3366cc"})).content[0].type
        streamed = await client.call_tool("demo_countdown", {"start": 3}, progress_handler=note)
        seen.stream = streamed.structured_content["items"]
        seen.fault = await failing(client, "demo_divide", {"a": 1, "b": 0})
        seen.mistake = await failing(client, "demo_add", {"a": "two"})
    return seen


report(observe, "fastmcp", sys.argv[1:])
