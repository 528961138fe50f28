"""langchain-mcp-adapters: the tools as LangChain has them."""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_mcp_adapters.client import MultiServerMCPClient
from observation import Observation, report


async def observe(command: list[str]) -> Observation:
    """List, call, fail. It shows no progress."""
    server = {"transport": "stdio", "command": command[0], "args": command[1:]}
    tools = {tool.name: tool for tool in await MultiServerMCPClient({"demo": server}).get_tools()}

    async def call(name: str, arguments: dict[str, Any]) -> Any:
        return (await tools[name].ainvoke({"type": "tool_call", "id": "1", "name": name, "args": arguments})).content

    async def failing(name: str, arguments: dict[str, Any]) -> str:
        try:
            return str(_text(await call(name, arguments)))
        except Exception as error:
            return str(error)

    return Observation(
        listed=list(tools),
        sum=json.loads(_text(await call("demo_add", {"a": 2, "b": 3}))),
        picture=(await call("demo_picture", {"colour": "#3366cc"}))[0]["type"],
        stream=json.loads(_text(await call("demo_countdown", {"start": 3})))["items"],
        progress=None,
        tool_error=await failing("demo_divide", {"a": 1, "b": 0}),
        argument_error=await failing("demo_add", {"a": 2}),
    )


def _text(content: Any) -> str:
    return content if isinstance(content, str) else content[0]["text"]


report(observe, "langchain-mcp-adapters", sys.argv[1:])
