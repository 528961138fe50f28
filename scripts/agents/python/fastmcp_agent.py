"""FastMCP: its proxy between the server and a model that a loop of chat completions drives.

FastMCP has no agent. What its client shows is what an application passes on: `structured_content` or the content.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError


async def main(url: str, prompt: str, *command: str) -> None:
    """Ask the model until it calls nothing more."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    async with Client(StdioTransport(command[0], [*command[1:]])) as client:
        while True:
            tools = [
                {"type": "function", "function": {"name": tool.name, "parameters": schema_of(tool)}}
                for tool in await client.list_tools()
            ]
            body = {"model": "scripted", "messages": messages, "tools": tools}
            answer = await asyncio.to_thread(ask_model, f"{url}/v1/chat/completions", body)
            messages.append(answer)
            if not answer.get("tool_calls"):
                return
            for call in answer["tool_calls"]:
                content = await call_tool(client, call["function"]["name"], json.loads(call["function"]["arguments"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})


def ask_model(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the message of the model."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        message: dict[str, Any] = json.load(answer)["choices"][0]["message"]
    return message


def schema_of(tool: Any) -> Any:
    """Return the schema of a tool's arguments, in both versions of the SDK's names."""
    return getattr(tool, "input_schema", None) or tool.inputSchema


async def call_tool(client: Client[Any], name: str, arguments: dict[str, Any]) -> str:
    """Return the content of a result, or the text of an error."""
    try:
        result = await client.call_tool(name, arguments)
    except ToolError as error:
        return str(error)
    return json.dumps([block.model_dump(mode="json") for block in result.content])


asyncio.run(main(*sys.argv[1:]))
