"""The client of the Python SDK 2.x. `--mode legacy` makes it speak a handshake revision."""

from __future__ import annotations

import sys
from typing import Any, Literal, cast

from mcp import Client, StdioServerParameters
from observation import Observation, report


async def observe(command: list[str]) -> Observation:
    """List, call, follow a stream, fail."""
    mode: Any = "auto"
    if command[0] == "--mode":
        mode, command = cast("Literal['legacy', 'auto']", command[1]), command[2:]
    observation = Observation()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        observation.progress.append(message)

    async with Client(StdioServerParameters(command=command[0], args=command[1:]), mode=mode) as client:
        observation.listed = [tool.name for tool in (await client.list_tools()).tools]
        observation.sum = (await client.call_tool("demo_add", {"a": 2, "b": 3})).structured_content
        observation.picture = (await client.call_tool("demo_picture", {"colour": "#3366cc"})).content[0].type
        streamed = await client.call_tool("demo_countdown", {"start": 3}, progress_callback=note)
        observation.stream = (streamed.structured_content or {}).get("items")
        observation.tool_error = (await client.call_tool("demo_divide", {"a": 1, "b": 0})).content[0].text
        observation.argument_error = (await client.call_tool("demo_add", {"a": 2})).content[0].text
    return observation


report(observe, "mcp", sys.argv[1:])
