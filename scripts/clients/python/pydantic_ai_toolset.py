"""pydantic-ai: the tools as an agent's toolset."""

from __future__ import annotations

import sys
from typing import Any

from fastmcp.client.transports import StdioTransport
from observation import Observation, report
from pydantic_ai import ModelRetry
from pydantic_ai.mcp import MCPToolset


async def observe(command: list[str]) -> Observation:
    """List, call, fail. It shows no progress."""
    async with MCPToolset(StdioTransport(command[0], command[1:])) as toolset:

        async def failing(name: str, arguments: dict[str, Any]) -> str | None:
            try:
                await toolset.direct_call_tool(name, arguments)
            except ModelRetry as retry:
                return str(retry)
            return None

        return Observation(
            listed=[tool.name for tool in await toolset.list_tools()],
            sum=await toolset.direct_call_tool("demo_add", {"a": 2, "b": 3}),
            picture=_kind(await toolset.direct_call_tool("demo_picture", {"colour": "#3366cc"})),
            stream=(await toolset.direct_call_tool("demo_countdown", {"start": 3}))["items"],
            progress=None,
            tool_error=await failing("demo_divide", {"a": 1, "b": 0}),
            argument_error=await failing("demo_add", {"a": 2}),
        )


def _kind(content: Any) -> str:
    return "image" if getattr(content, "media_type", "").startswith("image/") else type(content).__name__


report(observe, "pydantic-ai-slim", sys.argv[1:])
