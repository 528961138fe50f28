"""openai-agents: the server as an agent has it."""

from __future__ import annotations

import sys

from agents.exceptions import UserError
from agents.mcp import MCPServerStdio
from observation import Observation, report


async def observe(command: list[str]) -> Observation:
    """List, call, fail. It shows no progress."""
    async with MCPServerStdio(params={"command": command[0], "args": command[1:]}) as server:
        return Observation(
            listed=[tool.name for tool in await server.list_tools()],
            sum=_structured(await server.call_tool("demo_add", {"a": 2, "b": 3})),
            picture=(await server.call_tool("demo_picture", {"colour": "#3366cc"})).content[0].type,
            stream=_structured(await server.call_tool("demo_countdown", {"start": 3}))["items"],
            progress=None,
            tool_error=(await server.call_tool("demo_divide", {"a": 1, "b": 0})).content[0].text,
            argument_error=await _call_with_wrong_arguments(server),
        )


async def _call_with_wrong_arguments(server: MCPServerStdio) -> str:
    """It checks the required arguments itself."""
    try:
        return (await server.call_tool("demo_add", {"a": 2})).content[0].text
    except UserError as error:
        return str(error)


def _structured(result: object) -> dict[str, object]:
    return getattr(result, "structured_content", None) or result.structuredContent


report(observe, "openai-agents", sys.argv[1:])
